/** `AgentStore` over an engine. */
import type { Knex } from 'knex';
import { newAgent, type Agent } from '../../core/domain/agent/agent.ts';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { LockedOut } from '../../core/domain/waiting/agent-waiting.ts';
import type { AgentRow, AgentStore, TokenEnd, TokenRecord } from '../../core/ports/agent-store.ts';
import { appendAudit } from './audit/append-audit.ts';
import type { OpenEngine, Row, Transaction } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { batchedLookup } from './batched-lookup.ts';
import type { StateCache } from './cache/state-cache.ts';
import { removeUnused } from './old-rows.ts';
import { taskRead } from './rows/columns.ts';
import { agentColumns, agentIn, groupedBy, taskIn, tokenIn } from './rows/rows.ts';

/** Maximum number of tokens that one read looks up: when ten thousand sidecars reconnect at once, each read costs a transaction. */
const TOKENS_PER_READ = 200;
/** The length of a SHA-256 in hexadecimal digits. */
const HASH_DIGITS = 64;
/** Maximum number of tokens whose last use is written in one transaction: a short one, since batches wait for it. */
const TOKENS_NOTED_AT_ONCE = 1_000;

/** `cache`: of the task store on the same database. */
export function knexAgentStore(use: () => OpenEngine, readable: ReadableOf, cache: StateCache): AgentStore {
  const read = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work);
  const readOnce = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work, true);

  return {
    addToken: async (token, options) =>
      use().write(null, async (transaction) => {
        const { agentId, name, role, createdAtMs: nowMs } = token;
        if (options?.unlessTaken === true) {
          const [taken] =
            agentId === null
              ? await transaction.rows('liveTokenNamed', { name, role, nowMs })
              : await transaction.rows('liveTokenOf', { agentId, nowMs });
          if (taken !== undefined) return 'taken';
        }
        await transaction.change('insertTokens', [token]);
        if (agentId !== null) await transaction.change('insertAgents', [agentColumns(newAgent(agentId, token.name, nowMs))]);
        await audited(transaction, options?.audit);
        return 'added';
      }),

    findToken: batchedLookup(TOKENS_PER_READ, async (hashes) =>
      use().lookUp(async (db) => {
        const rows = (await db('tokens').whereIn('hash', hashes).whereNull('revoked_at')) as Row[];
        return new Map(rows.map((row) => [row['hash'] as string, tokenIn(row)]));
      }),
    ),

    findTokenByHint: batchedLookup(TOKENS_PER_READ, async (hints) =>
      use().lookUp(async (db) => {
        const rows = (await db('tokens')
          .whereNull('revoked_at')
          .where((any) => {
            // Ranges, so that the index on the whole hash can be used.
            for (const hint of hints) void any.orWhereBetween('hash', rangeOf(hint));
          })) as Row[];
        const found = new Map<string, TokenRecord>();
        for (const hint of hints) {
          const [one, another] = rows.filter((row) => (row['hash'] as string).startsWith(hint));
          if (one !== undefined && another === undefined) found.set(hint, tokenIn(one));
        }
        return found;
      }),
    ),

    listTokens: ({ after, limit }) =>
      readOnce(async (db) => {
        const page = db('tokens').orderBy([
          { column: 'created_at', order: 'desc' },
          { column: 'id', order: 'desc' },
        ]);
        if (after !== undefined) page.whereRaw('(created_at, id) < (SELECT created_at, id FROM tokens WHERE id = ?)', [after]);
        return ((await page.limit(limit)) as Row[]).map(tokenIn);
      }),

    revokeTokens: async (which, nowMs, audit) =>
      use().write(null, async (transaction) => {
        const revoked = (await transaction.rows('revokeTokens', { ...which, nowMs })).map(tokenIn).sort(newestFirst);
        if (audit !== undefined) await appendAudit(transaction, revoked.map(audit));
        return revoked;
      }),

    rotateToken: async (id, successor, expiresAtMs, audit) =>
      use().write(null, async (transaction) => {
        const rotation = { id, replacedBy: successor.id, expiresAtMs, nowMs: successor.createdAtMs };
        const [row] = await transaction.rows('rotateToken', rotation);
        if (row === undefined) return undefined;
        await transaction.change('insertTokens', [successor]);
        await audited(transaction, audit);
        return tokenIn(row);
      }),

    getToken: (id) =>
      readOnce(async (db) => {
        const [row] = (await db('tokens').where('id', id)) as Row[];
        return row === undefined ? undefined : tokenIn(row);
      }),

    endsAmong: async (ids) =>
      read(async (db) => {
        const ends: TokenEnd[] = [];
        for (let from = 0; from < ids.length; from += TOKENS_PER_READ) {
          const rows = (await db('tokens')
            .whereIn('id', ids.slice(from, from + TOKENS_PER_READ))
            .where((any) => void any.whereNotNull('revoked_at').orWhereNotNull('expires_at'))) as Row[];
          ends.push(...rows.map(tokenIn).map(({ id, revokedAtMs, expiresAtMs }) => ({ id, revokedAtMs, expiresAtMs })));
        }
        return ends;
      }),

    noteTokensUsed: async (used) => {
      for (let from = 0; from < used.length; from += TOKENS_NOTED_AT_ONCE) {
        const some = used.slice(from, from + TOKENS_NOTED_AT_ONCE);
        await use().write(null, (transaction) => transaction.change('noteTokensUsed', some));
      }
    },

    lockedOutAmong: async (ids, nowMs) =>
      read(async (db) => {
        const lockedOut = new Map<AgentId, LockedOut>();
        for (let from = 0; from < ids.length; from += TOKENS_PER_READ) {
          const rows = (await db('tokens')
            .whereIn('agent_id', ids.slice(from, from + TOKENS_PER_READ))
            .groupBy('agent_id')
            .select('agent_id')
            .select(db.raw('sum(CASE WHEN revoked_at IS NULL THEN 1 ELSE 0 END) AS unrevoked'))
            .select(db.raw('sum(CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) THEN 1 ELSE 0 END) AS live', [nowMs]))) as Row[]; // prettier-ignore
          for (const row of rows) {
            if (Number(row['live']) === 0) lockedOut.set(row['agent_id'] as AgentId, Number(row['unrevoked']) > 0 ? 'expired' : 'revoked');
          }
        }
        return lockedOut;
      }),

    addEnrolSecret: async (hash, expiresAtMs, audit) =>
      use().write(null, async (transaction) => {
        await transaction.change('saveEnrolSecret', { hash, expiresAtMs });
        await audited(transaction, audit);
      }),

    findEnrolSecret: (hint, nowMs) =>
      readOnce(async (db) => {
        const rows = (await db('enrol_secrets').whereBetween('hash', rangeOf(hint)).where('expires_at', '>=', nowMs).limit(2)) as Row[];
        return rows.length === 1 ? (rows[0]?.['hash'] as string) : undefined;
      }),

    takeEnrolSecret: async (hash, nowMs, audit) =>
      use().write(null, async (transaction) => {
        const [row] = await transaction.rows('takeEnrolSecret', hash);
        const isTaken = row !== undefined && nowMs <= Number(row['expires_at']);
        if (isTaken) await audited(transaction, audit);
        return isTaken;
      }),

    listAgents: ({ after, limit }) =>
      read(async (db) => {
        const page = db('agents').select('state').orderBy('id').limit(limit);
        if (after !== undefined) page.where('id', '>', after);
        return agentRows(db, readable((await page) as Row[], agentIn), readable);
      }),

    getAgent: (id) =>
      read(async (db) => (await agentRows(db, ((await db('agents').select('state').where('id', id)) as Row[]).map(agentIn), readable))[0]),

    removeAgent: async (id, nowMs, audit) =>
      use().write(null, async (transaction) => {
        const removed = await removeUnused(transaction, [id], nowMs);
        if (removed.length > 0) await audited(transaction, audit);
        cache.dropAgents(removed);
        if (removed.length > 0) return 'removed';
        return (await transaction.rows('readAgents', [id])).length > 0 ? 'needed' : 'unknown';
      }),
  };
}

const audited = (transaction: Transaction, audit: AuditDraft | undefined): Promise<void> =>
  appendAudit(transaction, audit === undefined ? [] : [audit]);

/** The range of all hashes that begin with this hint. */
const rangeOf = (hint: string): [string, string] => [hint.padEnd(HASH_DIGITS, '0'), hint.padEnd(HASH_DIGITS, 'f')];

/** Adds to these agents what they hold. */
async function agentRows(db: Knex, agents: readonly Agent[], readable: ReadableOf): Promise<readonly AgentRow[]> {
  const ids = agents.map(({ id }) => id);
  // The status is a literal: the partial index of live tasks is not used for a value that is passed as a parameter.
  const assigned = db('tasks').select(db.raw(taskRead())).whereRaw("status = 'assigned'").whereIn('assigned_to', ids).orderBy('id');
  const live = readable((await assigned) as Row[], taskIn);
  const stops = (await db('pending_stops').select('agent_id').count('* as pending').whereIn('agent_id', ids).groupBy('agent_id')) as Row[];
  const liveOf = groupedBy(live, (task) => task.assignedTo);
  const stopsOf = new Map(stops.map((row) => [row['agent_id'], Number(row['pending'])]));
  return agents.map((agent) => ({ agent, live: liveOf.get(agent.id) ?? [], pendingStops: stopsOf.get(agent.id) ?? 0 }));
}

const newestFirst = (a: TokenRecord, b: TokenRecord): number => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1);
