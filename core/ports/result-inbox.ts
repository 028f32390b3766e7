/** The files between a sidecar and its agent: task files out, `.started`, progress and results in. */
import type { Assignment } from '../domain/assignment/slot.ts';

export interface PreparedRun {
  /** The agent's `AGENTCOM_RESULTS_DIR`: absolute, this assignment's own, made empty unless it existed. */
  readonly resultsDir: string;
  /** The whole task as JSON: absolute. */
  readonly taskFile: string;
  /** Where the run's standard input, output and error are kept as files: absolute. */
  readonly runDir: string;
}

/** What was seen in the folder of an assignment. */
export type ResultSighting =
  | { readonly kind: 'started'; readonly name: Assignment }
  /** One line of `<task_id>.progress` that parsed. */
  | {
      readonly kind: 'progress';
      readonly name: Assignment;
      readonly percent: number | null;
      readonly message: string | null;
      readonly tokensUsed: number | null;
    }
  /** The result parsed: a JSON object. `replaced`: characters that cannot be sent became U+FFFD. */
  | {
      readonly kind: 'result';
      readonly name: Assignment;
      readonly value: Readonly<Record<string, unknown>>;
      readonly replaced: boolean;
    }
  /** The result file did not become a JSON object, or is over the limit; it is kept where it is. */
  | {
      readonly kind: 'invalid';
      readonly name: Assignment;
      readonly reason: 'result_invalid' | 'result_too_large';
      readonly message: string;
    }
  /** Some file of the assignment changed: a sign of life. */
  | { readonly kind: 'changed'; readonly name: Assignment };

/** The folders of an assignment that are there. */
export interface FoundFolders {
  readonly name: Assignment;
  /** When something was last put there or taken away, by the wall time of the disk; null where nobody can tell. */
  readonly changedAtMs: number | null;
}

/** Which flat names count. `named`: an earlier run of the task may be alive, and could have written one that names no generation. */
export type FlatNames = 'all' | 'named';

export interface ResultInbox {
  /**
   * Begins to watch. MUST also see what appeared while nobody watched, once `expect` names its assignment.
   * MUST NOT follow links, nor read anything but regular files up to the limit, nor call back from inside a call.
   * MUST report each `started`, `result` and `invalid` of a name at least once, and none for a name not expected.
   */
  open(onSighting: (sighting: ResultSighting) => void): Promise<void>;

  /**
   * Makes the folders and the task file of an assignment; `task` is written as JSON. Twice is fine. The first time, before anybody
   * is woken for it, flat names of its task that lie in the results folder are an earlier run's: MUST move them away.
   * `publish`: also puts the task file, whole, into `tasks/` for an agent that polls.
   * Fails with `AC_JOURNAL_WRITE`.
   */
  prepare(name: Assignment, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<PreparedRun>;

  /** What `prepare` answers, whatever lies there now. Looks at nothing. */
  placeOf(name: Assignment): PreparedRun;

  /**
   * Watches the folder of this assignment from now on, once the inbox is open. Flat names in the results folder count for it too: those
   * that name another generation inside never, and with `named` only those that name this one.
   */
  expect(name: Assignment, flat: FlatNames): void;

  /**
   * Looks at once, and answers when everything that is there now was reported, also what was before: a result that does
   * not parse is waited for until it does or counts as invalid. Nothing to look at for a name not expected. To be asked once its run
   * is over: until then a result that does not parse has longer to become one, since its agent may be at work on it.
   */
  look(name: Assignment): Promise<void>;

  /** Stops watching it. */
  forget(name: Assignment): void;

  /**
   * Takes the published task file back, and tells the agent that the assignment is gone: writes `<task_id>.stop`. The folder is
   * the agent's, so MUST NOT fail because the word cannot be written there.
   */
  withdraw(name: Assignment): Promise<void>;

  /** Takes back every published task file whose name is not among these; for the start. */
  withdrawAllBut(names: readonly Assignment[]): Promise<void>;

  /**
   * Of the folders of an ended assignment only its result file stays, and with `streams` the streams of its run: what else an agent
   * left there is not kept. Twice is fine.
   */
  keep(name: Assignment, streams: boolean): Promise<void>;

  /** What is kept of an ended assignment, bytes; 0 where nothing is, or nobody can tell. */
  keptBytes(name: Assignment): Promise<number>;

  /** Every assignment that has a folder here, whoever left it. Nothing but folders, and no name that is not ours. */
  folders(): Promise<readonly FoundFolders[]>;

  /** Removes the folders of an ended assignment. */
  remove(name: Assignment): Promise<void>;

  /** MUST be safe to call twice and before `open`; nothing is reported after it. */
  close(): Promise<void>;
}
