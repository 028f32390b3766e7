/** How every store keeps histories, and results separately: pages limited in number and bytes, and a record of what was removed. */
import { EVENT_BYTES } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aGeneration, aKept, anAgentId, anEvent, aTask, aTaskId, changes, inserting } from '../fixtures.ts';
import { commit, HOSTILE_TEXTS, openedIn, type StorageSubject } from './storage-room.ts';

const manyEvents = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, n) => anEvent({ seq: n + 1, event: 'progress', details: { m: 'x'.repeat(bytes) } }));

export function storeHistoryCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Store history contract, ${name}`, runner, (test) => {
    test('a history is paged from its end or its beginning, each page oldest first', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ ...inserting(aTask({ eventSeq: 9 }), aTask({ id: aTaskId(2) })), events: manyEvents(9, 1) }));
      await commit(storage, changes({ events: [anEvent({ taskId: aTaskId(2) })] }));
      const page = async (over: { before?: number; after?: number }, limit = 4) =>
        (await storage.tasks.history(aTaskId(1), { ...over, limit, bytesMax: 1_000_000 })).map(({ seq }) => seq);
      t.strictSame(await page({}), [6, 7, 8, 9], 'the newest');
      t.strictSame(await page({ before: 6 }), [2, 3, 4, 5]);
      t.strictSame(await page({ before: 2 }), [1]);
      t.strictSame(await page({ before: 1 }), []);
      t.strictSame(await page({ after: 0 }), [1, 2, 3, 4], 'the oldest');
      t.strictSame(await page({ after: 4 }, 100), [5, 6, 7, 8, 9]);
      t.strictSame(await page({ after: 9 }), []);
      t.strictSame(await storage.tasks.history(aTaskId(3), { limit: 4, bytesMax: 1 }), [], 'an unknown task has none');
    });

    test('a page can begin and end anywhere among the events of one commit', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ ...inserting(aTask({ eventSeq: 3 })), events: manyEvents(3, 1) }));
      await commit(storage, changes({ events: manyEvents(21, 1).slice(3) }));
      await commit(storage, changes({ events: manyEvents(22, 1).slice(21) }));
      const all = Array.from({ length: 22 }, (_, n) => n + 1);
      const page = async (over: { before?: number; after?: number }, limit: number, bytesMax = 1_000_000) =>
        (await storage.tasks.history(aTaskId(1), { ...over, limit, bytesMax })).map(({ seq }) => seq);
      for (const seq of all)
        for (const limit of [1, 4, 100]) {
          t.strictSame(await page({ before: seq }, limit), all.filter((one) => one < seq).slice(-limit), `${limit} before ${seq}`);
          t.strictSame(await page({ after: seq }, limit), all.filter((one) => one > seq).slice(0, limit), `${limit} after ${seq}`);
          if (seq > 1) t.strictSame(await page({ before: seq }, limit, 1), [seq - 1], `one before ${seq}, even with the smallest limit`);
        }
    });

    test('a page ends at its byte limit, with at least one event', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ ...inserting(aTask({ eventSeq: 9 })), events: manyEvents(9, 1_000) }));
      const page = async (over: { before?: number; after?: number }, bytesMax: number) =>
        (await storage.tasks.history(aTaskId(1), { ...over, limit: 100, bytesMax })).map(({ seq }) => seq);
      t.strictSame(await page({}, 1), [9]);
      t.strictSame(await page({}, 2 * (1_000 + EVENT_BYTES)), [8, 9]);
      t.strictSame(await page({ before: 8 }, 2 * (1_000 + EVENT_BYTES)), [6, 7]);
      t.strictSame(await page({ after: 2 }, 2 * (1_000 + EVENT_BYTES)), [3, 4]);
    });

    test('R4: a task is read with its newest events, even if its history is very long', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ ...inserting(aTask({ eventSeq: 2_000 })), events: manyEvents(2_000, 10_000) }));
      const record = await storage.tasks.read(aTaskId(1));
      const seqs = record?.events.map(({ seq }) => seq) ?? [];
      t.equal(seqs.at(-1), 2_000);
      t.strictSame(seqs, seqs.map((_, n) => 2_001 - seqs.length + n), 'without a gap'); // prettier-ignore
      t.ok(seqs.length > 90 && seqs.length < 110, `one MiB of them: ${seqs.length}`);
    });

    test('a kept result is stored completely, once per name, and removed with its task', async (t) => {
      const storage = await openedIn(t, subject);
      const text = JSON.stringify(HOSTILE_TEXTS);
      const late = aKept({ kind: 'late', result: text, details: JSON.stringify({ text }), bytes: 2 ** 40 });
      await commit(storage, changes({ ...inserting(aTask()), kept: [aKept(), aKept({ agentId: anAgentId('a2') })] }));
      t.strictSame(await storage.tasks.keptResult(aKept()), aKept());
      await commit(storage, changes({ kept: [late] }));
      t.strictSame(await storage.tasks.keptResult(aKept()), late, 'a later one with the same name replaces it');
      t.strictSame(await storage.tasks.keptResult(aKept({ agentId: anAgentId('a2') })), aKept({ agentId: anAgentId('a2') }));
      t.equal(await storage.tasks.keptResult(aKept({ generation: aGeneration(2) })), undefined);
      await commit(storage, changes({ keptDropped: [aKept({ agentId: anAgentId('a2') })] }));
      t.equal(await storage.tasks.keptResult(aKept({ agentId: anAgentId('a2') })), undefined);
      const name = { generation: aGeneration(1), agentId: anAgentId(), kind: 'late' as const, bytes: 1, sha256: '', atMs: A_MOMENT_MS };
      const over = aTask({ status: 'completed', updatedAtMs: 1, kept: { results: [name], refused: [] } });
      await commit(storage, changes({ updated: [{ task: over, dueAtMs: null }], events: [anEvent({ taskId: aTaskId(2) })] }));
      await removeAll(storage);
      t.equal(await storage.tasks.read(aTaskId(1)), undefined);
      t.equal(await storage.tasks.keptResult(late), undefined);
    });

    test('R21: the highest removed event number is known, even above retained events', async (t) => {
      const storage = await openedIn(t, subject);
      const over = aTask({ id: aTaskId(2), status: 'completed', updatedAtMs: 1 });
      const kept = aTask({ id: aTaskId(1), status: 'dead_letter', updatedAtMs: A_MOMENT_MS });
      const stored = await commit(
        storage,
        changes({
          ...inserting(kept, over, aTask({ id: aTaskId(3) })),
          events: [anEvent(), anEvent({ taskId: aTaskId(2) }), anEvent({ taskId: aTaskId(2), seq: 2 }), anEvent({ taskId: aTaskId(3) })],
        }),
      );
      const [first, , removed, last] = stored.map(({ id }) => id);
      t.match(await storage.events.after(0, {}, 1), { removedId: 0 });
      await removeAll(storage);
      t.strictSame(await storage.events.marks(), { lastId: last, removedId: removed });
      t.match(await storage.events.after(0, {}, 10), { events: [{ id: first }, { id: last }], removedId: removed });
      t.match(await storage.events.after(0, { event: 'completed' }, 10), { events: [], untilId: last, removedId: removed });
      await removeAll(storage);
      t.strictSame(await storage.events.marks(), { lastId: last, removedId: removed }, 'and stays');
    });
  });
}

type Opened = Awaited<ReturnType<typeof openedIn>>;

const removeAll = (storage: Opened) =>
  storage.tasks.transact('remove', (unit) =>
    unit.remove({ nowMs: A_MOMENT_MS, endedBeforeMs: 1, deadBeforeMs: 1, tombstonesBeforeMs: 0, keysBeforeMs: 0, limit: 10 }),
  );
