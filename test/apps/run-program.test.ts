import t from 'tap';
import { silentLog } from '../../core/ports/log.ts';
import { runProgram } from '../../apps/run-program.ts';

t.test('R22: a program that cannot go on ends, also before it was ready', async (t) => {
  // It stayed alive and did nothing, and whoever would have started it anew never heard of it.
  const never = new Promise<string>(() => undefined);
  const ended = runProgram({
    log: silentLog,
    start: () => Promise.resolve({ ready: never, finished: Promise.reject(new Error('cannot go on')) }),
  });
  await t.rejects(ended, { message: 'cannot go on' });
});
