/** The CPU time of each stage of a task's life, from a profile of the hub and the times of its threads. */
import type { CpuProfile } from './flame-graph.ts';
import { placeOf } from './profiler.ts';
import { isOurs, stageOf, STAGES, type Stage, type Workload } from './stages.ts';
import type { ThreadTimes } from './thread-times.ts';

/** A busy hub. */
export interface Seen {
  readonly tasks: number;
  /** Of its own thread. */
  readonly profile: CpuProfile;
  /** Meanwhile. */
  readonly times: ThreadTimes;
}

export interface StageTime {
  readonly stage: Stage;
  /** Microseconds of CPU time per task. */
  readonly us: number;
  /** The functions that took most of it, with their microseconds per task; none on SQLite's thread, which is not JavaScript. */
  readonly hottest: readonly { readonly what: string; readonly us: number }[];
}

/** What `docs/results/bench-budget.json` contains for one workload. */
export interface StageTimes {
  readonly workload: Workload;
  readonly tasks: number;
  readonly stages: readonly StageTime[];
  /** V8's own threads, including the profiler's: in no stage, microseconds per task. */
  readonly helpersUs: number;
}

const HOTTEST = 3;

/**
 * The profile shows how the main thread's time is divided, the system how much it was. Each sample counts the same:
 * one that claims to have lasted longer was taken late, because the thread had to wait for a CPU, most often after a
 * call that woke another thread.
 */
export function stageTimes(workload: Workload, { tasks, profile, times }: Seen): StageTimes {
  const samples = byStage(samplesIn(profile));
  const all = sum([...samples.values()].flatMap((functions) => [...functions.values()]));
  const usPerSample = all === 0 ? 0 : (times.main * 1_000) / tasks / all;
  const stages = STAGES.map((stage): StageTime => {
    if (stage === 'sqlite') return { stage, us: (times.pool * 1_000) / tasks, hottest: [] };
    const functions = [...(samples.get(stage) ?? [])].map(([what, count]) => ({ what, us: count * usPerSample }));
    const hottest = functions.toSorted((a, b) => b.us - a.us).slice(0, HOTTEST);
    return { stage, us: sum(functions.map(({ us }) => us)), hottest };
  });
  return { workload, tasks, stages, helpersUs: (times.helpers * 1_000) / tasks };
}

/** The number of samples of each stack; without those in which the thread was idle. */
function* samplesIn({ nodes, samples }: CpuProfile): Generator<readonly [Stack, number]> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callers = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const counts = new Map<number, number>();
  for (const id of samples) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) {
    const stack: Frame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = callers.get(at)) {
      const frame = byId.get(at)?.callFrame;
      if (frame !== undefined) stack.push(frame);
    }
    if (stack[0]?.functionName !== '(idle)') yield [stack, count];
  }
}

type Frame = CpuProfile['nodes'][number]['callFrame'];
/** Leaf first. */
export type Stack = readonly Frame[];

/** How much each function has, by its stage. */
export function byStage(stacks: Iterable<readonly [Stack, number]>): ReadonlyMap<Stage, ReadonlyMap<string, number>> {
  const stages = new Map<Stage, Map<string, number>>();
  for (const [stack, much] of stacks) {
    const stage = stageOf(stack);
    const functions = stages.get(stage) ?? new Map<string, number>();
    stages.set(stage, functions);
    const what = nameOf(stack);
    functions.set(what, (functions.get(what) ?? 0) + much);
  }
  return stages;
}

/** The function itself, followed by the nearest own one if it is not own code; without lines, which move. */
function nameOf(stack: Stack): string {
  const [leaf] = stack;
  const ours = stack.findIndex(({ url }) => isOurs(url));
  const name = leaf === undefined ? '' : functionIn(leaf, stack[1]);
  const frame = stack[ours];
  return ours <= 0 || frame === undefined ? name : `${name} in ${functionIn(frame, stack[ours + 1])}`;
}

function functionIn({ functionName, url }: Frame, caller: Frame | undefined): string {
  const name =
    functionName !== '' ? functionName : caller === undefined || caller.functionName === '' ? '(anonymous)' : `(in ${caller.functionName})`;
  return url === '' ? name : `${name} ${placeOf(url)}`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
