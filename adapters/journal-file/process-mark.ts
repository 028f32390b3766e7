/** Names a process beyond its number, which the system gives out again. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ProcessMark } from '../../core/domain/assignment/slot.ts';

/** The mark of a process that runs now; null when there is none of this number, or only its exit code waits to be read. */
export async function processMark(pid: number): Promise<ProcessMark | null> {
  if (!isRunning(pid)) return null;
  const found = process.platform === 'linux' ? await fromProc(pid) : await fromPs(pid);
  if (found === 'unknown') return { pid, startTime: null, bootId: null };
  return found === 'ended' ? null : { pid, ...found };
}

/** Whether the very process that was marked still runs. Where the system tells too little, a process of that number counts. */
export async function isStillRunning(mark: ProcessMark): Promise<boolean> {
  const now = await processMark(mark.pid);
  if (now === null) return false;
  const differs = (then: string | null, today: string | null): boolean => then !== null && today !== null && then !== today;
  return !differs(mark.bootId, now.bootId) && !differs(mark.startTime, now.startTime);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's, but there
  }
}

type Found = Omit<ProcessMark, 'pid'> | 'ended' | 'unknown';

/** `/proc/PID/stat`: the program's name, in parentheses, may hold anything; after it come the state and, 19 fields on, the start time. */
async function fromProc(pid: number): Promise<Found> {
  try {
    const [stat, bootId] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return 'ended';
    return { startTime: fields[19] ?? null, bootId: bootId.trim() };
  } catch {
    return 'unknown'; // /proc is hidden from us or not mounted; the signal has shown that the process is there
  }
}

/** macOS and the BSDs, whose `lstart` is a date to the second and so names the boot as well. */
async function fromPs(pid: number): Promise<Found> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      // In the time of one zone for ever: what was written before a journey is compared with what is read after it.
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    });
    const [state = '', ...start] = stdout.trim().split(/\s+/);
    if (state.startsWith('Z')) return 'ended';
    return { startTime: start.join(' ') || null, bootId: null };
  } catch {
    return 'unknown'; // there is no ps (Windows), or it does not know the words
  }
}
