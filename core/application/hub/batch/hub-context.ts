/** What the handlers of the hub share beside the batch: numbers, names, and what this process knows. */
import type { HubLimits } from '../../../config/limits.ts';
import type { HubTiming } from '../../../config/times.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Rules } from '../../../domain/task/rules.ts';
import type { Digest } from '../../../ports/chance.ts';
import type { Log } from '../../../ports/log.ts';
import type { Silence } from './quiet-period.ts';

export interface HubContext {
  readonly hubId: string;
  readonly rules: Rules;
  readonly timing: HubTiming;
  readonly limits: HubLimits;
  readonly log: Log;
  readonly digest: Digest;
  /** Whether silence counts; the sweeper notes starts, stalls and outages in it. */
  readonly silence: Silence;
  /** Whether this hub holds the socket of that session. */
  readonly isHere: (agentId: AgentId, session: number) => boolean;
  /** When the agent's socket on this hub was last heard, by the store's clock; null when it is not here. */
  readonly heardAtMs?: ((agentId: AgentId) => number | null) | undefined;
}

/** The sidecar's own time to stop a run that is over its limit, and to say so, before the hub takes it back. */
export const rulesOf = (timing: HubTiming, limits: HubLimits): Rules => ({
  acceptMs: timing.acceptMs,
  leaseMs: timing.leaseMs,
  runMaxMs: timing.runMaxMs,
  runMarginMs: timing.graceMarginMs + timing.killGraceMs,
  backoff: timing.backoff,
  breaker: timing.breaker,
  progressPerAttempt: limits.progressPerAttempt,
});
