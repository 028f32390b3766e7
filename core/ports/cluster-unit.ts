/**
 * The part of a transaction that only a cluster needs: leases, by which hubs detect that another is gone; duties, which one hub does for
 * all; and mail, frames for agents that are connected to another hub. A store for one hub has none of it (`StoreUnit.cluster` is null).
 */
import type { HubLease, HubMail } from '../domain/agent/hub-lease.ts';
import type { AgentId } from '../domain/ids.ts';

/** What several hubs on one store share, within one transaction. */
export interface ClusterUnit {
  /**
   * Creates or renews the lease of a hub, until `leaseMs` after `nowMs`; 0 ends it. `made`: there was none, so the hub is new, or another hub has
   * removed its expired lease. MUST wait for a transaction that is removing it.
   */
  renewLease(hubId: string, leaseMs: number): Promise<'made' | 'renewed'>;

  /**
   * Removes the leases that expired by `nowMs`, and the mail of every hub without a lease. Returns the removed leases and the hubs that
   * still have one. MUST NOT wait for a hub that is renewing its lease, and MUST count it as living.
   */
  expireHubs(): Promise<HubsAlive>;

  /** Tries to take a duty until this transaction ends; false if a transaction of another hub holds it. MUST NOT wait. */
  tryTakeDuty(duty: Duty): Promise<boolean>;

  /** Removes the oldest mail for this hub from the store, at most `limit` items, and returns it, oldest first. */
  takeMail(hubId: string, limit: number): Promise<readonly HubMail[]>;

  /** The agents that are connected to this hub according to the store, by id. Locks nothing. */
  agentsOf(hubId: string): Promise<readonly ActiveAgent[]>;
}

/** The hubs of a store after the expired ones were removed. */
export interface HubsAlive {
  /** IDs of the hubs that have a lease. */
  readonly living: readonly string[];
  /** The leases that were removed. */
  readonly expired: readonly HubLease[];
}

/** `sweep`: handle tasks that are due, and hubs whose lease expired. `removal`: remove old tasks, keys and agents. */
export type Duty = 'sweep' | 'removal';

/** How many agents a hub knows to be connected to it. */
export interface KnownAgents {
  readonly hubId: string;
  readonly count: number;
}

/** An agent that is connected or has a pending stop. */
export interface ActiveAgent {
  readonly id: AgentId;
  /** It has a pending stop. */
  readonly hasStops: boolean;
}
