/** The files exchanged between a sidecar and its agent: task files out; `.started`, progress and results in. */
import type { Assignment } from '../domain/assignment/slot.ts';

export interface PreparedRun {
  /** Absolute; exported to the agent as `AGENTCOM_RESULTS_DIR`. One folder per assignment, created empty. */
  readonly resultsDir: string;
  /** Absolute path of the task as JSON. */
  readonly taskFile: string;
  /** Absolute; keeps the run's standard input, output and error as files. */
  readonly runDir: string;
}

/** Something new in the folder of an assignment. */
export type ResultFileEvent =
  | { readonly kind: 'started'; readonly name: Assignment }
  /** A valid line of `<task_id>.progress`. */
  | {
      readonly kind: 'progress';
      readonly name: Assignment;
      readonly percent: number | null;
      readonly message: string | null;
      readonly tokensUsed: number | null;
    }
  /** The result file holds a JSON object. `replaced`: characters that cannot be sent were replaced with U+FFFD. */
  | {
      readonly kind: 'result';
      readonly name: Assignment;
      readonly value: Readonly<Record<string, unknown>>;
      readonly replaced: boolean;
    }
  /** The result file holds no JSON object or exceeds the limit; it is left where it is. */
  | {
      readonly kind: 'invalid';
      readonly name: Assignment;
      readonly reason: 'result_invalid' | 'result_too_large';
      readonly message: string;
    }
  /** Any file of the assignment changed: a sign of life. */
  | { readonly kind: 'changed'; readonly name: Assignment };

/** An assignment that has folders on disk. */
export interface FoundFolders {
  readonly name: Assignment;
  /** Last change of the folders, in the file system's wall time; null if unknown. */
  readonly changedAtMs: number | null;
}

/**
 * Which flat file names are accepted. `named`: only files that name their generation, since an earlier run of the task
 * may be alive.
 */
export type FlatNames = 'all' | 'named';

export interface ResultInbox {
  /**
   * Starts watching.
   * MUST also report files that appeared before `watch` was called for their assignment.
   * MUST NOT follow links, read anything but regular files up to the limit, or call back synchronously.
   * MUST report each `started`, `result` and `invalid` of a watched assignment at least once, and nothing for others.
   */
  open(onEvent: (event: ResultFileEvent) => void): Promise<void>;

  /**
   * Creates the folders and the task file of an assignment; `task` is written as JSON. Idempotent.
   * The first call happens before any agent is woken, so flat files of the task already in the results folder belong to
   * an earlier run: MUST move them away.
   * `publish`: also writes the complete task file to `tasks/`, for an agent that polls.
   * Rejects with `AC_JOURNAL_WRITE`.
   */
  prepare(name: Assignment, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<PreparedRun>;

  /** The paths that `prepare` returns, without touching the disk. */
  pathsOf(name: Assignment): PreparedRun;

  /**
   * Watches the folder of this assignment, once the inbox is open. Flat files in the results folder count too, except
   * those that name another generation; with `named`, only those that name this one.
   */
  watch(name: Assignment, flat: FlatNames): void;

  /**
   * Scans now and resolves once everything in the folder was reported, including files reported before. Waits until a
   * result that does not parse yet is complete or considered invalid. Does nothing for an assignment that is not
   * watched. Call it when the run is over: before that, an incomplete result is given more time, since its agent may
   * still be writing.
   */
  scan(name: Assignment): Promise<void>;

  /** Stops watching. */
  unwatch(name: Assignment): void;

  /**
   * Withdraws the published task file and tells the agent that the assignment is gone, by writing `<task_id>.stop`. The
   * agent owns that folder, so MUST NOT reject because the file cannot be written.
   */
  withdraw(name: Assignment): Promise<void>;

  /** Withdraws every published task file except these. Called at startup. */
  withdrawAllExcept(names: readonly Assignment[]): Promise<void>;

  /**
   * Removes everything of an ended assignment except its result file and, with `streams`, the streams of its run.
   * Idempotent.
   */
  keepResult(name: Assignment, streams: boolean): Promise<void>;

  /** Size of what is kept of an ended assignment, in bytes; 0 if nothing is, or unknown. */
  keptBytes(name: Assignment): Promise<number>;

  /** Every assignment with a folder here. Ignores files and names that are not assignments. */
  listFolders(): Promise<readonly FoundFolders[]>;

  /** Removes the folders of an ended assignment. */
  remove(name: Assignment): Promise<void>;

  /** MUST be safe to call twice and before `open`. Nothing is reported after it. */
  close(): Promise<void>;
}
