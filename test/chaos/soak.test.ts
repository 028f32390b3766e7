/** The short form of `npm run soak`. Memory and open files are for the long form, on an otherwise idle machine. */
import t from 'tap';
import type { Tally } from '../fuzz/hostile/tally.ts';
import { builtTree } from '../rig/built-tree.ts';
import { judgeRows, type RowSample } from './rig/stored-rows.ts';
import { DEEDS, idleBetween, NEIGHBOURS, type Tallies } from './soak/neighbour-kinds.ts';
import { soakRun } from './runs/soak-run.ts';

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(180_000);

/** How often what must be refused or dropped was. */
const mischiefOf = (done: Tallies): Readonly<Record<string, number>> => ({
  'reports on tasks of others are refused': done['flooding agents'].answers['task_nack not_assignee'] ?? 0,
  'bodies that are too large are refused': done['odd submitter'].statuses['413'] ?? 0,
  'wrong tokens are refused': done.strangers.statuses['401'] ?? 0,
  'assignments are dropped': done['crash-looping agent'].answers[DEEDS.dropped] ?? 0,
});

t.test('R20: with faults and hostile neighbours of every kind, all honest work completes and no rows are left behind', async (t) => {
  const outcome = await soakRun(t, {
    tree: builtTree(),
    seed: 'in the tests',
    minutes: 0.3,
    sidecars: 6,
    real: 2,
    watched: 1,
    tasksPerSecond: 4,
    firstMs: 0,
    faultEachMs: 5_000,
    idleMs: 0,
    mischief: (done) => Object.values(mischiefOf(done)).every((count) => count > 0),
  });
  // A quarter of this run is about as long as a neighbour rests: the run of an hour shows whether one has stopped, and
  // covers every act. What has ended is kept for 2 s here, the longest that a stream may fall behind.
  t.strictSame(
    outcome.surprises.filter((surprise) => !/stopped misbehaving|kinds of hostile agent acts|gaps/.test(surprise)),
    [],
  );
  t.equal(outcome.completed, outcome.submitted);
  // An agent that happens to create 300 files in the last seconds is not growth either.
  t.strictSame(
    outcome.rows.grown.filter((row) => !row.startsWith('files of watched')),
    [],
  );
  for (const [what, count] of Object.entries(outcome.neighbours === null ? {} : mischiefOf(outcome.neighbours))) t.ok(count > 0, what);
  t.not(outcome.neighbours, null, 'neighbours were running');
  t.ok(Object.keys(outcome.deeds).length > 0, 'agents harm their own sidecar');
  t.ok(outcome.honestMs.length > 0 && outcome.walMaxMiB > 0 && outcome.walMaxMiB < 64);
});

t.test('the judge of a soak names growing rows and a neighbour that has stopped', (t) => {
  const look = (atMs: number, events: number, tokens: number): RowSample => ({ atMs, rows: { task_events: events, tokens }, fileBytes: 1 });
  const looks = (last: RowSample): readonly RowSample[] => [look(0, 0, 5), look(50, 10_000, 5), last];
  t.match(judgeRows(looks(look(100, 12_400, 5)), 0, 100), { bounded: true, middle: { task_events: 10_000 } });
  t.strictSame(judgeRows(looks(look(100, 12_401, 7)), 0, 100).grown, ['task_events: 10000 → 12401', 'tokens: 5 → 7']);
  t.match(judgeRows([look(0, 0, 5)], 0, 100), { bounded: false });

  const tallyOf = (count: number): Tally => {
    const answers = Object.fromEntries(['identified', ...Object.values(DEEDS)].map((name) => [name, count]));
    const statuses = { 200: count, 201: count, 401: count, 413: count };
    return { frames: count, bodies: 0, sockets: 0, closes: {}, answers, statuses, surprises: [] };
  };
  const all = (count: number): Tallies => Object.fromEntries(NEIGHBOURS.map((name) => [name, tallyOf(count)])) as Tallies;
  t.strictSame(idleBetween(all(1), all(2)), []);
  t.strictSame(idleBetween(all(2), all(2)), NEIGHBOURS);
  t.strictSame(idleBetween(all(1), { ...all(2), strangers: { ...tallyOf(2), statuses: { 401: 1 } } }), ['strangers']);
  t.end();
});
