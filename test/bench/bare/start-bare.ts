/** The yardstick's server, started in a folder of its own, and what is looked at in its store once it has ended. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { checkBareStore } from './bare-store.ts';

export interface StartedBare extends BareListening {
  readonly pid: number;
  /** Ends it and reads what it stored: `checkBareStore`. */
  check(): Promise<void>;
}

/** What the server says once it listens. */
export interface BareListening {
  readonly port: number;
  /** What its connection read back. */
  readonly durability: string;
}

const FULL = 'synchronous=2';

/** `profileDir`: where its profile of the processor goes when it ends; null for none. */
export async function startBare(t: TestEnd, tree: BuiltTree, profileDir: string | null): Promise<StartedBare> {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-bare-'));
  const file = join(folder, 'bare.db');
  const child = fork(tree.compiled('test/bench/bare/bare-server.ts'), [file], {
    execArgv: profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
  });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });
  const [told] = (await Promise.race([once(child, 'message'), exited])) as [BareListening | number | null];
  if (told === null || typeof told === 'number') throw new Error(`the yardstick's server did not start: it ended with ${String(told)}`);
  const { port, durability } = told;
  if (durability !== FULL) throw new Error(`the yardstick's connection says ${durability}, wanted ${FULL}`);
  return {
    pid: child.pid ?? 0,
    port,
    durability,
    async check() {
      child.disconnect();
      const [code] = (await exited) as [number | null];
      if (code !== 0) throw new Error(`the yardstick's server ended with ${String(code)}`);
      await checkBareStore(file);
    },
  };
}
