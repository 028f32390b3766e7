/** Cancels agents that do not want to end, with all processes that they started: what `npm run chaos:cancel` does. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryEntry } from '../../../apps/client/index.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { freezer } from '../rig/freezer.ts';
import { isAlive, statOf } from '../rig/chaos-ledger.ts';
import { makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';

export interface CancelOptions {
  readonly tree: BuiltTree;
  readonly cancels: number;
  /** Process trees that run, and are cancelled, in parallel. */
  readonly atOnce: number;
  readonly killGraceMs: number;
  readonly onProgress?: (done: number) => void;
}

/** All from the call of the cancel, in milliseconds. */
export interface CancelTimes {
  /** Until the agent got SIGTERM. */
  readonly signalMs: number;
  /** Until none of the five processes was alive. */
  readonly goneMs: number;
  /** Until the hub had the confirmation. */
  readonly confirmedMs: number;
}

export interface CancelOutcome {
  readonly times: readonly CancelTimes[];
  /** What went wrong. */
  readonly faults: readonly string[];
  /** Whether an unkillable process was named; null if this machine has no way to create one. */
  readonly survivorNamed: boolean | null;
}

const DEAF_TREE = resolve(import.meta.dirname, '../rig/scripts/deaf-tree.sh');
const LOOK_MS = 5;
const WITHIN_MS = 60_000;

interface Tree {
  readonly taskId: string;
  /** main, child, grandchild, the one in its own group, the one in its own session. */
  readonly members: readonly { readonly pid: number; readonly began: string }[];
}

export async function cancelRun(t: TestEnd, options: CancelOptions): Promise<CancelOutcome> {
  const { cancels, atOnce, killGraceMs, onProgress } = options;
  const world = await makeChaosWorld(t, { tree: options.tree, hubTiming: { killGraceMs } });
  mkdirSync(join(world.dir, 'ledger', 'trees'));
  await world.startHub().ready;
  await world.enrol({ agentId: 'deaf', slots: atOnce, argv: ['bash', DEAF_TREE] });
  await world.startSidecar('deaf').ready;

  const times: CancelTimes[] = [];
  const faults: string[] = [];
  let begun = 0;
  const cancelSome = async (): Promise<void> => {
    while (begun < cancels) {
      const tree = await plantTree(world, `tree ${(begun += 1)}`);
      faults.push(...shapeFaults(tree));
      const { survivors, ...taken } = await cancelTree(world, tree);
      times.push(taken);
      if (survivors.length > 0) faults.push(`${tree.taskId}: survivors ${survivors.join()} were named, but all are gone`);
      onProgress?.(times.length);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, cancelSome));
  return { times, faults, survivorNamed: await nameSurvivor(t, world) };
}

async function plantTree(world: ChaosWorld, description: string): Promise<Tree> {
  const { task_id: taskId } = await world.api.tasks.submit({ description });
  const file = join(world.dir, 'ledger', 'trees', `${taskId}.pids`);
  await until(`${taskId}: its agent to start`, () => existsSync(file));
  const pids = readFileSync(file, 'utf8').trim().split(' ').map(Number);
  return { taskId, members: pids.map((pid) => ({ pid, began: statOf(pid)?.[19] ?? 'gone' })) };
}

/** The tree must have the intended shape, or its end proves nothing. Fields 5 and 6 of proc_pid_stat(5) are group and session. */
function shapeFaults({ taskId, members }: Tree): readonly string[] {
  const places = members.map(({ pid }) => statOf(pid)?.slice(1, 4).map(Number) ?? []);
  const [main = 0, child = 0] = members.map(({ pid }) => pid);
  const [, , inChild = [], inGroup = [], inSession = []] = places;
  const isMeant =
    members.length === 5 &&
    members.every(isAlive) &&
    inChild[0] === child &&
    inGroup[1] !== main &&
    inGroup[2] === main &&
    inSession[2] !== main &&
    !members.some(({ pid }) => pid === inSession[0]);
  return isMeant ? [] : [`${taskId}: its tree does not have the intended shape: ${JSON.stringify(places)}`];
}

async function cancelTree(world: ChaosWorld, { taskId, members }: Tree): Promise<CancelTimes & { readonly survivors: readonly number[] }> {
  const calledMs = Date.now();
  await world.api.tasks.cancel(taskId);
  await until(`${taskId}: its processes to end`, () => !members.some(isAlive));
  const goneMs = Date.now() - calledMs;
  const confirmation = await confirmationOf(world, taskId);
  const signal = join(world.dir, 'ledger', 'trees', `${taskId}.signal`);
  const signalMs = existsSync(signal) ? Number(readFileSync(signal, 'utf8')) / 1_000 - calledMs : Infinity;
  return { signalMs, goneMs, confirmedMs: confirmation.timestamp - calledMs, survivors: survivorsIn(confirmation) };
}

/** The entry of the history; its time is the commit's. */
async function confirmationOf(world: ChaosWorld, taskId: string): Promise<HistoryEntry> {
  const untilMs = performance.now() + WITHIN_MS;
  while (performance.now() < untilMs) {
    const found = (await world.api.tasks.get(taskId)).history.find(({ event }) => event === 'stop_confirmed');
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error(`${taskId}: no confirmation of its stop within ${WITHIN_MS} ms`);
}

const survivorsIn = ({ details }: HistoryEntry): readonly number[] => (details?.['survivors'] as readonly number[] | undefined) ?? [];

/** A frozen process receives no signal, not even SIGKILL, like one that hangs on a dead disk. */
async function nameSurvivor(t: TestEnd, world: ChaosWorld): Promise<boolean | null> {
  const ice = freezer(t);
  if (ice === null) return null;
  const tree = await plantTree(world, 'a tree with an unkillable process');
  const frozen = tree.members[2];
  if (frozen === undefined) throw new Error(`${tree.taskId} has no third process`);
  ice.freeze(frozen.pid);
  await world.api.tasks.cancel(tree.taskId);
  const survivors = survivorsIn(await confirmationOf(world, tree.taskId));
  const areOthersGone = !tree.members.some((member) => member !== frozen && isAlive(member));
  const isNamed = isAlive(frozen) && areOthersGone && survivors.join() === String(frozen.pid);
  ice.thaw();
  await until('the frozen process to end once it is thawed', () => !isAlive(frozen));
  return isNamed;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const untilMs = performance.now() + WITHIN_MS;
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`waited ${WITHIN_MS} ms for ${what}`);
    await sleep(LOOK_MS);
  }
}
