/** Which processes belong to a run. */
import type { ProcessMark } from '../../core/ports/wake-runner.ts';
import type { ProcessRow } from './process-table.ts';

export interface RunTraces {
  /** The process that was started; null when it is not known. */
  readonly main: ProcessMark | null;
  /** Processes seen to belong to the run: those that carry its id, and those remembered from an earlier look. */
  readonly seen: ReadonlySet<number>;
  /** Whoever asks; never a member. */
  readonly selfPid: number;
}

/**
 * The members among `rows`: the main process, its group and session (`detached` made it the leader of both), what was
 * seen before, and every descendant of these.
 *
 * The main process may be gone while its group lives on. Its number is then still taken by the group, so a process that
 * has this number with another start time proves that the group has ended and that all its namesakes are strangers.
 */
export function runMembers(rows: readonly ProcessRow[], traces: RunTraces): readonly ProcessRow[] {
  const { main, seen, selfPid } = traces;
  const holder = main === null ? undefined : rows.find((row) => row.pid === main.pid);
  const groupIsOurs = main !== null && (holder === undefined || holder.startTime === main.startTime);
  const isRoot = (row: ProcessRow): boolean =>
    seen.has(row.pid) || (groupIsOurs && (row.pid === main.pid || row.groupId === main.pid || row.sessionId === main.pid));

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
