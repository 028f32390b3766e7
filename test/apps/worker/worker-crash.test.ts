/** Workers and hubs that die: as processes, on SQLite. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { worker, type WorkerEvent } from '../../../apps/worker/index.ts';
import { makeWorld, type World } from '../app-world.ts';
import { gate } from '../../rig/gate.ts';

/** How long a worker's process may take to print what a test waits for, in milliseconds. */
const SAID_WITHIN_MS = 60_000;

/** Prints its log and each task that it begins, and runs until told to end. With an argument, its journal is on disk. */
const PROGRAM = `
import { worker } from 'agentcom/worker';
const [hub, token, agentId, journalDir] = process.argv.slice(2);
const endings = [];
process.stdin.setEncoding('utf8').on('data', () => endings.splice(0).forEach((end) => end()));
const running = worker({ hub, token, agentId, journalDir, log: { info: (message) => console.log(message) }, drainMs: 0,
  async handle(task) {
    console.log('began ' + task.generation);
    await new Promise((end) => endings.push(end));
    console.log('ended');
    return 'by the process';
  } });
await running.ready;
console.log('ready');
`;

interface WorkerProcess {
  printed(line: string): Promise<void>;
  end(): void;
  kill(): Promise<void>;
}

function startWorker(t: Test, world: World, args: readonly string[]): WorkerProcess {
  writeFileSync(join(world.dir, 'worker.mjs'), PROGRAM);
  const child = spawn(process.execPath, ['worker.mjs', `http://127.0.0.1:${world.port}`, ...args], {
    cwd: world.dir,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(kill);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async printed(wanted) {
      const late = setTimeout(() => child.kill('SIGKILL'), SAID_WITHIN_MS);
      for (let next = await lines.next(); ; next = await lines.next()) {
        if (next.done === true) throw new Error(`the worker ended before it said "${wanted}"`);
        if (next.value === wanted) break;
      }
      clearTimeout(late);
    },
    end: () => void child.stdin.write('end\n'),
    kill,
  };
}

const tokenOf = async (world: World, agentId: string): Promise<string> =>
  (await world.api.tokens.create({ agent_id: agentId })).token ?? '';

t.test('after kill -9 of a worker its task is requeued with a new generation, and another completes it', async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const process = startWorker(t, world, [await tokenOf(world, 'killed'), 'killed']);
  const { task_id } = await world.api.tasks.submit({ description: 'x' });
  await process.printed('began 1');
  await process.kill();
  const other = worker({
    hub: `http://127.0.0.1:${world.port}`,
    token: await tokenOf(world, 'other'),
    agentId: 'other',
    log: {},
    drainMs: 0,
    handle: () => 'by the other',
  });
  t.teardown(() => other.stop());
  t.match(await world.api.tasks.wait(task_id), { status: 'completed', result: { output: 'by the other' } });
  t.ok((await world.api.tasks.get(task_id)).generation > 1);
});

t.test('when a killed worker is restarted, the hub requeues its tasks at once', async (t) => {
  const world = await makeWorld(t, { hubTiming: { quietAfterStartMs: 0, reconnectGraceMs: 60_000 } });
  await world.startHub();
  const token = await tokenOf(world, 'again');
  const first = startWorker(t, world, [token, 'again']);
  const { task_id } = await world.api.tasks.submit({ description: 'x' });
  await first.printed('began 1');
  await first.kill();
  const second = startWorker(t, world, [token, 'again']);
  await second.printed('began 3');
  second.end();
  t.match(await world.api.tasks.wait(task_id), { status: 'completed' });
});

t.test('with a journal on disk, an unsent result survives kill -9', async (t) => {
  const world = await makeWorld(t, { hubTiming: { reconnectGraceMs: 60_000 } });
  const hub = await world.startHub();
  const args = [await tokenOf(world, 'durable'), 'durable', join(world.dir, 'journal')];
  const first = startWorker(t, world, args);
  const { task_id } = await world.api.tasks.submit({ description: 'x' });
  await first.printed('began 1');
  await hub.kill('SIGKILL');
  first.end();
  await first.printed('ended');
  // Logged once the journal has it.
  await first.printed('the assignment ended');
  await first.kill();
  startWorker(t, world, args);
  await world.startHub();
  t.match(await world.api.tasks.wait(task_id), { status: 'completed', result: { output: 'by the process' } });
  t.equal((await world.api.tasks.get(task_id)).generation, 1, 'by the first attempt');
});

t.test('a report that was damaged on disk is refused like any other, and the worker takes new tasks', async (t) => {
  const world = await makeWorld(t, { hubTiming: { reconnectGraceMs: 60_000 } });
  const hub = await world.startHub();
  const [token, journalDir] = [await tokenOf(world, 'damaged'), join(world.dir, 'journal')];
  const first = startWorker(t, world, [token, 'damaged', journalDir]);
  const { task_id } = await world.api.tasks.submit({ description: 'x' });
  await first.printed('began 1');
  await hub.kill('SIGKILL');
  first.end();
  await first.printed('the assignment ended');
  await first.kill();
  const outbox = join(journalDir, 'outbox');
  const reports = await readdir(outbox);
  t.equal(reports.length, 1);
  for (const name of reports) await writeFile(join(outbox, name), '{"type":"task_com');
  await world.startHub();
  await world.api.tasks.cancel(task_id);
  const refused = gate();
  const events: WorkerEvent[] = [];
  const onEvent = (event: WorkerEvent): void => {
    events.push(event);
    if (event.type === 'refused') refused.open();
  };
  const second = worker({
    hub: `http://127.0.0.1:${world.port}`,
    token,
    agentId: 'damaged',
    journalDir,
    log: {},
    drainMs: 0,
    onEvent,
    handle: () => 'next',
  });
  t.teardown(() => second.stop());
  await refused.opened;
  const next = await world.api.tasks.submit({ description: 'y' });
  t.match(await world.api.tasks.wait(next.task_id), { status: 'completed' });
  t.strictSame(await readdir(outbox), []);
  t.notOk('result' in (events.find(({ type }) => type === 'refused') ?? {}), 'it cannot be read');
});

t.test('a hub restart in the middle of a task loses nothing', async (t) => {
  const world = await makeWorld(t);
  const hub = await world.startHub();
  const started = gate();
  const go = gate();
  const events: string[] = [];
  let calls = 0;
  const running = worker({
    hub: `http://127.0.0.1:${world.port}`,
    token: await tokenOf(world, 'w1'),
    agentId: 'w1',
    log: {},
    drainMs: 0,
    onEvent: ({ type }) => events.push(type),
    handle: async () => {
      calls += 1;
      started.open();
      await go.opened;
      return 'whole';
    },
  });
  t.teardown(() => running.stop());
  const { task_id } = await world.api.tasks.submit({ description: 'x' });
  await started.opened;
  await hub.kill('SIGKILL');
  go.open();
  await world.startHub();
  t.match(await world.api.tasks.wait(task_id), { status: 'completed', result: { output: 'whole' } });
  t.equal(calls, 1, 'it ran once');
  t.match(events, ['connected', 'disconnected', 'connected']);
});
