/** A folder with a project in it, programs that are shell scripts, and the results of a runner's checks there. */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { RunnerCheck, WakeRunnerChoice } from '../../../plugins/plugin.ts';

export interface Place {
  readonly folder: string;
  /** A program that is this shell script. */
  program(script: string): Promise<string>;
  /** The runner's results, by the names of its checks. */
  checks(choice: WakeRunnerChoice): Promise<Readonly<Record<string, RunnerCheck>>>;
}

export async function place(t: Test): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-check-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'project'));
  return {
    folder,
    async program(script) {
      const path = join(folder, `program-${String((await readdir(folder)).length)}`);
      await writeFile(path, `#!/bin/sh\n${script}\n`);
      await chmod(path, 0o755);
      return path;
    },
    async checks(choice) {
      const runner = await choice.create({ agentId: 'a', baseDir: folder, dataDir: folder, clock: systemClock(), log: silentLog });
      return Object.fromEntries(((await runner.check?.()) ?? []).map((check) => [check.check, check]));
    },
  };
}

/** Answers like Claude Code: its version, and whether it is logged in. */
export const claude = (version: string, loggedIn: boolean): string =>
  `case $1 in --version) echo "${version} (Claude Code)";; auth) echo '{"loggedIn": ${String(loggedIn)}}'; exit ${loggedIn ? '0' : '1'};; esac`;
