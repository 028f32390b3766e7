/** What all requests together parse in one turn of the event loop, and who is next. */
import t from 'tap';
import { parseTurns, TURN_LINES } from '../../../../adapters/http/turns/parse-turns.ts';
import { seededIds } from '../../../product/twins/ids-seeded/seeded-ids.ts';
import { hubBench, type Answered, type HubBench } from '../hub-bench.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Parses lines of one byte, and notes the owner of each slice. */
function parser() {
  const turns = parseTurns();
  const slices: string[] = [];
  const parse = (owner: string, lines: number): string | Promise<string> => {
    let left = lines;
    return turns.run(owner, () => {
      slices.push(owner);
      for (; left > 0; left -= 1) {
        if (turns.isOver()) return undefined;
        turns.parsed(1);
      }
      return `${owner} is done`;
    });
  };
  return { turns, slices, parse };
}

t.test('a few lines are parsed at once, without a promise; a turn that is over makes others wait for the next', async (t) => {
  const { turns, parse } = parser();
  for (let n = 0; n < 4; n += 1) t.equal(parse('a', 50), 'a is done');
  t.ok(turns.isOver());
  const waiting = parse('b', 1);
  t.type(waiting, Promise);
  t.type(parse('a', 1), Promise);
  t.equal(await waiting, 'b is done');
  t.notOk(turns.isOver());
  await turn();
  t.equal(parse('a', 64), 'a is done', 'nothing is left of a turn that has passed');
});

t.test('bytes count like lines', async (t) => {
  const { turns, parse } = parser();
  turns.parsed(131_071);
  t.equal(parse('a', 1), 'a is done');
  t.type(parse('a', 1), Promise);
});

t.test('R20: owners take turns, whatever one of them has waiting', async (t) => {
  const { slices, parse } = parser();
  const many = Array.from({ length: 50 }, () => parse('many', 3 * TURN_LINES));
  t.equal(slices.length, 1, 'one slice in the turn in which they arrive');
  const other = parse('other', TURN_LINES + 1);
  const third = parse('third', 1);
  await other;
  await third;
  // A turn of the loop each, but what `third` and the rest of `other` leave of theirs.
  t.same(slices, ['many', 'many', 'other', 'third', 'many', 'other', 'many']);
  for (const one of many) await one;
});

t.test('what a slice throws rejects only its own request', async (t) => {
  const { turns, parse } = parser();
  void parse('a', TURN_LINES);
  const broken = turns.run('a', (): string => {
    throw new Error('broken');
  });
  const after = parse('a', 1);
  await t.rejects(Promise.resolve(broken), { message: 'broken' });
  t.equal(await after, 'a is done');
});

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** A hub that counts the tasks that it parses in each turn of the event loop. */
async function counted(): Promise<{ bench: HubBench; perTurn: number[]; stop: () => void }> {
  const ids = seededIds({ seed: 'counted' });
  const perTurn: number[] = [0];
  const task = (): ReturnType<typeof ids.task> => {
    perTurn[perTurn.length - 1] = (perTurn.at(-1) ?? 0) + 1;
    return ids.task();
  };
  let isOver = false;
  const next = (): void => {
    perTurn.push(0);
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  const bench = await hubBench({ deps: { ids: { ...ids, random: (of) => ids.random(of), task } } });
  return { bench, perTurn, stop: () => void (isOver = true) };
}

const lines = (bench: HubBench, path: string, token: string, count: number, line: string): Promise<Answered> =>
  bench.send(path, {
    method: 'POST',
    token,
    body: Array.from({ length: count }, () => line).join('\n'),
    headers: { 'content-type': 'application/x-ndjson' },
  });

t.test('R20: in one turn of the event loop, two slices at most are parsed, however many requests there are', async (t) => {
  const { bench, perTurn, stop } = await counted();
  t.teardown(() => bench.close());
  const answers = await Promise.all([
    ...Array.from({ length: 20 }, () => lines(bench, '/api/tasks/batch', 'submitter', 256, '{"task":{"description":"x"}}')),
    ...Array.from({ length: 4 }, () => lines(bench, '/api/tasks/bulk', 'submitter', 500, '{"description":"x"}')),
    ...Array.from({ length: 600 }, () => bench.send('/api/tasks', { token: 'submitter', json: { description: 'x' } })),
  ]);
  stop();
  t.same(new Set(answers.map(({ status }) => status)), new Set([200, 201]));
  t.equal(total(perTurn), 20 * 256 + 4 * 500 + 600);
  // One slice of what arrives in this turn, and one of what has waited for it.
  t.ok(Math.max(...perTurn) <= 2 * TURN_LINES, `${Math.max(...perTurn)} in one turn`);
});

t.test('a body that waits for its turn has not stalled', async (t) => {
  const { bench, perTurn, stop } = await counted();
  t.teardown(() => bench.close());
  const bulk = lines(bench, '/api/tasks/bulk', 'submitter', 4_000, '{"description":"x"}');
  for (let checks = 0; checks < 4; checks += 1) {
    for (const before = total(perTurn); total(perTurn) === before;) await turn();
    bench.clock.advance(10_000);
  }
  t.equal((await bulk).status, 201);
  stop();
});
