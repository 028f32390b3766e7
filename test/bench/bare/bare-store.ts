/** What the bare hub saves, and what must be found at the end, in either database. */
export const STATUS = { queued: 1, assigned: 2, accepted: 3, completed: 4 } as const;
/** Of an event: a status that was reached, or that a task was returned because its worker disconnected. */
export const SUBMITTED = STATUS.queued;
export const RETURNED = 5;

export interface StoredTask {
  readonly id: number;
  readonly generation: number;
  /** JSON of `Submitted`. */
  readonly line: string;
}

/** Everything that a commit saves. */
export interface Batch {
  /** JSON of `Submitted`: new tasks, numbered from the last one on. */
  readonly submitted: readonly string[];
  /** This many of the new ones, from the first on, are assigned in the same commit. */
  readonly assignedCount: number;
  /** This many of the new ones, from the first on, belong to this hub. The others wait for any hub to claim them. */
  readonly keptCount: number;
  /** Changes to existing tasks. */
  readonly states: readonly TaskState[];
  /** For all changes but `submitted`, whose events come before these. */
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
  /** JSON; null if there is none. */
  readonly result: string | null;
}

export interface BareStore {
  /** Of the task that was saved last. */
  readonly lastTask: number;
  /** What its connection read back, such as `synchronous=2`. */
  readonly durability: string;
  /** Resolves after the sync. `false`: nothing was saved, because a key of a new task is known already. */
  save(batch: Batch): Promise<boolean>;
  /** The task that was submitted with this key. */
  taskOf(key: string): Promise<number | null>;
  /** Those of this hub. */
  unfinished(): Promise<readonly StoredTask[]>;
  /**
   * The tasks waiting behind the one with that number, in order, at most this many. None of them was ever assigned.
   * Null if several hubs share the store.
   */
  readonly waitingBehind: ((id: number, most: number) => Promise<readonly StoredTask[]>) | null;
  /** Claims tasks without a hub for this hub, at most this many, and returns them. Null if one hub uses the store exclusively. */
  readonly claim: ((most: number) => Promise<readonly StoredTask[]>) | null;
  /** The number of tasks of each status. */
  counts(): Promise<Readonly<Record<number, number>>>;
  close(): Promise<void>;
}

/** Submitted, then assigned, accepted and completed, and before that any number of times with a worker that disconnected. */
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
