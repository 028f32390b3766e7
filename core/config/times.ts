/** Every configurable time with its default, in milliseconds. */

import type { BackoffTimes } from '../domain/backoff.ts';

export type { BackoffTimes };

/** The hub's times, in milliseconds. How they depend on each other is checked when the config is loaded. */
export interface HubTiming {
  /** Between pings of a sidecar. */
  readonly heartbeatMs: number;
  /** How long a ping or probe may stay unanswered. */
  readonly pongWaitMs: number;
  /** The longest delay between two reconnect attempts of a sidecar. */
  readonly reconnectMaxMs: number;
  /** The margin of `reconnectGraceMs` over the sum of the three above. */
  readonly graceMarginMs: number;
  /** How long an agent may be away before its tasks are reclaimed. */
  readonly reconnectGraceMs: number;
  /** Nothing is reclaimed for silence within this time after the hub's start. */
  readonly quietAfterStartMs: number;
  /** How long an assignment may stay unaccepted. */
  readonly acceptMs: number;
  /** How long an accepted assignment lives without a renewal. */
  readonly leaseMs: number;
  readonly sweepMs: number;
  /** Between resends of an unconfirmed `task_cancelled`. */
  readonly stopResendMs: number;
  /** Between the signal and the kill when an agent is stopped. */
  readonly killGraceMs: number;
  /** How long an accepted run may last, unless the task sets its own limit. */
  readonly runMaxMs: number;
  /** How long pings of a version 1 sidecar renew its leases, after acceptance. */
  readonly v1RunMaxMs: number;
  /** A stop of a version 1 sidecar counts as confirmed this long after `killGraceMs`. */
  readonly v1StopMs: number;
  /** Before a task is assigned again. */
  readonly backoff: BackoffTimes;
  /** How long a broken machine is paused. */
  readonly breaker: BackoffTimes;
  /** How long a completed or cancelled task is kept. */
  readonly endedKeptMs: number;
  /** How long a task is kept in the dead-letter queue. */
  readonly deadLetterKeptMs: number;
  /** How long the live output of agents is kept, at most as long as its task. */
  readonly outputKeptMs: number;
  /** How long an agent is kept after all its tokens were revoked or expired. */
  readonly agentKeptMs: number;
  /** How long an entry of the audit log is kept. */
  readonly auditKeptMs: number;
  /** How long repeated submits, and repeated reports on a removed task, still get the original answer. */
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
  outputKeptMs: 604_800_000,
  agentKeptMs: 2_592_000_000,
  auditKeptMs: 34_560_000_000,
  tombstoneMs: 7_776_000_000,
  hubLeaseMs: 15_000,
  pollMs: 5_000,
};

/** The sidecar's times, in milliseconds. */
export interface SidecarTiming {
  /** The delays before the retries of a wake. */
  readonly wakeRetriesMs: readonly number[];
  /** How long a woken agent may take to write `.started`. */
  readonly confirmWithinMs: number;
  /** How long a published task may wait for an agent that polls. */
  readonly pickupWithinMs: number;
  /** How long a detached agent may leave its folder untouched. */
  readonly silenceMs: number;
  /** How long an attached agent may be silent. */
  readonly idleMs: number;
  /** How long a result that does not parse must be unchanged to count as invalid. */
  readonly resultStillMs: number;
  /** Between resends of an unanswered report. */
  readonly reportRepeat: BackoffTimes;
  /** How far this machine's clock may differ from the hub's before no task is accepted. */
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

/** The minimum time between two progress reports of one task, in the sidecar and in the hub's queue, milliseconds. */
export const PROGRESS_EVERY_MS = 1_000;
