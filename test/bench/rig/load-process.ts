/** The process that makes the load, as the measuring process controls it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { WorkRequest, WorkResponse, Work } from '../load/main.ts';

export interface Done<T> {
  readonly value: T;
  /** CPU time of the load process meanwhile, in milliseconds. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

export interface LoadProcess {
  readonly pid: number;
  /** One command at a time. Fails with its failure. */
  do<K extends keyof Work>(work: K, plan: Parameters<Work[K]>[0]): Promise<Done<Awaited<ReturnType<Work[K]>>>>;
  end(): Promise<void>;
}

export function startLoad(t: TestEnd, tree: BuiltTree): LoadProcess {
  const child = fork(tree.compiled('test/bench/load/main.ts'), { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(end);
  return {
    pid: child.pid ?? 0,
    async do(work, plan) {
      child.send({ work, plan } satisfies WorkRequest);
      const received = await Promise.race([
        once(child, 'message').then(([message]) => message as WorkResponse),
        exited.then(([code, signal]): WorkResponse => ({ kind: 'failed', error: `the load's process ended with ${code ?? signal}` })),
      ]);
      if (received.kind === 'failed') throw new Error(`${work} failed: ${received.error}`);
      return { value: received.value as never, cpuMs: received.cpuMs, rssBytes: received.rssBytes };
    },
    end,
  };
}
