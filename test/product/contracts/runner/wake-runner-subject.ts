/** What `wakeRunnerContract` needs from a runner: what it follows of its agents, and worlds in which they run. */
import type { WakeRequest, WakeRunner } from '../../../../core/ports/wake-runner.ts';

/**
 * How the agent of a runner behaves: it ends successfully, or with code 3 and a message on standard error; it runs
 * until `endAgent`, and obeys signals, ignores them, or obeys them but leaves its tools alive: one
 * in a session of its own, one that has lost its parent too; or the program does not exist.
 */
export type Behavior = 'ends' | 'fails' | 'works' | 'ignores-stop' | 'leaves-tools' | 'cannot-start';

/**
 * A runner, by what it follows of its agents. This determines its cases, and some of them hold the runner to it: a
 * runner that does not listen to its agent must report `woken`, and one that calls a service must report nothing but
 * `woken`.
 */
export type WakeRunnerSubject = OutputSubject | FilesSubject | ServiceSubject;

/** The runner starts a program and listens to its output. */
export interface OutputSubject {
  readonly follows: 'output';
  /** Its program cannot report a result: only its end by itself, with code 0, means that there is one. */
  readonly settlesAtEnd?: boolean | undefined;
  /** A new world for each case. */
  world(): Promise<OutputWorld>;
}

/** The runner starts a program, which is on its own from then on and reports by files. */
export interface FilesSubject {
  readonly follows: 'files';
  world(): Promise<ProcessWorld>;
}

/**
 * The runner calls a service that wakes the agent: the runner cannot report, follow or end any process of it. Only
 * `works` and `cannot-start` are requested.
 */
export interface ServiceSubject {
  readonly follows: 'nothing';
  world(): Promise<RunnerWorld>;
}

/** A world in which runs take place. */
export interface RunnerWorld {
  /** A runner whose agents behave this way. A second call returns it as a later sidecar process would create it. */
  runner(behavior: Behavior): Promise<WakeRunner>;
  /** A request with a run id of its own, and with this description if given. */
  request(description?: string): Promise<WakeRequest>;
  /** Resolves like the promise, advancing time where time does not advance by itself. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Resolves when the agent of this run is running. */
  atWork(request: WakeRequest): Promise<void>;
  /** Tells an agent that `works` to end by itself, with code 0. */
  endAgent(request: WakeRequest): Promise<void>;
  /** The PIDs of living processes that have this run id in their environment. */
  livingOf(runId: string): Promise<readonly number[]>;
  /** Ends the world; nothing of it may be left. */
  close(): Promise<void>;
}

/** The world of runners whose agents are processes. */
export interface ProcessWorld extends RunnerWorld {
  /** The environment of a living process, as text. */
  environmentOf(pid: number): string;
}

/** The world of runners that follow what their agents print. */
export interface OutputWorld extends ProcessWorld {
  /** A runner whose agents print this. */
  printing(behavior: OutputBehavior): Promise<WakeRunner>;
  /** Everything that an agent that `succeeds` was given to read; null if nothing. */
  inputOf(request: WakeRequest): Promise<string | null>;
}

/**
 * What the agent does: reports a result, and ends; reports a failure, with exit code 0; prints nothing, with exit code
 * 0; hangs without output; is killed before its result, or after; hangs after its result, or leaves a child behind;
 * prints a line of 9 MiB, one of 200,000 brackets, bytes that are not text and 20,000 meaningless lines before its
 * result; prints its result in two parts, with a pause between; prints the text `interim` in between if its program
 * has a message for that, and then a result of 9 MiB in one line; closes its standard input at once; writes errors to
 * standard error, in text and in JSON, continuously next to its result, or while it hangs; ends without a line break
 * after its result, which has a byte order mark before it if nothing else was printed; prints endlessly; prints its
 * result, continues in the background, and prints it again.
 */
export type OutputBehavior =
  | 'succeeds'
  | 'says-it-fails'
  | 'says-nothing'
  | 'hangs'
  | 'crashes-before-result'
  | 'crashes-after-result'
  | 'hangs-after-result'
  | 'leaves-child'
  | 'floods'
  | 'says-in-parts'
  | 'says-a-long-line'
  | 'closes-input'
  | 'complains'
  | 'complains-and-hangs'
  | 'says-no-line-end'
  | 'prints-without-end'
  | 'goes-on-after-result';
