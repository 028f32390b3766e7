/**
 * Ends a run: its main process and everything that it started. Killing the group is not enough, because agents start
 * tools in groups and sessions of their own. So the tree is walked before and while signals are sent, processes are
 * remembered with their start times, and those that left the tree are found by their run id or by the run's control
 * group.
 */
import type { Clock } from '../../../core/ports/clock.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessRow, ProcessTable } from './process-table.ts';
import { runMembers } from './run-members.ts';
import { wait } from '../events/wait.ts';

/** Interval between checks of the remembered processes during the grace period. */
const RECHECK_MS = 100;
/** Interval between walks of the whole table during the grace period: tools come and go while an agent shuts down. */
const WALK_MS = 1_000;
/** Delay between a kill and the check that it worked. */
const CONFIRM_EACH_MS = 20;
/** How long killed processes may take to disappear before they count as survivors. */
const CONFIRM_WITHIN_MS = 2_000;

/** Which run to stop, and how. */
export interface StopTreeOptions {
  /** The process that was started; null if unknown, so that only the run id can identify the run. */
  readonly main: ProcessMark | null;
  /**
   * Whether `main` is known to have been alive until just now; otherwise its group counts only while `main` itself is alive.
   * Default false.
   */
  readonly leaderSeen?: boolean | undefined;
  readonly runId: string;
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly clock: Clock;
  readonly table: ProcessTable;
}

/** What a stop found, and what it left behind. */
export interface StopTreeResult {
  /** Whether any process of the run was alive at first. */
  readonly wasAlive: boolean;
  /** Processes of the run that are still alive: not ours to kill, or stuck in the kernel. */
  readonly survivors: readonly number[];
}

/**
 * Sends SIGTERM to the group, waits up to `graceMs`, sends SIGKILL to every process of the run, and verifies that
 * nothing is left. Resolves as soon as that is the case. May be called concurrently and repeatedly.
 */
export async function stopTree(options: StopTreeOptions): Promise<StopTreeResult> {
  const { clock, table } = options;
  const tree = trackedTree(options);
  const main = mainOfThisBoot(options);
  const mainPid = main?.pid ?? null;
  /**
   * A process that keeps re-executing may have another pid by the time it is read; then only its group shows that it is
   * alive.
   */
  const alive = (living: readonly ProcessRow[]): readonly number[] => {
    const grouped = table.cgroups?.membersOf(options.runId, mainPid) ?? [];
    return [...new Set([...living.map((row) => row.pid), ...grouped.filter((pid) => table.find(pid)?.isZombie !== true)])];
  };
  const end = (wasAlive: boolean, survivors: readonly number[]): StopTreeResult => {
    if (survivors.length === 0) table.cgroups?.remove(options.runId, mainPid);
    return { wasAlive, survivors };
  };

  const atFirst = await tree.walk();
  if (alive(atFirst).length === 0) return end(false, []);
  const groups = groupsToSignal(atFirst, main, table);
  for (const groupId of groups) sendSignal(-groupId, 'SIGTERM');

  const graceEndsMs = clock.monotonicMs() + options.graceMs;
  let walkedMs = clock.monotonicMs();
  while (groups.size > 0 && clock.monotonicMs() < graceEndsMs) {
    const isWalkDue = clock.monotonicMs() - walkedMs >= WALK_MS;
    if (isWalkDue || !isAnyIn(groups, tree.recheck())) {
      walkedMs = clock.monotonicMs();
      if (!isAnyIn(groups, await tree.walk())) break;
    }
    await wait(clock, Math.min(RECHECK_MS, graceEndsMs - clock.monotonicMs()));
  }

  const confirmByMs = clock.monotonicMs() + CONFIRM_WITHIN_MS;
  let survivors = alive(await tree.walk());
  while (survivors.length > 0 && clock.monotonicMs() < confirmByMs) {
    table.cgroups?.kill(options.runId, mainPid);
    for (const row of tree.recheck()) sendSignal(row.pid, 'SIGKILL');
    await wait(clock, CONFIRM_EACH_MS);
    survivors = alive(await tree.walk());
  }
  return end(true, survivors);
}

/** Tracks the run's living processes, even after they lost their parent. */
function trackedTree(options: StopTreeOptions) {
  const { runId, table, leaderSeen = false } = options;
  const main = mainOfThisBoot(options);
  const known = new Map<number, ProcessRow>();
  const recheck = (): readonly ProcessRow[] => {
    for (const row of known.values()) if (!isSame(table, row)) known.delete(row.pid);
    return [...known.values()];
  };
  return {
    /** The remembered processes that are still alive: cheap, but finds no new ones. */
    recheck,
    /** Walks the whole table. */
    async walk(): Promise<readonly ProcessRow[]> {
      const listed = await table.list();
      const carriers = await table.carriersOf(runId, listed, main);
      // A process that keeps forking was listed under a pid it no longer has.
      const grouped = (table.cgroups?.membersOf(runId, main?.pid ?? null) ?? []).flatMap((pid) => table.find(pid) ?? []);
      const pids = new Set(listed.map(({ pid }) => pid));
      const rows = [...listed, ...grouped.filter(({ pid, isZombie }) => !isZombie && !pids.has(pid))];
      recheck();
      const seen = new Set([...known.keys(), ...carriers, ...grouped.map(({ pid }) => pid)]);
      for (const row of runMembers(rows, { main, leaderSeen, seen, selfPid: process.pid })) known.set(row.pid, row);
      return recheck();
    },
  };
}

/** Pids of an earlier boot belong to other processes now. */
const mainOfThisBoot = ({ main, table }: StopTreeOptions): ProcessMark | null => (main?.bootId === table.bootId ? main : null);

/** The main process's group or, if nothing is left of it or it is unknown, every group of the run except our own. */
function groupsToSignal(members: readonly ProcessRow[], main: ProcessMark | null, table: ProcessTable): ReadonlySet<number> {
  const ownGroupId = table.find(process.pid)?.groupId;
  const groups = members.map((row) => row.groupId).filter((id) => id > 1 && id !== ownGroupId);
  return new Set(main !== null && groups.includes(main.pid) ? [main.pid] : groups);
}

const isAnyIn = (groups: ReadonlySet<number>, rows: readonly ProcessRow[]): boolean => rows.some((row) => groups.has(row.groupId));

function isSame(table: ProcessTable, row: ProcessRow): boolean {
  const now = table.find(row.pid);
  return now !== null && !now.isZombie && now.startTime === row.startTime;
}

/** ESRCH: the process has just ended. EPERM: it runs as another user; a stop reports it as a survivor. */
export function sendSignal(target: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(target, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
