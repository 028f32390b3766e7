/** `EventFeed` over an engine whose events become visible in the order of their ids. */
import type { EventFeed } from '../../core/ports/event-feed.ts';
import type { OpenEngine, Row } from './engine.ts';
import { eventIn } from './rows.ts';

/** Events that one look with a filter reads: there is no index of agents or names, which every event would have to be put into. */
const EVENTS_LOOKED_AT = 20_000;

export const knexEventFeed = (use: () => OpenEngine): EventFeed => ({
  after: async (afterId, filter, limit) =>
    use().read(async (db) => {
      const { taskId, agentId, event } = filter;
      const later = db('task_events').where('id', '>', afterId).orderBy('id');
      // Those of one task have their index.
      const looked = taskId === undefined ? later.limit(EVENTS_LOOKED_AT) : later.where('task_id', taskId);
      const page = db.from(looked.clone().as('looked')).orderBy('id').limit(limit);
      if (agentId !== undefined) page.where('agent_id', agentId);
      if (event !== undefined) page.where('event', event);
      const events = ((await page) as Row[]).map(eventIn);
      const lastId = events.at(-1)?.id ?? afterId;
      if (events.length === limit || (agentId ?? event) === undefined) return { events, untilId: lastId };
      const [end] = (await db.from(looked.clone().as('looked')).max('id as id')) as Row[];
      return { events, untilId: Number(end?.['id'] ?? lastId) };
    }),

  bounds: async () =>
    use().read(async (db) => {
      // Two look-ups: asked for both ends in one, SQLite reads everything between them.
      const [lowest] = (await db('task_events').min('id as id')) as Row[];
      const [highest] = (await db('task_events').max('id as id')) as Row[];
      const [first, last] = [lowest?.['id'] ?? null, highest?.['id'] ?? null];
      return first === null || last === null ? null : { first: Number(first), last: Number(last) };
    }),
});
