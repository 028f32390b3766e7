/** The queue benchmark without the other queues: its options, medians and table, and a run on AgentCom. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../architecture/cruise.ts';
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { builtTree } from '../rig/built-tree.ts';
import { peersOf } from './rig/page.ts';
import { CONTESTANTS } from './peers/contestants.ts';
import { startParticipant } from './peers/participants.ts';
import { runOnce } from './peers/peer-run.ts';
import { bestPeer, medianOf, peerTable, type PeerResult } from './peers/peer-table.ts';
import { readPeersOptions } from './peers/peers-options.ts';

// A whole hub starts here, on a machine that is busy with other tests.
t.setTimeout(120_000);

const result = (contestant: string, isOurs: boolean, ...runs: PeerResult['runs']): PeerResult => ({
  contestant,
  isOurs,
  scenario: 'singles',
  n: 10,
  runs,
});
const OURS = result('agentcom', true, { perSecond: 900, p99Ms: 4 }, { perSecond: 100, p99Ms: 6 }, { perSecond: 500, p99Ms: 5 });
const FAST = result('bullmq', false, { perSecond: 2_000, p99Ms: 10 });
const SLOW = result('pg-boss', false, { perSecond: 200, p99Ms: 2.5 });
const SYNCHRONOUS = result('plainjob', false, { perSecond: 250 });
const YARDSTICK: PeerResult = { ...result('bare', false, { perSecond: 9_000, p99Ms: 1 }), isYardstick: true };

t.test("a queue's figure is the median of its runs, and the best peer is neither AgentCom nor a yardstick", async (t) => {
  const all = [OURS, FAST, SLOW, SYNCHRONOUS, YARDSTICK];
  t.equal(medianOf(OURS, 'perSecond'), 500);
  t.equal(medianOf(SYNCHRONOUS, 'p99Ms'), null);
  t.equal(bestPeer(all, 'perSecond'), 2_000, 'the most tasks a second');
  t.equal(bestPeer(all, 'p99Ms'), 2.5, 'the shortest time');
  t.equal(bestPeer([OURS, YARDSTICK], 'perSecond'), null);
});

t.test('the table shows AgentCom as a multiple of the best peer, and no rows without figures', async (t) => {
  t.strictSame(peerTable([OURS, FAST, SLOW, SYNCHRONOUS]).split('\n'), [
    '| scenario |  | agentcom | bullmq | pg-boss | plainjob |',
    '| --- | --- | --: | --: | --: | --: |',
    '| singles | tasks/s | 500 (0.25 ×) | **2,000** | 200 | 250 |',
    '| singles | p99 ms | 5.00 (2.00 ×) | 10.0 | **2.50** |  |',
  ]);
  t.match(peerTable([OURS]), /\| 500 \|/, 'without a peer there is no multiple');
  t.strictSame(
    peerTable([OURS, FAST, YARDSTICK]).split('\n'),
    [
      '| scenario |  | agentcom | bullmq | bare (yardstick) |',
      '| --- | --- | --: | --: | --: |',
      '| singles | tasks/s | 500 (0.25 ×) | **2,000** | 9,000 (4.50 ×) |',
      '| singles | p99 ms | 5.00 (0.50 ×) | **10.0** | 1.00 (0.10 ×) |',
    ],
    'a yardstick is labelled, and also shown as a multiple of the best peer',
  );
});

const KEPT = {
  date: '2026-01-02T03:04:05Z',
  command: 'npm run bench:peers -- --write',
  seconds: 1,
  warmUpSeconds: 4,
  environment: { processor: 'P', cores: 2, memoryGiB: 1, system: 'S', node: 'v20', agentcom: '0.1.0', loadBefore: 0, packages: {} },
  settings: [{ contestant: 'bullmq', store: 'Redis 7.0.15', worker: 'concurrency 100' }],
  results: [OURS, FAST],
};

t.test('the page shows what the queues ran on', async (t) => {
  t.equal(peersOf(null), 'Not measured yet.');
  const part = peersOf(KEPT);
  t.match(part, /`npm run bench:peers -- --write`, 2026-01-02, 1 s; 2 × P/);
  t.match(part, /Medians of 3 runs\. Each scenario ran for 4 s before it was measured\.\n/);
  t.match(part, /500 \(0\.25 ×\)/);
  t.match(part, '| bullmq | Redis 7.0.15 | concurrency 100 |');
  t.notMatch(part, /failed/);
  const failures = [{ contestant: 'plainjob', runs: 2, error: 'the worker ended with SIGABRT\nat somewhere' }];
  t.match(
    peersOf({ ...KEPT, failures }),
    /Medians of 3 runs\. Each scenario ran for 4 s before it was measured\. Runs that failed and are not in these figures: 2 of plainjob \(the worker ended with SIGABRT\)\.\n/,
  );
});

t.test('queues and scenarios are selected by name, in one list or several', async (t) => {
  const { contestants, scenarios, runs, warmUpMs } = readPeersOptions([
    '--only',
    'bullmq,agentcom',
    '--only',
    'plainjob',
    '--scenarios',
    'idle,singles',
  ]);
  t.strictSame(
    contestants.map(({ name }) => name),
    ['agentcom', 'bullmq', 'plainjob'],
  );
  t.strictSame(scenarios, ['singles', 'idle']);
  t.equal(runs, 5);
  t.equal(warmUpMs, 4_000);
  t.equal(readPeersOptions(['--warm-up', '0']).warmUpMs, 0);
  t.strictSame(readPeersOptions(['--quick']).contestants, CONTESTANTS);
  t.equal(readPeersOptions(['--quick']).warmUpMs, 0);
  t.throws(() => readPeersOptions(['--only', 'sidekiq']), /--only is sidekiq; there are agentcom, .*plainjob/);
  t.throws(() => readPeersOptions(['--runs', 'many']), /--runs many: expected a whole number from 1/);
  t.throws(() => readPeersOptions(['--warm-up=-1']), /--warm-up -1: expected a whole number from 0/);
  t.throws(() => readPeersOptions(['--quick', '--write']), /choose one/);
});

t.test('installing AgentCom installs none of the other queues', async (t) => {
  type Manifest = { private: boolean; files: string[]; dependencies: Record<string, string>; devDependencies: Record<string, string> };
  const manifestIn = (folder: string): Manifest => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
  const [own, peers] = [manifestIn('.'), manifestIn('test/bench/peers')];
  t.equal(peers.private, true);
  t.strictSame(
    Object.values(peers.dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)),
    [],
    'the measured versions can be reinstalled',
  );
  const ours = Object.keys({ ...own.dependencies, ...own.devDependencies });
  t.strictSame(
    Object.keys(peers.dependencies).filter((name) => name !== 'pg' && ours.includes(name)),
    [],
  );
  t.notOk(own.files.some((file) => file.startsWith('test')));
});

/** A queue in one process, with a worker that completes a task twice when asked to. */
const IN_MEMORY = `data:text/javascript,
  let completed = () => undefined;
  export const open = async ({ twice }) => ({
    submit: async (n) => { completed(n); if (twice) completed(n); },
    submitMany: async (first, count) => { for (let n = first; n < first + count; n += 1) completed(n); },
    worker: async (onCompleted) => ({ run: () => void (completed = onCompleted), stop: async () => undefined }),
    counts: async () => ({ unfinished: 0, completed: 0 }),
    close: async () => undefined,
  });`;

t.test('each task is submitted once and timed, with the given concurrency', async (t) => {
  await withEnds(async (end) => {
    const both = startParticipant(end, builtTree(), 'the queue', null);
    await both.do('open', { module: IN_MEMORY, settings: {} });
    for (const [how, requests] of [
      [{ inFlight: 4 }, 10],
      [{ perRequest: 4 }, 3],
      [{ perSecond: 1_000 }, 10],
    ] as const) {
      const plan = { first: 7, count: 10, how };
      const startedMs = await both.do('start', plan);
      const { sentMs, answeredMs } = await both.do('submit', plan);
      const completedMs = await both.do('all', undefined);
      t.strictSame([sentMs.length, answeredMs.length, completedMs.length], [requests, requests, 10]);
      t.ok(sentMs.every((ms, n) => ms >= startedMs && (answeredMs[n] ?? 0) >= ms));
      t.ok(completedMs.every((ms) => ms >= startedMs));
      t.equal(await both.do('one', { n: 16 }), completedMs[9]);
      await both.do('stop', undefined);
    }
    await both.do('close', undefined);
    await both.end();
  });
});

t.test('completing a task twice fails the run', async (t) => {
  await withEnds(async (end) => {
    const both = startParticipant(end, builtTree(), 'the queue', null);
    await both.do('open', { module: IN_MEMORY, settings: { twice: true } });
    await both.do('start', { first: 0, count: 2 });
    await t.rejects(both.do('submit', { first: 0, count: 2, how: { inFlight: 1 } }), /the queue: submit failed: .*task 0 was completed/s);
  });
});

const SQLITE = 'synchronous=2';
const POSTGRES = 'synchronous_commit=on fsync=on full_page_writes=on';
for (const [name, wanted] of [
  ['agentcom', SQLITE],
  ['bare', SQLITE],
  ['bare-steps', SQLITE],
  ['bare-postgres', POSTGRES],
  ['bare-postgres-3-steps', POSTGRES],
] as const) {
  const given = process.env['AGENTCOM_TEST_DATABASE_URL'] ?? '';
  const skip = wanted === POSTGRES && given !== '' && 'the Postgres that is given may be without fsync';
  t.test(`${name} is measured without the packages of the other queues, and loses nothing`, { skip }, async (t) => {
    const contestant = CONTESTANTS.find((one) => one.name === name);
    if (contestant === undefined) throw new Error(`there is no ${name}`);
    const plan = { tree: builtTree(), scenarios: ['bulk', 'together', 'idle'], isQuick: true, warmUpMs: 1, profiles: null };
    const { durability, found } = await runOnce(contestant, plan);
    t.equal(durability, wanted);
    t.strictSame(
      found.map(({ scenario }) => scenario),
      ['bulk, 500 a request', 'submitted and worked on together', 'one at a time, submit → completed'],
    );
    for (const { figures } of found.slice(1)) t.ok((figures.p50Ms ?? 0) > 0 && (figures.p99Ms ?? 0) >= (figures.p50Ms ?? 0));
    t.ok((found[1]?.figures.perSecond ?? 0) > 0);
  });
}
