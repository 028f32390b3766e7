/** The session of an agent's program, kept by a real sidecar and a real hub from one attempt at a task to the next. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import type { TaskDetail } from '../../apps/client/index.ts';
import { fileAppears } from '../plugins/run-world.ts';
import { makeWorld } from './app-world.ts';

t.setTimeout(120_000);

const AGENT = resolve(import.meta.dirname, 'session-agent.mjs');

const world = await makeWorld(t, { hubTiming: { reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, leaseMs: 60_000 } });
const { api } = world;
await world.startHub();

interface Start {
  readonly pid: number;
  /** The session that it was to continue; null: it was to start a new one. */
  readonly given: string | null;
  readonly session: string;
}

/** A sidecar whose agent does these things, one at each start; and a task for it. */
async function begin(agentId: string, script: string) {
  const folder = join(world.dir, `program-of-${agentId}`);
  mkdirSync(join(folder, 'project'), { recursive: true });
  writeFileSync(join(folder, 'script'), script);
  const cwd = join(folder, 'project');
  const options = { bin: [process.execPath, AGENT], cwd, session: 'resume', graceMs: 500, env: { SESSIONS_DIR: folder } };
  const sidecar = await world.startSidecar(agentId, { capabilities: [agentId], wake: ['claudeCode', options] });
  const { task_id: id } = await api.tasks.submit({ description: 'go on', needed_capabilities: [agentId], max_retries: 3 });
  const starts = (): readonly Start[] => {
    if (!existsSync(join(folder, 'starts'))) return [];
    const lines = readFileSync(join(folder, 'starts'), 'utf8').trim().split('\n');
    return lines.map((line) => {
      const [pid = '', given = '', session = ''] = line.split(' ');
      return { pid: Number(pid), given: given === 'fresh' ? null : given, session };
    });
  };
  return { id, sidecar, starts };
}

async function ended(id: string): Promise<TaskDetail> {
  await world.event(id, ['completed', 'dead_lettered']);
  return api.tasks.get(id);
}

t.test('the next attempt continues the session, and earlier usage is not counted twice', async (t) => {
  const { id, starts } = await begin('a1', 'die die answer');
  const task = await ended(id);
  const [first, ...later] = starts();
  t.strictSame(
    [first, ...later].map((start) => start?.given),
    [null, first?.session, first?.session],
  );
  t.match(task, { status: 'completed', retry_count: 2, tokens_used: 3 * 107, result: { output: { text: 'turn 3' } } });
});

t.test('a session that is gone costs no attempt: the task starts afresh in the same attempt', async (t) => {
  const { id, starts } = await begin('a2', 'forget answer answer');
  const task = await ended(id);
  const [first] = starts();
  t.strictSame(
    starts().map(({ given }) => given),
    [null, first?.session, null],
  );
  t.match(task, { status: 'completed', retry_count: 1, tokens_used: 2 * 107, result: { output: { text: 'turn 1' } } });
});

t.test('a sidecar killed with its agent still passes the session to the next attempt', async (t) => {
  const { id, sidecar, starts } = await begin('a3', 'hang answer');
  await fileAppears(join(world.dir, 'a3'), 'queue.json', (path) => {
    const [start] = starts();
    return start !== undefined && readFileSync(path, 'utf8').includes(start.session);
  });
  const [first] = starts();
  await sidecar.kill('SIGKILL');
  process.kill(first?.pid ?? 0, 'SIGKILL');
  await world.startSidecar('a3');
  t.match(await ended(id), { status: 'completed', retry_count: 1, result: { output: { text: 'turn 2' } } });
  t.strictSame(
    starts().map(({ given }) => given),
    [null, first?.session],
  );
});
