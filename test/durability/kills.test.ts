/**
 * `kill -9` of the hub, the sidecar, both, and agents while tasks run: real processes, one test after the other in one
 * world. Each task ends once, and no attempt or result is lost with a killed process.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { TaskDetail } from '../../apps/client/index.ts';
import { atWorkIn } from './at-work.ts';
import { endsOf, neverTwice } from './ledger-rules.ts';
import { makeWorld, type Program } from '../apps/app-world.ts';

const LEDGER_AGENT = join(import.meta.dirname, 'ledger-agent.mjs');
/** The history of a task that nothing disturbed. */
const UNDISTURBED = ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'completed'];

// A restart on a busy machine takes longer than the grace period of other tests; here no agent stays away.
const world = await makeWorld(t, { hubTiming: { reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, leaseMs: 60_000 } });
const { api } = world;
let hub: Program = await world.startHub();
let sidecar: Program = await world.startSidecar('a1', { extra: 'slots: 8' });

const atWork = atWorkIn(world);

/** Waits for the task's only end, reached by the first assignment and by this run. */
async function endsUndisturbed(t: Test, { id, pid }: { readonly id: string; readonly pid: number }): Promise<void> {
  await world.event(id, ['completed', 'dead_lettered']);
  const task = await api.tasks.get(id);
  t.match(task, { status: 'completed', generation: 1, retry_count: 0, assigned_to: 'a1' });
  t.strictSame(resultOf(task), { pid, generation: 1 }, 'the result of the original run');
  t.strictSame(await world.history(id), UNDISTURBED);
  t.strictSame(endsOf(world.ledger(), id), [pid]);
  neverTwice(t, world.ledger(), [id]);
}

const resultOf = (task: TaskDetail): unknown => (task.result as { readonly output: unknown } | null)?.output;

t.test('the hub is killed: agents continue, and runs that end meanwhile are reported when it restarts', async (t) => {
  const continuing = await atWork('continues while the hub is down');
  const ends = await atWork('ends while the hub is down');
  const cuts: string[] = [];
  const watching = api.tasks.watch(continuing.id, { onReconnect: (why) => cuts.push(why) });
  await watching.next();
  const ended = async (): Promise<unknown> => {
    const step = await watching.next();
    return step.done === true ? step.value : await ended();
  };
  const waiting = ended();
  t.equal(await hub.kill('SIGKILL'), 'SIGKILL');
  world.release(ends.id);
  await world.ledgerLine(ends.id, 'end');
  hub = await world.startHub();
  await endsUndisturbed(t, ends);
  t.match(await api.tasks.get(continuing.id), { status: 'assigned', generation: 1, assigned_to: 'a1' });
  world.release(continuing.id);
  await endsUndisturbed(t, continuing);
  t.match(await waiting, { id: continuing.id, status: 'completed' }, 'a client that waited throughout gets the final task');
  t.ok(cuts.length > 0, 'although its stream was cut');
});

t.test('the sidecar is killed: its runs are adopted, and a result written meanwhile is found', async (t) => {
  const continuing = await atWork('continues while the sidecar is down');
  const ends = await atWork('ends while the sidecar is down');
  t.equal(await sidecar.kill('SIGKILL'), 'SIGKILL');
  world.release(ends.id);
  await world.ledgerLine(ends.id, 'end');
  sidecar = await world.startSidecar('a1');
  await endsUndisturbed(t, ends);
  t.match(await api.tasks.get(continuing.id), { status: 'assigned', generation: 1 });
  world.release(continuing.id);
  await endsUndisturbed(t, continuing);
});

t.test('hub and sidecar are killed: runs are adopted, and results written meanwhile are found', async (t) => {
  const continuing = await atWork('continues while both are down');
  const ends = await atWork('ends while both are down');
  await Promise.all([hub.kill('SIGKILL'), sidecar.kill('SIGKILL')]);
  world.release(ends.id);
  await world.ledgerLine(ends.id, 'end');
  [hub, sidecar] = await Promise.all([world.startHub(), world.startSidecar('a1')]);
  await endsUndisturbed(t, ends);
  world.release(continuing.id);
  await endsUndisturbed(t, continuing);
});

t.test('the agent is killed: its attempt is spent, and the next one completes the task', async (t) => {
  const { id, pid } = await atWork('killed once');
  process.kill(pid, 'SIGKILL');
  await world.event(id, ['failed', 'lost']);
  // Reclaiming an assignment increments the generation, and so does assigning it.
  const next = await world.ledgerLine(id, 'start', 3);
  world.release(id);
  await world.event(id, ['completed', 'dead_lettered']);
  t.strictSame(await world.history(id), [
    'submitted',
    'eligible',
    'assigned',
    'accepted',
    'woken',
    'failed',
    'assigned',
    'accepted',
    'woken',
    'completed',
  ]);
  const task = await api.tasks.get(id);
  t.match(task, { status: 'completed', generation: 3, retry_count: 1 });
  t.strictSame(resultOf(task), { pid: next.pid, generation: next.generation });
  t.strictSame(endsOf(world.ledger(), id), [next.pid]);
  neverTwice(t, world.ledger(), [id]);
});

t.test('the sidecar and its agent are killed: the assignment is lost, not left hanging', async (t) => {
  const { id, pid } = await atWork('killed with its sidecar');
  await sidecar.kill('SIGKILL');
  process.kill(pid, 'SIGKILL');
  sidecar = await world.startSidecar('a1');
  world.release(id);
  await world.event(id, ['completed', 'dead_lettered']);
  const task = await api.tasks.get(id);
  t.match(task, { status: 'completed', retry_count: 1 });
  const failed = task.history.find((event) => event.event === 'failed' || event.event === 'lost');
  t.match(failed, { generation: 1, details: { kind: 'lost' } });
  neverTwice(t, world.ledger(), [id]);
});

t.test('the sidecar is killed between acceptance and wake: the next one wakes the agent, once', async (t) => {
  const program = join(world.dir, 'broken.sh');
  await writeFile(program, '#!/bin/sh\nexit 0\n', { mode: 0o700 });
  const options = { capabilities: ['late'], argv: [program], timing: { wakeRetriesMs: [1_000, 1_000, 1_000] } };
  const first = await world.startSidecar('a2', options);
  const { task_id: id } = await api.tasks.submit({ description: 'woken by the second sidecar', needed_capabilities: ['late'] });
  const wakes = async (): Promise<unknown> =>
    (await api.tasks.get(id)).history.flatMap(({ event, details }) =>
      event === 'woken' || event === 'wake_failed' ? [details?.['status']] : [],
    );
  await world.event(id, ['wake_failed']);
  await first.kill('SIGKILL');
  t.strictSame(await wakes(), ['success', 'failed'], 'its program started, and ended before it claimed the task');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${LEDGER_AGENT}'\n`);
  const second = await world.startSidecar('a2');
  await world.ledgerLine(id, 'start');
  world.release(id);
  await world.event(id, ['completed', 'dead_lettered']);
  t.match(await api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0 });
  t.strictSame(await world.history(id), ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'wake_failed', 'woken', 'completed']);
  t.strictSame(await wakes(), ['success', 'failed', 'success']);
  t.equal(endsOf(world.ledger(), id).length, 1);
  neverTwice(t, world.ledger(), [id]);
  await second.kill('SIGTERM');
});

t.test('R10, R12: an agent that crashes at start is started once per attempt, and three such tasks pause it', async (t) => {
  const program = join(world.dir, 'crashes.sh');
  const starts = join(world.dir, 'crashes.starts');
  await writeFile(program, `#!/bin/sh\necho "$AGENTCOM_TASK_ID" >> '${starts}'\necho 'no such module' >&2\nexit 3\n`, { mode: 0o700 });
  const crashing = await world.startSidecar('a3', { capabilities: ['crashing'], argv: [program] });
  const submit = { description: 'crashes', needed_capabilities: ['crashing'] };
  const { task_id: id } = await api.tasks.submit({ ...submit, max_retries: 1 });
  await world.event(id, ['dead_lettered']);
  const { history } = await api.tasks.get(id);
  t.strictSame(
    history.flatMap(({ event }) => (['woken', 'wake_failed', 'failed'].includes(event) ? [event] : [])),
    ['woken', 'failed', 'woken', 'failed'],
  );
  t.match(history.find(({ event }) => event === 'failed')?.details, {
    kind: 'wake_failed',
    error: 'the agent exited with code 3 without a result',
    details: { stderr_tail: /no such module/ },
  });
  t.equal((await readFile(starts, 'utf8')).trim().split('\n').length, 2);
  for (const n of [2, 3])
    await world.event((await api.tasks.submit({ ...submit, description: `crashes ${n}`, max_retries: 0 })).task_id, ['dead_lettered']);
  t.match(await api.agents.get('a3'), { status: 'paused', paused_reason: /3 tasks in a row.*exited with code 3/ });
  await crashing.kill('SIGTERM');
});

t.test('R12: tasks too large for a program fail without pausing any agent', async (t) => {
  const program = join(world.dir, 'takes.sh');
  await writeFile(program, `#!/bin/sh\necho '{"status":"success","output":1}' > "$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json"\n`, {
    mode: 0o700,
  });
  const small = await world.startSidecar('a4', { capabilities: ['argument'], argv: [program, '--', 'task: ${TASK_JSON}'] });
  const submit = { description: 'large', needed_capabilities: ['argument'] };
  for (let n = 0; n < 3; n += 1) {
    const { task_id: id } = await api.tasks.submit({ ...submit, metadata: { pad: 'x'.repeat(140_000) } });
    await world.event(id, ['dead_lettered']);
    t.match(await api.tasks.get(id), { retry_count: 1, assigned_to: null });
    const failed = (await api.tasks.get(id)).history.find(({ event }) => event === 'failed');
    t.match(failed?.details, { kind: 'agent_failed', cause: 'limit', error: /128 KiB/ });
  }
  const { task_id: id } = await api.tasks.submit(submit);
  await world.event(id, ['completed']);
  await small.kill('SIGTERM');
});

t.test('hub and sidecar are killed during the wakes of many tasks: each task ends once', async (t) => {
  const drafts = Array.from({ length: 16 }, (_, n) => ({ description: `one of many: ${n}`, needed_capabilities: ['code'] }));
  const { task_ids: ids } = await api.tasks.submitMany(drafts);
  // Eight are assigned at once. At this point some are not accepted yet, some are not woken, and some are running.
  await Promise.race(ids.map((id) => world.event(id, ['accepted'])));
  await Promise.all([hub.kill('SIGKILL'), sidecar.kill('SIGKILL')]);
  [hub, sidecar] = await Promise.all([world.startHub(), world.startSidecar('a1')]);
  world.release();
  await Promise.all(ids.map((id) => world.event(id, ['completed', 'dead_lettered'])));
  for (const id of ids) {
    const task = await api.tasks.get(id);
    t.equal(task.status, 'completed');
    t.equal(task.retry_count, lostBeforeTheyBegan(task), 'work that was running or finished cost nothing');
    t.equal((await world.history(id)).filter((event) => event === 'completed').length, 1);
    t.equal(endsOf(world.ledger(), id).length, 1, 'one run ended it');
  }
  neverTwice(t, world.ledger(), ids);
  t.strictSame(await readdir(join(world.dir, 'a1', 'refused')), [], 'no report was refused');
});

/**
 * A sidecar killed between recording the wake and spawning leaves an assignment whose agent may or may not have run:
 * it is lost, and the task is assigned again.
 */
function lostBeforeTheyBegan(task: TaskDetail): number {
  const ran = new Set(world.ledger().map((line) => (line.task === task.id ? line.generation : null)));
  const lost = task.history.filter(({ event, details }) => event === 'failed' && details?.['kind'] === 'lost');
  return lost.filter(({ generation }) => !ran.has(generation ?? null)).length;
}
