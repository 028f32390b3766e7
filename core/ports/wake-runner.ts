/** The port that wake runner plugins implement: wakes (starts or notifies) an agent for an assignment and reports what happens. */
import type { ProcessMark } from '../domain/assignment/slot.ts';
import { describe, isRecord } from '../domain/describe-value.ts';
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

/** A request to wake the agent for an assignment. */
export interface WakeRequest {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
  /** `run-…`. Every process of the run has it in its environment, as `AGENTCOM_RUN_ID`. */
  readonly runId: string;
  /** The complete task, as in `taskFile`. */
  readonly task: Readonly<Record<string, unknown>> & { readonly description: string };
  readonly taskFile: string;
  readonly resultsDir: string;
  /** The directory for the run's standard streams and the runner's own files. */
  readonly runDir: string;
  /**
   * The session ID that an earlier run of the task reported with `started`, in the previous attempt or in this one. A runner may
   * resume that session. Undefined if there is none, or if the task ran on another machine in between.
   */
  readonly session?: string | undefined;
}

/** A run that an earlier sidecar process started. `process` is null if that sidecar died before it journaled the agent's process. */
export interface AdoptedRun extends WakeRequest {
  readonly process: ProcessMark | null;
}

/**
 * Version of this contract: requests, events and the obligations of a runner. Incremented when something is added that an older
 * sidecar would not understand.
 */
export const WAKE_RUNNER_CONTRACT = 2;

/** Usage of one model in a run. `inputTokens` includes cached tokens. */
export interface RunModelUsage {
  readonly inputTokens?: number | undefined;
  /** The part of `inputTokens` that was read from a cache. */
  readonly cachedInputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** US dollars, as reported by the program; often a list price. */
  readonly costUsd?: number | undefined;
}

/**
 * Usage of a run since its start. Each event replaces the previous one. MUST count this run only, even if the program reports totals
 * of a resumed session.
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
 * - `no_result`: the agent ended without a result, whatever its exit code.
 * - `unresponsive`: the agent did not start in time, or stopped responding.
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
  /** The process was started. Journaled at once, so that the next sidecar process can find it. */
  | { readonly type: 'spawned'; readonly process: ProcessMark }
  /** The agent was notified, and reports by files from now on. */
  | { readonly type: 'woken' }
  /** The agent itself reported that it works on the task. `sessionId`: the session that the program can resume later. */
  | { readonly type: 'started'; readonly sessionId?: string | undefined }
  /** `waiting`: the program makes no progress, and retries by itself. */
  | {
      readonly type: 'progress';
      readonly percent?: number | undefined;
      readonly message?: string | undefined;
      readonly waiting?: WaitReason | undefined;
    }
  /** `dropped`: characters that are missing before `text`. */
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string; readonly dropped?: number | undefined }
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
       * True: the agent had not worked on the task yet (no tool ran, no file changed), so the assignment can be released, which does
       * not count as a retry.
       */
      readonly beforeWork?: boolean | undefined;
      readonly details?: Readonly<Record<string, unknown>> | undefined;
    }
  /**
   * The process exited by itself, and its whole process tree is gone, except `survivors`, which could not be killed. Exit code and signal
   * are null if unknown, as for adopted runs. `sessionGone`: the requested `session` no longer exists and nothing was done: the sidecar
   * wakes the agent again in the same attempt, without a session.
   */
  | {
      readonly type: 'exited';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly stderrTail: string;
      readonly survivors?: readonly number[] | undefined;
      readonly sessionGone?: boolean | undefined;
    }
  /** The run was stopped because `signal` was aborted. Its process tree is confirmed gone, except `survivors`. */
  | { readonly type: 'stopped'; readonly survivors: readonly number[] };

/**
 * Wakes agents and follows their runs.
 *
 * - MUST NOT pass task text to a shell or build a command line from it.
 * - MUST set `AGENTCOM_RUN_ID` in the environment of every process.
 * - After `signal` is aborted, MUST stop the whole process tree and end with `stopped`, listing survivors. The abort reason may be
 *   `{ graceMs }`: the grace period for this stop. If an agent that cannot be stopped may have been notified already, it ends with `woken`.
 * - If the consumer ends the iteration early (`return()`), it only stops listening: `return()` MUST resolve at once, even while `next()`
 *   is pending, and MUST leave the run alive if `adoptable`.
 * - MUST NOT throw for expected failures (a missing program is `failed`). A throw counts as `failed`, with phase `spawn` before
 *   `spawned` and `agent` after it.
 */
export interface WakeRunner {
  /** Whether its runs outlive the sidecar, and the next sidecar process can attach to them. */
  readonly adoptable: boolean;
  wake(request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Attaches to a run of an earlier sidecar process: follows it to its end or, if `signal` is already aborted, stops what is left of it.
   * Yields `exited` at once if no process of it is alive. If `process` is null and certainly nothing was started, yields `failed` with
   * phase `spawn`, which does not count as a retry.
   */
  attach(run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent>;
  /**
   * Checks whether its agent could run now. MUST finish within 5 s, MUST leave nothing running when `signal` is aborted, and MUST NOT
   * call a model. While a check is not `ok`, the hub assigns nothing to this agent.
   */
  check?(signal?: StopSignal): Promise<readonly RunnerCheck[]>;
}

/** One check of whether the agent could run, and what it found. */
export interface RunnerCheck {
  readonly check: string;
  readonly ok: boolean;
  /** What was found. Sentences, with their periods. */
  readonly message: string;
  /** What to do if it is not `ok`, in a sentence or two. Without it, `message` says so. Shown after `message`, which is cut first. */
  readonly hint?: string | undefined;
}

/** Checks what `next` of a run's events resolved to. If the iterator was written by hand, that may be anything. */
export function checkedStep(step: unknown): IteratorResult<WakeEvent> {
  if (isRecord(step)) return step as unknown as IteratorResult<WakeEvent>;
  throw new TypeError(`the events of the wake runner cannot be read: expected { done, value } from next(), found ${describe(step)}`);
}
