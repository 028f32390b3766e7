/** Processes from Linux's /proc. */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { ProcessRow, ProcessTable } from './process-table.ts';

/** Files of /proc read at the same time. */
const READS_AT_ONCE = 32;

/** What reading /proc answers for a process that has just ended or belongs to somebody else. */
const NOT_OURS_TO_READ = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

export function linuxProcessTable(): ProcessTable {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    async list() {
      const pids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name)).map(Number);
      const rows = await mapBounded(pids, (pid) => readIfThere(`/proc/${String(pid)}/stat`));
      return rows.flatMap((text) => (text === null ? [] : [parseStat(text)])).filter((row) => !row.isZombie);
    },
    find(pid) {
      try {
        return parseStat(readFileSync(`/proc/${String(pid)}/stat`, 'latin1'));
      } catch (error) {
        if (isUnreadable(error)) return null;
        throw error;
      }
    },
    async carriersOf(runId, rows) {
      const environments = await mapBounded(rows, (row) => readIfThere(`/proc/${String(row.pid)}/environ`));
      const wanted = `\0AGENTCOM_RUN_ID=${runId}\0`;
      return rows.flatMap((row, index) => (`\0${environments[index] ?? ''}\0`.includes(wanted) ? [row.pid] : []));
    },
  };
}

/**
 * One line of /proc/PID/stat, as proc_pid_stat(5) numbers its fields. The second, the program's name, is in parentheses
 * and may itself hold blanks and parentheses, so counting begins after the last one.
 */
export function parseStat(line: string): ProcessRow {
  const afterName = line.lastIndexOf(')') + 2;
  const fields = line.slice(afterName).split(' ');
  const field = (number: number): string => fields[number - 3] ?? '';
  return {
    pid: Number.parseInt(line, 10),
    isZombie: field(3) === 'Z' || field(3) === 'X',
    parentPid: Number(field(4)),
    groupId: Number(field(5)),
    sessionId: Number(field(6)),
    startTime: field(22),
  };
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

const isUnreadable = (error: unknown): boolean => NOT_OURS_TO_READ.has((error as NodeJS.ErrnoException).code ?? '');

async function mapBounded<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as T);
  };
  await Promise.all(Array.from({ length: Math.min(READS_AT_ONCE, items.length) }, worker));
  return results;
}
