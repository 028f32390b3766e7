/**
 * What several hubs on one store need of a transaction: leases, by which they see each other live, duties that one does for all, and
 * mail for the sockets of others. A store that serves one hub has none of it (`StoreUnit.cluster` is null).
 */
import type { HubLease, HubMail } from '../domain/agent/hub-lease.ts';
import type { AgentId } from '../domain/ids.ts';

export interface ClusterUnit {
  /**
   * Makes or renews the lease of a hub, until `leaseMs` after `nowMs`. `made`: there was none, so the hub is new or its lease was
   * expired by another. MUST wait for a transaction that expires it.
   */
  renewLease(hubId: string, leaseMs: number): Promise<'made' | 'renewed'>;

  /**
   * Removes the leases that ended by `nowMs`, with the mail of whoever has none, and answers both.
   * MUST NOT wait for a hub that renews its lease at this moment, and MUST count it as living.
   */
  expireHubs(): Promise<HubsAlive>;

  /** Whether this transaction is the one among all hubs that does this, until its end. MUST NOT wait. */
  tryTakeDuty(duty: Duty): Promise<boolean>;

  /** Takes the oldest mail for this hub out of the store, at most `limit`. */
  takeMail(hubId: string, limit: number): Promise<readonly HubMail[]>;

  /** Agents that are connected to this hub, as far as the store knows. By id; locks nothing. */
  agentsOf(hubId: string): Promise<readonly ActiveAgent[]>;
}

export interface HubsAlive {
  readonly living: readonly string[];
  /** Leases that ended, and were removed. */
  readonly expired: readonly HubLease[];
}

/** What one hub does for all: look for what is due and for hubs whose lease expired; remove what is over for long. */
export type Duty = 'sweep' | 'removal';

export interface ActiveAgent {
  readonly id: AgentId;
  /** It has a stop that is not confirmed. */
  readonly hasStops: boolean;
}
