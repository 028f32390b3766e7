/**
 * How hubs on one store notify each other of commits. A notification only saves time and decides nothing: it may be lost, repeated
 * or late, so every hub also polls the store every `pollMs`.
 */
import type { AgentId } from '../domain/ids.ts';

/** What other hubs should read from the store. */
export interface ChangeHint {
  /** The history has new events. */
  readonly events: boolean;
  /** There are ready tasks that the notifying hub had no free agent for. */
  readonly work: boolean;
  /** These agents of other hubs have changes; null: any agent may have. */
  readonly agents: readonly AgentId[] | null;
}

/** Anything may have changed: notifications may have been missed. */
export const ANY_CHANGE: ChangeHint = { events: true, work: true, agents: null };

/** How the hubs of one store notify each other of changes. Best effort: each also polls. */
export interface HubNotifier {
  /**
   * Notifies all other hubs of this store, as soon as possible and in the order of the calls; several calls may be merged into one
   * notification. It needs to work only while this hub listens. MUST NOT throw, and MUST NOT wait.
   */
  notify(hint: ChangeHint): void;
  /**
   * Listens to the other hubs until the returned function is called. Calls `onHint` with `ANY_CHANGE` whenever notifications may have
   * been missed, such as after a reconnect. MUST NOT deliver notifications of this hub.
   */
  listen(onHint: (hint: ChangeHint) => void): () => void;
}

/** The notifier of a store for one hub. */
export const NULL_NOTIFIER: HubNotifier = {
  notify: () => undefined,
  listen: () => () => undefined,
};
