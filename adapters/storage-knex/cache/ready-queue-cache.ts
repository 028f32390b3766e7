/**
 * A cache of the first tasks that wait, while nobody else writes the database: by requirement and lane, in the order in which they
 * are given out, so that finding work for a free slot reads nothing. It is filled by one read of many, then kept up to date by
 * commits; what it does not have (`unread`) is read again.
 *
 * A lane has all that waits in it up to a place, or all of it. A task that comes to wait behind that place is not taken in.
 */
import type { TaskId } from '../../../core/domain/ids.ts';
import { compareByAge, isClaimable, isWaiting } from '../../../core/domain/task/claimable.ts';
import { PRIORITIES, requirementKey, waitingRequirement, type Requirement, type Task } from '../../../core/domain/task/task.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { priorityRank } from '../rows/rows.ts';

/** Requirements that are kept; with more of them nothing is, and only what free agents can run is read, each time. */
export const KEYS_MAX = 1_024;
/** How long nothing is kept once that was found, or a row that cannot be read, before it is tried again. Milliseconds. */
const PAUSED_FOR_MS = 10_000;
/** Tasks of one lane; of a longer one the later half is evicted. */
const LANE_TASKS_MAX = 2_048;
/** Tasks of all lanes; with more all is evicted, and read again as it is needed. */
const TASKS_MAX = 16_384;
const LANES = PRIORITIES.length;
/** Tasks that one read may bring. */
const READ_MAX = 8_192;
/** Tasks of a lane that are read at once to be given out later, divided by the number of requirements. */
const READ_AHEAD = 512;

const NONE: ReadonlyMap<TaskId, Task> = new Map();

interface Lane {
  /** In the order in which they are given out. */
  tasks: Task[];
  /** The last place up to which all that waits is in `tasks`; null: all that waits. */
  until: Task | null;
}

interface RequirementQueue {
  readonly requirement: Requirement;
  /** By lane; null: not read yet. */
  readonly lanes: (Lane | null)[];
}

export class ReadyQueueCache {
  /** By requirement key, each that has a waiting task; null: not read. */
  #queues: Map<string, RequirementQueue> | null = null;
  #pausedUntilMs = 0;
  readonly #placed = new Map<TaskId, { readonly task: Task; readonly lane: Lane }>();

  /** Whether it is known which requirements wait. */
  get isKnown(): boolean {
    return this.#queues !== null;
  }

  get keys(): readonly string[] {
    return [...(this.#queues?.keys() ?? [])];
  }

  /** Whether it was found a moment ago that what waits cannot be kept. */
  isPaused(nowMs: number): boolean {
    return nowMs < this.#pausedUntilMs && nowMs + PAUSED_FOR_MS >= this.#pausedUntilMs;
  }

  /** Forgets everything, and keeps nothing for a while. */
  pause(nowMs: number): void {
    this.clear();
    this.#pausedUntilMs = nowMs + PAUSED_FOR_MS;
  }

  clear(): void {
    this.#queues = null;
    this.#placed.clear();
  }

  /** Takes over the requirements with which any task waits, eligible or not yet. */
  takeRequirements(requirements: readonly Requirement[]): void {
    this.clear();
    this.#queues = new Map(
      requirements.map((requirement) => [requirementKey(requirement), { requirement, lanes: Array.from({ length: LANES }, () => null) }]),
    );
  }

  /** Those of these keys of which the first `limit` of each lane that are eligible by `nowMs` are not all known. */
  unread(keys: readonly string[], nowMs: number, limit: number): readonly string[] {
    return keys.filter((key) => this.#queues?.get(key)?.lanes.some((lane) => !knows(lane, nowMs, limit)) ?? false);
  }

  /** How many of each lane to read of so many keys where `limit` are wanted; null: too many to keep. */
  limitFor(keys: number, limit: number): number | null {
    if (keys * LANES * limit > READ_MAX) return null;
    return Math.max(limit, Math.floor(READ_AHEAD / keys));
  }

  /** Takes over the first `limit` of each lane of these keys, eligible or not yet. */
  take(keys: readonly string[], tasks: readonly Task[], limit: number): void {
    for (const key of keys) {
      const lanes = this.#queues?.get(key)?.lanes;
      if (lanes === undefined) continue;
      for (const lane of lanes) for (const task of lane?.tasks ?? []) this.#placed.delete(task.id);
      for (let at = 0; at < LANES; at += 1) lanes[at] = { tasks: [], until: null };
    }
    for (const task of tasks) {
      const lane = this.#laneOf(task);
      if (lane === null) continue;
      lane.tasks.push(task);
      this.#placed.set(task.id, { task, lane });
      if (lane.tasks.length === limit) lane.until = task;
    }
    this.#keepBounds();
  }

  /** The requirements of tasks that are eligible by `nowMs`. Of keys that have been read. */
  requirements(nowMs: number): readonly Requirement[] {
    const waiting: Requirement[] = [];
    for (const { requirement, lanes } of this.#queues?.values() ?? [])
      if (lanes.some((lane) => lane?.tasks[0] !== undefined && isClaimable(lane.tasks[0], nowMs))) waiting.push(requirement);
    return waiting;
  }

  /** The first `limit` of each lane of these keys that are eligible by `nowMs`. Of keys that have been read. */
  claimable(keys: readonly string[], nowMs: number, limit: number): readonly Task[] {
    const found: Task[] = [];
    for (const key of keys)
      for (const lane of this.#queues?.get(key)?.lanes ?? []) {
        const first = lane?.tasks.slice(0, limit) ?? [];
        for (const task of first) if (isClaimable(task, nowMs)) found.push(task);
      }
    return found;
  }

  /** The ids of at most `count` tasks that are given out next, lane by lane. */
  ahead(count: number): readonly TaskId[] {
    const ids: TaskId[] = [];
    for (const { lanes } of this.#queues?.values() ?? [])
      for (const lane of lanes)
        for (const { id } of lane?.tasks.slice(0, count) ?? []) {
          if (ids.length === count) return ids;
          ids.push(id);
        }
    return ids;
  }

  /** Takes over a new task. False: it waits behind all that is kept, and is read before it is given out. `takeChanged` follows. */
  takeNew(task: Task): boolean {
    return this.#queues === null || !isWaiting(task) || this.#insert(task);
  }

  /** Takes over tasks that changed, of those that waited before or wait now. */
  takeChanged(changed: Changes['updated']): void {
    if (this.#queues === null) return;
    this.#removeAll(changed);
    // Few changes let a task wait again.
    const last = changed.some(({ task }) => isWaiting(task)) ? new Map(changed.map(({ task }) => [task.id, task])) : NONE;
    for (const task of last.values()) if (isWaiting(task)) this.#insert(task);
    this.#keepBounds();
  }

  /** Those of a lane together: most are its first, and each removal of its own would move all the others. */
  #removeAll(changed: Changes['updated']): void {
    const removed = new Map<Lane, Set<Task>>();
    for (const { task } of changed) {
      const placed = this.#placed.get(task.id);
      if (placed === undefined) continue;
      this.#placed.delete(task.id);
      const ofLane = removed.get(placed.lane);
      if (ofLane === undefined) removed.set(placed.lane, new Set([placed.task]));
      else ofLane.add(placed.task);
    }
    for (const [lane, tasks] of removed) {
      const isRemoved = (task: Task): boolean => tasks.has(task);
      const firstLeft = lane.tasks.findIndex((task) => !isRemoved(task));
      const first = firstLeft === -1 ? lane.tasks.length : firstLeft;
      lane.tasks = first === tasks.size ? lane.tasks.slice(first) : lane.tasks.filter((task) => !isRemoved(task));
    }
  }

  /** False: it waits behind all that is kept of its lane. */
  #insert(task: Task): boolean {
    const requirement = waitingRequirement(task);
    const key = requirementKey(requirement);
    let queue = this.#queues?.get(key);
    // Nothing waited with a requirement that is not among the keys: this task is all there is.
    if (queue === undefined) {
      queue = { requirement, lanes: Array.from({ length: LANES }, () => ({ tasks: [], until: null })) };
      this.#queues?.set(key, queue);
    }
    const lane = queue.lanes[priorityRank(task.priority)] ?? null;
    if (lane === null) return true;
    if (lane.until !== null && compareByAge(task, lane.until) > 0) return false;
    const place = placeOf(lane.tasks, task);
    if (place === lane.tasks.length) lane.tasks.push(task);
    else lane.tasks.splice(place, 0, task);
    this.#placed.set(task.id, { task, lane });
    if (lane.tasks.length > LANE_TASKS_MAX) {
      for (const { id } of lane.tasks.splice(LANE_TASKS_MAX / 2)) this.#placed.delete(id);
      lane.until = lane.tasks.at(-1) ?? null;
    }
    return true;
  }

  #laneOf(task: Task): Lane | null {
    return this.#queues?.get(requirementKey(waitingRequirement(task)))?.lanes[priorityRank(task.priority)] ?? null;
  }

  /** Evicts requirements that nothing waits with, and everything where it is too much. */
  #keepBounds(): void {
    if (this.#queues !== null && this.#queues.size > KEYS_MAX / 2)
      for (const [key, { lanes }] of this.#queues)
        if (lanes.every((lane) => lane !== null && lane.until === null && lane.tasks.length === 0)) this.#queues.delete(key);
    if (this.#placed.size > TASKS_MAX || (this.#queues?.size ?? 0) > KEYS_MAX) this.clear();
  }
}

const knows = (lane: Lane | null, nowMs: number, limit: number): boolean =>
  lane !== null && (lane.until === null || lane.tasks.length >= limit || !isClaimable(lane.until, nowMs));

/** Where a task stands or would stand among those of a lane; most come last or go first. */
function placeOf(tasks: readonly Task[], task: Task): number {
  const last = tasks.at(-1);
  if (last === undefined || compareByAge(last, task) < 0) return tasks.length;
  let [low, high] = [0, tasks.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = tasks[middle];
    if (one !== undefined && compareByAge(one, task) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
