/** What is removed from a store once it is old, and what was removed. */
import type { AgentId, TaskId } from '../ids.ts';
import type { StoredEvent } from './event.ts';
import type { KeptResult } from './kept-results.ts';
import type { TaskRow } from './task.ts';

/** A task with everything that is stored about it, except the output of its agent. */
export interface WholeTask extends TaskRow {
  /** All of them, oldest first. */
  readonly events: readonly StoredEvent[];
  /** Its late and refused results. */
  readonly kept: readonly KeptResult[];
}

/** How much is passed to `Removal.archive` at once: bodies and results, bytes. */
export const ARCHIVED_BYTES = 4_194_304;

/** The tasks in pieces of at most `ARCHIVED_BYTES`, or of one larger task. `bytesOf`: the size of its body and results. */
export function* archivePieces<T>(tasks: readonly T[], bytesOf: (task: T) => number): Generator<readonly T[]> {
  let piece: T[] = [];
  let bytes = 0;
  for (const task of tasks) {
    const size = bytesOf(task);
    if (piece.length > 0 && bytes + size > ARCHIVED_BYTES) {
      yield piece;
      [piece, bytes] = [[], 0];
    }
    piece.push(task);
    bytes += size;
  }
  if (piece.length > 0) yield piece;
}

/** Which rows are old: those that ended, or were created, at or before these times. */
export interface Removal {
  readonly nowMs: number;
  /** Completed and cancelled tasks. */
  readonly endedBeforeMs: number;
  /** Dead-lettered tasks. */
  readonly deadBeforeMs: number;
  /**
   * If more than `max` completed and cancelled tasks are stored, the excess ones, those that ended longest ago, are old too if they ended
   * at or before `beforeMs`. Default: any number may stay.
   */
  readonly surplus?: { readonly max: number; readonly beforeMs: number } | undefined;
  readonly tombstonesBeforeMs: number;
  readonly keysBeforeMs: number;
  readonly limit: number;
  /** Only ended tasks after this position. Default: all. */
  readonly after?: EndedPlace | null | undefined;
  /** How many ended tasks are read at most, including those that must stay. Default: all. */
  readonly lookedMax?: number | undefined;
  /** Where tasks are stored before they are removed. It may get a task more than once. Default: nowhere. */
  readonly archive?: ((tasks: readonly WholeTask[]) => Promise<void>) | undefined;
}

/** A position in the order in which ended tasks are removed: by end, then by id. */
export type EndedPlace = { readonly endedAtMs: number; readonly id: TaskId };

/** What one pass of the removal has removed. */
export interface Removed {
  /** The position after which old tasks were not read; null: all were read. */
  readonly next: EndedPlace | null;
  readonly tasks: number;
  readonly tombstones: number;
  readonly keys: number;
  readonly secrets: number;
}

/**
 * Which agents may be removed: those whose tokens were all revoked or expired by `beforeMs`, from `after` on; at most `lookedMax` agents are
 * read. The last `eventsKept` events of each that stays are kept, and the older events that its state depends on.
 */
export interface AgentRemoval {
  readonly beforeMs: number;
  readonly after: AgentId | null;
  readonly lookedMax: number;
  readonly eventsKept: number;
}

/** The agents that were removed. */
export interface RemovedAgents {
  readonly agents: readonly AgentId[];
  /** The last agent that was read, for the next `after`; null: all were read. */
  readonly next: AgentId | null;
}
