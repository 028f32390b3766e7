/** The live output of agents. Best effort: bounded, separate from the commits of the queue, and never needed to decide anything. */
import type { OutputStream } from '../domain/assignment/output-stream.ts';
import type { AgentId, Generation, TaskId } from '../domain/ids.ts';

/** A piece of output of one assignment. */
export interface OutputChunk {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
  readonly atMs: number;
  readonly stream: OutputStream;
  readonly text: string;
  /** Counts the chunks of a sidecar process for this assignment, from 0. A jump forward means that some are missing. */
  readonly seq: number;
  /** Characters that were dropped before this chunk, because they came too fast or could not be sent. */
  readonly dropped: number;
}

/** A chunk of output with its place in the output of its task. */
export interface StoredOutput extends OutputChunk {
  /** The position in the output of the task, from 1. */
  readonly n: number;
}

/** The most that is kept of one assignment; the oldest chunks are removed first. */
export interface OutputBounds {
  readonly bytesMax: number;
  readonly chunksMax: number;
}

/** Which chunks of a task's output are wanted: at most `limit`. */
export interface OutputQuery {
  readonly taskId: TaskId;
  /** Only chunks with a higher `n`. */
  readonly after: number;
  readonly limit: number;
}

/** A part of a task's output. */
export interface OutputPage {
  /** Lowest `n` first: at most `limit`, and no further ones once they have `OUTPUT_PAGE_BYTES`, but at least one if there is one. */
  readonly chunks: readonly StoredOutput[];
  /** There are more. */
  readonly more: boolean;
}

/** The size of a page, bytes of text. */
export const OUTPUT_PAGE_BYTES = 1_048_576;

/** What agents print while they work. Best effort, and separate from the tasks, so that it does not slow down commits. */
export interface OutputStore {
  /**
   * Stores the chunks, in the order given. MUST drop a chunk whose agent was never assigned its task in its generation: nobody else may
   * write there. MUST remove the oldest chunks of an assignment beyond `bounds` before an eighth of `bytesMax`, or 32 chunks, more are stored.
   */
  append(chunks: readonly OutputChunk[], bounds: OutputBounds): Promise<void>;

  read(query: OutputQuery): Promise<OutputPage>;

  /** Removes at most `limit` chunks that were stored before `beforeMs`. Returns how many. */
  removeBefore(beforeMs: number, limit: number): Promise<number>;
}
