/** What the handlers share besides the batch: settings, ids, and what only this process knows. */
import type { HubLimits } from '../../../config/limits.ts';
import type { HubTiming } from '../../../config/times.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Rules } from '../../../domain/task/rules.ts';
import type { Digest } from '../../../ports/chance.ts';
import type { Log } from '../../../ports/log.ts';
import type { TaskArchive } from '../../../ports/storage.ts';
import type { QuietPeriod } from './quiet-period.ts';

export interface HubContext {
  readonly hubId: string;
  readonly rules: Rules;
  readonly timing: HubTiming;
  readonly limits: HubLimits;
  readonly log: Log;
  readonly digest: Digest;
  /** Null: what is removed is gone. */
  readonly archive: TaskArchive | null;
  /** The sweeper begins it after starts, stalls and storage outages. */
  readonly quietPeriod: QuietPeriod;
  /** Whether this hub holds the socket of that session. */
  readonly isHere: (agentId: AgentId, session: number) => boolean;
  /** When this hub last received anything from the agent, in store time; null when it is not connected here. */
  readonly lastHeardAtMs?: ((agentId: AgentId) => number | null) | undefined;
  /** Bytes of assignments that this hub sent in that session and that its agent has not answered. */
  readonly unansweredBytes: (agentId: AgentId, session: number) => number;
}

/** `runMarginMs` leaves the sidecar time to stop a run over its limit and to report that, before the hub reclaims it. */
export const rulesOf = (timing: HubTiming, limits: HubLimits): Rules => ({
  acceptMs: timing.acceptMs,
  leaseMs: timing.leaseMs,
  runMaxMs: timing.runMaxMs,
  runMarginMs: timing.graceMarginMs + timing.killGraceMs,
  backoff: timing.backoff,
  breaker: timing.breaker,
  progressPerAttempt: limits.progressPerAttempt,
});
