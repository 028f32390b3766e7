/**
 * How hubs on one store tell each other that something was committed. A notification saves waiting and decides nothing: it may
 * be lost, doubled or late, so every hub also polls the store every `pollMs`.
 */
import type { AgentId } from '../domain/ids.ts';

/** What other hubs may want to read from the store. */
export interface ChangeHint {
  /** The history has new events. */
  readonly events: boolean;
  /** Tasks wait that the notifying hub had no free agent for. */
  readonly work: boolean;
  /** What concerns these agents changed, where another hub holds their sockets; null: it may be any agent. */
  readonly agents: readonly AgentId[] | null;
}

/** Anything may have changed: after a time in which notifications may have been missed. */
export const ANY_CHANGE: ChangeHint = { events: true, work: true, agents: null };

export interface HubNotifier {
  /**
   * Notifies all other hubs of this store, as soon as it can and in the order of the calls; several at once may become one.
   * Works while somebody here listens. MUST NOT throw, and MUST NOT wait.
   */
  notify(hint: ChangeHint): void;
  /**
   * Listens to the other hubs from now on, until the answer is called. `onHint` is called with `ANY_CHANGE` whenever
   * notifications may have been missed, such as after a connection was made anew. MUST NOT pass on this hub's own.
   */
  listen(onHint: (hint: ChangeHint) => void): () => void;
}

/** The notifier of a hub that has its store to itself: there is nobody to notify, and nobody who does. */
export const NULL_NOTIFIER: HubNotifier = {
  notify: () => undefined,
  listen: () => () => undefined,
};
