/** `AgentStore` over an engine. */
import type { Knex } from 'knex';
import { newAgent, type Agent } from '../../core/domain/agent.ts';
import type { AgentRow, AgentStore, TokenRecord } from '../../core/ports/agent-store.ts';
import type { OpenEngine, Row } from './engine.ts';
import { gatheredLooks } from './gathered-looks.ts';
import { agentColumns, groupedBy, stateIn, taskIn, tokenIn } from './rows.ts';

/** Tokens looked up in one read: when ten thousand sidecars come back at once, each look costs a transaction. */
const TOKENS_IN_LOOK = 200;

export function knexAgentStore(use: () => OpenEngine): AgentStore {
  const read = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work);
  const readOnce = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work, true);

  return {
    addToken: async (token, options) =>
      use().write(null, async (transaction) => {
        const { agentId } = token;
        if (agentId !== null && options?.unlessTaken === true && (await transaction.rows('liveTokenOf', agentId)).length > 0)
          return 'taken';
        await transaction.change('insertTokens', [token]);
        if (agentId !== null) await transaction.change('insertAgents', [agentColumns(newAgent(agentId, token.name))]);
        return 'added';
      }),

    findToken: gatheredLooks(TOKENS_IN_LOOK, (hashes) =>
      readOnce(async (db) => {
        const rows = (await db('tokens').whereIn('hash', hashes).whereNull('revoked_at')) as Row[];
        return new Map(rows.map((row) => [row['hash'] as string, tokenIn(row)]));
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

    revokeTokens: async (which, nowMs) =>
      use().write(null, async (transaction) =>
        (await transaction.rows('revokeTokens', { ...which, nowMs })).map(tokenIn).sort(newestFirst),
      ),

    revokedAmong: async (ids) =>
      read(async (db) => {
        const revoked: string[] = [];
        for (let from = 0; from < ids.length; from += TOKENS_IN_LOOK) {
          const some = ids.slice(from, from + TOKENS_IN_LOOK);
          const rows = (await db('tokens').whereIn('id', some).whereNotNull('revoked_at').select('id')) as Row[];
          revoked.push(...rows.map((row) => row['id'] as string));
        }
        return revoked;
      }),

    addEnrolSecret: async (hash, expiresAtMs) => {
      await use().write(null, (transaction) => transaction.change('saveEnrolSecret', { hash, expiresAtMs }));
    },

    takeEnrolSecret: async (hash, nowMs) =>
      use().write(null, async (transaction) => {
        const [row] = await transaction.rows('takeEnrolSecret', hash);
        return row !== undefined && nowMs <= Number(row['expires_at']);
      }),

    listAgents: ({ after, limit }) =>
      read(async (db) => {
        const page = db('agents').select('state').orderBy('id').limit(limit);
        if (after !== undefined) page.where('id', '>', after);
        return agentRows(db, (await page) as Row[]);
      }),

    getAgent: (id) => read(async (db) => (await agentRows(db, (await db('agents').select('state').where('id', id)) as Row[]))[0]),
  };
}

/** Adds to these agents what they hold. */
async function agentRows(db: Knex, rows: readonly Row[]): Promise<readonly AgentRow[]> {
  const agents = rows.map((row) => stateIn<Agent>(row));
  const ids = agents.map(({ id }) => id);
  // The status stands in the text: an index of live tasks alone is not used for a value that comes with the parameters.
  const live = ((await db('tasks').select('state').whereRaw("status = 'assigned'").whereIn('assigned_to', ids).orderBy('id')) as Row[]).map(
    taskIn,
  );
  const stops = (await db('pending_stops').select('agent_id').count('* as pending').whereIn('agent_id', ids).groupBy('agent_id')) as Row[];
  const liveOf = groupedBy(live, (task) => task.assignedTo);
  const stopsOf = new Map(stops.map((row) => [row['agent_id'], Number(row['pending'])]));
  return agents.map((agent) => ({ agent, live: liveOf.get(agent.id) ?? [], pendingStops: stopsOf.get(agent.id) ?? 0 }));
}

const newestFirst = (a: TokenRecord, b: TokenRecord): number => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1);
