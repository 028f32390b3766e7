import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';
import { silentLog } from '../../../core/ports/log.ts';
import { runProgram } from '../../../apps/run-program.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { freePort } from '../app-world.ts';

/** How long a program that was told to stop may take to end. */
const GONE_WITHIN_MS = 10_000;

t.test('R22: a program that cannot continue ends, even before it is ready', async (t) => {
  // Before, it stayed alive and did nothing, and its supervisor never noticed.
  const never = new Promise<string>(() => undefined);
  const ended = runProgram({
    log: silentLog,
    start: () => Promise.resolve({ ready: never, finished: Promise.reject(new Error('cannot continue')) }),
  });
  await t.rejects(ended, { message: 'cannot continue' });
});

t.test('open handles keep a stopped program alive for 1 s, not forever', async (t) => {
  const child = spawn(process.execPath, [builtTree().compiled('test/apps/process/left-behind-child.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  t.strictSame(await once(child, 'exit', { signal: AbortSignal.timeout(GONE_WITHIN_MS) }), [0, null]);
});

t.test('Ctrl-C before it is ready ends it at once, with one line and no stack', async (t) => {
  const cwd = t.testdir({
    'agentcom.config.mjs': `import { defineConfig } from 'agentcom';
export default defineConfig({ sidecar: { hubs: ['ws://127.0.0.1:${await freePort()}/ws'], agentId: 'a1', dataDir: 'a1' } });`,
  });
  builtTree().installIn(cwd);
  const env = { PATH: process.env['PATH'], HOME: cwd, AGENTCOM_ENROL_SECRET: 'a-secret-that-no-hub-will-be-asked-about' };
  const child = spawn(process.execPath, [builtTree().bin, 'sidecar'], { cwd, env, stdio: ['ignore', 'inherit', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(GONE_WITHIN_MS * 6) });
  const lines: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(JSON.parse(line) as Record<string, unknown>);
    if (line.includes('not enrolled yet')) child.kill('SIGINT');
  }
  t.strictSame(await ended, [0, null]);
  const { pid, time, ...last } = lines.at(-1) ?? {};
  t.strictSame(last, { level: 'info', program: 'sidecar', agent_id: 'a1', msg: 'stopped before it was ready' });
  t.notMatch(JSON.stringify(lines), /stack|\n +at /);
});
