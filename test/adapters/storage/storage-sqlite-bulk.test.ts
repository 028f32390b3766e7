/** Many new tasks at once in SQLite: one statement with several rows of the view that saves a batch. */
import t from 'tap';
import { NEW_TASKS_IN_ROW } from '../../../adapters/storage-knex/sqlite/save.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { faultyStorage } from '../../faults/rig/faulty-storage.ts';
import { STORE_FAULTS } from '../../faults/rig/statement-faults.ts';
import { aKey, anEvent, aTask, aTaskId, inserting, updating } from '../../product/contracts/fixtures.ts';
import { commit, failsWith } from '../../product/contracts/storage/storage-room.ts';

const TASKS = 2 * NEW_TASKS_IN_ROW + 1;

/** New tasks in three rows, each with an event and an idempotency key. The last row also changes the first and the last task. */
function bulk(nth: number): Changes {
  const tasks = Array.from({ length: TASKS }, (_, n) => aTask({ id: aTaskId(1_000 * nth + n), eventSeq: 1 }));
  const keys = tasks.map(({ id }) => aKey({ key: `key of ${id}`, taskIds: [id] }));
  const ends = tasks.filter((_, n) => n === 0 || n === TASKS - 1);
  const { updated } = updating(...ends.map((task) => ({ ...task, status: 'completed' as const })));
  return { ...inserting(...tasks), updated, events: tasks.map(({ id }) => anEvent({ taskId: id })), keys };
}

t.test('R1: whichever statement fails, a bulk is stored completely or not at all', async (t) => {
  const { statements, storage } = await faultyStorage(t);
  let bulks = 0;
  for (const fault of STORE_FAULTS)
    for (let nth = 1, isMet = true; isMet; nth += 1) {
      const batchId = `${fault} ${nth}`;
      statements.fault = fault;
      statements.count.arm({ nth, lasting: false });
      const [outcome] = await Promise.allSettled([storage.tasks.transact(batchId, (unit) => unit.save(bulk(bulks), true))]);
      isMet = statements.count.isMet;
      statements.count.disarm();
      const isCommitted = await storage.tasks.committed(batchId);
      if (outcome.status === 'fulfilled') t.ok(isCommitted, `${batchId}: an acknowledged bulk is stored`);
      else t.ok(AgentcomError.is(outcome.reason), `${batchId}: ${String(outcome.reason)}`);
      if (isCommitted) bulks += 1;
      const { queued, completed } = (await storage.tasks.stats()).statuses;
      t.strictSame({ queued, completed }, { queued: bulks * (TASKS - 2), completed: bulks * 2 }, `${batchId}: ${bulks} bulks are stored`);
    }
  t.ok(bulks >= STORE_FAULTS.length, 'the last attempt with each fault succeeded');
});

t.test('a bulk whose last task or key already exists is refused or merged correctly', async (t) => {
  const { storage } = await faultyStorage(t);
  const { inserted, events, keys, ...rest } = bulk(1);
  const lastOf = <T>(all: readonly T[]): readonly T[] => all.slice(-1);
  await commit(storage, { ...inserting(aTask({ id: aTaskId(1) })), keys: [aKey({ ...keys.at(-1), taskIds: [aTaskId(1)] })] });
  await failsWith(t, commit(storage, bulk(1)), 'AC_STORE_RETRY', 'the key belongs to another task');
  t.equal((await storage.tasks.stats()).statuses.queued, 1, 'none of the earlier rows is stored');

  const [before] = await commit(storage, { ...rest, updated: [], inserted: lastOf(inserted), events: lastOf(events), keys: [] });
  const first = Number(before?.id);
  const stored = await commit(storage, { ...rest, inserted, events, keys: [] });
  t.equal((await storage.tasks.stats()).statuses.queued, 1 + TASKS - 2, 'each task once');
  t.strictSame(
    stored.map(({ id }) => id),
    [...Array.from({ length: TASKS - 1 }, (_, n) => first + 1 + n), first],
    'the existing event keeps its number',
  );
});
