/**
 * The budget of a task's life: each sample of a profile belongs to one stage, and a stage over its budget is reported. What a task allocates is
 * divided in the same way.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../architecture/cruise.ts';
import { filesUnder } from '../architecture/tree.ts';
import { builtTree } from '../rig/built-tree.ts';
import { ALLOCATED_MAX, allocationLines, allocationsIn, allocationsPart } from './rig/allocations.ts';
import type { Bench } from './rig/bench-rig.ts';
import { budgetLines, budgetPart, judgedStages, sumUs } from './rig/budget-table.ts';
import { BUDGET_US, BUDGETS } from './rig/budgets.ts';
import type { CpuProfile } from './rig/flame-graph.ts';
import { allocatingHub, profiledHub } from './rig/profiled-hub.ts';
import { placeOf } from './rig/profiler.ts';
import { stageTimes } from './rig/stage-times.ts';
import { isOurs, listedStage, PLACES, stageOf, STAGES, WORKLOADS } from './rig/stages.ts';

// A whole hub starts here, on a machine that is busy with other tests.
t.setTimeout(60_000);

const frame = (functionName: string, file: string) => ({
  functionName,
  url: file === '' || file.startsWith('node:') ? file : `file:///x/.built/abc/${file}`,
  lineNumber: 4,
});
const root = frame('(root)', '');

t.test('a sample belongs to the stage of its nearest own frame', async (t) => {
  const writev = frame('writev', '');
  const node = frame('writevGeneric', 'node:internal/stream_base_commons');
  const uncork = frame('uncork', 'adapters/transport-ws/peer-connection.js');
  const end = frame('end', 'adapters/transport-ws/node-exchange.js');
  const serve = frame('serve', 'adapters/http/serve.js');
  t.equal(stageOf([writev, node, uncork, serve, root]), 'frame out');
  t.equal(stageOf([writev, frame('end', 'node:_http_outgoing'), end, serve, root]), 'answer');
  t.equal(stageOf([serve, root]), 'check');
  t.equal(stageOf([frame('admit', 'adapters/http/serve.js'), serve, root]), 'authenticate', 'a function takes precedence over its file');
  t.equal(stageOf([frame('change', 'core/domain/transitions/change.js'), uncork, root]), 'decide', 'a folder');
  t.equal(stageOf([frame('check_3', ''), frame('', 'core/protocol/frame-parser.js'), root]), 'check', 'a compiled schema');
  t.equal(stageOf([frame('(garbage collector)', ''), uncork, root]), 'garbage', 'whichever code triggered it');
});

t.test('unassigned code belongs to the stage other', async (t) => {
  t.equal(stageOf([frame('made', 'core/made-up/file.js'), root]), 'other');
  t.equal(
    stageOf([frame('made', 'core/made-up/file.js'), frame('serve', 'adapters/http/serve.js'), root]),
    'other',
    'not the stage of its caller',
  );
  t.equal(stageOf([frame('(program)', ''), root]), 'other');
  t.equal(stageOf([frame('runMicrotasks', ''), frame('processTicksAndRejections', 'node:internal/process/task_queues'), root]), 'other');
});

t.test('a package counts only if no own code is on the stack', async (t) => {
  const consume = frame('consume', 'node_modules/ws/lib/receiver.js');
  t.equal(stageOf([frame('emit', 'node:events'), consume, root]), 'frame in');
  t.equal(stageOf([consume, frame('send', 'adapters/transport-ws/peer-connection.js'), root]), 'frame out');
  t.equal(stageOf([frame('parserOnHeadersComplete', 'node:_http_common'), root]), 'read');
  t.equal(stageOf([frame('emit', 'node:events'), frame('resOnFinish', 'node:_http_server'), root]), 'answer');
});

/** Of the sidecar, or of the other side of a link. */
const NOT_IN_HUB = ['adapters/journal-file/', 'adapters/link-ws/', 'adapters/results-files/'];

t.test('every file of the hub belongs to a stage, and every place in the table exists', async (t) => {
  const files = (await Promise.all(['core', 'adapters', 'apps/hub'].map((folder) => filesUnder(folder)))).flat();
  const ours = files.filter((file) => file.endsWith('.ts') && !NOT_IN_HUB.some((folder) => file.startsWith(folder)));
  const named = ours.filter((file) => file.includes('/', file.indexOf('/') + 1));
  t.strictSame(
    named.filter((file) => listedStage(file.replace(/\.ts$/, ''), '') === null),
    [],
  );
  const all = Object.values(PLACES).flat();
  t.strictSame(all.length, new Set(all).size, 'each is listed once');
  for (const [file = '', name] of all.map((place) => place.split(' '))) {
    if (file.startsWith('node:') || file === 'ws') continue;
    const source = join(ROOT, `${file}.ts`);
    t.ok(existsSync(source) || (name === undefined && existsSync(join(ROOT, file))), file);
    if (name !== undefined) t.ok(readFileSync(source, 'utf8').includes(name), `${file} has ${name}`);
  }
});

t.test('the budgets of the stages add up to the total', async (t) => {
  for (const workload of WORKLOADS) {
    const total = STAGES.reduce((sum, stage) => sum + BUDGETS[stage].us[workload], 0);
    t.equal(total, BUDGET_US[workload], workload);
  }
});

const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: root, children: [2, 5, 6] },
    { id: 2, callFrame: frame('serve', 'adapters/http/serve.js'), children: [3] },
    { id: 3, callFrame: frame('end', 'adapters/transport-ws/node-exchange.js'), children: [4] },
    { id: 4, callFrame: frame('writev', '') },
    { id: 5, callFrame: frame('(idle)', '') },
    { id: 6, callFrame: frame('(garbage collector)', '') },
  ],
  startTime: 0,
  samples: [2, 4, 4, 5, 5, 6],
  timeDeltas: [1_000, 1_000, 90_000, 1_000, 1_000, 1_000],
};
const times = stageTimes('together', { tasks: 10, profile, times: { main: 4, pool: 1.1, helpers: 2 } });

t.test("a stage gets the main thread's CPU time by its share of samples", async (t) => {
  const us = Object.fromEntries(times.stages.map((one) => [one.stage, one.us]));
  t.strictSame(
    [us['check'], us['answer'], us['garbage'], us['sqlite'], us['read']],
    [100, 200, 100, 110, 0],
    'a late sample counts as one, and idle samples do not count',
  );
  t.equal(sumUs(times), 510, 'the main thread and that of SQLite');
  t.equal(times.helpersUs, 200, 'V8 has its own threads');
  const answer = times.stages.find(({ stage }) => stage === 'answer');
  t.strictSame(answer?.hottest, [{ what: 'writev in end adapters/transport-ws/node-exchange.js', us: 200 }]);
});

t.test('a few stray samples do not exceed a zero budget', async (t) => {
  const of = (us: number) => judgedStages({ ...times, workload: 'submit', stages: [{ stage: 'frame in', us, hottest: [] }] })[0]?.isOver;
  t.strictSame([of(0.4), of(0.6)], [false, true]);
});

t.test('a stage over its budget is marked, with its hottest functions and a next step', async (t) => {
  const over = judgedStages(times).filter(({ isOver }) => isOver).map(({ stage }) => stage); // prettier-ignore
  t.strictSame(over, ['check', 'sqlite', 'answer', 'garbage']);
  const text = budgetLines(times).join('\n');
  const part = budgetPart({ date: '2026-01-01T00:00:00Z', command: 'npm run bench -- --budget', budgets: [times] });
  for (const stage of STAGES) {
    t.equal(text.includes(BUDGETS[stage].next), over.includes(stage), stage);
    t.equal(part.includes(BUDGETS[stage].next), over.includes(stage), stage);
    t.ok(part.includes(BUDGETS[stage].from), `where the budget of ${stage} comes from`);
  }
  t.match(text, /answer +6\.00 +200 {2}over\n +writev in end /);
  t.match(text, /10\.0 µs for each of 11 rows/);
  t.match(part, /\| answer: [^|]+ \| 6\.00 \| 200 \| \*\*over\*\* \|[^|]+\| `writev in end [^`]+` 200 \|/);
  t.match(part, /\| read: [^|]+ \| 7\.00 \| 0\.00 \| kept \|/);
});

const bench = { tree: builtTree(), profileDir: null, postgresOf: () => Promise.resolve(null), say: () => undefined } as unknown as Bench;

t.test('a real hub is profiled, and all of its sampled code belongs to a stage', async (t) => {
  const seen = await profiledHub(bench, 'together', 400);
  const ours = seen.profile.nodes.map(({ callFrame }) => callFrame).filter(({ url }) => isOurs(url));
  t.ok(ours.length > 0, 'the code of the hub is recognized');
  t.strictSame(
    ours
      .map(({ functionName, url }) => [placeOf(url).replace(/\.js$/, ''), functionName] as const)
      .filter((one) => listedStage(...one) === null),
    [],
  );
  const { stages } = stageTimes('together', seen);
  const us = Object.fromEntries(stages.map((one) => [one.stage, one.us]));
  t.ok((us['decide'] ?? 0) > 0 && (us['sqlite'] ?? 0) > 0, 'both threads worked');
  const sum = stages.filter(({ stage }) => stage !== 'sqlite').reduce((total, one) => total + one.us, 0);
  t.ok(Math.abs(sum - (seen.times.main * 1_000) / seen.tasks) < 0.01, "the stages are all of the main thread's time");
});

t.test('what is allocated is divided among the stages, and too much is marked', async (t) => {
  const node = (name: string, file: string, selfSize: number, children: readonly object[] = []) =>
    ({ callFrame: frame(name, file), selfSize, children }) as Parameters<typeof allocationsIn>[0];
  const head = node('(root)', '', 0, [
    node('serve', 'adapters/http/serve.js', 2_048, [
      node('end', 'adapters/transport-ws/node-exchange.js', 1_024, [node('slice', '', 512)]),
    ]),
    node('(V8 API)', '', 512),
  ]);
  const allocated = allocationsIn(head, 'submit', 2);
  t.equal(allocated.bytes, 2_048);
  t.strictSame(allocated.stages, [
    { stage: 'check', bytes: 1_024 },
    { stage: 'answer', bytes: 768 },
    { stage: 'other', bytes: 256 },
  ]);
  t.strictSame(allocated.most[0], { what: 'serve adapters/http/serve.js', stage: 'check', bytes: 1_024 });
  t.match(allocationLines(allocated).join('\n'), /all +2\.00, at most [0-9.]+\n +1\.00 {2}serve adapters\/http\/serve\.js \(check\)/);
  const over = allocationsIn({ ...head, selfSize: 2 * ALLOCATED_MAX.submit }, 'submit', 2);
  t.match(allocationLines(over).join('\n'), /at most [0-9.]+: over/);
  const kept = { date: '2026-01-01T00:00:00Z', command: 'npm run bench', machine: { node: 'v0' }, allocations: [allocated, over] };
  t.match(allocationsPart(kept), /\| at most \| [0-9.]+: kept \| [0-9.]+: \*\*over\*\* \|/);
});

t.test("a real hub's allocations are measured, those that were collected included", async (t) => {
  const { stages, bytes } = allocationsIn(await allocatingHub(bench, 'together', 400), 'together', 400);
  const of = Object.fromEntries(stages.map((one) => [one.stage, one.bytes]));
  for (const stage of ['read', 'decide', 'encode', 'frame in'] as const) t.ok((of[stage] ?? 0) > 100, `${stage}: ${of[stage]}`);
  t.ok(bytes > 20_000, `${bytes} bytes a task`);
});
