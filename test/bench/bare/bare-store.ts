/** What the yardstick saves, and what must be found at the end, whichever database it is in. */
export const STATUS = { queued: 1, assigned: 2, accepted: 3, completed: 4 } as const;
/** Of an event: a status that was reached, or that a task came back from a worker that left. */
export const SUBMITTED = STATUS.queued;
export const RETURNED = 5;

export interface StoredTask {
  readonly id: number;
  readonly generation: number;
  /** JSON of `Submitted`. */
  readonly line: string;
}

/** All that a commit saves. */
export interface Batch {
  /** JSON of `Submitted`: new tasks, numbered from the last one on. */
  readonly submitted: readonly string[];
  /** So many of the new ones, from the first on, are assigned in the same commit. */
  readonly assignedCount: number;
  /** So many of the new ones, from the first on, are this hub's. The others wait for whichever hub claims them. */
  readonly keptCount: number;
  /** What became of tasks that were there. */
  readonly states: readonly TaskState[];
  /** Of all changes but `submitted`, whose events come before these. */
  readonly events: readonly TaskEvent[];
}

export interface TaskState {
  readonly id: number;
  readonly status: number;
  readonly generation: number;
}

export interface TaskEvent {
  readonly task: number;
  readonly kind: number;
  readonly generation: number;
  /** JSON; null where there is none. */
  readonly result: string | null;
}

export interface BareStore {
  /** Of the task that was saved last. */
  readonly lastTask: number;
  /** What its connection read back, such as `synchronous=2`. */
  readonly durability: string;
  /** Answers after the sync. `false`: nothing was saved, as a key of a new task is known already. */
  save(batch: Batch): Promise<boolean>;
  /** The task that was submitted with this key. */
  taskOf(key: string): Promise<number | null>;
  /** Those of this hub. */
  unfinished(): Promise<readonly StoredTask[]>;
  /** What waits behind the task of that number, in order, at most so many. None of it was ever assigned. Null where several hubs have the store. */
  readonly waitingBehind: ((id: number, most: number) => Promise<readonly StoredTask[]>) | null;
  /** Makes tasks that no hub has this hub's, at most so many, and answers them. Null where only one hub has the store. */
  readonly claim: ((most: number) => Promise<readonly StoredTask[]>) | null;
  /** How many tasks there are of each status. */
  counts(): Promise<Readonly<Record<number, number>>>;
  close(): Promise<void>;
}

/** Submitted, then assigned, accepted and completed, and before that any number of times with a worker that left. */
const WHOLE_LIFE = new RegExp(
  `^${SUBMITTED}(,${STATUS.assigned}(,${STATUS.accepted})?,${RETURNED})*,${STATUS.assigned},${STATUS.accepted},${STATUS.completed}$`,
);

/** What tasks have in common at the end: their status, and the kinds of their events in order, such as `1,2,3,4`. */
export interface Lives {
  readonly status: number;
  /** Null: it has none. */
  readonly kinds: string | null;
  readonly tasks: number;
}

/** Fails unless every task was completed, once. */
export function requireWholeLives(lives: readonly Lives[]): void {
  const wrong = lives.filter(({ status, kinds }) => status !== STATUS.completed || !WHOLE_LIFE.test(String(kinds)));
  if (wrong.length > 0) throw new Error(`tasks that were not completed once: ${JSON.stringify(wrong)}`);
}
