/** `AgentStore` in memory. */
import { newAgent, type Agent } from '../../core/domain/agent/agent.ts';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { LockedOut } from '../../core/domain/waiting/agent-waiting.ts';
import { isExpired, type AgentRow, type AgentStore, type TokenRecord } from '../../core/ports/agent-store.ts';
import { keptCopy } from './kept-copy.ts';
import { appendAudit } from './memory-audit-log.ts';
import { byId, type InTurn, type MemoryDatabase } from './memory-database.ts';
import { dropAgent, dropAgentEvents, isUnused } from './old-rows.ts';

export function memoryAgentStore(use: () => MemoryDatabase, inTurn: InTurn): AgentStore {
  const read = async <T>(work: (database: MemoryDatabase) => T): Promise<T> => work(use());
  const write = async <T>(work: (database: MemoryDatabase) => T): Promise<T> => {
    const database = use();
    return inTurn(database, async () => work(database));
  };

  return {
    addToken: (token, options) =>
      write((database) => {
        const { agentId, createdAtMs: nowMs } = token;
        const isSame = (one: TokenRecord): boolean =>
          agentId === null ? one.agentId === null && one.name === token.name && one.role === token.role : one.agentId === agentId;
        const isTaken = (): boolean => [...database.tokens.values()].some((one) => isSame(one) && isLive(one, nowMs));
        if (options?.unlessTaken === true && isTaken()) return 'taken';
        if (!database.tokens.has(token.id)) database.tokens.set(token.id, keptCopy(token));
        if (agentId !== null && !database.agents.has(agentId)) database.agents.set(agentId, keptCopy(newAgent(agentId, token.name, nowMs)));
        audited(database, options?.audit);
        return 'added';
      }),

    findToken: (hash) => read((database) => [...database.tokens.values()].find((one) => one.hash === hash && one.revokedAtMs === null)),

    findTokenByHint: (hint) =>
      read((database) => {
        const found = [...database.tokens.values()].filter((one) => one.hash.startsWith(hint) && one.revokedAtMs === null);
        return found.length === 1 ? found[0] : undefined;
      }),

    listTokens: ({ after, limit }) =>
      read((database) => {
        const last = after === undefined ? undefined : database.tokens.get(after);
        if (after !== undefined && last === undefined) return [];
        return [...database.tokens.values()]
          .filter((token) => last === undefined || newestFirst(last, token) < 0)
          .sort(newestFirst)
          .slice(0, limit);
      }),

    revokeTokens: (which, nowMs, audit) =>
      write((database) => {
        const named = (token: TokenRecord): boolean => ('id' in which ? token.id === which.id : token.agentId === which.agentId);
        const revoked = [...database.tokens.values()]
          .filter((token) => named(token) && token.revokedAtMs === null)
          .map((token) => keptCopy({ ...token, revokedAtMs: nowMs }));
        for (const token of revoked) database.tokens.set(token.id, token);
        revoked.sort(newestFirst);
        if (audit !== undefined) appendAudit(database, revoked.map(audit));
        return revoked;
      }),

    rotateToken: (id, successor, expiresAtMs, audit) =>
      write((database) => {
        const token = database.tokens.get(id);
        if (token === undefined || token.replacedBy !== null || !isLive(token, successor.createdAtMs)) return undefined;
        const rotated = keptCopy({ ...token, replacedBy: successor.id, expiresAtMs: Math.min(token.expiresAtMs ?? Infinity, expiresAtMs) });
        database.tokens.set(id, rotated);
        database.tokens.set(successor.id, keptCopy(successor));
        audited(database, audit);
        return rotated;
      }),

    getToken: (id) => read(({ tokens }) => tokens.get(id)),

    endsAmong: (ids) =>
      read(({ tokens }) =>
        [...new Set(ids)]
          .flatMap((id) => tokens.get(id) ?? [])
          .filter(({ revokedAtMs, expiresAtMs }) => revokedAtMs !== null || expiresAtMs !== null)
          .map(({ id, revokedAtMs, expiresAtMs }) => ({ id, revokedAtMs, expiresAtMs })),
      ),

    noteTokensUsed: (used) =>
      write((database) => {
        for (const { id, atMs } of used) {
          const token = database.tokens.get(id);
          if (token !== undefined && atMs > (token.lastUsedAtMs ?? -1)) database.tokens.set(id, keptCopy({ ...token, lastUsedAtMs: atMs }));
        }
      }),

    lockedOutAmong: (ids, nowMs) =>
      read((database) => {
        const lockedOut = new Map<AgentId, LockedOut>();
        for (const id of ids) {
          const tokens = [...database.tokens.values()].filter((token) => token.agentId === id);
          if (tokens.length === 0 || tokens.some((token) => isLive(token, nowMs))) continue;
          lockedOut.set(id, tokens.some((token) => token.revokedAtMs === null) ? 'expired' : 'revoked');
        }
        return lockedOut;
      }),

    addEnrolSecret: (hash, expiresAtMs, audit) =>
      write((database) => {
        database.secrets.set(hash, expiresAtMs);
        audited(database, audit);
      }),

    findEnrolSecret: (hint, nowMs) =>
      read((database) => {
        const found = [...database.secrets].filter(([hash, expiresAtMs]) => hash.startsWith(hint) && nowMs <= expiresAtMs);
        return found.length === 1 ? found[0]?.[0] : undefined;
      }),

    takeEnrolSecret: (hash, nowMs, audit) =>
      write((database) => {
        const expiresAtMs = database.secrets.get(hash);
        database.secrets.delete(hash);
        const isTaken = expiresAtMs !== undefined && nowMs <= expiresAtMs;
        if (isTaken) audited(database, audit);
        return isTaken;
      }),

    listAgents: ({ after, limit }) =>
      read((database) =>
        [...database.agents.values()]
          .filter((agent) => after === undefined || agent.id > after)
          .sort(byId)
          .slice(0, limit)
          .map((agent) => rowOf(database, agent)),
      ),

    getAgent: (id) =>
      read((database) => {
        const agent = database.agents.get(id);
        return agent === undefined ? undefined : rowOf(database, agent);
      }),

    removeAgent: (id, nowMs, audit) =>
      write((database) => {
        if (!database.agents.has(id)) return 'unknown';
        if (!isUnused(database, id, nowMs)) return 'needed';
        dropAgent(database, id);
        dropAgentEvents(database, id, 0);
        audited(database, audit);
        return 'removed';
      }),
  };
}

const audited = (database: MemoryDatabase, audit: AuditDraft | undefined): void =>
  appendAudit(database, audit === undefined ? [] : [audit]);

const isLive = (token: TokenRecord, nowMs: number): boolean => token.revokedAtMs === null && !isExpired(token, nowMs);

const newestFirst = (a: TokenRecord, b: TokenRecord): number => b.createdAtMs - a.createdAtMs || byId(b, a);

const rowOf = (database: MemoryDatabase, agent: Agent): AgentRow => ({
  agent,
  live: [...database.current.values()]
    .flatMap(({ task }) => (task.status === 'assigned' && task.assignedTo === agent.id ? [task] : []))
    .sort(byId),
  pendingStops: [...database.stops.values()].filter((stop) => stop.agentId === agent.id).length,
});
