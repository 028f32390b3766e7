/**
 * The bare hub that serves as the yardstick in the queue benchmark does the hub's job: it loses nothing, recognises
 * repeated keys, fences, and detects errors.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { builtTree } from '../rig/built-tree.ts';
import type { ServerFrame } from './bare/bare-frames.ts';
import { openBareHub, type BareHub, type WorkerLink } from './bare/bare-hub.ts';
import { checkBarePostgresStore, dropBarePostgresStore, openBarePostgresStore } from './bare/bare-postgres-store.ts';
import { checkBareSqliteStore, openBareSqliteStore } from './bare/bare-sqlite-store.ts';
import { RETURNED, STATUS, type BareStore, type StoredTask } from './bare/bare-store.ts';
import { startBare } from './bare/start-bare.ts';

const lineOf = (n: number): string => JSON.stringify([`key-${n}`, { i: n }]);
const NUMBERS = [1, 2, 3];

/** Where a store is kept. */
interface Place {
  /** For a hub with exclusive use of it, or for hub N of several. */
  open(hub?: number): Promise<BareStore>;
  check(): Promise<void>;
}

const postgres = await postgresServer();
t.teardown(() => postgres.end());
let schemas = 0;

const PLACES: Readonly<Record<string, (t: Test) => Place>> = {
  sqlite(t) {
    const folder = mkdtempSync(join(tmpdir(), 'agentcom-bare-test-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'bare.db');
    return { open: () => openBareSqliteStore(file), check: () => checkBareSqliteStore(file) };
  },
  postgres(t) {
    const place = { url: postgres.url, schema: `bare_test_${process.pid}_${(schemas += 1)}` };
    t.teardown(() => dropBarePostgresStore(place));
    return {
      open: (hub) => openBarePostgresStore({ ...place, hub: hub ?? 0, isShared: hub !== undefined }),
      check: () => checkBarePostgresStore(place),
    };
  },
};

const openHub = async ({ open }: Place, hub?: number): Promise<BareHub> =>
  openBareHub(await open(hub), (error) => {
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

for (const [database, placeIn] of Object.entries(PLACES)) {
  t.test(`${database}: tasks are assigned to free slots, and completed once accepted`, async (t) => {
    const place = placeIn(t);
    const hub = await openHub(place);
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
    t.strictSame(await next(), [[assignedOf(3, 1)], [2], [1, 2], []], 'slots freed in a commit are filled in it');
    link.report([[[3, 1]], [[3, 1, null]]]);
    t.strictSame(await next(), [[], [3], [3], []]);
    t.strictSame(await hub.counts(), { [STATUS.completed]: 3 });
    await hub.close();
    await place.check();
  });

  t.test(`${database}: a report for a task the agent does not hold is refused`, async (t) => {
    const place = placeIn(t);
    const hub = await openHub(place);
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
    t.strictSame((await next())[0], [[1, 2, ['key-1', { i: 1 }]]], 'tasks of a disconnected worker are reassigned');
    link.report([[[1, 1]], []]);
    t.strictSame(await next(), [[], [], [], [1]], 'the previous generation');
    link.report([[[1, 2]], [[1, 2, 'done']]]);
    t.strictSame(await next(), [[], [1], [1], []]);
    await hub.close();
    await place.check();
  });

  t.test(`${database}: a known key answers with its task`, async (t) => {
    const place = placeIn(t);
    const hub = await openHub(place);
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

  t.test(`${database}: tasks not in memory are assigned in order, with later submits behind them`, async (t) => {
    const place = placeIn(t);
    const hub = await openHub(place);
    const lines = Array.from({ length: 5_000 }, (_, n) => lineOf(n + 1));
    await hub.submit(lines.slice(0, 4_500));
    const { link, next } = connect(hub, 300);
    const assigned: number[] = [];
    let completed = 0;
    let last: Promise<readonly number[]> | null = null;
    while (completed < lines.length) {
      const [given, , ended] = await next();
      completed += ended.length;
      const names = given.map(([id, generation]) => [id, generation] as const);
      assigned.push(...names.map(([id]) => id));
      if (names.length > 0) link.report([names, names.map(([id, generation]) => [id, generation, 'done'])]);
      if (assigned.length > 1_000) last ??= hub.submit([...lines.slice(4_500), lineOf(7)]);
    }
    t.strictSame(
      assigned,
      lines.map((_, n) => n + 1),
    );
    t.strictSame((await last)?.at(-1), 7, 'a known key among them');
    await hub.close();
    await place.check();
  });

  t.test(`${database}: unfinished tasks are reassigned after a restart with a new generation`, async (t) => {
    const place = placeIn(t);
    const before = await openHub(place);
    const first = connect(before, 1);
    await before.submit(NUMBERS.map(lineOf));
    await first.next();
    await before.close();
    const after = await openHub(place);
    const { next } = connect(after, 3);
    t.strictSame((await next())[0], [
      [1, 2, ['key-1', { i: 1 }]],
      [2, 1, ['key-2', { i: 2 }]],
      [3, 1, ['key-3', { i: 3 }]],
    ]);
    t.strictSame(await after.submit([lineOf(4), lineOf(2)]), [4, 2]);
    await after.close();
  });

  t.test(`${database}: the store check finds uncompleted tasks and missing steps`, async (t) => {
    const checkOf = async (status: number, kinds: readonly number[]): Promise<void> => {
      const place = placeIn(t);
      const store = await place.open();
      const states = [{ id: 1, status, generation: 1 }];
      const events = kinds.map((kind) => ({ task: 1, kind, generation: 1, result: null }));
      await store.save({ submitted: [lineOf(1)], assignedCount: 0, keptCount: 1, states: [], events: [] });
      await store.save({ submitted: [], assignedCount: 0, keptCount: 0, states, events });
      await store.close();
      await place.check();
    };
    const { assigned, accepted, completed } = STATUS;
    for (const kinds of [
      [assigned, accepted, completed],
      [assigned, RETURNED, assigned, accepted, RETURNED, assigned, accepted, completed],
    ])
      await checkOf(completed, kinds);
    await t.rejects(checkOf(accepted, [assigned, accepted]), /not completed once/);
    await t.rejects(checkOf(completed, [assigned, completed]), /not completed once: .*"1,2,4"/);
    await t.rejects(checkOf(completed, [assigned, accepted, completed, completed]), /not completed once/);
  });
}

t.test('hubs on one Postgres share its tasks', async (t) => {
  const place = PLACES['postgres']?.(t) as Place;
  const [first, second] = [await openHub(place, 0), await openHub(place, 1)];
  const ids = [...(await first.submit(NUMBERS.map(lineOf))), ...(await second.submit([4, 5].map(lineOf)))];
  t.equal(new Set(ids).size, 5);
  t.strictSame(await second.submit([lineOf(6), lineOf(1)]), [(ids[4] ?? 0) + 1, ids[0]], 'a key given to the other hub is known');
  // No worker is connected to the first.
  const worker = connect(second, 4);
  const completed = new Set<number>();
  while (completed.size < 6) {
    const [assigned, , done, refused] = await worker.next();
    t.strictSame(refused, []);
    for (const id of done) completed.add(id);
    worker.link.report([
      assigned.map(([id, generation]) => [id, generation]),
      assigned.map(([id, generation]) => [id, generation, 'done']),
    ]);
  }
  t.strictSame(await first.counts(), { [STATUS.completed]: 6 });
  await Promise.all([first.close(), second.close()]);
  await place.check();
});

t.test('a task is claimed by one hub, which still owns it after a restart', async (t) => {
  const place = PLACES['postgres']?.(t) as Place;
  const [first, second] = [await place.open(0), await place.open(1)];
  const count = 40;
  const submitted = Array.from({ length: count }, (_, n) => lineOf(n));
  await first.save({ submitted, assignedCount: 0, keptCount: 10, states: [], events: [] });
  const claimFor = async ({ claim }: BareStore): Promise<readonly StoredTask[]> => (await claim?.(8)) ?? [];
  const claims = await Promise.all([first, second, first, second].map(claimFor));
  t.equal(new Set(claims.flat().map(({ id }) => id)).size, count - 10, 'each task not kept in memory is claimed once');
  t.strictSame(await claimFor(second), [], 'and tasks of another hub are not');
  await Promise.all([first.close(), second.close()]);
  const again = await place.open(1);
  const mine = [...(claims[1] ?? []), ...(claims[3] ?? [])].map(({ line }) => line);
  t.strictSame((await again.unfinished()).map(({ line }) => line).toSorted(), mine.toSorted());
  await again.close();
});

t.test('the server refuses invalid tasks', async (t) => {
  await withEnds(async (end) => {
    const { ports, check } = await startBare(end, builtTree(), null);
    const [port] = ports;
    const post = async (path: string, body: string, key = 'a key'): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers: { 'idempotency-key': key } })).status;
    for (const body of ['', '{', '1],["another",2']) t.equal(await post('/tasks', body), 400, body);
    for (const body of ['', '["k"]', '["k",[1\n2]]', `${lineOf(1)},${lineOf(2)}`, `${lineOf(1)}\n[2,{}]`])
      t.equal(await post('/tasks/batch', body), 400, body);
    t.strictSame(await (await fetch(`http://127.0.0.1:${port}/counts`)).json(), {});
    t.strictSame([await post('/tasks', '{}'), await post('/tasks/batch', `${lineOf(1)}\n${lineOf(2)}\n`)], [201, 201]);
    await t.rejects(check(), /not completed once/, 'a run that ends with waiting tasks fails');
  });
});
