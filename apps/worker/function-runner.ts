/** A `WakeRunner` whose runs are calls of a function in this process. */
import { OUTPUT_BYTES_MAX } from '../../core/application/sidecar/state/constants.ts';
import { refersToItself } from '../../core/application/sidecar/state/runner-events.ts';
import { OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX } from '../../core/application/sidecar/report/fit-report.ts';
import { assignmentKey, type AssignmentId } from '../../core/domain/assignment/slot.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { excessText, findExcess } from '../../core/protocol/json-bounds.ts';
import type { Fence, Handler, HandlerContext, Progress, TaskAborted, WorkerTask } from './handler.ts';
import type { RunSignal } from './run-signal.ts';
import { failureOf, TaskFailure } from './task-failure.ts';

export interface FunctionRunnerOptions {
  readonly handle: Handler;
  readonly clock: Clock;
  /** A handler has not settled within the grace period of its stop. */
  readonly onOverdue: (fence: Fence, waitedMs: number) => void;
}

/** How long handlers are called in one turn of the event loop, milliseconds. */
const TURN_MS = 5;

/** Its runs end with this process, so the next one cannot adopt them. */
export function functionRunner(options: FunctionRunnerOptions): WakeRunner {
  const { clock } = options;
  /** Handlers are called in a turn of their own. If that takes too long, the rest are called later: acceptances and heartbeats would have to wait. */
  let beginning: (() => void)[] = [];
  const beginAll = (): void => {
    const all = beginning;
    const untilMs = clock.monotonicMs() + TURN_MS;
    let begun = 0;
    try {
      while (begun < all.length && clock.monotonicMs() < untilMs) all[begun++]?.();
    } finally {
      beginning = begun === all.length ? [] : all.slice(begun);
      if (beginning.length > 0) setImmediate(() => setImmediate(beginAll));
    }
  };
  const soon = (begin: () => void): void => {
    if (beginning.push(begin) === 1) setImmediate(beginAll);
  };
  return {
    adoptable: false,
    wake: (request, signal) => new FunctionRun(options, request, signal as unknown as RunSignal, soon),
    // A run of an earlier process, or one that never began.
    async *attach() {
      yield { type: 'exited', exitCode: null, signal: null, stderrTail: '' };
    },
  };
}

export const fenceOf = ({ taskId, generation }: AssignmentId): Fence => ({
  taskId,
  generation,
  token: assignmentKey({ taskId, generation }),
});

type Next = IteratorResult<WakeEvent, undefined>;

const OVER: Next = { done: true, value: undefined };

/**
 * waiting ─► running ─settled─► over. The handler is called soon after the run is created. Events that were not taken yet wait in `#events`, the
 * newest progress in `#progressed`. An aborted signal changes what an end means: an error or undefined is then a confirmed stop.
 */
class FunctionRun implements AsyncIterableIterator<WakeEvent, undefined> {
  readonly #options: FunctionRunnerOptions;
  readonly #request: WakeRequest;
  readonly #stop: RunSignal;
  #phase: 'waiting' | 'running' | 'over' = 'waiting';
  readonly #events: WakeEvent[] = [];
  #progressed: Progress | null = null;
  #isHanding = false;
  #take: ((next: Next) => void) | null = null;
  #overdue: Timer | null = null;

  constructor(options: FunctionRunnerOptions, request: WakeRequest, stop: RunSignal, soon: (begin: () => void) => void) {
    this.#options = options;
    this.#request = request;
    this.#stop = stop;
    soon(() => this.#begin());
  }

  /** A run can be followed only once. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Next> {
    const event = this.#taken();
    if (event !== null) return Promise.resolve({ done: false, value: event });
    if (this.#phase === 'over') return Promise.resolve(OVER);
    return new Promise((take) => (this.#take = take));
  }

  /** Only stops listening. */
  return(): Promise<Next> {
    this.#overdue?.cancel();
    this.#take?.(OVER);
    this.#take = null;
    return Promise.resolve(OVER);
  }

  /** All are properties of its own: handlers copy it and destructure it. */
  #context(): HandlerContext {
    const stop = this.#stop;
    return Object.freeze({
      agentId: this.#request.agentId,
      fence: Object.freeze(fenceOf(this.#request)),
      progress: (progress: number | string | Progress): void => this.#progress(progress),
      get signal(): AbortSignal {
        return stop.signal;
      },
    });
  }

  #progress(progress: number | string | Progress): void {
    if (this.#phase === 'over') return;
    const read = readProgress(progress);
    this.#progressed = { ...this.#progressed, ...read };
    // In a microtask, so that progress that is reported together becomes one event.
    if (this.#isHanding) return;
    this.#isHanding = true;
    queueMicrotask(() => {
      this.#isHanding = false;
      this.#hand();
    });
  }

  get #isStopped(): boolean {
    return this.#stop.reason !== null;
  }

  #begin(): void {
    this.#phase = 'running';
    if (this.#isStopped) return this.#end({ type: 'stopped', survivors: [] });
    this.#stop.onAbort((reason) => this.#onAbort(reason));
    let answer: unknown;
    try {
      answer = this.#options.handle(frozen(this.#request.task) as unknown as WorkerTask, this.#context());
    } catch (thrown) {
      return this.#onThrown(thrown);
    }
    // It cannot be a promise.
    if (typeof answer !== 'object' && typeof answer !== 'function') return this.#onValue(answer);
    // Not `Promise.resolve`: that reads the promise's `constructor`, which may throw.
    new Promise((resolve) => resolve(answer)).then(
      (value) => this.#onValue(value),
      (thrown: unknown) => this.#onThrown(thrown),
    );
  }

  #onValue(value: unknown): void {
    if (value === undefined && this.#isStopped) return this.#end({ type: 'stopped', survivors: [] });
    const output = value === undefined ? null : value;
    const problem = problemOf(output);
    if (problem === null) this.#end({ type: 'completed', output });
    else this.#fail(new TaskFailure(`The handler finished, but its result ${problem}`, { retryable: false }));
  }

  #onThrown(thrown: unknown): void {
    if (this.#isStopped) this.#end({ type: 'stopped', survivors: [] });
    else this.#fail(thrown);
  }

  #fail(thrown: unknown): void {
    this.#end(failureOf(thrown), { type: 'exited', exitCode: 1, signal: null, stderrTail: '' });
  }

  #end(...events: readonly WakeEvent[]): void {
    this.#overdue?.cancel();
    this.#phase = 'over';
    this.#events.push(...events);
    this.#hand();
  }

  /** The slot stays taken, and the stop unconfirmed, until the handler settles: nothing can end a function. */
  #onAbort({ graceMs }: TaskAborted): void {
    if (this.#phase === 'over') return;
    const { clock, onOverdue } = this.#options;
    this.#overdue = clock.after(graceMs, () => onOverdue(fenceOf(this.#request), graceMs));
  }

  /** Hands the next event, if there is one, to a waiting `next`. */
  #hand(): void {
    const take = this.#take;
    if (take === null) return;
    const event = this.#taken();
    if (event === null) return;
    this.#take = null;
    take({ done: false, value: event });
  }

  #taken(): WakeEvent | null {
    const progressed = this.#progressed;
    if (progressed === null) return this.#events.shift() ?? null;
    this.#progressed = null;
    return { type: 'progress', ...progressed };
  }
}

/** Why the value cannot be a result; null if it can. The text completes a sentence. */
function problemOf(value: unknown): string | null {
  if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return null;
  try {
    const excess = findExcess(value, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX);
    if (excess === 'depth' && refersToItself(value, OUTPUT_DEPTH_MAX)) return 'must not refer to itself';
    if (excess !== null) return excessText(excess, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX);
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) return `cannot be written as JSON: found a ${typeof value}. Return a JSON value.`;
    // No UTF-16 code unit takes more than three bytes.
    if (text.length * 3 <= OUTPUT_BYTES_MAX) return null;
    const bytes = Buffer.byteLength(text);
    if (bytes <= OUTPUT_BYTES_MAX) return null;
    return `has ${bytes} bytes of JSON, over the limit of ${OUTPUT_BYTES_MAX}. Store it elsewhere and return where it is.`;
  } catch (thrown) {
    return `cannot be written as JSON: ${messageOf(thrown).split('\n')[0] ?? ''}`;
  }
}

const PROGRESS_WANTED = 'progress() expects a percentage, a message, or { percent, message }; found';

function readProgress(given: unknown): Progress {
  const { percent, message } =
    typeof given === 'object' && given !== null ? (given as Progress) : { percent: undefined, message: undefined };
  const read: Progress =
    typeof given === 'number' ? { percent: given } : typeof given === 'string' ? { message: given } : { percent, message };
  const isPercent = read.percent === undefined || Number.isFinite(read.percent);
  const isMessage = read.message === undefined || typeof read.message === 'string';
  const isEmpty = read.percent === undefined && read.message === undefined;
  if (!isPercent || !isMessage || isEmpty) throw new TypeError(`${PROGRESS_WANTED} ${typeof given === 'number' ? given : typeof given}.`);
  return {
    ...(read.percent === undefined ? {} : { percent: read.percent }),
    ...(read.message === undefined ? {} : { message: read.message }),
  };
}

/** Freezes the value and everything in it: the journal holds the same object. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const name in value) frozen(value[name]);
  return Object.freeze(value);
}
