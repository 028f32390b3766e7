/** Determines which processes belong to a run. */
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { isOlder, type ProcessRow } from './process-table.ts';

export interface RunTraces {
  /** The process that was started; null if unknown or from another boot. */
  readonly main: ProcessMark | null;
  /**
   * Whether `main` is known to have been alive until just now: only then does a group without its leader certainly belong to
   * the run.
   */
  readonly leaderSeen: boolean;
  /** Processes known to belong to the run: those with its run id, and those remembered from an earlier walk. */
  readonly seen: ReadonlySet<number>;
  /** The calling process; never a member. */
  readonly selfPid: number;
}

/**
 * The members among `rows`: the main process, its group and session (`detached` made it the leader of both), the
 * processes in `seen`, and all their descendants.
 *
 * The main process may be gone while its group lives on. A process with its pid but another start time proves that the
 * group has ended, so processes with the same group id are unrelated. If no process has the pid, the group counts only
 * if the main process was seen until just now: daemons leave groups without a leader too, and pids are reused.
 * Processes with the run id are found in any case.
 */
export function runMembers(rows: readonly ProcessRow[], traces: RunTraces): readonly ProcessRow[] {
  const { main, leaderSeen, seen, selfPid } = traces;
  const holder = main === null ? undefined : rows.find((row) => row.pid === main.pid);
  const groupIsOurs = main !== null && (holder === undefined ? leaderSeen : holder.startTime === main.startTime);
  const isRoot = (row: ProcessRow): boolean => seen.has(row.pid) || (groupIsOurs && isInGroupOf(main, row));

  const mayBelong = rows.filter((row) => row.pid !== selfPid && row.pid > 1);
  const childrenOf = new Map<number, ProcessRow[]>();
  for (const row of mayBelong) {
    const siblings = childrenOf.get(row.parentPid);
    if (siblings === undefined) childrenOf.set(row.parentPid, [row]);
    else siblings.push(row);
  }
  const members = new Map<number, ProcessRow>();
  const open = mayBelong.filter(isRoot);
  for (let row = open.pop(); row !== undefined; row = open.pop()) {
    if (members.has(row.pid)) continue;
    members.set(row.pid, row);
    for (const child of childrenOf.get(row.pid) ?? []) open.push(child);
  }
  return [...members.values()];
}

/** The marked process, or one of its group or session; processes older than it belong to neither. */
export const isInGroupOf = (main: ProcessMark, row: ProcessRow): boolean =>
  (row.pid === main.pid || row.groupId === main.pid || row.sessionId === main.pid) && !isOlder(row.startTime, main.startTime);
