/** `EventFeed` over an engine whose events become visible in the order of their ids. */
import type { EventFeed } from '../../core/ports/event-feed.ts';
import type { OpenEngine, Row } from './engine.ts';
import { eventIn } from './rows.ts';

export const knexEventFeed = (use: () => OpenEngine): EventFeed => ({
  after: async (afterId, filter, limit) =>
    use().read(async (db) => {
      const page = db('task_events').where('id', '>', afterId).orderBy('id').limit(limit);
      if (filter.taskId !== undefined) page.where('task_id', filter.taskId);
      if (filter.agentId !== undefined) page.where('agent_id', filter.agentId);
      if (filter.event !== undefined) page.where('event', filter.event);
      return ((await page) as Row[]).map(eventIn);
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
