/** Waits for the output of a task: what ends them, and what they take of the hub's time. */
import t from 'tap';
import type { HubLimits } from '../../../../core/config/limits.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { TaskStore } from '../../../../core/ports/task-store.ts';
import { aTask, aTaskId, inserting } from '../../../product/contracts/fixtures.ts';
import { gate } from '../../../rig/gate.ts';
import { turn } from '../event-listener.ts';
import { hubBench, type HubBench } from '../hub-bench.ts';

const TASK = aTask();
const WAIT = `/api/tasks/${TASK.id}/output/wait`;
/** Enough turns of the event loop for what does not wait for the clock. */
const settled = async (): Promise<void> => {
  for (let n = 0; n < 50; n += 1) await turn();
};

/** A hub whose `peek` of tasks passes through `around`. */
async function benchWith(
  limits: Partial<HubLimits>,
  around: (peek: () => Promise<void>, bench: HubBench) => Promise<void>,
): Promise<HubBench> {
  const tasks = {} as TaskStore;
  const bench = await hubBench({ limits, deps: { tasks } });
  const store = bench.storage.tasks;
  const peek: TaskStore['peek'] = async (ids) => {
    let found: readonly Task[] = [];
    await around(async () => void (found = await store.peek(ids)), bench);
    return found;
  };
  Object.assign(tasks, store, { peek });
  await bench.commit(inserting(TASK));
  return bench;
}

t.test('a wait ends with the task, even with one that ends while its state is read', async (t) => {
  let reads = 0;
  const bench = await benchWith({}, async (peek, bench) => {
    await peek();
    reads += 1;
    if (reads === 1) t.equal((await bench.send(`/api/tasks/${TASK.id}/cancel`, { json: {} })).status, 200);
  });
  let answer: unknown = null;
  const waiting = bench.send(WAIT).then(({ json }) => (answer = json));
  await settled();
  t.equal(answer, null, 'the last output may follow for a second');
  bench.clock.advance(1_000);
  await settled();
  t.strictSame(answer, { more: false, ended: true });
  bench.clock.advance(25_000);
  await waiting;
  await bench.close();
});

t.test('R20: a wait takes a turn of its token’s reads while it reads, and none while it waits', async (t) => {
  const { opened, open } = gate();
  let running = 0;
  const bench = await benchWith({ readsPerToken: 4 }, async (peek) => {
    running += 1;
    await opened;
    await peek();
  });
  const waits = Array.from({ length: 6 }, () => bench.send(WAIT, { token: 'viewer' }));
  await settled();
  t.equal(running, 2, 'two read');
  t.equal((await bench.send('/api/tasks', { token: 'viewer' })).status, 429, 'those that wait for a turn count as unanswered reads');
  const other = bench.send(WAIT, { token: 'operator' });
  await settled();
  t.equal(running, 3, 'another token has its own turn');
  open();
  await settled();
  t.equal(running, 7);
  t.equal((await bench.send('/api/tasks', { token: 'viewer' })).status, 200, 'all wait, and read nothing');
  bench.clock.advance(25_000);
  for (const { status } of await Promise.all([...waits, other])) t.equal(status, 200);
  await bench.close();
});

t.test('R20: polls with wait_ms=0 take the time of the reads of their token, also those that fail', async (t) => {
  let failing = false;
  const limits = { readMsPerSecond: 250, readBurstMs: 10 };
  const bench = await benchWith(limits, async (peek) => {
    if (failing) throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted');
    await peek();
  });
  for (const [label, path, status] of [
    ['polls', `${WAIT}?wait_ms=0`, 200],
    ['of a task that does not exist', `/api/tasks/${aTaskId(9)}/output/wait?wait_ms=0`, 404],
    ['while the store fails', `${WAIT}?wait_ms=0`, 503],
  ] as const) {
    failing = status === 503;
    const answers: number[] = [];
    const polls = Array.from({ length: 30 }, () => bench.send(path, { token: 'viewer' }).then((answer) => answers.push(answer.status)));
    await settled();
    const burst = answers.length;
    t.ok(burst >= 10 && burst <= 12, `${label}: ${burst} at once, of 1 ms each`);
    bench.clock.advance(20);
    await settled();
    const then = answers.length - burst;
    t.ok(then >= 1 && then <= 6, `${label}: ${then} in the 20 ms after that`);
    while (answers.length < polls.length) {
      bench.clock.advance(10);
      await settled();
    }
    t.ok(answers.every((answer) => answer === status));
    bench.clock.advance(1_000);
  }
  await bench.close();
});
