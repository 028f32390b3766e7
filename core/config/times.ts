/** Every time that can be set, with its default. Milliseconds. */

import type { BackoffTimes } from '../domain/backoff.ts';

export type { BackoffTimes };

export interface HubTiming {
  /** Between pings of a sidecar. */
  readonly heartbeatMs: number;
  /** How long a ping or probe may stay unanswered. */
  readonly pongWaitMs: number;
  /** The longest delay between two tries of a sidecar to reconnect. */
  readonly reconnectMaxMs: number;
  /** What `reconnectGraceMs` must have over the three before. */
  readonly graceMarginMs: number;
  /** How long an agent may be away before its tasks are taken back. */
  readonly reconnectGraceMs: number;
  /** Nothing is taken back for silence within this time of the hub's start. */
  readonly quietAfterStartMs: number;
  /** How long an assignment may stay unaccepted. */
  readonly acceptMs: number;
  /** How long an accepted assignment lives without a renewal. */
  readonly leaseMs: number;
  readonly sweepMs: number;
  /** Between two sendings of an unconfirmed `task_cancelled`. */
  readonly stopResendMs: number;
  /** Between the signal and the kill when an agent is stopped. */
  readonly killGraceMs: number;
  /** How long an accepted run may last, where the task says nothing. */
  readonly runMaxMs: number;
  /** How long pings of a version 1 sidecar renew its leases, after acceptance. */
  readonly v1RunMaxMs: number;
  /** How long after `killGraceMs` a stop that a version 1 sidecar was told of counts as confirmed. */
  readonly v1StopMs: number;
  /** Before a task is given out again. */
  readonly backoff: BackoffTimes;
  /** How long a broken machine is paused. */
  readonly breaker: BackoffTimes;
  /** How long a completed or cancelled task is kept. */
  readonly endedKeptMs: number;
  /** How long a task waits in the dead letter for a person. */
  readonly deadLetterKeptMs: number;
  /** How long an agent whose every token is revoked or has expired is kept. */
  readonly agentKeptMs: number;
  /** How long repeats of a submit, and of reports of a task that was removed, are answered as the first time. */
  readonly tombstoneMs: number;
  readonly hubLeaseMs: number;
  readonly pollMs: number;
}

export const HUB_TIMING: HubTiming = {
  heartbeatMs: 30_000,
  pongWaitMs: 10_000,
  reconnectMaxMs: 60_000,
  graceMarginMs: 20_000,
  reconnectGraceMs: 180_000,
  quietAfterStartMs: 300_000,
  acceptMs: 60_000,
  leaseMs: 300_000,
  sweepMs: 30_000,
  stopResendMs: 30_000,
  killGraceMs: 5_000,
  runMaxMs: 86_400_000,
  v1RunMaxMs: 14_400_000,
  v1StopMs: 10_000,
  backoff: { firstMs: 1_000, maxMs: 60_000 },
  breaker: { firstMs: 60_000, maxMs: 1_800_000 },
  endedKeptMs: 2_592_000_000,
  deadLetterKeptMs: 15_552_000_000,
  agentKeptMs: 2_592_000_000,
  tombstoneMs: 7_776_000_000,
  hubLeaseMs: 15_000,
  pollMs: 5_000,
};

export interface SidecarTiming {
  /** The waits before the second and later tries to wake the agent. */
  readonly wakeRetriesMs: readonly number[];
  /** How long a woken agent may take to say `.started`. */
  readonly confirmWithinMs: number;
  /** How long a published task may wait for an agent that polls. */
  readonly pickupWithinMs: number;
  /** How long a detached agent may leave its folder untouched. */
  readonly silenceMs: number;
  /** How long an attached agent may say nothing. */
  readonly idleMs: number;
  /** How long a result that does not parse must be still before it counts as invalid. */
  readonly resultStillMs: number;
  /** Between two sendings of an unanswered report. */
  readonly reportRepeat: BackoffTimes;
  /** By how much this machine's clock may differ from the hub's before no task is taken. */
  readonly clockOffMaxMs: number;
}

export const SIDECAR_TIMING: SidecarTiming = {
  wakeRetriesMs: [5_000, 15_000, 30_000],
  confirmWithinMs: 30_000,
  pickupWithinMs: 1_800_000,
  silenceMs: 1_800_000,
  idleMs: 600_000,
  resultStillMs: 2_000,
  reportRepeat: { firstMs: 5_000, maxMs: 60_000 },
  clockOffMaxMs: 300_000,
};

/** Between two progress reports of one task, milliseconds: a sidecar sends no more, and the hub's queue gets no more. */
export const PROGRESS_EVERY_MS = 1_000;
