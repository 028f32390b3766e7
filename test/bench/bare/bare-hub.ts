/**
 * The bare hub's tasks in memory, and the one loop that commits: what arrives during a commit goes into the next one.
 * Whatever depends on a commit is sent after it. A failure of the store ends the process.
 */
import type { Submitted, WorkerFrame } from './bare-frames.ts';
import { RETURNED, STATUS, type BareStore, type StoredTask, type TaskEvent } from './bare-store.ts';

export interface BareHub {
  /** Lines are JSON of `Submitted`. Returns the number of each task, once all are saved; for a known key, that of the existing task. */
  submit(lines: readonly string[]): Promise<readonly number[]>;
  /** `send` receives frames as text. */
  connect(slots: number, send: (frame: string) => void): WorkerLink;
  counts: BareStore['counts'];
  /** After the running commit, and the next one if it is due. */
  close(): Promise<void>;
}

export interface WorkerLink {
  report(frame: WorkerFrame): void;
  /** Its tasks return to the queue. */
  leave(): void;
}

interface Task {
  readonly id: number;
  readonly line: string;
  generation: number;
  status: number;
  worker: Worker | null;
}

interface Worker {
  readonly slots: number;
  readonly send: (frame: string) => void;
  held: number;
  isConnected: boolean;
  /** What it is sent after the running commit. */
  told: Told;
}

interface Told {
  /** JSON of `Assigned`. */
  readonly assigned: string[];
  readonly accepted: number[];
  readonly completed: number[];
  readonly refused: number[];
}

interface Request {
  readonly lines: readonly string[];
  answer(tasks: readonly number[]): void;
}

/** What a commit changes in existing tasks. */
interface Changes {
  readonly tasks: Set<Task>;
  readonly events: TaskEvent[];
}

/** The queue is trimmed when this many of its first tasks have left it. */
const LEFT_MAX = 10_000;
/** With exclusive use of the store: this many tasks wait in the hub's queue, the others only in the store. */
const QUEUED_MAX = 2_000;
/** With a shared store: this many of its tasks may wait in a hub's queue, and are claimed at once. */
const BLOCK = 500;
/** With a shared store: how soon a hub looks again after it found fewer than that. */
const LOOK_AGAIN_MS = 50;

export async function openBareHub(store: BareStore, fail: (error: unknown) => void): Promise<BareHub> {
  /** Those that are not completed. */
  const live = new Map<number, Task>();
  const workers = new Set<Worker>();
  let queue: Task[] = [];
  /** The position of its first task. */
  let head = 0;
  let requests: Request[] = [];
  /** Null: the worker disconnected. */
  let reports: (readonly [worker: Worker, frame: WorkerFrame | null])[] = [];
  let isScheduled = false;
  let running: Promise<void> | null = null;
  /** Something arrived during a commit. */
  let isDue = false;
  /** Tasks with higher numbers are only in the store. */
  let lastQueued = store.lastTask;
  let reading: Promise<void> | null = null;
  let claiming: Promise<void> | null = null;
  let lookAgain: NodeJS.Timeout | null = null;
  let isClosing = false;

  (await store.unfinished()).forEach(queueUp);

  function add(task: Task): void {
    live.set(task.id, task);
    if (task.status === STATUS.queued) queue.push(task);
  }

  function queueUp(stored: StoredTask): void {
    add({ ...stored, status: STATUS.queued, worker: null });
  }

  /** Commits after everything that this turn of the loop reads, and after the running commit. */
  function wake(): void {
    isDue = true;
    if (isScheduled || running !== null) return;
    isScheduled = true;
    setImmediate(() => {
      [isScheduled, isDue] = [false, false];
      running = commit().then(() => {
        running = null;
        if (isDue) wake();
      }, fail);
    });
  }

  async function commit(): Promise<void> {
    const [submits, reported] = [requests, reports];
    [requests, reports] = [[], []];
    const changes: Changes = { tasks: new Set(), events: [] };
    for (const [worker, frame] of reported) {
      if (frame === null) takeBack(worker, changes);
      else apply(worker, frame, changes);
    }
    const from = head;
    head = assign(queue, from, changes.events);
    const assigned = queue.slice(from, head);
    for (const task of assigned) changes.tasks.add(task);
    if (head === queue.length || head > LEFT_MAX) [queue, head] = [queue.slice(head), 0];

    const lines = submits.length === 1 ? (submits[0] as Request).lines : submits.flatMap((request) => request.lines);
    const first = store.lastTask + 1;
    const fresh = lines.map((line, n): Task => ({ id: first + n, line, generation: 0, status: STATUS.queued, worker: null }));
    const freshEvents: TaskEvent[] = [];
    // In order: none overtakes those that are only in the store.
    const assignedCount = isBehind() ? 0 : assign(fresh, 0, freshEvents);
    const keptCount = Math.max(assignedCount, Math.min(fresh.length, room()));
    const queued = isBehind() ? 0 : keptCount;
    lastQueued += queued;
    const saving = save(changes, freshEvents, lines, assignedCount, keptCount);
    claim();
    readOn();
    if (await saving) {
      for (const task of keptCount === fresh.length ? fresh : fresh.slice(0, keptCount)) add(task);
      let answered = first;
      for (const { lines: some, answer } of submits) answer(some.map(() => answered++));
      for (let n = 0; n < assignedCount; n += 1) assigned.push(fresh[n] as Task);
    } else {
      lastQueued -= queued;
      for (const { worker } of fresh) if (worker !== null) worker.held -= 1;
      await save(changes, [], [], 0, 0);
      for (const request of submits) request.answer(await submitSingly(request.lines));
    }
    for (const { id, generation, line, worker } of assigned) worker?.told.assigned.push(`[${id},${generation},${line}]`);
    for (const worker of workers) tell(worker);
  }

  const save = (
    { tasks, events }: Changes,
    freshEvents: readonly TaskEvent[],
    lines: readonly string[],
    assignedCount: number,
    keptCount: number,
  ): Promise<boolean> =>
    store.save({
      submitted: lines,
      assignedCount,
      keptCount: store.claim === null ? lines.length : keptCount,
      states: [...tasks],
      events: freshEvents.length === 0 ? events : events.concat(freshEvents),
    });

  function isBehind(): boolean {
    return store.claim === null && lastQueued < store.lastTask;
  }

  /** How many more tasks may wait here. */
  function room(): number {
    if (store.claim === null) return isBehind() ? 0 : Math.max(0, QUEUED_MAX - (queue.length - head));
    return workers.size === 0 ? 0 : BLOCK - (queue.length - head);
  }

  /** Reads what is only in the store, before the queue is empty. */
  function readOn(): void {
    if (store.waitingBehind === null || reading !== null || !isBehind() || isClosing || queue.length - head > QUEUED_MAX / 2) return;
    reading = store.waitingBehind(lastQueued, QUEUED_MAX / 2).then((found) => {
      reading = null;
      found.forEach(queueUp);
      const last = found.at(-1);
      if (last === undefined) return;
      lastQueued = last.id;
      wake();
    }, fail);
  }

  /** Claims tasks before the queue is empty. */
  function claim(): void {
    if (store.claim === null || claiming !== null || lookAgain !== null || isClosing || room() < BLOCK / 2) return;
    claiming = store.claim(BLOCK).then((claimed) => {
      claiming = null;
      claimed.forEach(queueUp);
      if (claimed.length > 0) wake();
      if (claimed.length === BLOCK || isClosing) return;
      lookAgain = setTimeout(() => {
        lookAgain = null;
        claim();
      }, LOOK_AGAIN_MS);
    }, fail);
  }

  /** Assigns tasks from that position on to workers with free slots. Returns the position of the first task without a slot. */
  function assign(tasks: readonly Task[], from: number, events: TaskEvent[]): number {
    let place = from;
    for (const worker of workers) {
      for (; worker.held < worker.slots && place < tasks.length; place += 1) {
        const task = tasks[place] as Task;
        task.status = STATUS.assigned;
        task.generation += 1;
        task.worker = worker;
        worker.held += 1;
        events.push(eventOf(task, STATUS.assigned));
      }
    }
    return place;
  }

  function apply(worker: Worker, [accepted, completed]: WorkerFrame, { tasks, events }: Changes): void {
    const { told } = worker;
    for (const [id, generation] of accepted) {
      const task = heldBy(worker, id, generation, STATUS.assigned);
      if (task === null) continue;
      task.status = STATUS.accepted;
      tasks.add(task);
      events.push(eventOf(task, STATUS.accepted));
      told.accepted.push(id);
    }
    for (const [id, generation, result] of completed) {
      const task = heldBy(worker, id, generation, STATUS.accepted);
      if (task === null) continue;
      task.status = STATUS.completed;
      tasks.add(task);
      events.push(eventOf(task, STATUS.completed, JSON.stringify(result)));
      told.completed.push(id);
      live.delete(id);
      worker.held -= 1;
    }
  }

  /** Null, and refused: it is not this worker's, or not in that generation or status. */
  function heldBy(worker: Worker, id: number, generation: number, status: number): Task | null {
    const task = live.get(id);
    if (task !== undefined && task.worker === worker && task.generation === generation && task.status === status) return task;
    worker.told.refused.push(id);
    return null;
  }

  function takeBack(worker: Worker, { tasks, events }: Changes): void {
    workers.delete(worker);
    for (const task of live.values()) {
      if (task.worker !== worker) continue;
      task.status = STATUS.queued;
      task.worker = null;
      tasks.add(task);
      events.push(eventOf(task, RETURNED));
      queue.push(task);
    }
  }

  /** One after the other, since repeated keys among them are recognised. */
  async function submitSingly(lines: readonly string[]): Promise<readonly number[]> {
    const ids: number[] = [];
    for (const line of lines) {
      const [key] = JSON.parse(line) as Submitted;
      const known = await store.taskOf(key);
      const keptCount = store.claim === null && room() > 0 ? 1 : 0;
      if (known !== null) {
        ids.push(known);
      } else if (await store.save({ submitted: [line], assignedCount: 0, keptCount, states: [], events: [] })) {
        ids.push(store.lastTask);
        if (keptCount === 1) {
          queueUp({ id: store.lastTask, line, generation: 0 });
          lastQueued = store.lastTask;
        }
      } else {
        // Another hub was a moment earlier.
        ids.push(Number(await store.taskOf(key)));
      }
    }
    // The new ones among them are queued.
    wake();
    return ids;
  }

  function tell(worker: Worker): void {
    const { assigned, accepted, completed, refused } = worker.told;
    if (assigned.length + accepted.length + completed.length + refused.length === 0) return;
    worker.told = { assigned: [], accepted: [], completed: [], refused: [] };
    if (worker.isConnected)
      worker.send(`[[${assigned.join(',')}],[${accepted.join(',')}],[${completed.join(',')}],[${refused.join(',')}]]`);
  }

  return {
    submit: (lines) =>
      new Promise((answer) => {
        requests.push({ lines, answer });
        wake();
      }),
    connect(slots, send) {
      const worker: Worker = {
        slots,
        send,
        held: 0,
        isConnected: true,
        told: { assigned: [], accepted: [], completed: [], refused: [] },
      };
      workers.add(worker);
      const report = (frame: WorkerFrame | null): void => {
        reports.push([worker, frame]);
        wake();
      };
      // Waiting tasks are assigned to it.
      wake();
      return {
        report,
        leave() {
          worker.isConnected = false;
          report(null);
        },
      };
    },
    counts: () => store.counts(),
    async close() {
      isClosing = true;
      if (lookAgain !== null) clearTimeout(lookAgain);
      while (isScheduled || running !== null || claiming !== null || reading !== null)
        await (running ?? claiming ?? reading ?? new Promise(setImmediate));
      await store.close();
    },
  };
}

const eventOf = ({ id, generation }: Task, kind: number, result: string | null = null): TaskEvent => ({
  task: id,
  kind,
  generation,
  result,
});
