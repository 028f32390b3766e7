/**
 * Converts between events and the rows of `task_events`. Consecutive events of one task that are saved together share a row: it is the row
 * of the last of them, and its column `earlier` has those before, oldest first. Their `id` and `seq` follow from their position: both are
 * one less for each step back from the row's own event. So a commit with three events of a task writes one row and one entry of each index.
 */
import { isAgentEvent, PRESENCE_EVENT_NAMES, type EventName, type StoredEvent, type TaskEvent } from '../../../core/domain/task/event.ts';
import type { AgentId, Generation, TaskId } from '../../../core/domain/ids.ts';
import { numberOrNull, type Row } from './row.ts';
import { damaged, storedJson } from './stored-schemas.ts';

/**
 * Maximum number of events in one row. It bounds how many others are read with an event, and a row's size, at 8 times
 * `EVENT_DETAILS_BYTES_MAX`.
 */
export const EVENTS_IN_ROW_MAX = 8;

const PRESENCE = `(${PRESENCE_EVENT_NAMES.map((name) => `'${name}'`).join(', ')})`;
/** For the rows of two events of an agent: whether both say if it is connected, or both say if it may get tasks. */
export const isSameKind = (one: string, other: string): string => `(${one}.event IN ${PRESENCE}) = (${other}.event IN ${PRESENCE})`;

type Details = TaskEvent['details'];

/** An event in `earlier`, as JSON: nulls at the end are left out. */
export type EarlierEvent = readonly [
  event: EventName,
  atMs: number,
  agentId?: AgentId | null,
  generation?: Generation | null,
  session?: number | null,
  details?: Details,
];

/** A row to save: its last event, those before it, and their positions. */
export interface EventRow extends TaskEvent {
  /** Null: none. */
  readonly earlier: readonly EarlierEvent[] | null;
  /** `seq` of the oldest event of the row. */
  readonly firstSeq: number;
  /** The position of the row's last event among all events that are saved with it, from 1. */
  readonly number: number;
}

/** The number of events in these rows, which `eventRows` made. */
export const countEvents = (rows: readonly EventRow[]): number => rows.at(-1)?.number ?? 0;

/** The rows of these events, in order. Only adjacent events can share a row. */
export function eventRows(events: readonly TaskEvent[]): readonly EventRow[] {
  const rows: EventRow[] = [];
  let earlier: EarlierEvent[] | null = null;
  for (let place = 0; place < events.length; place += 1) {
    const event = events[place] as TaskEvent;
    const next = events[place + 1];
    if (next !== undefined && sharesRow(event, next) && (earlier?.length ?? 0) < EVENTS_IN_ROW_MAX - 1) {
      earlier ??= [];
      earlier.push(earlierOf(event));
    } else {
      rows.push(rowOf(event, earlier, place + 1));
      earlier = null;
    }
  }
  return rows;
}

/**
 * Whether `event` can precede `next` in its row. `assigned` is always a row's last: the check of who may append output searches its
 * columns. Events of an agent have rows of their own, since they are removed one by one.
 */
const sharesRow = (event: TaskEvent, next: TaskEvent): boolean =>
  event.taskId === next.taskId && event.seq + 1 === next.seq && event.event !== 'assigned' && !isAgentEvent(event);

/** Field by field, as `storedEvent`. */
const rowOf = (event: TaskEvent, earlier: readonly EarlierEvent[] | null, number: number): EventRow => ({
  taskId: event.taskId,
  seq: event.seq,
  event: event.event,
  atMs: event.atMs,
  agentId: event.agentId,
  generation: event.generation,
  session: event.session,
  details: event.details,
  earlier,
  firstSeq: event.seq - (earlier?.length ?? 0),
  number,
});

function earlierOf({ event, atMs, agentId, generation, session, details }: TaskEvent): EarlierEvent {
  if (details !== null) return [event, atMs, agentId, generation, session, details];
  if (session !== null) return [event, atMs, agentId, generation, session];
  if (generation !== null) return [event, atMs, agentId, generation];
  return agentId === null ? [event, atMs] : [event, atMs, agentId];
}

/** The events of a stored row, oldest first. Rows saved by older versions have one event each. Throws `AC_STORE_DAMAGED`. */
export function eventsIn(row: Row): readonly StoredEvent[] {
  const last = lastIn(row);
  const text = row['earlier'] ?? null;
  if (text === null) return [last];
  const earlier = storedJson(text, 'its list of earlier events', 'event', last.id);
  if (!areEvents(earlier)) throw damaged('event', last.id, 'its list of earlier events holds something else');
  const events = earlier.map(([event, atMs, agentId = null, generation = null, session = null, details = null], place) => {
    const before = earlier.length - place;
    return storedEvent(
      { taskId: last.taskId, seq: last.seq - before, event, atMs, agentId, generation, session, details },
      last.id - before,
    );
  });
  return [...events, last];
}

const lastIn = (row: Row): StoredEvent => ({
  id: Number(row['id']),
  taskId: row['task_id'] as TaskId,
  seq: Number(row['seq']),
  event: row['event'] as EventName,
  atMs: Number(row['at']),
  agentId: row['agent_id'] as AgentId | null,
  generation: numberOrNull(row['generation']) as Generation | null,
  session: numberOrNull(row['session']),
  details: row['details'] === null ? null : detailsIn(row),
});

function detailsIn({ id, details }: Row): Details {
  const value = storedJson(details, 'its details', 'event', id);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged('event', id, 'its details are not an object');
  return value as Details;
}

/** Without their details, which change nothing. */
const areEvents = (earlier: unknown): earlier is readonly EarlierEvent[] =>
  Array.isArray(earlier) &&
  earlier.every((event: unknown) => Array.isArray(event) && typeof event[0] === 'string' && typeof event[1] === 'number');

/** Field by field, which in V8 is several times as fast as a spread. */
export const storedEvent = ({ taskId, seq, event, atMs, agentId, generation, session, details }: TaskEvent, id: number): StoredEvent => ({
  id,
  taskId,
  seq,
  event,
  atMs,
  agentId,
  generation,
  session,
  details,
});
