/**
 * A cache of the first waiting tasks of each requirement and lane, while nobody else writes to the database. They are in the order in which
 * they are assigned, so that finding work for a free slot needs no read. One read fills it with many tasks, then commits keep it up to
 * date; what it does not have (`unread`) is read again.
 *
 * A lane has all of its waiting tasks, or all up to a certain position. A task that begins to wait behind that position is not added.
 *
 * A lane that runs low is read ahead (ahead-reader.ts). Such a read sees the database at some moment between its start and its end, so all
 * changes meanwhile are recorded, and take precedence over what it has found.
 */
import type { TaskId } from '../../../core/domain/ids.ts';
import { compareByAge, isClaimable, isWaiting } from '../../../core/domain/task/claimable.ts';
import { PRIORITIES, requirementKey, waitingRequirement, type Requirement, type Task } from '../../../core/domain/task/task.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { priorityRank } from '../rows/rows.ts';

/** Maximum number of cached requirements. If there are more, nothing is cached, and each time only what free agents can run is read. */
export const KEYS_MAX = 1_024;
/** How long nothing is cached after too many requirements, or a row that cannot be read, were found. Milliseconds. */
const PAUSED_FOR_MS = 10_000;
/** Maximum number of tasks of one lane; the later half of a longer one is evicted. */
const LANE_TASKS_MAX = 2_048;
/** Maximum number of tasks of all lanes; if there are more, everything is evicted, and read again when it is needed. */
const TASKS_MAX = 16_384;
const LANES = PRIORITIES.length;
/** Maximum number of tasks that one read may return. */
const READ_MAX = 8_192;
/** How many tasks of a lane are read ahead, divided by the number of requirements. */
const READ_AHEAD = 512;

/** With more requirements than this nothing is read ahead: only a few tasks of each are read at once. */
const AHEAD_KEYS_MAX = 8;

const NONE: ReadonlyMap<TaskId, Task> = new Map();

/** A read of the tasks that wait behind those of a lane that runs low. */
export interface QueueAhead {
  readonly key: string;
  readonly lane: number;
  /** The last position that the lane has. */
  readonly after: Task;
  /** How many tasks are read. */
  readonly limit: number;
  /** The tasks that have changed since it began, as they are now. */
  readonly changed: Map<TaskId, Task>;
}

interface Lane {
  /** In the order in which they are assigned. */
  tasks: Task[];
  /** All tasks that wait up to the position of this one are in `tasks`; null: all that wait. */
  until: Task | null;
}

interface RequirementQueue {
  readonly requirement: Requirement;
  /** By lane; null: not read yet. */
  readonly lanes: (Lane | null)[];
}

export class ReadyQueueCache {
  /** All requirements with a waiting task, by key; null: not read yet. */
  #queues: Map<string, RequirementQueue> | null = null;
  #pausedUntilMs = 0;
  readonly #placed = new Map<TaskId, { readonly task: Task; readonly lane: Lane }>();
  #ahead: QueueAhead | null = null;

  /** Whether the requirements of waiting tasks are known. */
  get isKnown(): boolean {
    return this.#queues !== null;
  }

  get keys(): readonly string[] {
    return [...(this.#queues?.keys() ?? [])];
  }

  /** Whether it was found a moment ago that the waiting tasks cannot be cached. */
  isPaused(nowMs: number): boolean {
    return nowMs < this.#pausedUntilMs && nowMs + PAUSED_FOR_MS >= this.#pausedUntilMs;
  }

  /** Forgets everything, and caches nothing for a while. */
  pause(nowMs: number): void {
    this.clear();
    this.#pausedUntilMs = nowMs + PAUSED_FOR_MS;
  }

  clear(): void {
    this.#queues = null;
    this.#placed.clear();
    this.#ahead = null;
  }

  /** Whether it has this task. */
  has(id: TaskId): boolean {
    return this.#placed.has(id);
  }

  /** Begins to record changes if a lane runs low. Null: none does, or one is being read. MUST be called before the read begins. */
  beginAhead(): QueueAhead | null {
    const queues = this.#queues;
    if (queues === null || this.#ahead !== null || queues.size > AHEAD_KEYS_MAX) return null;
    const limit = Math.floor(READ_AHEAD / queues.size);
    for (const [key, { lanes }] of queues)
      for (const [lane, its] of lanes.entries()) {
        if (its === null || its.until === null || its.tasks.length >= limit / 2) continue;
        return (this.#ahead = { key, lane, after: its.until, limit, changed: new Map() });
      }
    return null;
  }

  /** The read failed. */
  dropAhead(ahead: QueueAhead): void {
    if (this.#ahead === ahead) this.#ahead = null;
  }

  /**
   * Adds the tasks that a read has found, between two transactions. Returns those that were added; none if the lane was read or shortened
   * meanwhile.
   */
  takeAhead(ahead: QueueAhead, tasks: readonly Task[]): readonly Task[] {
    if (this.#ahead !== ahead) return [];
    this.#ahead = null;
    const { key, lane: at, after, limit, changed } = ahead;
    const lane = this.#queues?.get(key)?.lanes[at];
    if (lane?.until !== after) return [];
    lane.until = tasks.length < limit ? null : (tasks.at(-1) ?? null);
    const added = tasks.filter(({ id }) => !changed.has(id));
    for (const task of added) {
      lane.tasks.push(task);
      this.#placed.set(task.id, { task, lane });
    }
    for (const task of changed.values()) if (isWaiting(task) && !this.#placed.has(task.id) && this.#insert(task)) added.push(task);
    this.#keepBounds();
    return added;
  }

  /** Resets the cache to the requirements of all waiting tasks, eligible or not yet. */
  takeRequirements(requirements: readonly Requirement[]): void {
    this.clear();
    this.#queues = new Map(
      requirements.map((requirement) => [requirementKey(requirement), { requirement, lanes: Array.from({ length: LANES }, () => null) }]),
    );
  }

  /** Those of these keys with a lane whose first `limit` tasks that are eligible by `nowMs` are not all cached. */
  unread(keys: readonly string[], nowMs: number, limit: number): readonly string[] {
    return keys.filter((key) => this.#queues?.get(key)?.lanes.some((lane) => !knows(lane, nowMs, limit)) ?? false);
  }

  /** How many tasks of each lane to read for this many keys if `limit` are wanted; null: too many to cache. */
  limitFor(keys: number, limit: number): number | null {
    if (keys * LANES * limit > READ_MAX) return null;
    return Math.max(limit, Math.floor(READ_AHEAD / keys));
  }

  /** Replaces the lanes of these keys with the first `limit` tasks of each, eligible or not yet. */
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
    this.#ahead = null;
    this.#keepBounds();
  }

  /** The requirements of tasks that are eligible by `nowMs`. Only for keys that have been read. */
  requirements(nowMs: number): readonly Requirement[] {
    const waiting: Requirement[] = [];
    for (const { requirement, lanes } of this.#queues?.values() ?? [])
      if (lanes.some((lane) => lane?.tasks[0] !== undefined && isClaimable(lane.tasks[0], nowMs))) waiting.push(requirement);
    return waiting;
  }

  /** The first `limit` tasks of each lane of these keys that are eligible by `nowMs`. Only for keys that have been read. */
  claimable(keys: readonly string[], nowMs: number, limit: number): readonly Task[] {
    const found: Task[] = [];
    for (const key of keys)
      for (const lane of this.#queues?.get(key)?.lanes ?? []) {
        const first = lane?.tasks.slice(0, limit) ?? [];
        for (const task of first) if (isClaimable(task, nowMs)) found.push(task);
      }
    return found;
  }

  /** The ids of at most `count` tasks that are assigned next, lane by lane. */
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

  /** Adds a new task. False: it waits behind everything that is cached, and is read before it is assigned. `takeChanged` is called afterwards. */
  takeNew(task: Task): boolean {
    this.#record(task);
    return this.#queues === null || !isWaiting(task) || this.#insert(task);
  }

  /** Applies the changes of tasks that waited before or wait now. */
  takeChanged(changed: Changes['updated']): void {
    if (this.#queues === null) return;
    for (const { task } of changed) this.#record(task);
    this.#removeAll(changed);
    // Few changes make a task wait again.
    const last = changed.some(({ task }) => isWaiting(task)) ? new Map(changed.map(({ task }) => [task.id, task])) : NONE;
    for (const task of last.values()) if (isWaiting(task)) this.#insert(task);
    this.#keepBounds();
  }

  #record(task: Task): void {
    if (this.#ahead === null) return;
    this.#ahead.changed.set(task.id, task);
    if (this.#ahead.changed.size > TASKS_MAX) this.#ahead = null;
  }

  /** Removes the tasks of a lane together: most are its first ones, and removing them one by one would move all the others each time. */
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

  /** False: it waits behind everything that is cached of its lane. */
  #insert(task: Task): boolean {
    const requirement = waitingRequirement(task);
    const key = requirementKey(requirement);
    let queue = this.#queues?.get(key);
    // No task waited with a requirement that is not among the keys: this task is the only one.
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

  /** Evicts requirements without waiting tasks, and everything if the cache is too large. */
  #keepBounds(): void {
    if (this.#queues !== null && this.#queues.size > KEYS_MAX / 2)
      for (const [key, { lanes }] of this.#queues)
        if (lanes.every((lane) => lane !== null && lane.until === null && lane.tasks.length === 0)) this.#queues.delete(key);
    if (this.#placed.size > TASKS_MAX || (this.#queues?.size ?? 0) > KEYS_MAX) this.clear();
  }
}

const knows = (lane: Lane | null, nowMs: number, limit: number): boolean =>
  lane !== null && (lane.until === null || lane.tasks.length >= limit || !isClaimable(lane.until, nowMs));

/** The index at which a task belongs among those of a lane; most belong at the end. */
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
