/** A new user's first minute, in an empty folder. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startProgram } from '../../../apps/quickstart/child-programs.ts';
import { TASKS } from '../../../apps/quickstart/scenario.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { adaptersAsked, requireCombination, type Combination } from '../adapters-under-test.ts';
import { temporaryFolder } from './newcomer.ts';

/** A time, an agent, a task, and what happened; `-` if there is none. */
const ACCOUNT_LINE = /^ *\d+\.\d s {2}(-|builder|counter) +(-|[a-z]+) +\S.*$/;

/** What the newcomer's shell has for another hub. */
const OF_ANOTHER_HUB = { AGENTCOM_ADMIN_TOKEN: 'a'.repeat(32), AGENTCOM_TOKEN: 'b'.repeat(64), AGENTCOM_HUB_FINGERPRINT: 'c' };

/** Runs the quickstart in `cwd`; `onLine` may react to its output. */
async function quickstart(
  cwd: string,
  { storage, transport }: Combination,
  onLine: (line: string, interrupt: () => void) => void = () => undefined,
) {
  const child = spawn(process.execPath, [builtTree().bin, 'quickstart', '--storage', storage, '--transport', transport], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: cwd, ...OF_ANOTHER_HUB },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const interrupt = (): void => {
    // As a terminal does: to the whole process group.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
  };
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    onLine(line, interrupt);
  }
  const [code] = await ended;
  return { code, lines };
}

/** Processes that were started in this folder, or know its path: hub, sidecars and agents. */
function processesOf(folder: string): readonly string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.map((pid) => `${read(`/proc/${pid}/cmdline`)} ${read(`/proc/${pid}/environ`)}`).filter((text) => text.includes(folder));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It has ended meanwhile, or may not be read.
  }
}

/** A separate folder in which a server started by root, which runs as another user, finds its data too. */
async function openFolder(t: Test): Promise<string> {
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  return folder;
}

/** What the hub reported about itself, which must be what was requested. */
function requireAsked(lines: readonly string[], combination: Combination): void {
  const [, storage, transport] = /runs on (\S+) and (\S+)$/m.exec(lines.join('\n')) ?? [];
  requireCombination({ storage, transport }, combination);
}

const { storage, transport } = adaptersAsked();

t.test('the quickstart reports every task, ends with the table, and leaves nothing running', async (t) => {
  const folder = await openFolder(t);
  const { code, lines } = await quickstart(folder, { storage, transport });
  t.equal(code, 0, lines.join('\n'));
  requireAsked(lines, { storage, transport });
  const gap = lines.indexOf('');
  for (const line of lines.slice(0, gap)) t.match(line, ACCOUNT_LINE);
  const [header = '', ...rows] = lines.slice(gap + 1);
  t.match(header, /^TASK +ID +AGENT +ATTEMPTS +EXPECTED +GOT$/);
  t.equal(rows.length, TASKS.length);
  for (const [index, { name, expected }] of TASKS.entries()) {
    t.match(rows[index], new RegExp(`^${name} +task-[0-9a-f]{32} +(builder|counter) +\\d +${expected} +${expected} *$`));
  }
  const account = lines.slice(0, gap).join('\n');
  t.match(account, /kill -9 of its sidecar[\s\S]*its sidecar is running again[\s\S]*killed +completed/, 'a run outlives its sidecar');
  t.match(account, /failing +failed: the numbers do not add up[\s\S]*failing +dead-lettered/);
  t.match(account, /cancelled +stop confirmed: killed/);
  t.strictSame(processesOf(folder), []);
});

// Before, the reason was only in a log file, such as that Node 20 needs the package sqlite3.
t.test('a program that fails to start is reported with the reason', async (t) => {
  const folder = await openFolder(t);
  const place = { bin: builtTree().bin, folder, configFile: join(folder, 'none.ts') };
  const message =
    /^The hub exited before it was ready\. Its log, .*hub\.log, ends with: agentcom: The config file .*none\.ts does not exist\./;
  await t.rejects(startProgram(place, 'hub', 'hub'), { message });
});

// On Postgres, whatever the run is on: one more server must be stopped, and last, or the hub could not stop its agents.
t.test('when interrupted, it stops everything it started, including agents and Postgres', async (t) => {
  const folder = await openFolder(t);
  const { code, lines } = await quickstart(folder, { storage: 'postgres', transport }, (line, interrupt) => {
    if (/killed +kill -9/.test(line)) interrupt();
  });
  t.equal(code, 130);
  t.match(lines.join('\n'), `the hub is listening and runs on postgres and ${transport}`);
  t.match(lines.join('\n'), /interrupted: stopping everything/);
  t.notMatch(lines.join('\n'), /could not be stopped/);
  t.strictSame(processesOf(folder), []);
  t.notMatch(readdirSync(folder).join(' '), 'agentcom-quickstart', 'and no data is left behind');
});

// Before, it was called an internal error, to be reported.
t.test('a folder in which nothing can be written is named', async (t) => {
  const cwd = await temporaryFolder(t);
  writeFileSync(join(cwd, 'data'), 'a file');
  const { status, stderr } = spawnSync(process.execPath, [builtTree().bin, 'quickstart'], { cwd, encoding: 'utf8' });
  t.equal(status, 4);
  t.match(
    stderr,
    /^agentcom: Cannot create or empty the folder .*data\/quickstart: .*\. Run the quickstart in a folder .* \(AC_DATA_DIR\)$/m,
  );
});
