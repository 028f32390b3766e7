/** Batched lookups: few reads for many lookups, each answered by a read that began after it. */
import t from 'tap';
import { batchedLookup } from '../../../adapters/storage-knex/batched-lookup.ts';

/** Reads that run until the test answers them. */
function heldReads(keysMax: number) {
  const reads: {
    readonly keys: readonly string[];
    readonly answer: (rows: Readonly<Record<string, number>>) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  const lookup = batchedLookup<number>(
    keysMax,
    (keys) =>
      new Promise((resolve, fail) => {
        reads.push({ keys, answer: (rows) => resolve(new Map(Object.entries(rows))), fail });
      }),
  );
  return { reads, lookup };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('simultaneous lookups share one read, up to a limit, and each gets its own answer', async (t) => {
  const { reads, lookup } = heldReads(3);
  const found = Promise.all(['a', 'b', 'a', 'c', 'd'].map(lookup));
  await turn();
  t.strictSame(
    reads.map(({ keys }) => keys),
    [['a', 'b', 'c']],
  );
  reads[0]?.answer({ a: 1, c: 3 });
  await turn();
  t.strictSame(
    reads.map(({ keys }) => keys),
    [['a', 'b', 'c'], ['d']],
  );
  reads[1]?.answer({ d: 4 });
  t.strictSame(await found, [1, undefined, 1, 3, 4]);
});

t.test('a lookup is never answered by a read that began before it', async (t) => {
  const { reads, lookup } = heldReads(10);
  const before = lookup('a');
  await turn();
  const after = lookup('a');
  reads[0]?.answer({});
  t.equal(await before, undefined);
  await turn();
  reads[1]?.answer({ a: 1 });
  t.equal(await after, 1);
});

t.test('a failed read fails only the lookups in it', async (t) => {
  const { reads, lookup } = heldReads(1);
  const lost = t.rejects(lookup('a'), { message: 'away' });
  const kept = lookup('b');
  await turn();
  reads[0]?.fail(new Error('away'));
  await lost;
  await turn();
  reads[1]?.answer({ b: 2 });
  t.equal(await kept, 2);
});
