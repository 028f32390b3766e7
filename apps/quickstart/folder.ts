/** The quickstart's folder: emptied at each start, unless another quickstart uses it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

const FOLDER = 'data/quickstart';

/** Creates an empty `data/quickstart` in the current folder; returns its absolute path. Fails with `AC_DATA_DIR`. */
export function freshFolder(): string {
  const folder = resolve(FOLDER);
  try {
    return emptied(folder);
  } catch (cause) {
    if (AgentcomError.is(cause)) throw cause;
    throw new AgentcomError('AC_DATA_DIR', `Cannot create or empty the folder ${folder}: ${messageOf(cause)}.`, {
      cause,
      hint: 'Run the quickstart in a folder that you can write to.',
    });
  }
}

function emptied(folder: string): string {
  const pidFile = join(folder, 'pid');
  const other = pidIn(pidFile);
  if (other !== null && isAlive(other)) {
    throw new AgentcomError(
      'AC_DATA_DIR',
      `A quickstart is running in ${folder} (process ${other}). Stop it with Ctrl-C, or start this one in another folder.`,
    );
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(pidFile, String(process.pid));
  return folder;
}

function pidIn(file: string): number | null {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
