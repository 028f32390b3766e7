/** The first minute, as a newcomer has it, in a folder of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import t from 'tap';
import { TASKS } from '../../apps/quickstart/scenario.ts';
import { builtTree } from '../rig/built-tree.ts';
import { temporaryFolder } from './newcomer.ts';

/** A time, an agent, a task, and what happened; `-` where there is none. */
const ACCOUNT_LINE = /^ *\d+\.\d s {2}(-|builder|counter) +(-|[a-z]+) +\S.*$/;

/** Runs the quickstart in `cwd`; `onLine` may do something about what it says. */
async function quickstart(cwd: string, onLine: (line: string, interrupt: () => void) => void = () => undefined) {
  const child = spawn(process.execPath, [builtTree().bin, 'quickstart'], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    onLine(line, () => child.kill('SIGINT'));
  }
  const [code] = await ended;
  return { code, lines };
}

/** Processes that were started in this folder, or told of it: hub, sidecars and agents alike. */
function processesOf(folder: string): readonly string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.map((pid) => `${read(`/proc/${pid}/cmdline`)} ${read(`/proc/${pid}/environ`)}`).filter((told) => told.includes(folder));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It has ended meanwhile, or is not ours to read.
  }
}

t.test('tells of every task, ends with the table, and leaves nothing that runs', async (t) => {
  const folder = await temporaryFolder(t);
  const { code, lines } = await quickstart(folder);
  t.equal(code, 0, lines.join('\n'));
  const gap = lines.indexOf('');
  for (const line of lines.slice(0, gap)) t.match(line, ACCOUNT_LINE);
  const [header = '', ...rows] = lines.slice(gap + 1);
  t.match(header, /^TASK +ID +AGENT +ATTEMPTS +EXPECTED +GOT$/);
  t.equal(rows.length, TASKS.length);
  for (const [index, { name, expected }] of TASKS.entries()) {
    t.match(rows[index], new RegExp(`^${name} +task-[0-9a-f]{32} +(builder|counter) +\\d +${expected} +${expected} *$`));
  }
  const account = lines.slice(0, gap).join('\n');
  t.match(account, /kill -9 of its sidecar[\s\S]*its sidecar runs again[\s\S]*killed +completed/, 'a run outlives its sidecar');
  t.match(account, /failing +failed: the numbers do not add up[\s\S]*failing +into the dead letter/);
  t.match(account, /cancelled +stop confirmed: killed/);
  t.strictSame(processesOf(folder), []);
});

t.test('interrupted in the middle, it stops what it started, agents too', async (t) => {
  const folder = await temporaryFolder(t);
  const { code, lines } = await quickstart(folder, (line, interrupt) => {
    if (/killed +kill -9/.test(line)) interrupt();
  });
  t.equal(code, 130);
  t.match(lines.join('\n'), /interrupted: what runs is being stopped/);
  t.strictSame(processesOf(folder), []);
});
