/**
 * Ends a run: its main process and everything that it started. Killing the group alone is not enough, because agents
 * start their tools in groups and sessions of their own; so the tree is walked before and while signals are sent, what
 * was seen is remembered with its start time, and what slipped out of the tree is found by the run id that it carries, or
 * by the control group of the run.
 */
import type { Clock } from '../../../core/ports/clock.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessRow, ProcessTable } from './process-table.ts';
import { runMembers } from './run-members.ts';
import { wait } from '../events/wait.ts';

/** Between two glances at the remembered processes while they may end by themselves. */
const GLANCE_MS = 100;
/** Between two walks of the whole table meanwhile: tools come and go while an agent cleans up. */
const WALK_MS = 1_000;
/** Between a kill and the look whether it worked. */
const CONFIRM_EACH_MS = 20;
/** How long killed processes may take to vanish before they count as survivors. */
const CONFIRM_WITHIN_MS = 2_000;

export interface StopTreeOptions {
  /** The process that was started; null when it is not known and only the run id can tell. */
  readonly main: ProcessMark | null;
  /** Whether `main` is known to have lived until just now; else its group is believed only while it lives itself. Default false. */
  readonly leaderSeen?: boolean | undefined;
  readonly runId: string;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly clock: Clock;
  readonly table: ProcessTable;
}

export interface StopTreeResult {
  /** Whether anything of the run was alive at first. */
  readonly wasAlive: boolean;
  /** Processes of the run that are still alive: not ours to kill, or stuck in the kernel. */
  readonly survivors: readonly number[];
}

/**
 * SIGTERM to the group, `graceMs` for it to end, SIGKILL to every process of the run, then a look that nothing is left.
 * Answers as soon as that is so; at once when nothing of the run is alive. Twice and at once is fine.
 */
export async function stopTree(options: StopTreeOptions): Promise<StopTreeResult> {
  const { clock, table } = options;
  const tree = rememberedTree(options);
  const main = mainOfThisBoot(options);
  const mainPid = main?.pid ?? null;
  /** What is another process every moment may have gone by the time that it is read: then only its group says that it lives. */
  const alive = (living: readonly ProcessRow[]): readonly number[] => {
    const grouped = table.groups?.membersOf(options.runId, mainPid) ?? [];
    return [...new Set([...living.map((row) => row.pid), ...grouped.filter((pid) => table.find(pid)?.isZombie !== true)])];
  };
  const end = (wasAlive: boolean, survivors: readonly number[]): StopTreeResult => {
    if (survivors.length === 0) table.groups?.remove(options.runId, mainPid);
    return { wasAlive, survivors };
  };

  const atFirst = await tree.look();
  if (alive(atFirst).length === 0) return end(false, []);
  const groups = groupsToSignal(atFirst, main, table);
  for (const groupId of groups) signal(-groupId, 'SIGTERM');

  const graceEndsMs = clock.monotonicMs() + options.graceMs;
  let walkedMs = clock.monotonicMs();
  while (groups.size > 0 && clock.monotonicMs() < graceEndsMs) {
    const isWalkDue = clock.monotonicMs() - walkedMs >= WALK_MS;
    if (isWalkDue || !isAnyIn(groups, tree.glance())) {
      walkedMs = clock.monotonicMs();
      if (!isAnyIn(groups, await tree.look())) break;
    }
    await wait(clock, Math.min(GLANCE_MS, graceEndsMs - clock.monotonicMs()));
  }

  const confirmByMs = clock.monotonicMs() + CONFIRM_WITHIN_MS;
  let survivors = alive(await tree.look());
  while (survivors.length > 0 && clock.monotonicMs() < confirmByMs) {
    table.groups?.kill(options.runId, mainPid);
    for (const row of tree.glance()) signal(row.pid, 'SIGKILL');
    await wait(clock, CONFIRM_EACH_MS);
    survivors = alive(await tree.look());
  }
  return end(true, survivors);
}

/** What belongs to the run and lived when last looked at. Remembers each, also after it lost its parent. */
function rememberedTree(options: StopTreeOptions) {
  const { runId, table, leaderSeen = false } = options;
  const main = mainOfThisBoot(options);
  const known = new Map<number, ProcessRow>();
  const glance = (): readonly ProcessRow[] => {
    for (const row of known.values()) if (!isSame(table, row)) known.delete(row.pid);
    return [...known.values()];
  };
  return {
    /** Those remembered that still live: cheap, but sees nothing new. */
    glance,
    /** Walks the whole table. */
    async look(): Promise<readonly ProcessRow[]> {
      const listed = await table.list();
      const carriers = await table.carriersOf(runId, listed, main);
      // What is another process every moment was listed under a number that it has no more.
      const grouped = (table.groups?.membersOf(runId, main?.pid ?? null) ?? []).flatMap((pid) => table.find(pid) ?? []);
      const rows = [...listed, ...grouped.filter(({ pid, isZombie }) => !isZombie && !listed.some((row) => row.pid === pid))];
      glance();
      const seen = new Set([...known.keys(), ...carriers, ...grouped.map(({ pid }) => pid)]);
      for (const row of runMembers(rows, { main, leaderSeen, seen, selfPid: process.pid })) known.set(row.pid, row);
      return glance();
    },
  };
}

/** Numbers of an earlier boot name nobody: they are somebody else's today. */
const mainOfThisBoot = ({ main, table }: StopTreeOptions): ProcessMark | null => (main?.bootId === table.bootId ? main : null);

/** The main process's group; without a main process every group of the run but our own. */
function groupsToSignal(members: readonly ProcessRow[], main: ProcessMark | null, table: ProcessTable): ReadonlySet<number> {
  const ownGroupId = table.find(process.pid)?.groupId;
  const groups = members.map((row) => row.groupId).filter((id) => id > 1 && id !== ownGroupId);
  return new Set(main === null ? groups : groups.filter((id) => id === main.pid));
}

const isAnyIn = (groups: ReadonlySet<number>, rows: readonly ProcessRow[]): boolean => rows.some((row) => groups.has(row.groupId));

function isSame(table: ProcessTable, row: ProcessRow): boolean {
  const now = table.find(row.pid);
  return now !== null && !now.isZombie && now.startTime === row.startTime;
}

/** ESRCH: it has ended meanwhile. EPERM: it is not ours, and the look that follows names it a survivor. */
function signal(target: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(target, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
