/** The system's processes as a runner needs them: which are alive, their parents, and which carry a run's id. */
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { RunCgroups } from './run-groups.ts';

/** One process. */
export interface ProcessRow {
  readonly pid: number;
  readonly parentPid: number;
  readonly groupId: number;
  /** Null if the system does not report it. */
  readonly sessionId: number | null;
  /**
   * As reported by the system, a number or a UTC date; only ever compared. Distinguishes processes with the same pid.
   */
  readonly startTime: string;
  /** Ended, but not yet reaped by its parent. */
  readonly isZombie: boolean;
}

/** The processes of this machine. */
export interface ProcessTable {
  /** Every living process, without zombies. */
  list(): Promise<readonly ProcessRow[]>;
  /**
   * One process, zombies included; null if there is none. Synchronous, so that nothing changes before a signal is sent.
   */
  find(pid: number): ProcessRow | null;
  /**
   * The processes among `rows` with `AGENTCOM_RUN_ID=runId` in their initial environment; none if the system hides it.
   * `main` is the run's first process, if known: older processes are skipped.
   */
  carriersOf(runId: string, rows: readonly ProcessRow[], main: ProcessMark | null): Promise<readonly number[]>;
  /** The runs' control groups, whose members `carriersOf` includes; null if the system has none. */
  readonly cgroups: RunCgroups | null;
  /** Whether `carriersOf` can see run ids. If not, an empty answer proves nothing. */
  readonly seesRunIds: boolean;
  /** Changes on every boot; null if unknown. */
  readonly bootId: string | null;
}

/** Identifies a process beyond its pid. Right after a spawn the mark is exact even if the child has already ended. */
export const markOf = (table: ProcessTable, pid: number): ProcessMark => ({
  pid,
  startTime: table.find(pid)?.startTime ?? null,
  bootId: table.bootId,
});

/** Like `markOf`, but never throws: if the table cannot be read, the start time is null. */
export function markIfKnown(table: ProcessTable, pid: number): ProcessMark {
  try {
    return markOf(table, pid);
  } catch {
    return { pid, startTime: null, bootId: table.bootId }; // Returned as a mark without a start time.
  }
}

/**
 * Whether the marked process is still running: same pid, start time and boot. A mark without a start time never
 * matches.
 */
export function isAlive(table: ProcessTable, mark: ProcessMark): boolean {
  if (mark.startTime === null || mark.bootId !== table.bootId) return false;
  const row = table.find(mark.pid);
  return row !== null && !row.isZombie && row.startTime === mark.startTime;
}

/** Whether a process started before another one of the same boot; false if unknown. */
export const isOlder = (startTime: string, than: string | null): boolean => than !== null && startOf(startTime) < startOf(than);

/** Ticks on Linux, `Sat Nov 21 15:03:43 2026` from `ps`. */
const startOf = (startTime: string): number => (/^[0-9]+$/.test(startTime) ? Number(startTime) : Date.parse(`${startTime} UTC`));
