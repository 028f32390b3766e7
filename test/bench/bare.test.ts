/** The yardstick of the benchmark of queues does the hub's job: it loses nothing, knows keys again, fences, and finds what went wrong. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { builtTree } from '../rig/built-tree.ts';
import type { ServerFrame } from './bare/bare-frames.ts';
import { openBareHub, type BareHub, type WorkerLink } from './bare/bare-hub.ts';
import { checkBareStore, openBareStore, RETURNED, STATUS } from './bare/bare-store.ts';
import { startBare } from './bare/start-bare.ts';

const lineOf = (n: number): string => JSON.stringify([`key-${n}`, { i: n }]);
const NUMBERS = [1, 2, 3];

function fileOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-bare-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'bare.db');
}

const openHub = async (file: string): Promise<BareHub> =>
  openBareHub(await openBareStore(file), (error) => {
    throw error;
  });

interface TestWorker {
  readonly link: WorkerLink;
  /** The next frame. */
  next(): Promise<ServerFrame>;
}

function connect(hub: BareHub, slots: number): TestWorker {
  const frames: ServerFrame[] = [];
  let arrived = (): void => undefined;
  const link = hub.connect(slots, (text) => {
    frames.push(JSON.parse(text) as ServerFrame);
    arrived();
  });
  return {
    link,
    async next() {
      while (frames.length === 0) await new Promise<void>((resolve) => (arrived = resolve));
      return frames.shift() as ServerFrame;
    },
  };
}

t.test('tasks are assigned to free slots, and completed once they were accepted', async (t) => {
  const file = fileOf(t);
  const hub = await openHub(file);
  const { link, next } = connect(hub, 2);
  t.strictSame(await hub.submit(NUMBERS.map(lineOf)), NUMBERS);
  const assignedOf = (n: number, generation: number): unknown => [n, generation, [`key-${n}`, { i: n }]];
  t.strictSame(await next(), [[assignedOf(1, 1), assignedOf(2, 1)], [], [], []], 'no more than there are slots');
  link.report([[[1, 1]], []]);
  t.strictSame(await next(), [[], [1], [], []]);
  link.report([
    [[2, 1]],
    [
      [1, 1, 'one'],
      [2, 1, 'two'],
    ],
  ]);
  t.strictSame(await next(), [[assignedOf(3, 1)], [2], [1, 2], []], 'slots that are free in a commit are taken in it');
  link.report([[[3, 1]], [[3, 1, null]]]);
  t.strictSame(await next(), [[], [3], [3], []]);
  t.strictSame(await hub.counts(), { [STATUS.completed]: 3 });
  await hub.close();
  await checkBareStore(file);
});

t.test('a report of a task that is not held so is refused', async (t) => {
  const file = fileOf(t);
  const hub = await openHub(file);
  const gone = connect(hub, 1);
  await hub.submit([lineOf(1)]);
  await gone.next();
  gone.link.report([
    [[1, 2]],
    [
      [1, 1, 'not accepted'],
      [7, 1, 'no such task'],
    ],
  ]);
  t.strictSame(await gone.next(), [[], [], [], [1, 1, 7]]);
  gone.link.leave();
  const { link, next } = connect(hub, 1);
  t.strictSame((await next())[0], [[1, 2, ['key-1', { i: 1 }]]], 'what a worker had that left is assigned anew');
  link.report([[[1, 1]], []]);
  t.strictSame(await next(), [[], [], [], [1]], 'the generation before');
  link.report([[[1, 2]], [[1, 2, 'done']]]);
  t.strictSame(await next(), [[], [1], [1], []]);
  await hub.close();
  await checkBareStore(file);
});

t.test('a key that is known answers with its task', async (t) => {
  const file = fileOf(t);
  const hub = await openHub(file);
  t.strictSame(await hub.submit([lineOf(1)]), [1]);
  const { link, next } = connect(hub, 3);
  await next();
  // In one commit, with a report.
  link.report([[[1, 1]], []]);
  t.strictSame(await Promise.all([hub.submit([lineOf(2), lineOf(1)]), hub.submit([lineOf(2), lineOf(3)])]), [
    [2, 1],
    [2, 3],
  ]);
  t.strictSame(await next(), [[], [1], [], []], 'the report is saved all the same');
  t.strictSame(
    (await next())[0].map(([id]) => id),
    [2, 3],
  );
  await hub.close();
});

t.test('what is unfinished is assigned after a restart, with a new generation', async (t) => {
  const file = fileOf(t);
  const before = await openHub(file);
  const first = connect(before, 1);
  await before.submit(NUMBERS.map(lineOf));
  await first.next();
  await before.close();
  const after = await openHub(file);
  const { next } = connect(after, 3);
  t.strictSame((await next())[0], [
    [1, 2, ['key-1', { i: 1 }]],
    [2, 1, ['key-2', { i: 2 }]],
    [3, 1, ['key-3', { i: 3 }]],
  ]);
  t.strictSame(await after.submit([lineOf(4), lineOf(2)]), [4, 2]);
  await after.close();
});

t.test('the check of a store finds what is not completed, and steps that are missing', async (t) => {
  const changed = async (status: number, kinds: readonly number[]): Promise<string> => {
    const file = fileOf(t);
    const store = await openBareStore(file);
    const states = [`[1,${status},1]`];
    await store.save({ submitted: [lineOf(1)], assignedCount: 0, states: [], events: [] });
    await store.save({ submitted: [], assignedCount: 0, states, events: kinds.map((kind) => `[1,${kind},1]`) });
    await store.close();
    return file;
  };
  const { assigned, accepted, completed } = STATUS;
  for (const kinds of [
    [assigned, accepted, completed],
    [assigned, RETURNED, assigned, accepted, RETURNED, assigned, accepted, completed],
  ])
    await checkBareStore(await changed(completed, kinds));
  await t.rejects(checkBareStore(await changed(accepted, [assigned, accepted])), /not completed once/);
  await t.rejects(checkBareStore(await changed(completed, [assigned, completed])), /not completed once: .*"1,2,4"/);
  await t.rejects(checkBareStore(await changed(completed, [assigned, accepted, completed, completed])), /not completed once/);
});

t.test('the server refuses what is no task, whatever comes with it', async (t) => {
  await withEnds(async (end) => {
    const { port, check } = await startBare(end, builtTree(), null);
    const post = async (path: string, body: string, key = 'a key'): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers: { 'idempotency-key': key } })).status;
    for (const body of ['', '{', '1],["another",2']) t.equal(await post('/tasks', body), 400, body);
    for (const body of ['', '["k"]', '["k",[1\n2]]', `${lineOf(1)},${lineOf(2)}`, `${lineOf(1)}\n[2,{}]`])
      t.equal(await post('/tasks/batch', body), 400, body);
    t.strictSame(await (await fetch(`http://127.0.0.1:${port}/counts`)).json(), {});
    t.strictSame([await post('/tasks', '{}'), await post('/tasks/batch', `${lineOf(1)}\n${lineOf(2)}\n`)], [201, 201]);
    await t.rejects(check(), /not completed once/, 'a run that ends with tasks that wait has failed');
  });
});
