/** A queue as its users program it. A submitter and a worker each open one in their own process. */

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
  /** A worker that does not run yet. `onCompleted` is called when the store has acknowledged the completion of task `n`. */
  worker(onCompleted: (n: number) => void): Promise<QueueWorker>;
  /** What the store reports at the end. `completed` is null if completed tasks are deleted. */
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
