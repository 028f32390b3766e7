/** The port that wake runner plugins implement: wakes an agent for one assignment and reports what happens. */
import type { ProcessMark } from '../domain/assignment/slot.ts';
import type { AgentId, Generation, TaskId } from '../domain/ids.ts';

/** The part of the web `AbortSignal` that core needs; a real one fits without a cast. */
export interface StopSignalShape {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
/** `AbortSignal`; inside core, where that type does not exist, the shape above. */
export type StopSignal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : StopSignalShape;

/** One wake of one assignment. */
export interface WakeRequest {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
  /** `run-…`; every process of the run has it as `AGENTCOM_RUN_ID` in its environment. */
  readonly runId: string;
  /** The whole task, as in `taskFile`. */
  readonly task: Readonly<Record<string, unknown>> & { readonly description: string };
  readonly taskFile: string;
  readonly resultsDir: string;
  /** For the run's streams and the runner's own notes. */
  readonly runDir: string;
  /**
   * The session id that an earlier run of the task reported with `started`: of the previous attempt, or of an earlier
   * wake of this one. A runner may resume it. Undefined if there is none, or if another machine had the task in
   * between.
   */
  readonly session?: string | undefined;
}

/** A run started by an earlier sidecar process. `process` is null if that one died before journalling it. */
export interface AdoptedRun extends WakeRequest {
  readonly process: ProcessMark | null;
}

/**
 * Version of this contract: requests, events and the runner's obligations. Incremented when something is added that an
 * older sidecar would not understand.
 */
export const WAKE_RUNNER_CONTRACT = 2;

/** Usage of one model in a run. Tokens are counts; `inputTokens` includes cached ones. */
export interface RunModelUsage {
  readonly inputTokens?: number | undefined;
  /** The part of `inputTokens` that was read from a cache. */
  readonly cachedInputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** US dollars as reported by the program, often a list price. */
  readonly costUsd?: number | undefined;
}

/**
 * Usage of a run since its start; each event replaces the previous one. MUST count this run only, even if the program
 * reports totals of a resumed session.
 */
export interface RunUsage {
  /** Input (cached or not) plus output. */
  readonly tokensUsed?: number | undefined;
  readonly costUsd?: number | undefined;
  /** By model name, as the program reports it. */
  readonly byModel?: Readonly<Record<string, RunModelUsage>> | undefined;
}

/**
 * Why an agent failed, as far as its runner can tell:
 *
 * - `auth`: not logged in, or the key was rejected. Needs an operator.
 * - `config`: the program is misconfigured: a wrong flag, an unknown model, an untrusted folder. Needs an operator.
 * - `rate_limited`: too many requests, or the quota is used up; until `retryAfterMs` if known.
 * - `model_unavailable`: the model's service is down, overloaded or unreachable.
 * - `limit`: a limit on turns, cost or time was reached. With `phase: 'spawn'`: the task exceeds what the program
 *   accepts.
 * - `denied`: the agent lacked a permission that the task needs.
 * - `no_result`: it ended without a result, whatever its exit code.
 * - `unresponsive`: it did not start in time, or stopped responding.
 * - `agent_failed`: anything else. With `phase: 'spawn'` and not `retryable`: this task was refused, others may work.
 */
export type FailureCause =
  'auth' | 'config' | 'rate_limited' | 'model_unavailable' | 'limit' | 'denied' | 'no_result' | 'unresponsive' | 'agent_failed';

/** What a program is waiting for while it makes no progress. */
export type WaitReason = 'rate_limited' | 'model_unavailable';

/**
 * An event of a run. Nothing follows `exited`, `stopped` or a `failed` with `phase: 'spawn'`; a `failed` with `phase: 'agent'`
 * is followed by the end of the process.
 */
export type WakeEvent =
  /** The process exists. Journalled at once, so that it can be found again. */
  | { readonly type: 'spawned'; readonly process: ProcessMark }
  /** The runner has handed over to the agent; from here on only files report on it. */
  | { readonly type: 'woken' }
  /** The agent itself said that it works on the task. `sessionId`: what the program can resume later. */
  | { readonly type: 'started'; readonly sessionId?: string | undefined }
  /** `waiting`: the program only waits, and retries by itself. */
  | {
      readonly type: 'progress';
      readonly percent?: number | undefined;
      readonly message?: string | undefined;
      readonly waiting?: WaitReason | undefined;
    }
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | ({ readonly type: 'usage' } & RunUsage)
  /** A successful result; `output` is any JSON value. */
  | ({ readonly type: 'completed'; readonly output: unknown } & RunUsage)
  /** `spawn`: nothing was started. `agent`: the agent reported a failure, or its runner detected one. */
  | {
      readonly type: 'failed';
      readonly phase: 'spawn' | 'agent';
      /** Default `agent_failed`. */
      readonly kind?: FailureCause | undefined;
      /** For people: what went wrong and, where possible, how to fix it. */
      readonly message: string;
      /** False: a retry cannot help, or only after an operator fixed something. */
      readonly retryable: boolean;
      /** How long from now a retry is pointless, milliseconds. */
      readonly retryAfterMs?: number | undefined;
      /**
       * True: it had not worked on the task yet (no tool ran, no file changed), so the attempt can be released unspent.
       */
      readonly beforeWork?: boolean | undefined;
      readonly details?: Readonly<Record<string, unknown>> | undefined;
    }
  /**
   * The process exited by itself, and so did its whole tree, except `survivors`, which could not be killed. Exit code
   * and signal are null if unknown, as for adopted runs. `sessionGone`: the requested `session` no longer exists and
   * nothing was done: it is woken again in the same attempt, without a session.
   */
  | {
      readonly type: 'exited';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly stderrTail: string;
      readonly survivors?: readonly number[] | undefined;
      readonly sessionGone?: boolean | undefined;
    }
  /** The run was stopped because `signal` was aborted; its process tree is confirmed gone, except `survivors`. */
  | { readonly type: 'stopped'; readonly survivors: readonly number[] };

/**
 * Wakes agents and follows their runs.
 *
 * - MUST NOT pass task text to a shell or build a command line from it.
 * - MUST set `AGENTCOM_RUN_ID` in the environment of every process.
 * - After `signal` is aborted MUST stop the whole process tree and end with `stopped`, naming survivors. The abort
 *   reason may be `{ graceMs }`: the grace period for this stop.
 * - When the consumer ends the iteration early (`return()`), it only stops listening: MUST resolve at once, even while
 *   `next()` is pending, and MUST leave the run alive if `adoptable`.
 * - MUST NOT throw for expected failures (a missing program is `failed`). A throw counts as `failed`, with phase
 *   `spawn` before `spawned` and `agent` after it.
 */
export interface WakeRunner {
  /** Whether its runs outlive the sidecar and can be attached to by the next process. */
  readonly adoptable: boolean;
  wake(request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Attaches to a run of an earlier sidecar process: follows it to its end or, if `signal` is already aborted, stops
   * what is left of it. Yields `exited` at once if nothing of it is alive; if `process` is null and certainly nothing
   * was started, yields `failed` with phase `spawn`, which costs no attempt.
   */
  attach(run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Whether its agent could run now. MUST finish within 5 s, leave nothing running when `signal` is aborted, and not
   * call a model. While a check is not `ok`, the hub assigns nothing to this agent.
   */
  check?(signal?: StopSignal): Promise<readonly RunnerCheck[]>;
}

export interface RunnerCheck {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}
