/** The numbers that the transitions are judged by; the config gives them. Milliseconds unless said otherwise. */
import type { BackoffTimes } from '../backoff.ts';

export interface Rules {
  readonly acceptMs: number;
  readonly leaseMs: number;
  readonly runMaxMs: number;
  /** What a sidecar is given beyond a run's limit to stop the run and report by itself. */
  readonly runMarginMs: number;
  readonly backoff: BackoffTimes;
  readonly breaker: BackoffTimes;
  /** Progress events stored for one attempt. */
  readonly progressPerAttempt: number;
}

/** Assignments in a row that spent no retry, after which a task waits for an operator. */
export const HAND_BACKS_MAX = 10;

/** How often one assignment is sent to its agent before that accepts it. A sidecar that dies of it at each sending has it no third time. */
export const SENDINGS_MAX = 2;

/** Different tasks in a row that end by a machine's fault, after which it is paused. */
export const STRIKES_MAX = 3;

/** Each so-many-eth assignment of an agent takes the oldest task it may run, of any lane, so that nothing starves. */
export const OLDEST_EVERY = 16;
