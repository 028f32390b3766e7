/** Two hubs on one Postgres that want the same rows do not wait for each other. `npm run locks:pg` runs many more interleavings. */
import t, { type Test } from 'tap';
import { knexStorage } from '../../adapters/storage-knex/knex-storage.ts';
import { postgresEngine } from '../../adapters/storage-knex/postgres/engine.ts';
import type { TaskQueue } from '../../core/application/hub/queue/task-queue.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { emptySchema, engineDeps } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { aGeneration, anAgent, anAgentId, anAssignedTask, aTask, aTaskId, inserting } from '../product/contracts/fixtures.ts';
import { gatesOn, FAST_DEADLOCK_CHECK, queueOver, runPairs } from './pairs.ts';
import { HUBS } from './locks-world.ts';

const server = await postgresServer(FAST_DEADLOCK_CHECK);
t.teardown(() => server.end());

interface TwoHubs {
  readonly storages: readonly [Storage, Storage];
  readonly queues: readonly [TaskQueue, TaskQueue];
  readonly deadlocks: () => number;
}

async function twoHubs(t: Test): Promise<TwoHubs> {
  const monitor = await server.session();
  t.teardown(() => monitor.end());
  const gates = gatesOn(monitor);
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  const hub = async (): Promise<Storage> => {
    const storage = knexStorage({ engine: gates.gated(postgresEngine(deps)), clock: deps.clock, log: deps.log });
    await storage.open();
    t.teardown(() => storage.close());
    return storage;
  };
  const storages = [await hub(), await hub()] as const;
  const queues = [queueOver(storages[0], 0), queueOver(storages[1], 1)] as const;
  t.teardown(() => Promise.all(queues.map((queue) => queue.stop())));
  return { storages, queues, deadlocks: () => gates.deadlocks };
}

const ROUNDS = 12;

t.test('R16: two hubs that complete both dependencies of a task do not deadlock, and the task is queued', async (t) => {
  const { storages, queues, deadlocks } = await twoHubs(t);
  const holders = HUBS.map((hubId, nth) => anAgent({ id: anAgentId(`a${nth}`), hubId, slots: 128 }));
  await storages[0].tasks.transact('agents', (unit) => unit.save({ ...inserting(), agents: holders }));
  for (let round = 0; round < ROUNDS; round += 1) {
    const [first, second, third] = [1, 2, 3].map((n) => aTaskId(round * 3 + n)) as [ReturnType<typeof aTaskId>, ReturnType<typeof aTaskId>, ReturnType<typeof aTaskId>]; // prettier-ignore
    const held = [first, second].map((id, nth) => anAssignedTask(anAgentId(`a${nth}`), { id }));
    const waits = aTask({ id: third, status: 'blocked', dependsOn: [first, second] });
    await storages[0].tasks.transact(`round ${round}`, (unit) => unit.save(inserting(...held, waits)));
    const body = { report: 'complete', result: '1', details: null, tokensUsed: null, costUsd: null } as const;
    const reports = queues.map(
      (queue, nth) =>
      queue.do({ kind: 'report', from: { agentId: anAgentId(`a${nth}`), session: 1 }, taskId: [first, second][nth] as typeof first, generation: aGeneration(1), body }), // prettier-ignore
    );
    t.match(await Promise.all(reports), [{ status: 'complete' }, { status: 'complete' }]);
    const [task] = await storages[0].tasks.peek([third]);
    t.not(task?.status, 'blocked', 'the later hub has seen both');
  }
  t.equal(deadlocks(), 0);
});

const AGENTS = 60;
const AT_ONCE = 10;

t.test('R16: agents of a dead hub identify at another hub during sweeps of a third, without a deadlock', async (t) => {
  const { storages, queues, deadlocks } = await twoHubs(t);
  const numbers = Array.from({ length: AGENTS }, (_, n) => n);
  const idOf = (n: number) => anAgentId(`agent-${String(n).padStart(3, '0')}`);
  // Names and tasks in opposite orders.
  const tasks = numbers.map((n) => anAssignedTask(idOf(n), { id: aTaskId(AGENTS - n), deadlineAtMs: Number.MAX_SAFE_INTEGER }));
  const agents = numbers.map((n) => anAgent({ id: idOf(n), hubId: 'hub-3', instanceId: `machine-${n}` }));
  await storages[0].tasks.transact('all', (unit) => unit.save({ ...inserting(...tasks), agents }));
  let isOver = false;
  const sweeping = (async () => {
    while (!isOver) await queues[0].do({ kind: 'sweep' });
  })();
  const identify = (n: number) =>
    queues[1].do({
      kind: 'identify',
      agentId: idOf(n),
      name: 'agent',
      protocolVersion: 2,
      instanceId: `machine-${n}`,
      capabilities: [],
      slots: 1,
      reportedStatus: null,
      held: [{ taskId: aTaskId(AGENTS - n), generation: aGeneration(1), status: 'working', storeId: null }],
      hubId: HUBS[1],
    });
  for (let from = 0; from < AGENTS; from += AT_ONCE) {
    const answers = await Promise.all(numbers.slice(from, from + AT_ONCE).map(identify));
    t.ok(answers.every(({ kind }) => kind === 'identified'));
  }
  isOver = true;
  await sweeping;
  t.equal(deadlocks(), 0);
});

t.test('R16: any two kinds of command interleaved by statement: no deadlock, and every wait follows the lock order', async (t) => {
  const outcome = await runPairs({ server, schema: emptySchema(t, server), interleavings: 80, seed: 'short' });
  t.ok(outcome.waits > 80, `${outcome.waits} statements waited for the other hub`);
  t.match(outcome, { deadlocks: 0, againstOrder: [], failures: {} });
  t.strictSame(outcome.failures, {});
  t.strictSame(outcome.againstOrder, []);
});
