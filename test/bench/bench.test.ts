/**
 * The benchmark at small scale: it measures what it says, fails when it must, and distinguishes drift from noise. Not
 * how fast anything is.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../architecture/cruise.ts';
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { builtTree } from '../rig/built-tree.ts';
import { startBenchHub } from './rig/bench-hub.ts';
import { drifted, nameOf } from './rig/check-targets.ts';
import { seriesIn } from './rig/growth.ts';
import { flameGraph } from './rig/flame-graph.ts';
import { startLoad } from './rig/load-process.ts';
import { pageParts, PARTS, profileOf, sentencesIn, tableOf, type KeptResults } from './rig/page.ts';
import { frameNameOf, readProfiles } from './rig/profiler.ts';
import { median, type Pair, type Result } from './rig/result.ts';

const PAIR: Pair = { storage: 'sqlite', transport: 'ws' };
const COUNT = 120;

// A whole hub starts here, on a machine that is busy with other tests.
t.setTimeout(60_000);

t.test('a hub is loaded, measured and checked', async (t) => {
  await withEnds(async (end) => {
    const tree = builtTree();
    const hub = await startBenchHub(end, { tree, pair: PAIR, postgres: null, profileDir: null });
    const load = startLoad(end, tree);
    t.equal(hub.durability, 'synchronous=2');
    const plan = { ports: hub.ports, token: hub.adminToken };

    const bulk = await load.do('submit', { ...plan, count: COUNT, perRequest: 50, inFlight: 2, withKeys: false });
    t.equal(bulk.value.answers.count, 3, 'a bulk is one request per 50 tasks');
    t.equal((await hub.api.tasks.stats())['queued'], COUNT);

    const sidecars = await hub.newSidecars(2, 8);
    const drained = COUNT - 40;
    const live = { ...plan, sidecars, atOnce: false };
    const { value, hubCpuMs } = await hub.measured(() => load.do('live', { ...live, count: drained, submit: { how: 'waiting' } }));
    t.ok(value.value.seconds > 0 && hubCpuMs >= 0 && value.cpuMs > 0);
    const left = (await hub.api.tasks.stats()) as Readonly<Record<string, number>>;
    t.ok((left['completed'] ?? 0) >= drained && (left['queued'] ?? 0) > 0, 'a drain leaves tasks that it was not asked for');
    t.equal(left['assigned'], 0, 'and nothing half-done');

    const rest = await load.do('live', {
      ...live,
      sidecars: await hub.newSidecars(2, 8),
      count: left['queued'] ?? 0,
      submit: { how: 'waiting' },
    });
    t.ok(rest.value.seconds > 0);
    const rate = { ...live, sidecars: await hub.newSidecars(1, 16), count: 60, submit: { how: 'rate', perSecond: 400 } } as const;
    const timed = await load.do('live', rate);
    t.equal(timed.value.toCompleted.count, 60);
    t.ok(timed.value.seconds >= 59 / 400, 'the rate is kept up');
    t.ok(timed.value.toAssigned.p50Ms < timed.value.toCompleted.p50Ms);

    await load.do('submit', { ...plan, count: 10, perRequest: 10, inFlight: 1, withKeys: false });
    const stepping = await hub.newSidecars(2, 5);
    t.ok((await load.do('assignAll', { ports: hub.ports, sidecars: stepping, count: 10 })).value > 0);
    t.equal((await hub.api.tasks.stats())['assigned'], 10, 'all are assigned before one is accepted');
    t.ok((await load.do('acceptAll', undefined)).value > 0);
    t.ok((await load.do('completeAll', undefined)).value > 0);
    t.equal((await hub.api.tasks.stats())['completed'], 190);

    await t.rejects(
      load.do('submit', { ...plan, token: 'wrong', count: 1, perRequest: 1, inFlight: 1, withKeys: false }),
      /answered with 401/,
    );
    await load.end();
    t.match(await hub.close(), /190 tasks, \d+ events/, 'its store was checked');
  });
});

const result = (more: Partial<Result>): Result => ({
  scenario: 'submit',
  what: 'singles',
  unit: 'tasks/s',
  ...PAIR,
  n: 1,
  runs: [100],
  ratio: 0.5,
  limit: 'echoed',
  ...more,
});

t.test('a change for the worse is reported in either direction, and so are missing measurements', async (t) => {
  const rate = result({});
  const time = result({ scenario: 'latency', unit: 'ms', ratio: 8 });
  const stored = { [nameOf(rate)]: 0.5, [nameOf(time)]: 8 };
  t.strictSame(drifted([rate, time], stored), []);
  t.strictSame(drifted([result({ ratio: 5 }), result({ ...time, ratio: 1 })], stored), [], 'an improvement is not drift');
  t.match(drifted([result({ ratio: 0.1 }), time], stored), [/^submit: singles .* is 5\.00 times worse/]);
  t.equal(drifted([result({ ratio: 0.1 }), time], stored).length, 1);
  t.match(drifted([rate, result({ ...time, ratio: 40 })], stored), [/^latency: singles .* is 5\.00 times worse/]);
  t.match(drifted([rate], stored), [/^latency: .* was not measured/]);
});

t.test('the exponent shows how a cost grows', async (t) => {
  const at = (size: number, ms: number): Result =>
    result({ unit: 'ms', runs: [ms], series: { name: 'list', over: 'waiting tasks', at: size } });
  const [flat] = seriesIn([at(1_000, 2), at(1_000_000, 2)], 'sqlite');
  t.equal(flat?.exponent, 0);
  const [linear] = seriesIn([at(10, 1), at(100, 10), at(1_000, 100)], 'sqlite');
  t.ok(Math.abs((linear?.exponent ?? 0) - 1) < 1e-9);
  t.strictSame(seriesIn([at(10, 1), at(100, 10)], 'postgres'), []);
});

t.test('the page shows which targets were reached', async (t) => {
  const table = tableOf([result({ what: 'singles, 64 in flight', runs: [19_000, 25_000, 21_000] })]);
  t.match(table, /21,000 tasks\/s \| 19,000–25,000 \| 3 × 1/);
  t.match(table, /≥ 20,000, p99 ≤ 8 ms: \*\*missed\*\*/, 'a time that was not measured counts as missed');
  t.equal(median([1, 2, 4, 3]), 2.5);
});

t.test('a whole run fills every part of the page', async (t) => {
  const measured = PARTS.filter((part) => !['environment', 'growth', 'long', 'profile', 'budget', 'allocations', 'peers'].includes(part));
  const points = [10, 100].map((at) => result({ series: { name: 'list', over: 'waiting tasks', at } }));
  const kept: KeptResults = {
    date: '2026-01-01T00:00:00Z',
    command: 'npm run bench',
    seconds: 1,
    secondsOf: { submit: 1 },
    environment: { processor: '', cores: 2, memoryGiB: 1, system: '', node: '', agentcom: '', loadBefore: 0, packages: {} },
    notShown: { commits: 'strace is not installed' },
    results: [...points, ...measured.map((scenario) => result({ scenario }))],
  };
  const page = readFileSync(join(ROOT, 'docs/performance.md'), 'utf8');
  for (const [name, part] of Object.entries(pageParts(kept))) {
    t.ok(page.includes(`<!-- generated: ${name} -->`), `the page has a place for ${name}`);
    if (!['profile', 'budget', 'allocations', 'long', 'peers'].includes(name)) t.notMatch(part, /Not measured yet/, name);
  }
  t.equal(pageParts(kept)['commits'], 'Not shown: strace is not installed.');
});

t.test('hand-written notes on a hot function survive regenerating the page', async (t) => {
  const thread = (line: number) => ({
    tasks: 10,
    busyMs: 8,
    nativeMs: 1,
    idleMs: 1,
    hottest: [{ what: `read core/a.js:${line}`, share: 0.5, selfMs: 4 }],
  });
  const run = (line: number) => ({ date: '2026-01-01', command: 'npm run bench', profile: thread(line) });
  const first = profileOf(run(7), new Map([['read core/a.js', 'It reads | all.']]));
  t.match(first, /\| `read core\/a\.js` \| 40\.0 % \| It reads \| all\. \|/);
  const page = `<!-- generated: profile -->\n\n${first}\n\n<!-- end -->`;
  t.equal(profileOf(run(9), sentencesIn(page)), first, 'although the function has moved');
});

t.test('a profile shows what a thread worked on, by self time and without idle time', async (t) => {
  const frame = (functionName: string) => ({ functionName, url: 'file:///x/.built/abc/dist/core/a.js', lineNumber: 4 });
  const profile = {
    nodes: [
      { id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1 }, children: [2, 4] },
      { id: 2, callFrame: frame('outer'), children: [3] },
      { id: 3, callFrame: frame('inner') },
      { id: 4, callFrame: { functionName: '(idle)', url: '', lineNumber: -1 } },
    ],
    startTime: 10_000,
    samples: [2, 3, 3, 4],
    timeDeltas: [1_000, 2_000, 1_000, 6_000],
  };
  const folder = t.testdir();
  writeFileSync(join(folder, 'a.cpuprofile'), JSON.stringify(profile));
  const [thread] = readProfiles(folder, 10).threads;
  t.strictSame([thread?.busyMs, thread?.idleMs], [4, 6]);
  t.strictSame(
    thread?.hottest.map(({ what, share }) => [what, share]),
    [
      ['inner core/a.js:5', 0.75],
      ['outer core/a.js:5', 0.25],
    ],
  );
  const [part] = readProfiles(folder, 10, { fromUs: 11_000, toUs: 13_000 }).threads;
  t.strictSame([part?.busyMs, part?.idleMs], [3, 0], 'only samples in the window count');
  const picture = flameGraph(profile, frameNameOf);
  t.match(picture, /outer core\/a\.js:5: 100\.0 %, 4 ms/);
  t.match(picture, /inner core\/a\.js:5: 75\.0 %, 3 ms/);
  t.notMatch(picture, /idle/);
});
