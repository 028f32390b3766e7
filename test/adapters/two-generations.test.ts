import { test } from 'tap';
import { TwoGenerations } from '../../adapters/storage-knex/cache/two-generations.ts';

test('retains anything up to half of its size, regardless of earlier sets and deletes', (t) => {
  const kept = new TwoGenerations<number, string>(10);
  for (let n = 0; n < 1_000; n += 1) {
    kept.set(n, `${n}`);
    if (n >= 5) kept.delete(n - 5);
  }
  for (let n = 995; n < 1_000; n += 1) t.equal(kept.get(n), `${n}`);
  t.equal(kept.get(994), undefined);
  t.end();
});

test('forgets the oldest values, and never holds more than its size', (t) => {
  const kept = new TwoGenerations<number, string>(10);
  for (let n = 0; n < 100; n += 1) kept.set(n, `${n}`);
  const left = Array.from({ length: 100 }, (_, n) => n).filter((n) => kept.get(n) !== undefined);
  t.ok(left.length <= 10 && left.length >= 5, `${left.length} of 10`);
  t.same(
    left,
    Array.from({ length: left.length }, (_, n) => 100 - left.length + n),
  );
  t.end();
});

test('counts values by their size', (t) => {
  const kept = new TwoGenerations<number, string>(20, (text) => text.length);
  kept.set(1, 'x'.repeat(10));
  kept.set(2, 'x'.repeat(10));
  t.ok(kept.get(1) !== undefined && kept.get(2) !== undefined);
  kept.set(3, 'x'.repeat(10));
  t.equal(kept.get(1), undefined);
  kept.set(4, 'x'.repeat(100));
  t.equal(kept.get(4), 'x'.repeat(100), 'a value larger than the whole size is retained until the next one');
  kept.set(5, 'x');
  kept.set(6, 'x'.repeat(10));
  t.equal(kept.get(4), undefined);
  t.end();
});

test('returns the last value of a key from either generation, and none after it is deleted', (t) => {
  const kept = new TwoGenerations<number, string>(4);
  kept.set(1, 'old');
  kept.set(2, '');
  kept.set(3, '');
  kept.set(1, 'new');
  t.equal(kept.get(1), 'new');
  kept.delete(1);
  kept.delete(2);
  t.equal(kept.get(1), undefined);
  t.equal(kept.get(2), undefined);
  kept.set(1, 'again');
  kept.clear();
  t.equal(kept.get(1), undefined);
  t.equal(kept.get(3), undefined);
  t.end();
});
