/** `EventFeed` over an engine whose events become visible in the order of their ids. */
import type { Knex } from 'knex';
import { AGENT_HISTORIES } from '../../core/domain/task/event.ts';
import { FEED_BYTES, matchesFilter, type EventFeed } from '../../core/ports/event-feed.ts';
import { eventsWithinBytes } from '../kit/bounded-events.ts';
import type { OpenEngine, Row } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { rowsWithinBytes } from './rows/event-pages.ts';
import { eventsIn } from './rows/event-rows.ts';

/** Maximum number of rows that one filtered read scans: there is no index on agents or names, to which every event would have to be added. */
const ROWS_LOOKED_AT = 20_000;

const REMOVED_ID = '(SELECT last_id FROM removed_events)';

export const knexEventFeed = (use: () => OpenEngine, readable: ReadableOf): EventFeed => ({
  after: async (afterId, filter, limit, bytesMax = FEED_BYTES) =>
    use().read(async (db) => {
      const { taskId, agentId, event, about } = filter;
      const later = db('task_events').where('id', '>', afterId).orderBy('id');
      // The events of one task have an index.
      const looked = taskId === undefined ? later.limit(ROWS_LOOKED_AT) : later.where('task_id', taskId);
      const page = db
        .select('*', db.raw(`${REMOVED_ID} AS removed_id`))
        .from(looked.clone().as('looked'))
        .orderBy('id')
        .limit(limit);
      if (agentId !== undefined) holding(page, 'agent_id', agentId);
      if (event !== undefined) holding(page, 'event', event);
      if (about === 'agents') page.where('task_id', '>=', AGENT_HISTORIES[0]).where('task_id', '<', AGENT_HISTORIES[1]);
      if (about === 'tasks')
        page.where((one) => one.where('task_id', '<', AGENT_HISTORIES[0]).orWhere('task_id', '>=', AGENT_HISTORIES[1]));
      const rows = await rowsWithinBytes(db, page, { column: 'id', way: 'asc', bytesMax });
      const found = readable(rows, eventsIn)
        .flat()
        .filter((one) => one.id > afterId && matchesFilter(filter, one));
      const events = eventsWithinBytes(found.slice(0, limit), bytesMax);
      const last = rows.at(-1);
      const isCut = events.length < found.length || events.length === limit;
      const untilId = (isCut ? events.at(-1)?.id : undefined) ?? Number(last?.['id'] ?? afterId);
      const removedId = Number(last?.['removed_id'] ?? 0);
      const isFull = rows.length === limit || Number(last?.['read_bytes'] ?? 0) >= bytesMax;
      if (isCut || isFull || (agentId ?? event ?? about) === undefined) return { events, untilId, removedId };
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

/** Restricts `page` to the rows that may hold an event with this value: the row's own, or one of the earlier ones. */
const holding = (page: Knex.QueryBuilder, column: 'agent_id' | 'event', value: string): Knex.QueryBuilder =>
  page.where((row) => row.where(column, value).orWhere('earlier', 'like', `%${JSON.stringify(value)}%`));
