/** Hub and sidecars as separate processes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** The command that runs the quickstart's own Postgres server; it is not for users. */
export const POSTGRES_COMMAND = 'quickstart-postgres';
/** How long a program may take to say that it is ready, milliseconds. */
const READY_WITHIN_MS = 30_000;
/** How long it may take to end after SIGTERM before it is killed. */
const STOP_WITHIN_MS = 10_000;

/** What a shell may hold for another hub: these programs make their own, which they would not if they found it. */
const OF_ANOTHER_HUB = ['AGENTCOM_ADMIN_TOKEN', 'AGENTCOM_TOKEN', 'AGENTCOM_ENROL_SECRET', 'AGENTCOM_HUB_FINGERPRINT'];

export interface Program {
  /** The line that it printed when it was ready. */
  readonly ready: string;
  /** Kills it like `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to stop, and kills it if it does not. */
  stop(): Promise<void>;
}

export interface ProgramPlace {
  /** The path of this package's command. */
  readonly bin: string;
  readonly folder: string;
  readonly configFile: string;
}

/** Starts a program such as `agentcom hub`; its log goes to `<name>.log` in the folder. */
export async function startProgram(
  place: ProgramPlace,
  command: 'hub' | 'sidecar' | typeof POSTGRES_COMMAND,
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const logFile = join(place.folder, `${name}.log`);
  const child = spawn(process.execPath, [place.bin, command, '--config', place.configFile], {
    stdio: ['ignore', 'pipe', openSync(logFile, 'a', 0o600)],
    env: { ...process.env, ...Object.fromEntries(OF_ANOTHER_HUB.map((name) => [name, undefined])), ...env },
    // Ctrl-C is for the quickstart, which then stops the agents through the hub; a hub that was already gone could not tell them.
    detached: true,
  });
  const exited = once(child, 'exit').then(() => undefined);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  const ready = await Promise.race([once(lines, 'line').then(([line]) => String(line)), exited]);
  clearTimeout(timer);
  if (ready === undefined) {
    const last = readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    throw new AgentcomError('AC_INTERNAL', `The ${name} exited before it was ready. Its log, ${logFile}, ends with: ${last}`);
  }
  return { ready, kill: () => end(child, 'SIGKILL', exited), stop: () => end(child, 'SIGTERM', exited) };
}

async function end(child: ChildProcess, signal: NodeJS.Signals, exited: Promise<void>): Promise<void> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await exited;
  clearTimeout(timer);
}
