/** What `wakeRunnerContract` needs of a runner: what it follows of its agents, and worlds in which they run. */
import type { WakeRequest, WakeRunner } from '../../../../core/ports/wake-runner.ts';

/**
 * How the agent of a runner behaves: it ends well, or with code 3 and a word on standard error; it works until it is
 * told to end (`endAgent`), and ends on a signal or does not, or ends on it and leaves its tools alive: one in a session of its
 * own, one that has lost its parent too; or there is no such program.
 */
export type Behaviour = 'ends' | 'fails' | 'works' | 'ignores-stop' | 'leaves-tools' | 'cannot-start';

/**
 * A runner, by what it follows of its agents. The cases follow from it, and some of them hold the runner to it: a runner that does
 * not hear its agent has to say `woken`, and one that calls a service nothing but `woken`.
 */
export type WakeRunnerSubject = HeardSubject | FilesSubject | ServiceSubject;

/** The runner starts a program and hears what it says. */
export interface HeardSubject {
  readonly follows: 'output';
  /** Its program has no word for a result: only its end by itself, with code 0, says that there is one. */
  readonly settlesAtEnd?: boolean | undefined;
  /** A new world for each case. */
  world(): Promise<HeardWorld>;
}

/** The runner starts a program, which is on its own from then on and tells by files. */
export interface FilesSubject {
  readonly follows: 'files';
  world(): Promise<ProcessWorld>;
}

/**
 * The runner calls a service that wakes the agent: no process of it is the runner's to tell of, to follow or to end. Only `works`
 * and `cannot-start` are asked of it.
 */
export interface ServiceSubject {
  readonly follows: 'nothing';
  world(): Promise<RunnerWorld>;
}

/** A world in which runs happen. */
export interface RunnerWorld {
  /** A runner whose agents behave so. Asked again, it answers as a later sidecar process would make it. */
  runner(behaviour: Behaviour): Promise<WakeRunner>;
  /** A request with a run id of its own, and where wanted with this description. */
  request(description?: string): Promise<WakeRequest>;
  /** Answers as the promise does, moving time on where time does not move by itself. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Answers when the agent of this run is at work. */
  atWork(request: WakeRequest): Promise<void>;
  /** Tells an agent that `works` to end by itself, with code 0. */
  endAgent(request: WakeRequest): Promise<void>;
  /** The living processes that carry this run id in their environment, by their numbers. */
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
export interface HeardWorld extends ProcessWorld {
  /** A runner whose agents talk so. */
  talking(behaviour: SpokenBehaviour): Promise<WakeRunner>;
  /** All that an agent that `succeeds` was given to read; null when nothing. */
  heardBy(request: WakeRequest): Promise<string | null>;
}

/**
 * What the agent does: says that it has a result, and ends; that it failed, with exit code 0; nothing at all, with exit code 0;
 * hangs without a word; is killed before its result, or after; hangs after its result, or leaves a child behind; says a line of 9
 * MiB, one of 200,000 brackets, bytes that are no text and 20,000 lines that mean nothing before its result; says its result in
 * two parts, with a rest between; says the text `interim` on the way if its program has a word for that, and then a result of 9
 * MiB in one line; closes its standard input at once; complains on standard error, in text and in JSON, on and on beside its
 * result, or while it hangs; ends without a line end behind its result, which has a byte order mark before it where nothing else
 * was said; prints without end; says its result, goes on with something in the background, and says it again.
 */
export type SpokenBehaviour =
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
