/**
 * The system's processes as a runner needs them: who lives, who is whose child, and who carries a run's id.
 */
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { RunGroups } from './run-groups.ts';

export interface ProcessRow {
  readonly pid: number;
  readonly parentPid: number;
  readonly groupId: number;
  /** Null where the system does not tell. */
  readonly sessionId: number | null;
  /** As the system tells it, a number or a date of UTC; only ever compared. Tells two processes with the same pid apart. */
  readonly startTime: string;
  /** Ended, but not yet collected by its parent: it runs nothing any more. */
  readonly isZombie: boolean;
}

export interface ProcessTable {
  /** Every living process; zombies are not living. */
  list(): Promise<readonly ProcessRow[]>;
  /** One process, also a zombie; null when there is none. Answers at once, so that nothing changes before a signal follows. */
  find(pid: number): ProcessRow | null;
  /**
   * Those among `rows` with `AGENTCOM_RUN_ID=runId` in the environment they were started with; none where the system
   * hides it. `main` is the first process of the run, where it is known: what began before it need not be looked at.
   */
  carriersOf(runId: string, rows: readonly ProcessRow[], main: ProcessMark | null): Promise<readonly number[]>;
  /** Control groups of runs, whose members `carriersOf` answers too; null where the system has none. */
  readonly groups: RunGroups | null;
  /** Whether `carriersOf` can see who carries a run id. Where it cannot, that none is found proves nothing. */
  readonly seesRunIds: boolean;
  /** Changes when the machine starts anew; null where it cannot be known. */
  readonly bootId: string | null;
}

/** Names a process beyond its number. Taken right after a spawn it is exact even if the child has already ended. */
export const markOf = (table: ProcessTable, pid: number): ProcessMark => ({
  pid,
  startTime: table.find(pid)?.startTime ?? null,
  bootId: table.bootId,
});

/** As `markOf`, for a process that runs whatever can be said of it: where the table cannot be read, its start is not known. */
export function markIfKnown(table: ProcessTable, pid: number): ProcessMark {
  try {
    return markOf(table, pid);
  } catch {
    return { pid, startTime: null, bootId: table.bootId }; // told as a mark without a start
  }
}

/** Whether the very process of the mark still runs: same number, same start, same boot. A mark without a start time never matches. */
export function isAlive(table: ProcessTable, mark: ProcessMark): boolean {
  if (mark.startTime === null || mark.bootId !== table.bootId) return false;
  const row = table.find(mark.pid);
  return row !== null && !row.isZombie && row.startTime === mark.startTime;
}

/** Whether a process began before another of the same boot; false where that is not known. */
export const isOlder = (startTime: string, than: string | null): boolean => than !== null && startOf(startTime) < startOf(than);

/** Ticks on Linux, `Sat Nov 21 15:03:43 2026` from `ps`. */
const startOf = (startTime: string): number => (/^[0-9]+$/.test(startTime) ? Number(startTime) : Date.parse(`${startTime} UTC`));
