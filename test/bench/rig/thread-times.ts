/** The CPU time of each thread of a program, identified by what it does: node gives all of them one name. */
import { readdirSync, readFileSync } from 'node:fs';

/** Milliseconds of CPU time. */
export interface ThreadTimes {
  /** JavaScript, and what it calls. */
  readonly main: number;
  /** The pool in which SQLite runs its statements and files are read and written. */
  readonly pool: number;
  /** V8's own threads: marking and sweeping next to the main thread, compiling, and the profiler. */
  readonly helpers: number;
}

/** A thread that has read or written this much belongs to the pool: V8's threads only wake the main one, 8 bytes at a time. */
const FILES_BYTES_MIN = 4_096;
const NS_IN_MS = 1_000_000;

/** Of a process so far. */
export function threadTimesOf(pid: number): ThreadTimes {
  const times = { main: 0, pool: 0, helpers: 0 };
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const of = (file: string): string => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'latin1');
    const kind = Number(thread) === pid ? 'main' : filesBytesIn(of('io')) >= FILES_BYTES_MIN ? 'pool' : 'helpers';
    times[kind] += Number(of('schedstat').split(' ')[0]) / NS_IN_MS;
  }
  return times;
}

/** `rchar` and `wchar` of proc_pid_io(5). */
const filesBytesIn = (io: string): number => [...io.matchAll(/^[rw]char: (\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);

/** What they took between the two. */
export const timesBetween = (before: ThreadTimes, after: ThreadTimes): ThreadTimes => ({
  main: after.main - before.main,
  pool: after.pool - before.pool,
  helpers: after.helpers - before.helpers,
});
