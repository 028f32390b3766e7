/** What a newcomer has: a folder with this tree, a shell, and programs that are left running. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { ROOT } from '../../architecture/cruise.ts';

/** Made by tools, or large: no part of what is cloned. */
const NOT_CLONED = new Set(['.git', '.tap', '.built', 'node_modules', 'dist', 'data']);
/** How long a program may take to say that it is ready, milliseconds: cold, on two busy cores. */
const READY_WITHIN_MS = 60_000;
const ENDS_WITHIN_MS = 90_000;

/** A folder that is gone after the test. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-newcomer-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A copy of this tree as it is cloned, with the packages of this one. What is built or written in it harms nobody. */
export async function copyOfTree(t: Test): Promise<string> {
  const folder = await temporaryFolder(t);
  const isCloned = (path: string): boolean => !NOT_CLONED.has(relative(ROOT, path).split(sep)[0] ?? '');
  await cp(ROOT, folder, { recursive: true, filter: isCloned });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

export interface Place {
  readonly cwd: string;
  /** Beside PATH and HOME, which is all that there is. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

export interface Ran {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a line of shell to its end. */
export async function shell(line: string, place: Place): Promise<Ran> {
  const child = begin(line, place);
  const timer = setTimeout(() => endGroup(child, 'SIGKILL'), ENDS_WITHIN_MS);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  clearTimeout(timer);
  return { code, out, err };
}

/** Starts a program that goes on running until the test is over, and answers the line that says that it is ready. */
export async function program(t: Test, line: string, place: Place): Promise<string> {
  const child = begin(line, place);
  const ended = once(child, 'exit');
  const timer = setTimeout(() => endGroup(child, 'SIGKILL'), READY_WITHIN_MS);
  t.teardown(async () => {
    endGroup(child, 'SIGTERM');
    const late = setTimeout(() => endGroup(child, 'SIGKILL'), READY_WITHIN_MS);
    await ended;
    clearTimeout(late);
  });
  const said = text(child.stderr);
  for await (const printed of createInterface({ input: child.stdout })) {
    if (!/^agentcom (hub|sidecar) ready /.test(printed)) continue;
    clearTimeout(timer);
    child.stdout.resume();
    return printed;
  }
  throw new Error(`"${line}" ended before it was ready: ${await said}`);
}

/** In a group of its own: npm and npx start others, and all of them are to be ended. */
function begin(line: string, { cwd, env }: Place) {
  return spawn('bash', ['-c', line], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

function endGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
