/** What every `OutputStore` must do. Each MUST of core/ports/output-store.ts is a test here. */
import type { OutputChunk } from '../../../../core/ports/output-store.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aGeneration, aTask, aTaskId, anAgentId, anEvent, inserting, updating } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

const BOUNDS = { bytesMax: 8_000, chunksMax: 200 };

const aChunk = (over: Partial<OutputChunk> = {}): OutputChunk => ({
  taskId: aTaskId(1),
  generation: aGeneration(1),
  agentId: anAgentId('a1'),
  atMs: A_MOMENT_MS,
  stream: 'stdout',
  text: 'x',
  seq: 0,
  dropped: 0,
  ...over,
});

/** Tasks that were assigned: 1 to a1 in generation 1, then to a2 in generation 3; 2 to a2. */
async function assigned(storage: Storage): Promise<void> {
  const event = (task: number, seq: number, agent: string, generation: number) =>
    anEvent({ taskId: aTaskId(task), seq, event: 'assigned', agentId: anAgentId(agent), generation: aGeneration(generation) });
  await commit(storage, {
    ...inserting(aTask({ id: aTaskId(1) }), aTask({ id: aTaskId(2) })),
    events: [event(1, 1, 'a1', 1), event(1, 2, 'a2', 3), event(2, 1, 'a2', 1)],
  });
}

const texts = async (storage: Storage, task = 1, after = 0): Promise<readonly string[]> =>
  (await storage.output.read({ taskId: aTaskId(task), after, limit: 1_000 })).chunks.map(({ text }) => text);

export function outputStoreCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`OutputStore contract, ${name}`, runner, (test) => {
    test('stores chunks of several tasks in order, and reads them from a given position', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      const odd = `\u202E{"a":"\\n"} ' " % _ \u00E9 \u{1F600} \u001B[31m`;
      const one = aChunk({ text: odd, stream: 'stderr', seq: 7, dropped: 12, atMs: A_MOMENT_MS + 5 });
      await storage.output.append(
        [aChunk({ text: 'a' }), aChunk({ taskId: aTaskId(2), agentId: anAgentId('a2'), text: 'b' }), one],
        BOUNDS,
      );
      await storage.output.append([aChunk({ text: 'c', stream: 'agent' })], BOUNDS);
      const { chunks, more } = await storage.output.read({ taskId: aTaskId(1), after: 0, limit: 10 });
      t.strictSame({ chunks, more }, { chunks: [{ ...aChunk({ text: 'a' }), n: 1 }, { ...one, n: 2 }, { ...aChunk({ text: 'c', stream: 'agent' }), n: 3 }], more: false }); // prettier-ignore
      t.strictSame(await texts(storage, 2), ['b']);
      t.strictSame(await texts(storage, 1, 2), ['c']);
      t.strictSame(await texts(storage, 1, 3), []);
      t.strictSame(await texts(storage, 9), []);
    });

    test('drops output for a task and generation that the agent was never assigned', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      const [a2, g2, g3] = [anAgentId('a2'), aGeneration(2), aGeneration(3)];
      const foreign = [{ agentId: a2 }, { generation: g2 }, { generation: g3 }, { taskId: aTaskId(2) }, { taskId: aTaskId(9) }, { agentId: anAgentId('a9') }]; // prettier-ignore
      await storage.output.append([...foreign.map((over) => aChunk({ ...over, text: 'forged' })), aChunk({ text: 'own' })], BOUNDS);
      await storage.output.append([aChunk({ agentId: a2, generation: g3, text: 'the next' }), aChunk({ text: 'late, of its own generation' })], BOUNDS); // prettier-ignore
      t.strictSame(await texts(storage), ['own', 'the next', 'late, of its own generation']);
      t.strictSame([...(await texts(storage, 2)), ...(await texts(storage, 9))], []);
    });

    test('retains the newest output of each assignment within its limits', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      await storage.output.append([aChunk({ agentId: anAgentId('a2'), generation: aGeneration(3), text: 'other' })], BOUNDS);
      for (let n = 0; n < 40; n += 1)
        await storage.output.append(
          [`${n} `.padEnd(500, 'x'), `${n}+`.padEnd(500, '\u00E9')].map((text) => aChunk({ text })),
          BOUNDS,
        );
      const kept = await texts(storage);
      const bytes = kept.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      t.ok(bytes <= (BOUNDS.bytesMax * 9) / 8 + 1_500, `${bytes} bytes`);
      t.ok(bytes > BOUNDS.bytesMax / 2, `${bytes} bytes`);
      t.equal(kept[0], 'other', 'another assignment is left alone');
      t.match(kept.at(-1), /^39\+/, 'the newest remain');
      for (let n = 0; n < 30; n += 1)
        await storage.output.append(
          Array.from({ length: 10 }, () => aChunk({ text: '' })),
          BOUNDS,
        );
      const count = (await texts(storage)).length;
      t.ok(count >= BOUNDS.chunksMax && count <= BOUNDS.chunksMax + 33, `${count} chunks`);
    });

    test('returns pages limited by count and bytes, with at least one chunk', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      const large = { bytesMax: 100_000_000, chunksMax: 1_000 };
      await storage.output.append(
        Array.from({ length: 5 }, (_, n) => aChunk({ text: `${n}`.padEnd(600_000, ' ') })),
        large,
      );
      const pages: (readonly string[])[] = [];
      for (let [after, more] = [0, true]; more;) {
        const page = await storage.output.read({ taskId: aTaskId(1), after, limit: 3 });
        pages.push(page.chunks.map(({ text }) => text.trim()));
        after = page.chunks.at(-1)?.n ?? after;
        ({ more } = page);
        if (pages.length > 9) break;
      }
      t.strictSame(pages, [['0', '1'], ['2', '3'], ['4']]);
      t.match(await storage.output.read({ taskId: aTaskId(1), after: 0, limit: 1 }), { chunks: { length: 1 }, more: true });
    });

    test('has no output of a removed task', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      await storage.output.append([aChunk()], BOUNDS);
      await commit(storage, updating(aTask({ id: aTaskId(1), status: 'completed', updatedAtMs: A_MOMENT_MS })));
      const old = { nowMs: A_MOMENT_MS, endedBeforeMs: A_MOMENT_MS, deadBeforeMs: 0, tombstonesBeforeMs: 0, keysBeforeMs: 0, limit: 9 };
      t.match(await storage.tasks.transact('remove', (unit) => unit.remove(old)), { tasks: 1 });
      t.strictSame(await texts(storage), []);
      await storage.output.append([aChunk()], BOUNDS);
      t.strictSame(await texts(storage), [], 'and accepts none for it');
    });

    test('removes old output', async (t) => {
      const storage = await openedIn(t, subject);
      await assigned(storage);
      const chunks = [1, 2, 3, 4].map((n) => aChunk({ text: `${n}`, atMs: A_MOMENT_MS + n }));
      await storage.output.append(chunks, BOUNDS);
      t.equal(await storage.output.removeBefore(A_MOMENT_MS + 4, 2), 2);
      t.strictSame(await texts(storage), ['3', '4']);
      t.equal(await storage.output.removeBefore(A_MOMENT_MS + 4, 2), 1);
      t.equal(await storage.output.removeBefore(A_MOMENT_MS + 4, 2), 0);
      await storage.output.append([aChunk({ text: 'next' })], BOUNDS);
      const page = await storage.output.read({ taskId: aTaskId(1), after: 0, limit: 9 });
      t.strictSame(page.chunks.map(({ n, text }) => [n, text]), [[4, '4'], [5, 'next']]); // prettier-ignore
    });
  });
}
