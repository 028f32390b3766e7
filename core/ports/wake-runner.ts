/** The port that plugins implement: it wakes an agent for one assignment and says what happens to it. */
import type { ProcessMark } from '../domain/assignment/slot.ts';
import type { AgentId, Generation, TaskId } from '../domain/ids.ts';

/** The part of the web AbortSignal that core needs; a real one fits without a cast. */
export interface StopSignalShape {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
/** In core the shape above, elsewhere the real AbortSignal. */
export type StopSignal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : StopSignalShape;

/** One wake of one assignment. */
export interface WakeRequest {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
  /** `run-…`: carried by every process of the run as `AGENTCOM_RUN_ID`. */
  readonly runId: string;
  /** The whole task, as `taskFile` has it. */
  readonly task: Readonly<Record<string, unknown>> & { readonly description: string };
  readonly taskFile: string;
  readonly resultsDir: string;
  /** For the run's streams and notes of the runner's own. */
  readonly runDir: string;
  /**
   * What an earlier run of the task on this machine called its session (`started`): of the attempt before this one, or of
   * an earlier wake of this one. A runner whose program can go on with it may. Undefined where there is none, or where
   * another machine had the task in between.
   */
  readonly session?: string | undefined;
}

/** A run that an earlier sidecar process began. `process` is null when it died before it could be journalled. */
export interface AdoptedRun extends WakeRequest {
  readonly process: ProcessMark | null;
}

/**
 * The version of this contract: of the requests, the events and what a runner must keep. It grows when something is added
 * that an older sidecar would not understand.
 */
export const WAKE_RUNNER_CONTRACT = 2;

/** What a run used of one model. Tokens are counts; `inputTokens` includes those that came from a cache. */
export interface ModelUsage {
  readonly inputTokens?: number | undefined;
  /** The part of `inputTokens` that was read from a cache. */
  readonly cachedInputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** US dollars, as the program says; often a list price. */
  readonly costUsd?: number | undefined;
}

/**
 * What a run used from its own beginning until now: each later word replaces the one before. MUST be of this run alone,
 * also where a session is resumed whose program tells the totals of the whole session.
 */
export interface RunUsage {
  /** Input, cached or not, and output together. */
  readonly tokensUsed?: number | undefined;
  readonly costUsd?: number | undefined;
  /** By the name of the model, as the program gives it. */
  readonly byModel?: Readonly<Record<string, ModelUsage>> | undefined;
}

/**
 * Why an agent failed, as far as its runner can tell:
 *
 * - `auth`: not logged in, or the key was refused. A person has to mend it.
 * - `config`: the program cannot work as it is set up: a wrong flag, an unknown model, no trusted folder. A person has to mend it.
 * - `rate_limited`: too many requests or a spent allowance; over at `retryAfterMs` where that is known.
 * - `model_unavailable`: the model's service is down, overloaded or cannot be reached.
 * - `limit`: a bound on turns, cost or time was reached; before anything was started: the task is more than the program takes.
 * - `denied`: the agent was not allowed to do what the task needs.
 * - `no_result`: it ended without a result, whatever its exit code.
 * - `unresponsive`: it did not begin in time, or fell silent.
 * - `agent_failed`: anything else; said before anything was started, and not `retryable`: this task was refused, another may go well.
 */
export type FailureCause =
  'auth' | 'config' | 'rate_limited' | 'model_unavailable' | 'limit' | 'denied' | 'no_result' | 'unresponsive' | 'agent_failed';

/** What a program waits for while it does nothing on the task. */
export type WaitingFor = 'rate_limited' | 'model_unavailable';

/**
 * What happens. After `exited`, `stopped` or a `failed` with `phase: 'spawn'` there is nothing more; after a `failed` with
 * `phase: 'agent'` the end of the process still follows.
 */
export type WakeEvent =
  /** The process exists; journalled at once, so that it can be found again. */
  | { readonly type: 'spawned'; readonly process: ProcessMark }
  /** The agent is on its own; files will tell the rest. */
  | { readonly type: 'woken' }
  /** The agent said by itself that it works on the task. `sessionId`: as its program calls what it can go on with later. */
  | { readonly type: 'started'; readonly sessionId?: string | undefined }
  /** `waiting`: it does nothing now but try again by itself. */
  | {
      readonly type: 'progress';
      readonly percent?: number | undefined;
      readonly message?: string | undefined;
      readonly waiting?: WaitingFor | undefined;
    }
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | ({ readonly type: 'usage' } & RunUsage)
  /** A finished result. `output` is any JSON value. */
  | ({ readonly type: 'completed'; readonly output: unknown } & RunUsage)
  /** `spawn`: nothing was started. `agent`: the agent said that it failed, or its runner saw it. */
  | {
      readonly type: 'failed';
      readonly phase: 'spawn' | 'agent';
      /** Default `agent_failed`. */
      readonly kind?: FailureCause | undefined;
      /** For people: what went wrong and, where there is one, the cure. */
      readonly message: string;
      /** False: trying again cannot help, or not before a person has done something. */
      readonly retryable: boolean;
      /** How long trying again is of no use, from now. */
      readonly retryAfterMs?: number | undefined;
      /** True: it had done nothing on the task yet, no tool and no file, so that the attempt may be handed back unspent. */
      readonly beforeWork?: boolean | undefined;
      readonly details?: Readonly<Record<string, unknown>> | undefined;
    }
  /**
   * The process ended by itself and its whole tree with it, but for `survivors`, which could not be killed. Code and
   * signal are null when they cannot be known (an adopted run). `sessionGone`: it could not go on with the `session` of its
   * request and has done nothing: it is woken once more in the same attempt, without one.
   */
  | {
      readonly type: 'exited';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly stderrTail: string;
      readonly survivors?: readonly number[] | undefined;
      readonly sessionGone?: boolean | undefined;
    }
  /** The run was stopped, because `signal` was aborted: the end of its process tree, confirmed. */
  | { readonly type: 'stopped'; readonly survivors: readonly number[] };

/**
 * MUST NOT put task text into a shell, nor build a command line from it. MUST carry `runId` in the environment of every
 * process. After an abort of `signal` MUST stop the whole process tree and end with `stopped`, naming survivors; the
 * reason of the abort may be `{ graceMs }`, the time that this stop gives the agent to end by itself.
 * A listener that ends the iteration early (`return()`) has only stopped listening: MUST answer it at once, also while a
 * `next()` waits, and where `adoptable` MUST leave the run alive.
 * MUST NOT throw for what can be expected (a missing program is `failed`); what it throws counts as `failed`, phase
 * `spawn` before `spawned`, `agent` after.
 */
export interface WakeRunner {
  /** Whether its runs outlive the sidecar and can be followed by the next one. */
  readonly adoptable: boolean;
  wake(request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Goes on with a run of an earlier sidecar: follows it to its end, or, with `signal` already aborted, stops what is
   * left of it. Yields `exited` at once when nothing of it is alive, or, where `process` is null and it is certain that
   * nothing was ever started, `failed` with phase `spawn`, which spends no attempt.
   */
  attach(run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Whether its agent could run now. MUST end within 5 s, leave nothing running when `signal` is aborted, and call no model.
   * While one of them is not `ok`, the hub gives this agent no task.
   */
  check?(signal?: StopSignal): Promise<readonly RunnerCheck[]>;
}

export interface RunnerCheck {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}
