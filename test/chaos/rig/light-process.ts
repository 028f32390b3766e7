/** Thousands of complete sidecars in one process, as seen by the process that started it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { LightSetting } from '../soak/soak-sidecars.ts';
import { startProgram, type Program } from './chaos-program.ts';
import type { ChaosWorld } from './chaos-world.ts';

/** How many loopback addresses the sidecars connect from. */
const SOURCES = 8;
/** Files that the process may have open in addition to its sockets. */
const OTHER_FILES = 500;
const LOOK_MS = 20;
const ALL_WITHIN_MS = 120_000;

/** Node opens as many files as the system lets it. If those are too few, throws an error with the shell command to run. */
export function needFiles(sockets: number): void {
  const wanted = sockets + OTHER_FILES;
  const found = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  if (found < wanted) throw new Error(`${wanted} open files are needed, the system allows ${found}; run: ulimit -n ${wanted}`);
}

export interface Light {
  readonly program: Program;
  /** How many are identified. */
  now(): number;
  /** Waits until this many are identified; resolves with when that was, milliseconds since 1970, or null if it took too long. */
  reaches(count: number): Promise<number | null>;
}

/** All sidecars in one process, which leaves the other core to the hub. */
export function startLight(
  t: TestEnd,
  world: Pick<ChaosWorld, 'dir' | 'hubPort' | 'logOf'>,
  tree: BuiltTree,
  { sidecars, capabilities }: Pick<LightSetting, 'sidecars' | 'capabilities'>,
): Light {
  const countFile = join(world.dir, 'light-count');
  const settingFile = join(world.dir, 'light.json');
  const setting: LightSetting = { ports: [world.hubPort], sidecars, capabilities, sources: SOURCES, countFile };
  writeFileSync(countFile, '');
  writeFileSync(settingFile, JSON.stringify(setting), { mode: 0o600 });
  const args = [tree.compiled('test/chaos/soak/soak-sidecars.ts'), settingFile];
  const program = startProgram({ args, cwd: world.dir, logFile: world.logOf('light'), env: { AGENTCOM_LOG_LEVEL: 'warn' } });
  t.teardown(async () => void (await program.kill('SIGKILL')));
  const last = (): readonly [number, number] => {
    const [atMs = 0, identified = 0] = (readFileSync(countFile, 'utf8').trimEnd().split('\n').at(-1) ?? '').split(' ').map(Number);
    return [atMs, identified];
  };
  return {
    program,
    now: () => last()[1],
    async reaches(count) {
      const untilMs = performance.now() + ALL_WITHIN_MS;
      for (;;) {
        const [atMs, identified] = last();
        if (identified === count) return atMs;
        if (performance.now() > untilMs) return null;
        await sleep(LOOK_MS);
      }
    },
  };
}

/** Waits until something accepts connections at the port; resolves with when that was, milliseconds since 1970. */
export async function listening(port: number): Promise<number> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return Date.now();
    await sleep(LOOK_MS);
  }
}
