/** A queue as its users program it. A submitter and a worker each open one in a process of their own. */

/** Of a task, about 200 bytes of JSON: the same for every queue. */
export interface Payload {
  readonly i: number;
  readonly kind: string;
  readonly tenant: string;
  readonly at: number;
  readonly pad: string;
}

export interface Queue {
  /** Resolves once the store has acknowledged it. */
  submit(n: number): Promise<void>;
  /** In one call. */
  submitMany(first: number, count: number): Promise<void>;
  /** One that does not run yet. `onCompleted` is called when the store has acknowledged the completion of task `n`. */
  worker(onCompleted: (n: number) => void): Promise<QueueWorker>;
  /** What the store says at the end. `completed` is null where a completed task is deleted. */
  counts(): Promise<{ readonly unfinished: number; readonly completed: number | null }>;
  close(): Promise<void>;
}

export interface QueueWorker {
  run(): Promise<void> | void;
  stop(): Promise<void>;
}

/** What a module in this folder exports. */
export interface QueueModule<Settings> {
  open(settings: Settings, payloadOf: (n: number) => Payload): Promise<Queue>;
}
