/** One of our processes: started, killed at any moment, with its standard error kept in a file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** The exit code, or the signal that ended it. */
export type ProgramEnd = number | NodeJS.Signals;

export interface Program {
  readonly pid: number;
  /** The first line of standard output; null if the process ended before that. */
  readonly ready: Promise<string | null>;
  readonly ended: Promise<ProgramEnd>;
  isAlive(): boolean;
  /** Sends the signal, and resolves when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<ProgramEnd>;
}

export interface ProgramStart {
  /** What node runs, and its arguments. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** Standard error is appended to it. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Starts plain node with only PATH and HOME of our own environment, and `env`. */
export function startProgram({ args, cwd, logFile, env = {} }: ProgramStart): Program {
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [...args], {
    cwd,
    stdio: ['ignore', 'pipe', log],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
  });
  closeSync(log);
  const ended = (once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>).then(([code, signal]) => code ?? signal ?? 0);
  const lines = createInterface({ input: child.stdout as Readable }); // a pipe, as requested above
  const ready = Promise.race([once(lines, 'line').then(([line]) => line as string), ended.then(() => null)]);
  const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    pid: child.pid ?? 0,
    ready,
    ended,
    isAlive,
    kill(signal) {
      if (isAlive()) child.kill(signal);
      return ended;
    },
  };
}
