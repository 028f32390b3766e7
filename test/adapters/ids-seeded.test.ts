import t from 'tap';
import { seededIds } from '../product/twins/ids-seeded/seeded-ids.ts';
import type { Ids } from '../../core/ports/chance.ts';
import { idsContract } from '../product/contracts/ids.contract.ts';

idsContract('seeded', { fresh: () => seededIds({ seed: 'contract' }) }, t);

const draw = (ids: Ids) => Array.from({ length: 100 }, () => [ids.task(), ids.random('run'), ids.secret(), ids.jitter()]);

t.test('the same seed produces the same values, another seed does not', async (t) => {
  t.same(draw(seededIds({ seed: 'a' })), draw(seededIds({ seed: 'a' })));
  t.notSame(draw(seededIds({ seed: 'a' })), draw(seededIds({ seed: 'b' })));
});

t.test('the values of a seed never change, so a recorded seed replays what it found', async (t) => {
  const ids = seededIds({ seed: '123' });
  t.same(
    [ids.task(), ids.random('run'), ids.jitter()],
    ['task-000000000000000119a59bdb2d43eee3', 'run-86fc8125e05ffa026c703eb6446a4eae', 0.24204992246814072],
  );
});
