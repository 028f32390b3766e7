/**
 * The protocol of the bare server and its workers: arrays, one frame for everything that a commit, or a turn of the
 * worker's loop, has to say.
 */

/** From the server, once what it reports is committed. */
export type ServerFrame = readonly [
  assigned: readonly Assigned[],
  /** The numbers of tasks whose acceptance is saved. */
  accepted: readonly number[],
  completed: readonly number[],
  /** Tasks that this worker reported but does not hold, or not in that generation or state. */
  refused: readonly number[],
];

export type Assigned = readonly [task: number, generation: number, submitted: Submitted];

/** A task as it was submitted, and the row of its line. */
export type Submitted = readonly [key: string, payload: unknown];

/** From a worker. A task that is accepted and completed at once is in both lists. */
export type WorkerFrame = readonly [
  accepted: readonly (readonly [task: number, generation: number])[],
  completed: readonly (readonly [task: number, generation: number, result: unknown])[],
];
