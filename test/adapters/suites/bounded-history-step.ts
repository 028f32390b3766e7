/**
 * Migrates a store from before histories were bounded: large events are cut, late and refused results move out of the
 * history, and what was removed is counted.
 */
import { createHash } from 'node:crypto';
import type { Test } from 'tap';
import { boundedHistory } from '../../../adapters/storage-knex/migrations/0006-bounded-history.ts';
import { EVENT_DETAILS_BYTES_MAX } from '../../../core/domain/task/event-details.ts';
import { NO_KEPT_RESULTS, REFUSED_KEPT_MAX } from '../../../core/domain/task/kept-results.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { aGeneration, anAgentId, anEvent, aTask, aTaskId, changes, inserting } from '../../product/contracts/fixtures.ts';
import { commit } from '../../product/contracts/storage/storage-room.ts';

const A1 = anAgentId('a1');
const LATE = JSON.stringify({ output: 'é"?$1 '.repeat(40_000) });
const REFUSED = JSON.stringify({ output: 'x'.repeat(3_000) });
const FLOOD = 40;
const LAST = FLOOD + 3;

/** `ask` runs a statement outside the storage, which is closed then. */
export async function boundedHistoryStep(
  t: Test,
  { storage, ask }: { readonly storage: () => Storage; readonly ask: (sql: string) => Promise<unknown> },
): Promise<void> {
  const before = storage();
  await before.open();
  const of = { agentId: A1, taskId: aTaskId(1) };
  const flood = Array.from({ length: FLOOD }, (_, n) =>
    anEvent({
      ...of,
      seq: n + 3,
      event: 'report_refused',
      generation: aGeneration(n + 2),
      details: { reason: 'stale_generation', result: REFUSED },
    }),
  );
  const received = [
    anEvent({ ...of, seq: 1, event: 'progress', details: { message: 'kept', log: 'y'.repeat(100_000) } }),
    anEvent({ ...of, seq: 2, event: 'late_result', generation: aGeneration(1), details: { result: LATE, usage: { tokens_used: 7 } } }),
    ...flood,
    anEvent({ ...of, seq: LAST, event: 'report_refused', details: { reason: 'store_rolled_back', raised_to: 9 } }),
    anEvent({ taskId: aTaskId(2) }),
    anEvent({ taskId: aTaskId(3) }),
    anEvent({ taskId: aTaskId(2), seq: 2 }),
  ];
  await commit(before, inserting(aTask({ eventSeq: LAST }), aTask({ id: aTaskId(2) })));
  // Each had its own row.
  for (const event of received) await commit(before, changes({ events: [event] }));
  const { lastId } = await before.events.marks();
  await before.close();
  // As an older version left it; one event was removed with its task.
  await ask(`DELETE FROM task_events WHERE task_id = '${aTaskId(3)}'`);
  for (const table of ['task_kept_results', 'removed_events']) await ask(`DROP TABLE ${table}`);
  await ask(`DELETE FROM migrations WHERE name = '${boundedHistory.name}'`);

  const after = storage();
  await after.open();
  const record = await after.tasks.read(aTaskId(1));
  const events = record?.events ?? [];
  t.strictSame(events.map(({ seq }) => seq), Array.from({ length: LAST }, (_, n) => n + 1)); // prettier-ignore
  t.ok(events.every(({ details }) => Buffer.byteLength(JSON.stringify(details)) <= EVENT_DETAILS_BYTES_MAX));
  t.match(events[0]?.details, { message: 'kept', truncated: { fields: ['log'] } });
  const sha256 = createHash('sha256').update(LATE).digest('hex');
  t.match(events[1]?.details, {
    usage: { tokens_used: 7 },
    result_sha256: sha256,
    result_bytes: Buffer.byteLength(LATE),
    result_kept: true,
  });
  t.notOk(events.some(({ details }) => 'result' in (details ?? {})));
  t.strictSame(events.at(-1)?.details, { reason: 'store_rolled_back', raised_to: 9 }, 'one without a result stays as it was');
  t.match(record?.task.kept.results[0], { kind: 'late', generation: 1, agentId: A1, sha256 });
  t.equal(record?.task.kept.results.filter(({ kind }) => kind === 'refused').length, REFUSED_KEPT_MAX, 'within the bounds');
  t.strictSame(record?.task.kept.refused, [{ agentId: A1, told: FLOOD, counted: 0 }]);
  t.match(await after.tasks.keptResult({ ...of, generation: aGeneration(1) }), { result: LATE, reason: 'late', details: null });
  t.match(await after.tasks.keptResult({ ...of, generation: aGeneration(2) }), { result: REFUSED, reason: 'stale_generation' });
  t.strictSame((await after.tasks.read(aTaskId(2)))?.task.kept, NO_KEPT_RESULTS);
  t.strictSame(await after.events.marks(), { lastId, removedId: lastId }, 'some events are removed, and it is unknown which');
  await after.close();
}
