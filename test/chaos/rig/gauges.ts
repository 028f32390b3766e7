/** Samples every second what processes use: memory, open files, and how late an event loop is. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { statOf } from './chaos-ledger.ts';

export interface Sample {
  readonly atMs: number;
  readonly rssBytes: number;
}

const PAGE_BYTES = 4_096;

/** What a process uses now; null if it is gone. */
export function sampleOf(pid: number): Sample | null {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    return { atMs: Date.now(), rssBytes: pages * PAGE_BYTES };
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** The unit of CPU time, from USER_HZ, which is the same on every Linux. */
const TICK_MS = 10;

/** The CPU time that a process has used so far, in milliseconds; 0 if it is gone. Other work on the machine hardly affects it. */
export function cpuMsOf(pid: number): number {
  const fields = statOf(pid);
  return fields === null ? 0 : (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** The CPU time of its children that have ended, in milliseconds. */
export function endedChildrenCpuMs(pid: number): number {
  const fields = statOf(pid);
  return fields === null ? 0 : (Number(fields[13]) + Number(fields[14])) * TICK_MS;
}

/** How many descriptors of each kind a process has open: sockets, pipes, and each file by its name. */
export function openFiles(pid: number): Readonly<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`);
    if (kind !== null) kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** Null if it was closed meanwhile. */
function kindOf(fd: string): string | null {
  try {
    const target = readlinkSync(fd);
    return target.startsWith('/') ? basename(target) : target.replace(/:\[[0-9]+\]$/, '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export interface LagSample {
  readonly atMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly heapBytes: number;
  /** Over all turns of the loop since the program began. */
  readonly p99SinceStartMs: number;
}

/** What loop-lag.mjs wrote. */
export function readLag(file: string): readonly LagSample[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const [atMs = 0, p99Ms = 0, maxMs = 0, heapBytes = 0, p99SinceStartMs = 0] = line.split(' ').map(Number);
    return { atMs, p99Ms, maxMs, heapBytes, p99SinceStartMs };
  });
}

/** How large a file is; 0 if there is none. */
export const bytesOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

/** Calls `look` now and every second, until the returned function is called. */
export function eachSecond(look: () => void): () => void {
  look();
  const timer = setInterval(look, 1_000);
  return () => clearInterval(timer);
}
