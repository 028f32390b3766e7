import { test } from 'tap';
import type { Row } from '../../../adapters/storage-knex/rows/row.ts';
import { countEvents, eventRows, EVENTS_IN_ROW_MAX, eventsIn, type EventRow } from '../../../adapters/storage-knex/rows/event-rows.ts';
import { agentHistoryId, type TaskEvent } from '../../../core/domain/task/event.ts';
import { aGeneration, anAgentId, anEvent, aTaskId } from '../../product/contracts/fixtures.ts';

const A1 = anAgentId('a1');
const plain = { agentId: null, generation: null, session: null, details: null };
const some = (count: number, over: Partial<TaskEvent> = {}): readonly TaskEvent[] =>
  Array.from({ length: count }, (_, n) => anEvent({ event: 'progress', ...plain, ...over, seq: n + 1 }));

/** As read when the newest event before it had the number `last`. */
const stored = (row: EventRow, last = 0): Row => ({
  id: last + row.number,
  task_id: row.taskId,
  seq: row.seq,
  event: row.event,
  at: row.atMs,
  agent_id: row.agentId,
  generation: row.generation,
  session: row.session,
  details: row.details === null ? null : JSON.stringify(row.details),
  earlier: row.earlier === null ? null : JSON.stringify(row.earlier),
});
const expanded = (rows: readonly EventRow[], last = 0) => rows.flatMap((row) => eventsIn(stored(row, last)));
const seqsOf = (rows: readonly EventRow[]) => rows.map(({ firstSeq, seq }) => [firstSeq, seq]);

test('consecutive events of a task share one row, and are read back unchanged with consecutive numbers', (t) => {
  const events = [
    anEvent({ ...plain, seq: 4 }),
    anEvent({ ...plain, seq: 5, event: 'rejected', agentId: A1, generation: aGeneration(2) }),
    anEvent({ ...plain, seq: 6, event: 'released', session: 7, details: { reason: '\u0000 "é" 😀', n: null } }),
    anEvent({ ...plain, seq: 7, event: 'assigned', agentId: A1, generation: aGeneration(3), session: 7, details: { on: 1 } }),
  ];
  const rows = eventRows(events);
  t.match(rows, [{ seq: 7, firstSeq: 4, number: 4, event: 'assigned', agentId: A1, generation: 3, details: { on: 1 } }]);
  const atMs = events[0]?.atMs;
  t.strictSame(
    rows[0]?.earlier,
    [
      ['submitted', atMs],
      ['rejected', atMs, A1, 2],
      ['released', atMs, null, null, 7, { reason: '\u0000 "é" 😀', n: null }],
    ],
    'without trailing nulls',
  );
  t.strictSame(expanded(rows, 90), events.map((event, n) => ({ id: 91 + n, ...event }))); // prettier-ignore
  t.end();
});

test('a row holds at most 8 events, and a single event has no earlier ones', (t) => {
  t.equal(EVENTS_IN_ROW_MAX, 8);
  t.strictSame(seqsOf(eventRows(some(17))), [[1, 8], [9, 16], [17, 17]]); // prettier-ignore
  t.equal(eventRows(some(17)).at(-1)?.earlier, null);
  t.equal(countEvents(eventRows(some(17))), 17);
  t.strictSame(expanded(eventRows(some(17))).map(({ id, seq }) => id - seq), Array(17).fill(0)); // prettier-ignore
  t.strictSame(eventRows([]), []);
  t.equal(countEvents([]), 0);
  t.end();
});

test('an assigned event is always the last of its row', (t) => {
  const events = some(6).map((event): TaskEvent => ([2, 3, 5].includes(event.seq) ? { ...event, event: 'assigned' } : event));
  t.strictSame(seqsOf(eventRows(events)), [[1, 2], [3, 3], [4, 5], [6, 6]]); // prettier-ignore
  t.end();
});

test('interleaved events of several tasks keep their order, and share rows only when adjacent', (t) => {
  const [one, other] = [some(4), some(2, { taskId: aTaskId(2) })];
  const events = [one[0], one[1], other[0], one[2], one[3], other[1]].flatMap((event) => event ?? []);
  const rows = eventRows(events);
  t.strictSame(seqsOf(rows), [[1, 2], [1, 1], [3, 4], [2, 2]]); // prettier-ignore
  t.strictSame(expanded(rows), events.map((event, n) => ({ id: n + 1, ...event }))); // prettier-ignore
  const [first, second] = some(2);
  t.equal(eventRows([second, first].flatMap((event) => event ?? [])).length, 2, 'not shared when out of sequence');
  t.end();
});

test('each event of an agent has a row of its own', (t) => {
  t.equal(eventRows(some(3, { taskId: agentHistoryId(A1), event: 'agent_paused' })).length, 3);
  t.end();
});

test('a row of an older version, without earlier events, is one event', (t) => {
  const [row] = eventRows(some(1));
  if (row === undefined) throw new Error('there is no row');
  const { earlier, ...old } = stored(row);
  t.equal(earlier, null);
  t.strictSame(eventsIn({ ...old, id: '5', seq: '1' }), [{ id: 5, ...some(1)[0] }]);
  t.end();
});
