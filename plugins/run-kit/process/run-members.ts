/** Which processes belong to a run. */
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { isOlder, type ProcessRow } from './process-table.ts';

export interface RunTraces {
  /** The process that was started; null when it is not known, or is of another boot of the machine. */
  readonly main: ProcessMark | null;
  /** Whether it is known to have lived until just now: only then is a group without its leader surely its own. */
  readonly leaderSeen: boolean;
  /** Processes seen to belong to the run: those that carry its id, and those remembered from an earlier look. */
  readonly seen: ReadonlySet<number>;
  /** Whoever asks; never a member. */
  readonly selfPid: number;
}

/**
 * The members among `rows`: the main process, its group and session (`detached` made it the leader of both), what was
 * seen before, and every descendant of these.
 *
 * The main process may be gone while its group lives on. A process that has its number with another start time proves that
 * the group has ended and that all its namesakes are strangers. Where nobody has the number, the group is believed only if
 * the main process was seen until just now: a daemon leaves a group without a leader too, and numbers are given out again.
 * What carries the run id is found in any case.
 */
export function runMembers(rows: readonly ProcessRow[], traces: RunTraces): readonly ProcessRow[] {
  const { main, leaderSeen, seen, selfPid } = traces;
  const holder = main === null ? undefined : rows.find((row) => row.pid === main.pid);
  const groupIsOurs = main !== null && (holder === undefined ? leaderSeen : holder.startTime === main.startTime);
  const isRoot = (row: ProcessRow): boolean => seen.has(row.pid) || (groupIsOurs && isInGroupOf(main, row));

  const mayBelong = rows.filter((row) => row.pid !== selfPid && row.pid > 1);
  const childrenOf = new Map<number, ProcessRow[]>();
  for (const row of mayBelong) childrenOf.set(row.parentPid, [...(childrenOf.get(row.parentPid) ?? []), row]);
  const members = new Map<number, ProcessRow>();
  const open = mayBelong.filter(isRoot);
  for (let row = open.pop(); row !== undefined; row = open.pop()) {
    if (members.has(row.pid)) continue;
    members.set(row.pid, row);
    open.push(...(childrenOf.get(row.pid) ?? []));
  }
  return [...members.values()];
}

/** The process of the mark, or one of its group or session; what began before it is in neither. */
export const isInGroupOf = (main: ProcessMark, row: ProcessRow): boolean =>
  (row.pid === main.pid || row.groupId === main.pid || row.sessionId === main.pid) && !isOlder(row.startTime, main.startTime);
