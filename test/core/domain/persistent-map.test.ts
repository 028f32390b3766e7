/** Every version of a persistent map keeps its own entries, in whatever order versions are read and changed. */
import t from 'tap';
import { PersistentMap } from '../../../core/domain/persistent-map.ts';

t.test('a change leaves the earlier version intact', (t) => {
  const none = new PersistentMap<number>();
  const one = none.with('a', 1);
  const two = one.with('a', 2).with('b', 3);
  const gone = two.without('a');
  t.same([none.get('a'), one.get('a'), two.get('a'), gone.get('a')], [undefined, 1, 2, undefined]);
  t.same([none.has('b'), one.has('b'), two.has('b'), gone.has('b')], [false, false, true, true]);
  t.same([none.values(), one.values(), [...two.values()].sort(), gone.values()], [[], [1], [2, 3], [3]]);
  t.end();
});

t.test('a change without effect returns the same version', (t) => {
  const map = new PersistentMap<number | null>().with('a', null);
  t.equal(map.with('a', null), map);
  t.equal(map.without('b'), map);
  t.equal(map.get('a'), null);
  t.end();
});

t.test('branching versions match plain copies, read in any order', (t) => {
  let seed = 7;
  const below = (count: number): number => (seed = (seed * 48_271) % 2_147_483_647) % count;
  const versions = [{ map: new PersistentMap<number>(), copy: new Map<string, number>() }];
  for (let n = 0; n < 3_000; n += 1) {
    const { map, copy } = versions[Math.max(0, versions.length - 1 - below(below(4) === 0 ? versions.length : 1))] as (typeof versions)[0];
    const key = `k${below(12)}`;
    const next = new Map(copy);
    if (below(3) === 0) {
      next.delete(key);
      versions.push({ map: map.without(key), copy: next });
    } else {
      next.set(key, n);
      versions.push({ map: map.with(key, n), copy: next });
    }
  }
  const sorted = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
  const wrong = Array.from({ length: 500 }, () => versions[below(versions.length)] as (typeof versions)[0]).filter(
    ({ map, copy }) => JSON.stringify(sorted(map.values())) !== JSON.stringify(sorted(copy.values())) || map.get('k3') !== copy.get('k3'),
  );
  t.equal(wrong.length, 0);
  t.end();
});

t.test('releasing a version leaves the newest one intact', (t) => {
  const none = new PersistentMap<number>();
  const one = none.with('a', 1);
  const two = one.with('b', 2);
  none.release();
  two.release();
  t.throws(() => none.get('a'), /released/);
  t.equal(one.get('b'), undefined);
  t.equal(two.get('b'), 2);
  t.end();
});
