/** Started by run-program.test.ts: a program that stops in order and leaves something behind that would keep it alive forever. */
import { runProgram } from '../../../apps/run-program.ts';
import { silentLog } from '../../../core/ports/log.ts';

const start = (): Promise<{ readonly ready: Promise<string> }> => {
  setInterval(() => undefined, 60_000);
  return Promise.resolve({ ready: Promise.resolve('ready') });
};
await runProgram({ log: silentLog, start });
