/** A renewed map behaves like a `Map`, however often its entries change. */
import t from 'tap';
import { RenewedMap } from '../../../core/domain/renewed-map.ts';

t.test('behaves like a Map over many changes', (t) => {
  let seed = 7;
  const below = (count: number): number => (seed = (seed * 48_271) % 2_147_483_647) % count;
  const map = new RenewedMap<string, number>();
  const plain = new Map<string, number>();
  for (let n = 0; n < 5_000; n += 1) {
    const key = `k${below(40)}`;
    if (below(2) === 0) {
      map.delete(key);
      plain.delete(key);
    } else {
      map.set(key, n);
      plain.set(key, n);
    }
    if (map.get(key) !== plain.get(key) || map.has(key) !== plain.has(key)) t.fail(`differs after change ${n}`);
  }
  t.same([...map.values()], [...plain.values()], 'in the same order');
  map.clear();
  t.same([...map.values()], []);
  t.end();
});
