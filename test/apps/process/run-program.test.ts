import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { silentLog } from '../../../core/ports/log.ts';
import { runProgram } from '../../../apps/run-program.ts';
import { builtTree } from '../../rig/built-tree.ts';

/** A program that was told to stop is to be gone within it. */
const GONE_WITHIN_MS = 10_000;

t.test('R22: a program that cannot go on ends, also before it was ready', async (t) => {
  // It stayed alive and did nothing, and whoever would have started it anew never heard of it.
  const never = new Promise<string>(() => undefined);
  const ended = runProgram({
    log: silentLog,
    start: () => Promise.resolve({ ready: never, finished: Promise.reject(new Error('cannot go on')) }),
  });
  await t.rejects(ended, { message: 'cannot go on' });
});

t.test('what a stopped program leaves behind keeps it for 1 s, not for ever', async (t) => {
  const child = spawn(process.execPath, [builtTree().compiled('test/apps/process/left-behind-child.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  t.strictSame(await once(child, 'exit', { signal: AbortSignal.timeout(GONE_WITHIN_MS) }), [0, null]);
});
