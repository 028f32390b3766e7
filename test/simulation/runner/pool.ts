/** Plays many worlds on several processes at once; the result does not depend on the process. */
import { fork, type ChildProcess } from 'node:child_process';
import type { Violation } from '../judges/sim-ledger.ts';
import { plainCopy, plainTree, type Change, type PlainTree } from '../plain-copy.ts';
import type { Plan } from '../plan.ts';

export interface Summary {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly hash: string;
  readonly seen: readonly (readonly [string, number])[];
  readonly virtualMs: number;
  readonly turns: number;
}

/** A world: of a seed, or of a stored plan. */
export type PoolRequest = { readonly seed: number } | { readonly plan: Plan };

export interface Play {
  /** Called for each next world; null: no more. */
  readonly next: () => PoolRequest | null;
  /** Called in the order in which they end. Returning `stop` begins no more. */
  readonly onSummary: (summary: Summary) => 'go on' | 'stop';
}

export interface Pool {
  /** Resolves when everything that was begun has ended; fails when a process dies. */
  play(worlds: Play): Promise<void>;
  close(): Promise<void>;
}

export interface PoolOptions {
  readonly processes: number;
  /** The code that they run; default the current tree. */
  readonly tree?: PlainTree | undefined;
  /** A bug to plant in it. */
  readonly change?: Change | undefined;
}

/**
 * Young objects die young here: with enough room for them the collector has little to do. The CPU is fully used
 * without its helpers, and what runs at all runs often: compiling it at once takes a tenth of the time.
 */
const NODE_OPTIONS = ['--max-semi-space-size=32', '--single-threaded-gc', '--always-sparkplug', '--no-lazy-feedback-allocation'];

export async function openPool({ processes, tree, change }: PoolOptions): Promise<Pool> {
  const copy = await plainCopy(tree ?? (await plainTree()), change);
  const children = Array.from({ length: processes }, () => fork(copy.workerFile, { execArgv: NODE_OPTIONS }));
  return {
    async play({ next, onSummary }) {
      let isStopped = false;
      const worlds: Play = {
        next: () => (isStopped ? null : next()),
        onSummary(summary) {
          if (onSummary(summary) === 'stop') isStopped = true;
          return 'go on';
        },
      };
      await Promise.all(children.map((child) => playOn(child, worlds)));
    },
    async close() {
      await Promise.all(children.map(ended));
      await copy.remove();
    },
  };
}

function playOn(child: ChildProcess, { next, onSummary }: Play): Promise<void> {
  return new Promise((resolve, reject) => {
    let playing: PoolRequest | null = null;
    const done = (end: () => void): void => {
      child.off('message', onMessage).off('exit', onExit);
      end();
    };
    const give = (): void => {
      playing = next();
      if (playing === null) done(resolve);
      else child.send(playing);
    };
    const onMessage = (summary: Summary): void => {
      onSummary(summary);
      give();
    };
    const onExit = (code: number | null): void => {
      const what = playing !== null && 'seed' in playing ? `seed ${playing.seed}` : 'a stored plan';
      done(() => reject(new Error(`the process that played ${what} ended with code ${code}`)));
    };
    child.on('message', onMessage).on('exit', onExit);
    give();
  });
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.on('exit', () => resolve());
    child.disconnect();
  });
