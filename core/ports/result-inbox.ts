/** The files that a sidecar and its agent exchange: task files out; `.started`, progress and results in. */
import type { AssignmentId } from '../domain/assignment/slot.ts';

/** The files in a run's `runDir` that are its standard streams. */
export const RUN_STREAM_FILES = { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' } as const;

export interface PreparedRun {
  /** Absolute path, passed to the agent as `AGENTCOM_RESULTS_DIR`. One directory per assignment, created empty. */
  readonly resultsDir: string;
  /** Absolute path of the task as JSON. */
  readonly taskFile: string;
  /** Absolute path of the directory for the run's standard input, output and error. */
  readonly runDir: string;
}

/** Something new in the directory of an assignment. */
export type ResultFileEvent =
  | { readonly kind: 'started'; readonly assignment: AssignmentId }
  /** A valid line of `<task_id>.progress`. */
  | {
      readonly kind: 'progress';
      readonly assignment: AssignmentId;
      readonly percent: number | null;
      readonly message: string | null;
      readonly tokensUsed: number | null;
    }
  /** The result file contains a JSON object. `replaced`: characters that cannot be sent were replaced with U+FFFD. */
  | {
      readonly kind: 'result';
      readonly assignment: AssignmentId;
      readonly value: Readonly<Record<string, unknown>>;
      readonly replaced: boolean;
    }
  /** The result file does not contain a JSON object, or exceeds the limit. It is left where it is. */
  | {
      readonly kind: 'invalid';
      readonly assignment: AssignmentId;
      readonly reason: 'result_invalid' | 'result_too_large';
      readonly message: string;
    }
  /** Any file of the assignment changed: a sign of life. */
  | { readonly kind: 'changed'; readonly assignment: AssignmentId };

/** An assignment that has directories on disk. */
export interface FoundFolders {
  readonly assignment: AssignmentId;
  /** Last modification of the directories, in the file system's wall time; null if unknown. */
  readonly changedAtMs: number | null;
}

/**
 * Which flat files (directly in the results directory, not in that of the assignment) are accepted. `named`: only files whose names
 * include the generation, because an earlier run of the task may still be alive.
 */
export type FlatNames = 'all' | 'named';

export interface ResultInbox {
  /**
   * Starts watching.
   * MUST also report files that existed before `watch` was called for their assignment.
   * MUST NOT follow links, MUST NOT read anything but regular files up to the size limit, and MUST NOT call back synchronously.
   * MUST report each `started`, `result` and `invalid` of a watched assignment at least once, and nothing for other assignments.
   */
  open(onEvent: (event: ResultFileEvent) => void): Promise<void>;

  /**
   * Creates the directories and the task file of an assignment; `task` is written as JSON. Idempotent.
   * The first call happens before the agent is woken, so flat files of the task that are already in the results directory belong to an
   * earlier run: it MUST move them away.
   * `publish`: also writes the complete task file to `tasks/`, for an agent that polls.
   * Rejects with `AC_JOURNAL_WRITE`.
   */
  prepare(assignment: AssignmentId, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<PreparedRun>;

  /** The paths that `prepare` returns, without accessing the disk. */
  pathsOf(assignment: AssignmentId): PreparedRun;

  /**
   * Watches the directory of this assignment, once the inbox is open. Flat files in the results directory count too, except those whose
   * names include another generation; with `named`, only those whose names include this one.
   */
  watch(assignment: AssignmentId, flat: FlatNames): void;

  /**
   * Scans the directory now. Resolves once everything in it was reported, including files reported before. Waits until a result that
   * does not parse yet is complete or considered invalid. Does nothing for an assignment that is not watched. Called when the run is
   * over; during the run an incomplete result gets more time, because the agent may still be writing it.
   */
  scan(assignment: AssignmentId): Promise<void>;

  /** Stops watching. */
  unwatch(assignment: AssignmentId): void;

  /**
   * Removes the published task file, and tells the agent that the assignment is no longer valid by writing `<task_id>.stop`. The agent
   * owns that directory, so this MUST NOT reject because the file cannot be written.
   */
  withdraw(assignment: AssignmentId): Promise<void>;

  /** Removes every published task file except those of these assignments. Called at startup. */
  withdrawAllExcept(assignments: readonly AssignmentId[]): Promise<void>;

  /**
   * Removes all files of an ended assignment except its result file, which may be cut to the size limit, and, with `streams`, the standard
   * streams of its run.
   * Idempotent.
   */
  keepResult(assignment: AssignmentId, streams: boolean): Promise<void>;

  /** The disk space that the kept files of an ended assignment take, in bytes; 0 if there are none or if it is unknown. */
  keptBytes(assignment: AssignmentId): Promise<number>;

  /** Every assignment with a directory here. Ignores files, and directories that are not named as an assignment. */
  listFolders(): Promise<readonly FoundFolders[]>;

  /** Removes the directories of an ended assignment. */
  remove(assignment: AssignmentId): Promise<void>;

  /** MUST be safe to call twice and before `open`. Nothing is reported after it. */
  close(): Promise<void>;
}
