/** The ledger in which the agents record their runs, read as it grows. */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

export interface LedgerLine {
  /** `end`: its result is written. */
  readonly what: 'start' | 'end';
  readonly pid: number;
  /** The process's start time, which together with its pid identifies it. */
  readonly began: string;
  readonly task: string;
  readonly generation: number;
  readonly agent: string;
  /** Seconds since the machine booted. */
  readonly at: number;
  /** Runs of the same task that were alive when this one began. */
  readonly beside: readonly number[];
}

export interface Ledger {
  /** All lines so far. */
  readonly lines: readonly LedgerLine[];
  /** Reads what was written since the last call. */
  read(): void;
  /** Runs that have begun, have not written their result, and whose process is alive. */
  living(): readonly LedgerLine[];
}

/** Two hexadecimal digits: the agents' marker files are spread over this many folders, so that each is quick to search. */
const SHARDS = 256;

/** Creates the folders that agent.sh writes to, and reads what it writes. */
export function openLedger(dir: string): Ledger {
  for (let shard = 0; shard < SHARDS; shard += 1) {
    mkdirSync(join(dir, 'alive', shard.toString(16).padStart(2, '0')), { recursive: true });
  }
  const file = join(dir, 'ledger.jsonl');
  const lines: LedgerLine[] = [];
  const open = new Map<string, LedgerLine>();
  let offset = 0;
  let rest = '';

  const read = (): void => {
    if (!existsSync(file)) return;
    const fd = openSync(file, 'r');
    const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - offset));
    offset += readSync(fd, bytes, 0, bytes.length, offset);
    closeSync(fd);
    const texts = (rest + bytes.toString('utf8')).split('\n');
    rest = texts.pop() ?? '';
    for (const text of texts) {
      const line = JSON.parse(text) as LedgerLine;
      lines.push(line);
      if (line.what === 'start') open.set(runOf(line), line);
      else open.delete(runOf(line));
    }
  };

  return {
    lines,
    read,
    living() {
      read();
      for (const [run, line] of open) if (!isAlive(line)) open.delete(run);
      return [...open.values()];
    },
  };
}

/** Identifies a process, even after its pid was reused. */
export const runOf = ({ pid, began }: Pick<LedgerLine, 'pid' | 'began'>): string => `${pid}.${began}`;

/** Whether this very process is alive. */
export function isAlive({ pid, began }: Pick<LedgerLine, 'pid' | 'began'>): boolean {
  const fields = statOf(pid);
  return fields !== null && fields[19] === began && fields[0] !== 'Z' && fields[0] !== 'X';
}

/** The fields of proc_pid_stat(5) from the third on; null when there is no such process. */
export function statOf(pid: number): readonly string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** Seconds since the machine booted, as in the agents' records. */
export const uptimeSeconds = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
