/**
 * How hubs on one store tell each other that something was committed. A call saves waiting and decides nothing: it may be
 * lost, doubled or late, so every hub also looks by itself every `pollMs`.
 */
import type { AgentId } from '../domain/ids.ts';

/** What there is to look at. */
export interface Look {
  /** There is a history to read further. */
  readonly events: boolean;
  /** Tasks wait that this hub had no free agent for. */
  readonly work: boolean;
  /** What concerns these agents changed, where another hub holds their sockets; null: it may be any agent. */
  readonly agents: readonly AgentId[] | null;
}

/** Everything: after a time in which calls may have been missed. */
export const LOOK_AT_ALL: Look = { events: true, work: true, agents: null };

export interface HubCalls {
  /**
   * Calls all other hubs of this store, as soon as it can and in the order of the calls; several at once may become one.
   * Works while somebody here listens. MUST NOT throw, and MUST NOT wait.
   */
  call(look: Look): void;
  /**
   * Hears the other hubs from now on, until the answer is called. `heard` is called with `LOOK_AT_ALL` whenever calls may
   * have been missed, such as after a connection was made anew. MUST NOT hear its own calls.
   */
  listen(heard: (look: Look) => void): () => void;
}

/** The calls of a hub that has its store to itself. */
export const NO_CALLS: HubCalls = {
  call: () => undefined,
  listen: () => () => undefined,
};
