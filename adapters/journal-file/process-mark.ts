/** Identifies a process beyond its pid, which the system reuses. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ProcessMark } from '../../core/domain/assignment/slot.ts';

/** The mark of a running process; null if there is none, or if it is a zombie. */
export async function processMark(pid: number, platform: string = process.platform): Promise<ProcessMark | null> {
  if (!isRunning(pid)) return null;
  const found = await (platform === 'linux' ? fromProc(pid) : platform === 'win32' ? 'unknown' : fromPs(pid));
  if (found === 'unknown') return { pid, startTime: null, bootId: null };
  return found === 'ended' ? null : { pid, ...found };
}

/** Whether the marked process is still running. If the system reveals too little, any process with that pid counts. */
export async function isStillRunning(mark: ProcessMark, platform?: string): Promise<boolean> {
  const now = await processMark(mark.pid, platform);
  if (now === null) return false;
  const differs = (then: string | null, today: string | null): boolean => then !== null && today !== null && then !== today;
  return !differs(mark.bootId, now.bootId) && !differs(mark.startTime, now.startTime);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // Another user's process, but it exists.
  }
}

type Found = Omit<ProcessMark, 'pid'> | 'ended' | 'unknown';

/**
 * `/proc/PID/stat`: the program name, in parentheses, may contain anything; after it come the state and, 19 fields on,
 * the start time.
 */
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
    return 'unknown'; // /proc is hidden or not mounted; the signal has shown that the process exists.
  }
}

/** macOS and the BSDs: `lstart` is a date with seconds, so it identifies the boot as well. */
async function fromPs(pid: number): Promise<Found> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      // A fixed time zone, so that values written earlier stay comparable.
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    });
    const [state = '', ...start] = stdout.trim().split(/\s+/);
    if (state.startsWith('Z')) return 'ended';
    return { startTime: start.join(' ') || null, bootId: null };
  } catch {
    return 'unknown'; // There is no ps, or it does not know these options.
  }
}
