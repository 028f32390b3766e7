/** `EventFeed` over an engine whose events become visible in the order of their ids. */
import { AGENT_HISTORIES } from '../../core/domain/task/event.ts';
import { FEED_BYTES, type EventFeed } from '../../core/ports/event-feed.ts';
import type { OpenEngine, Row } from './engine.ts';
import { withinBytes } from './rows/event-pages.ts';
import { eventIn } from './rows/rows.ts';

/** Events that one look with a filter reads: there is no index of agents or names, which every event would have to be put into. */
const EVENTS_LOOKED_AT = 20_000;

const REMOVED_ID = '(SELECT last_id FROM removed_events)';

export const knexEventFeed = (use: () => OpenEngine): EventFeed => ({
  after: async (afterId, filter, limit, bytesMax = FEED_BYTES) =>
    use().read(async (db) => {
      const { taskId, agentId, event, about } = filter;
      const later = db('task_events').where('id', '>', afterId).orderBy('id');
      // Those of one task have their index.
      const looked = taskId === undefined ? later.limit(EVENTS_LOOKED_AT) : later.where('task_id', taskId);
      const page = db
        .select('*', db.raw(`${REMOVED_ID} AS removed_id`))
        .from(looked.clone().as('looked'))
        .orderBy('id')
        .limit(limit);
      if (agentId !== undefined) page.where('agent_id', agentId);
      if (event !== undefined) page.where('event', event);
      if (about === 'agents') page.where('task_id', '>=', AGENT_HISTORIES[0]).where('task_id', '<', AGENT_HISTORIES[1]);
      if (about === 'tasks')
        page.where((one) => one.where('task_id', '<', AGENT_HISTORIES[0]).orWhere('task_id', '>=', AGENT_HISTORIES[1]));
      const rows = await withinBytes(db, page, 'id', 'asc', bytesMax);
      const events = rows.map(eventIn);
      const last = rows.at(-1);
      const untilId = events.at(-1)?.id ?? afterId;
      const removedId = Number(last?.['removed_id'] ?? 0);
      const isCut = events.length === limit || Number(last?.['read_bytes'] ?? 0) >= bytesMax;
      if (isCut || (agentId ?? event ?? about) === undefined) return { events, untilId, removedId };
      const [end] = (await db.select(db.raw(`max(id) AS id, ${REMOVED_ID} AS removed_id`)).from(looked.clone().as('looked'))) as Row[];
      if (end === undefined || end['id'] === null) return { events, untilId, removedId };
      return { events, untilId: Number(end['id']), removedId: Number(end['removed_id'] ?? 0) };
    }),

  marks: async () =>
    use().read(async (db) => {
      const [highest] = (await db('task_events').max('id as id')) as Row[];
      const [removed] = (await db('removed_events').select('last_id')) as Row[];
      return { lastId: Number(highest?.['id'] ?? 0), removedId: Number(removed?.['last_id'] ?? 0) };
    }),
});
