/** Makes processes unkillable, with the freezer of cgroup v1; needs root. */
import { accessSync, constants, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestEnd } from '../../apps/app-world.ts';

const FREEZER = '/sys/fs/cgroup/freezer';

export interface Freezer {
  freeze(pid: number): void;
  /** Everything that is frozen resumes, and receives the signals that were sent meanwhile. */
  thaw(): void;
}

/** Null if there is no freezer, or we may not use it. Cgroup v2 is of no use here: what it freezes still dies of SIGKILL. */
export function freezer(t: TestEnd): Freezer | null {
  try {
    accessSync(join(FREEZER, 'release_agent'), constants.W_OK);
  } catch {
    return null; // not this machine, or not this user
  }
  const group = join(FREEZER, `agentcom-chaos-${process.pid}`);
  mkdirSync(group);
  const thaw = (): void => writeFileSync(join(group, 'freezer.state'), 'THAWED');
  t.teardown(async () => {
    thaw();
    // A group can be removed once its last process is gone.
    await sleep(200);
    rmdirSync(group);
  });
  return {
    freeze(pid) {
      writeFileSync(join(group, 'cgroup.procs'), String(pid));
      writeFileSync(join(group, 'freezer.state'), 'FROZEN');
    },
    thaw,
  };
}
