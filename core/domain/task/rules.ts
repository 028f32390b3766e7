/** The settings that transitions depend on; from the config. Milliseconds unless stated otherwise. */
import type { BackoffTimes } from '../backoff.ts';

export interface Rules {
  readonly acceptMs: number;
  readonly leaseMs: number;
  readonly runMaxMs: number;
  /** Extra time beyond a run's limit for the sidecar to stop the run and report it. */
  readonly runMarginMs: number;
  readonly backoff: BackoffTimes;
  readonly breaker: BackoffTimes;
  /** Progress events stored for one attempt. */
  readonly progressPerAttempt: number;
}

/** Assignments in a row that used up no retry, after which a task is parked for an operator. */
export const HAND_BACKS_MAX = 10;

/** How many agents may reject a task by their policy in one round; the last of these rejections dead-letters it. */
export const REJECTIONS_MAX = 32;

/** How long a task that a policy rejected waits for another agent to accept it, unless it has a `ttlMs`. Milliseconds. */
export const REJECTED_WAIT_MS = 600_000;

/** How often an unaccepted assignment is sent to its agent. A sidecar that crashes on it each time does not get it a third time. */
export const SENDINGS_MAX = 2;

/** Different tasks in a row that end through a fault of one machine, after which it is paused. */
export const STRIKES_MAX = 3;

/** Each nth assignment of an agent takes the oldest task it may run, of any priority, so that none starves. */
export const OLDEST_EVERY = 16;
