import t from 'tap';
import { Fifo } from '../../../core/domain/fifo.ts';

t.test('gives its entries in order, however pushes and takes alternate', async (t) => {
  const fifo = new Fifo<{ readonly n: number }>();
  t.equal(fifo.take(), undefined);
  let pushed = 0;
  let taken = 0;
  for (const [pushes, takes] of [
    [3, 1],
    [5_000, 1_500],
    [10, 3_000],
    [1, 600],
    [2_000, 1_900],
  ] as const) {
    for (let n = 0; n < pushes; n += 1) fifo.push({ n: (pushed += 1) });
    for (let n = 0; n < takes && taken < pushed; n += 1) {
      taken += 1;
      if (fifo.first?.n !== taken || fifo.take()?.n !== taken) t.fail(`entry ${taken} is out of order`);
    }
  }
  for (let last = fifo.take(); last !== undefined; last = fifo.take()) t.equal(last.n, (taken += 1));
  t.equal(taken, pushed);
  t.equal(fifo.first, undefined);
});
