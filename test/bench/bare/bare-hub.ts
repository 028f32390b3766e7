/**
 * The yardstick's tasks in memory, and the one loop that commits: what arrives while a commit runs is the next one's. Whatever depends on a commit
 * leaves after it. A failure of the store ends the process.
 */
import type { Submitted, WorkerFrame } from './bare-frames.ts';
import { RETURNED, STATUS, type BareStore } from './bare-store.ts';

export interface BareHub {
  /** Lines are JSON of `Submitted`. Answers the number of each task, once all are saved: of a known key, that of the task that has it. */
  submit(lines: readonly string[]): Promise<readonly number[]>;
  /** `send` is given frames as text. */
  connect(slots: number, send: (frame: string) => void): WorkerLink;
  counts: BareStore['counts'];
  /** After the commit that runs, and the one that is due. */
  close(): Promise<void>;
}

export interface WorkerLink {
  report(frame: WorkerFrame): void;
  /** Its tasks go back into the queue. */
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
  /** What it is told after the commit that runs. */
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

/** What a commit changes of tasks that were there. */
interface Changes {
  readonly tasks: Set<Task>;
  /** JSON. */
  readonly events: string[];
}

/** The queue is cut when so many of its first have left it. */
const LEFT_MAX = 10_000;

export async function openBareHub(store: BareStore, fail: (error: unknown) => void): Promise<BareHub> {
  /** Those that are not completed. */
  const live = new Map<number, Task>();
  const workers = new Set<Worker>();
  let queue: Task[] = [];
  /** The place of its first. */
  let head = 0;
  let requests: Request[] = [];
  /** Null: the worker left. */
  let reports: (readonly [worker: Worker, frame: WorkerFrame | null])[] = [];
  let isScheduled = false;
  let running: Promise<void> | null = null;
  /** Something came while a commit ran. */
  let isDue = false;

  for (const stored of await store.unfinished()) add({ ...stored, status: STATUS.queued, worker: null });

  function add(task: Task): void {
    live.set(task.id, task);
    if (task.status === STATUS.queued) queue.push(task);
  }

  /** Commits after all that this turn of the loop reads, and after the commit that runs. */
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
    const freshEvents: string[] = [];
    const assignedCount = assign(fresh, 0, freshEvents);
    if (await save(changes, freshEvents, lines, assignedCount)) {
      fresh.forEach(add);
      let answered = first;
      for (const { lines: some, answer } of submits) answer(some.map(() => answered++));
      for (let n = 0; n < assignedCount; n += 1) assigned.push(fresh[n] as Task);
    } else {
      for (const { worker } of fresh) if (worker !== null) worker.held -= 1;
      await save(changes, [], [], 0);
      for (const request of submits) request.answer(await submitSingly(request.lines));
    }
    for (const { id, generation, line, worker } of assigned) worker?.told.assigned.push(`[${id},${generation},${line}]`);
    for (const worker of workers) tell(worker);
  }

  const save = (
    { tasks, events }: Changes,
    freshEvents: readonly string[],
    lines: readonly string[],
    assignedCount: number,
  ): Promise<boolean> =>
    store.save({
      submitted: lines,
      assignedCount,
      states: Array.from(tasks, ({ id, status, generation }) => `[${id},${status},${generation}]`),
      events: freshEvents.length === 0 ? events : events.concat(freshEvents),
    });

  /** Gives the tasks from that place on to workers with free slots. Answers the place of the first that none had a slot for. */
  function assign(tasks: readonly Task[], from: number, events: string[]): number {
    let place = from;
    for (const worker of workers) {
      for (; worker.held < worker.slots && place < tasks.length; place += 1) {
        const task = tasks[place] as Task;
        task.status = STATUS.assigned;
        task.generation += 1;
        task.worker = worker;
        worker.held += 1;
        events.push(`[${task.id},${STATUS.assigned},${task.generation}]`);
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
      events.push(`[${id},${STATUS.accepted},${generation}]`);
      told.accepted.push(id);
    }
    for (const [id, generation, result] of completed) {
      const task = heldBy(worker, id, generation, STATUS.accepted);
      if (task === null) continue;
      task.status = STATUS.completed;
      tasks.add(task);
      events.push(`[${id},${STATUS.completed},${generation},${JSON.stringify(result)}]`);
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
      events.push(`[${task.id},${RETURNED},${task.generation}]`);
      queue.push(task);
    }
  }

  /** One after the other, as a key among them is known. */
  async function submitSingly(lines: readonly string[]): Promise<readonly number[]> {
    const ids: number[] = [];
    for (const line of lines) {
      const [key] = JSON.parse(line) as Submitted;
      let id = await store.taskOf(key);
      if (id === null) {
        await store.save({ submitted: [line], assignedCount: 0, states: [], events: [] });
        id = store.lastTask;
        add({ id, line, generation: 0, status: STATUS.queued, worker: null });
      }
      ids.push(id);
    }
    // What is new among them is queued.
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
      // What waits is assigned to it.
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
      while (isScheduled || running !== null) await (running ?? new Promise(setImmediate));
      await store.close();
    },
  };
}
