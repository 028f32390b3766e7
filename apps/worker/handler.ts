/** What a handler is given, and what it may answer. */
import type { Static, TObject } from 'typebox';
import type { AgentId, Generation, TaskId } from '../../core/domain/ids.ts';
import type { assignedParts } from '../../core/protocol/task-body.ts';

type AssignedParts = Static<TObject<typeof assignedParts>>;

/** The task as its submitter wrote it; the same fields as in the task file of a sidecar. It is frozen. */
export interface WorkerTask extends Readonly<AssignedParts> {
  readonly task_id: TaskId;
  /** With the task ID, identifies this assignment. It only increases. */
  readonly generation: Generation;
  readonly description: string;
  /** The JSON that the submitter added; `{}` if none. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** When the hub assigned it, milliseconds since 1970 by the hub's clock. */
  readonly assigned_at: number;
  /** How long it may run from its acceptance, milliseconds; null: as long as the hub allows. */
  readonly run_max_ms: number | null;
  /** When its result is no longer wanted, milliseconds since 1970; null: never. */
  readonly complete_by: number | null;
}

/**
 * Identifies this assignment outside AgentCom. A store that refuses a `generation` lower than the highest that it has seen for the same `taskId`
 * is safe from late writes of a handler that was given up on.
 */
export interface Fence {
  readonly taskId: TaskId;
  readonly generation: Generation;
  /** Both in one string, for example for an idempotency key: `task-….g3`. */
  readonly token: string;
}

/** How far a task is. One of the two is required. */
export interface Progress {
  /** 0 to 100. */
  readonly percent?: number | undefined;
  /** Up to 8 KiB; the rest is cut off. */
  readonly message?: string | undefined;
}

/** What a handler has besides its task. It may be used until the handler has settled. It is frozen. */
export interface HandlerContext {
  readonly agentId: AgentId;
  /**
   * Aborted when the task is cancelled or reclaimed, has run for too long, or the worker stops. Its reason is a `TaskAborted`. The slot is
   * taken until the handler has settled.
   */
  readonly signal: AbortSignal;
  readonly fence: Fence;
  /**
   * Reports a percentage, a message, or both. The hub gets the newest once a second. Does nothing after the handler has settled; throws a
   * `TypeError` for anything else.
   */
  progress(progress: number | string | Progress): void;
}

/**
 * Does one task. What it resolves to is the result, as `JSON.stringify` writes it, at most 256 KiB; undefined counts as null. What it throws
 * fails the attempt. Once its signal is aborted, a value other than undefined is still a result; undefined or an error confirms the stop.
 */
export type Handler = (task: WorkerTask, context: HandlerContext) => unknown;

/** The reason of an aborted `signal`. Its name is `AbortError`, like that of the platform's own, so that libraries recognize it as one. */
export class TaskAborted extends Error {
  override readonly name = 'AbortError';
  /** The longest that the handler should take to settle, milliseconds. */
  readonly graceMs: number;

  constructor(reason: string, graceMs: number) {
    super(`The task was stopped: ${reason}`);
    this.graceMs = graceMs;
  }
}
