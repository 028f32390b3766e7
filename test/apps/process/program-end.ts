/** Programs that are expected to end by themselves: run by the command that people use, with their output. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { builtTree } from '../../rig/built-tree.ts';

/** How long a program may take to find out that it cannot run, in milliseconds, on two busy cores. */
const END_WITHIN_MS = 60_000;

export interface ProgramEnd {
  /** Null if it had to be killed: it did not end. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function programEnd(args: readonly string[], cwd: string): Promise<ProgramEnd> {
  const child = spawn(process.execPath, [builtTree().bin, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
  const [[exitCode], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  clearTimeout(timer);
  return { exitCode, stdout, stderr };
}
