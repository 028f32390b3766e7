/** Plays many seeds on several processes at once; each is the same whoever plays it. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Violation } from './ledger.ts';

export interface Summary {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly hash: string;
  readonly seen: readonly (readonly [string, number])[];
  readonly virtualMs: number;
  readonly turns: number;
  readonly realMs: number;
}

export interface PoolOptions {
  /** Asked for each next seed; null: no more. */
  readonly next: () => number | null;
  readonly processes: number;
  /** Called in the order in which they end. Answering `stop` begins no more. */
  readonly onSummary: (summary: Summary) => 'go on' | 'stop';
  /** Where the worker's code is; default beside this file. */
  readonly workerFile?: string | undefined;
}

/** Answers when all that was begun has ended; fails when a process dies. */
export async function playSeeds(options: PoolOptions): Promise<void> {
  const { processes, onSummary, workerFile = fileURLToPath(new URL('./worker.ts', import.meta.url)) } = options;
  let isStopped = false;
  const next = (): number | null => (isStopped ? null : options.next());

  const playOn = (child: ChildProcess): Promise<void> =>
    new Promise((resolve, reject) => {
      let playing: number | null = null;
      const give = (): void => {
        playing = next();
        if (playing === null) {
          child.disconnect();
          resolve();
        } else child.send({ seed: playing });
      };
      child.on('message', (summary: Summary) => {
        if (onSummary(summary) === 'stop') isStopped = true;
        give();
      });
      child.on('error', reject);
      child.on('exit', (code) => {
        if (playing !== null) reject(new Error(`the process that played seed ${playing} ended with code ${code}`));
      });
      give();
    });

  await Promise.all(Array.from({ length: processes }, () => playOn(fork(workerFile))));
}
