/** Processes from Linux's /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import type { ProcessRow, ProcessTable } from './process-table.ts';
import { linuxRunCgroups } from './run-groups.ts';

/**
 * How many /proc files are read before yielding to the event loop. They are read synchronously: each takes microseconds, and going
 * through the thread pool took four times the CPU.
 */
const READS_PER_TICK = 128;

/**
 * While a process calls exec, its environment and arguments read as empty for a moment, and on a busy machine it may be
 * descheduled just then. During a read, the environment may be truncated at the end of a page. So an environment of
 * zero or of whole pages is read again with growing delays: up to `EMPTY_READS_MAX` times if the process has arguments,
 * which means that its environment really is empty, and up to `NO_PROGRAM_READS_MAX` times (about 2 s) if it has none.
 */
const EMPTY_READS_MAX = 10;
const NO_PROGRAM_READS_MAX = 20;
const REREAD_DELAY_MS = 10;
/** The kernel reads an environment in pages; larger pages are multiples of this. */
const PAGE_BYTES = 4_096;
/** Parent of the kernel threads, whose environment is always empty. */
const KERNEL_PARENT = 2;

/** Errors from /proc for a process that has just ended or belongs to another user. */
const UNREADABLE_CODES = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

export function linuxProcessTable(): ProcessTable {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const cgroups = linuxRunCgroups();
  return {
    bootId,
    cgroups,
    seesRunIds: true,
    async list() {
      const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
      const rows = await mapInBatches(pids, (pid) => readOrNull(`/proc/${pid}/stat`));
      return rows.flatMap((text) => (text === null ? [] : [parseStat(text)])).filter((row) => !row.isZombie);
    },
    find(pid) {
      const stat = readOrNull(`/proc/${String(pid)}/stat`);
      return stat === null ? null : parseStat(stat);
    },
    async carriersOf(runId, rows, main) {
      // In ticks since boot. Most processes are older than the run, and reading environments is the expensive part.
      const began = main !== null && main.bootId === bootId ? Number(main.startTime) : 0;
      const mayCarry = rows.filter((row) => !(Number(row.startTime) < began));
      const wanted = `\0AGENTCOM_RUN_ID=${runId}\0`;
      const members = new Set(cgroups?.membersOf(runId, main?.bootId === bootId ? main.pid : null));
      const carriers = mayCarry.flatMap(({ pid }) => (members.has(pid) ? [pid] : []));
      let open = mayCarry.filter((row) => row.parentPid !== KERNEL_PARENT && !members.has(row.pid));
      for (let reads = 1; open.length > 0 && reads <= NO_PROGRAM_READS_MAX; reads += 1) {
        if (reads > 1) await delay(REREAD_DELAY_MS * (reads - 1));
        const programs = await mapInBatches(open, (row) => readProgram(row.pid));
        carriers.push(...open.flatMap((row, index) => (`\0${programs[index]?.environment ?? ''}\0`.includes(wanted) ? [row.pid] : [])));
        open = open.filter((_, index) => {
          const program = programs[index];
          return isUnsure(program?.environment ?? null) && (reads < EMPTY_READS_MAX || program?.hasArguments === false);
        });
      }
      return carriers;
    },
  };
}

/**
 * Parses /proc/PID/stat, with the field numbers of proc_pid_stat(5). The second field, the program name in parentheses,
 * may itself contain blanks and parentheses, so counting starts after the last one.
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

const isUnsure = (environment: string | null): boolean => environment !== null && environment.length % PAGE_BYTES === 0;

/**
 * An empty environment is read again after the arguments: a process that has arguments by then has its environment too.
 */
function readProgram(pid: number): { readonly environment: string | null; readonly hasArguments: boolean } {
  const environment = readOrNull(`/proc/${String(pid)}/environ`);
  if (environment !== '') return { environment, hasArguments: true };
  const hasArguments = readOrNull(`/proc/${String(pid)}/cmdline`) !== '';
  return { environment: hasArguments ? readOrNull(`/proc/${String(pid)}/environ`) : '', hasArguments };
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (UNREADABLE_CODES.has((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

async function mapInBatches<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % READS_PER_TICK === 0) await nextTurn();
    results.push(work(item));
  }
  return results;
}
