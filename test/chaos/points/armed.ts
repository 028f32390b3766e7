/**
 * A process that kills itself with -9 at a named step. It wraps the ports of a program that is assembled for these
 * tests; nothing of it is in what users run.
 */
import { appendFileSync } from 'node:fs';

export interface Armed {
  /** Kills this process, if this is the step, at its `skip`-th time from now. Does not return then. */
  at(step: string): void;
}

/**
 * From the environment: `KILL_AT` the step, `KILL_SKIP` how often it is passed first, `STEPS_FILE` where each step is
 * recorded when it is first met, and the one at which it ends as `killed STEP`.
 */
export function armed(env: NodeJS.ProcessEnv): Armed {
  const { KILL_AT: wanted, STEPS_FILE: file } = env;
  if (file === undefined) throw new Error('STEPS_FILE is not set');
  let left = Number(env['KILL_SKIP'] ?? 0);
  const met = new Set<string>();
  return {
    at(step) {
      if (!met.has(step)) {
        met.add(step);
        appendFileSync(file, `${step}\n`);
      }
      if (step !== wanted) return;
      if (left > 0) {
        left -= 1;
        return;
      }
      appendFileSync(file, `killed ${step}\n`);
      process.kill(process.pid, 'SIGKILL');
      // The signal ends this thread before the call returns; even if it does not, nothing more is done here.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  };
}

/** The step before `work`, the work, and the step after it. */
export async function around<T>(armed: Armed, what: string, work: () => T | Promise<T>): Promise<T> {
  armed.at(`before ${what}`);
  const answer = await work();
  armed.at(`after ${what}`);
  return answer;
}
