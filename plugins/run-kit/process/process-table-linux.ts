/** Processes from Linux's /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import type { ProcessRow, ProcessTable } from './process-table.ts';
import { linuxRunGroups } from './run-groups.ts';

/**
 * Files of /proc read before others get their turn of the event loop. They are read synchronously: the kernel makes them
 * up in some microseconds, and a walk by the thread pool took four times as much of the processor.
 */
const READS_IN_A_TURN = 128;

/**
 * While a process executes another program, its environment and its arguments read as empty for a moment, and on a busy machine it
 * may be descheduled in that moment. One that does so during a read has its environment cut at the end of a page. So an environment
 * of no or of whole pages is read again, each time this much later than the time before: up to
 * `EMPTY_LOOKS_MAX` times if the process has arguments, which means that its environment is really empty, and up to
 * `NO_PROGRAM_LOOKS_MAX` times (about 2 s) if it has none.
 */
const EMPTY_LOOKS_MAX = 10;
const NO_PROGRAM_LOOKS_MAX = 20;
const EMPTY_LOOK_EACH_MS = 10;
/** The kernel reads an environment page by page; larger pages are multiples of it. */
const PAGE_BYTES = 4_096;
/** Threads of the kernel, whose environment is always empty, are its children. */
const KERNEL_PARENT = 2;

/** What reading /proc answers for a process that has just ended or belongs to somebody else. */
const NOT_OURS_TO_READ = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

export function linuxProcessTable(): ProcessTable {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const groups = linuxRunGroups();
  return {
    bootId,
    groups,
    seesRunIds: true,
    async list() {
      const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
      const rows = await mapInTurns(pids, (pid) => readIfThere(`/proc/${pid}/stat`));
      return rows.flatMap((text) => (text === null ? [] : [parseStat(text)])).filter((row) => !row.isZombie);
    },
    find(pid) {
      const stat = readIfThere(`/proc/${String(pid)}/stat`);
      return stat === null ? null : parseStat(stat);
    },
    async carriersOf(runId, rows, main) {
      // Ticks since the machine started. Most processes are older than the run, and reading an environment is what costs.
      const began = main !== null && main.bootId === bootId ? Number(main.startTime) : 0;
      const mayCarry = rows.filter((row) => !(Number(row.startTime) < began));
      const wanted = `\0AGENTCOM_RUN_ID=${runId}\0`;
      const members = new Set(groups?.membersOf(runId, main?.bootId === bootId ? main.pid : null));
      const carriers = mayCarry.flatMap(({ pid }) => (members.has(pid) ? [pid] : []));
      let open = mayCarry.filter((row) => row.parentPid !== KERNEL_PARENT && !members.has(row.pid));
      for (let looks = 1; open.length > 0 && looks <= NO_PROGRAM_LOOKS_MAX; looks += 1) {
        if (looks > 1) await delay(EMPTY_LOOK_EACH_MS * (looks - 1));
        const programs = await mapInTurns(open, (row) => readProgram(row.pid));
        carriers.push(...open.flatMap((row, index) => (`\0${programs[index]?.environment ?? ''}\0`.includes(wanted) ? [row.pid] : [])));
        open = open.filter((_, index) => {
          const program = programs[index];
          return isUnsure(program?.environment ?? null) && (looks < EMPTY_LOOKS_MAX || program?.hasArguments === false);
        });
      }
      return carriers;
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

const isUnsure = (environment: string | null): boolean => environment !== null && environment.length % PAGE_BYTES === 0;

/** An empty environment is read again behind the arguments: a process that has arguments by then has its environment, too. */
function readProgram(pid: number): { readonly environment: string | null; readonly hasArguments: boolean } {
  const environment = readIfThere(`/proc/${String(pid)}/environ`);
  if (environment !== '') return { environment, hasArguments: true };
  const hasArguments = readIfThere(`/proc/${String(pid)}/cmdline`) !== '';
  return { environment: hasArguments ? readIfThere(`/proc/${String(pid)}/environ`) : '', hasArguments };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (NOT_OURS_TO_READ.has((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

async function mapInTurns<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % READS_IN_A_TURN === 0) await nextTurn();
    results.push(work(item));
  }
  return results;
}
