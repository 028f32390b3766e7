/** `ClusterUnit` over the statements of an engine. */
import type { HubMail } from '../../core/domain/agent/hub-lease.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { ActiveAgent, ClusterUnit } from '../../core/ports/cluster-unit.ts';
import type { Row, Transaction } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { storedJson } from './rows/stored-schemas.ts';

/** Null if the database serves one hub. */
export function knexClusterUnit({ nowMs, cluster }: Transaction, readable: ReadableOf): ClusterUnit | null {
  if (cluster === null) return null;
  return {
    async renewLease(hubId, leaseMs) {
      const lease = { hubId, untilMs: nowMs + leaseMs };
      if ((await cluster.change('renewLease', lease)) > 0) return 'renewed';
      await cluster.change('insertLease', lease);
      return 'made';
    },
    async expireHubs() {
      const expired = (await cluster.rows('expiredLeases', { nowMs })).map((row) => ({
        hubId: row['hub_id'] as string,
        untilMs: Number(row['lease_until']),
      }));
      const hasExpired = new Set(expired.map(({ hubId }) => hubId));
      const living = (await cluster.rows('leases')).map((row) => row['hub_id'] as string).filter((hubId) => !hasExpired.has(hubId));
      if (expired.length > 0) {
        await cluster.change('removeLeases', [...hasExpired]);
        await cluster.change('dropMail');
      }
      return { living, expired };
    },
    tryTakeDuty: async (duty) => (await cluster.rows('tryTakeDuty', duty))[0]?.['taken'] === 1,
    async takeMail(hubId, limit) {
      const rows = [...(await cluster.rows('takeMail', { hubId, limit }))];
      return readable(
        rows.sort((one, other) => Number(one['place']) - Number(other['place'])),
        (row) => storedJson(row['state'], 'its state', 'hub mail', row['place']) as HubMail,
      );
    },
    agentsOf: async (hubId) => (await cluster.rows('agentsOf', hubId)).map(activeIn),
  };
}

export const activeIn = (row: Row): ActiveAgent => ({ id: row['id'] as AgentId, hasStops: Number(row['has_stops']) === 1 });
