/** The submitter and the worker of a queue, as the measuring process controls them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { ParticipantRequest, ParticipantResponse, ParticipantWork } from './participant.ts';

export interface Participant {
  readonly pid: number;
  /** One command at a time. Fails with its failure, or if it takes longer than two minutes. */
  do<K extends keyof ParticipantWork>(work: K, plan: Parameters<ParticipantWork[K]>[0]): Promise<Awaited<ReturnType<ParticipantWork[K]>>>;
  /** Resolves when it has ended. */
  end(): Promise<void>;
}

const STUCK_MS = 120_000;
const END_MS = 10_000;

/** `profileDir`: where its CPU profile goes when it ends; null for none. */
export function startParticipant(t: TestEnd, tree: BuiltTree, name: string, profileDir: string | null): Participant {
  const child = fork(tree.compiled('test/bench/peers/participant.ts'), {
    execArgv: profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(kill);
  return {
    pid: child.pid ?? 0,
    async do(work, plan) {
      // A process that has ended reports it by its exit.
      child.send({ work, plan } satisfies ParticipantRequest, () => undefined);
      const stuck = new AbortController();
      const response = await Promise.race([
        once(child, 'message').then(([message]) => message as ParticipantResponse),
        exited.then(([code, signal]): ParticipantResponse => ({ kind: 'failed', error: `its process ended with ${code ?? signal}` })),
        after(STUCK_MS, stuck.signal, `nothing was answered for ${STUCK_MS} ms`),
      ]);
      stuck.abort();
      if (response.kind === 'failed') throw new Error(`${name}: ${work} failed: ${response.error}`);
      return response.value as never;
    },
    async end() {
      child.disconnect();
      const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
      await exited;
      clearTimeout(late);
    },
  };
}

function after(ms: number, signal: AbortSignal, error: string): Promise<ParticipantResponse> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ kind: 'failed', error }), ms);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
