/** What the client needs from the platform that it runs on: Node, or a browser. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** One HTTP request. */
export interface HttpQuestion {
  readonly method: string;
  /** With the query; it begins with a slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Aborts the request, and the body of its answer. */
  readonly signal: StopSignal;
}

/** The part of an `AbortSignal` that an exchange needs. */
export interface StopSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A stop signal with a single listener: an `AbortController` and its events cost a tenth of the CPU time of a request that follows a pause. */
export class Stop implements StopSignal {
  aborted = false;
  reason: unknown = undefined;
  #listener: (() => void) | null = null;

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = null;
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#listener?.();
  }
}

type OnAbort = (reason: Error) => void;

/** What is to be called when a signal is aborted, and the one listener on that signal. */
interface Followers {
  readonly all: Set<OnAbort>;
  readonly callAll: () => void;
}

const followers = new WeakMap<AbortSignal, Followers>();
const nothing = (): void => undefined;

/**
 * Calls `listener` with the reason once `signal` is aborted, at once if it already is, unless the function that it returns is called first. A
 * signal gets one listener, however many calls share it: Node takes more than ten for a leak. `AbortSignal.any` would take memory for as long as
 * the signal lives.
 */
export function onAbort(signal: AbortSignal | undefined, listener: OnAbort): () => void {
  if (signal === undefined) return nothing;
  if (signal.aborted) {
    listener(signal.reason as Error);
    return nothing;
  }
  const { all, callAll } = followers.get(signal) ?? followed(signal);
  all.add(listener);
  return () => {
    if (!all.delete(listener) || all.size > 0) return;
    signal.removeEventListener('abort', callAll);
    followers.delete(signal);
  };
}

function followed(signal: AbortSignal): Followers {
  const all = new Set<OnAbort>();
  const callAll = (): void => {
    for (const listener of all) listener(signal.reason as Error);
  };
  signal.addEventListener('abort', callAll);
  followers.set(signal, { all, callAll });
  return { all, callAll };
}

export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  /** Null if the answer does not have it. */
  header(name: string): string | null;
  /** The bytes as they arrive. Rejects with the signal's reason once it is aborted. */
  bytes(): AsyncGenerator<Uint8Array, void>;
  /** The whole body. Rejects with `tooLong` if it has more than `ANSWER_BYTES_MAX`. */
  text(): Promise<string>;
}

/** More than the largest page of a hub: 500 tasks, each with 256 KiB of body and 256 KiB of result. A string of Node has at most 512 MiB. */
export const ANSWER_BYTES_MAX = 268_435_456;

export const tooLong = ({ method, path }: HttpQuestion, status: number): AgentcomError =>
  new AgentcomError(
    'AC_API',
    `${method} ${path}: expected an answer of at most ${ANSWER_BYTES_MAX} bytes, found more. Ask for smaller pages with limit, or check what answers at that address.`,
    { details: { status } },
  );

/**
 * Sends a request to the host of `base`. Does not follow redirects, which would send the token to another address. Rejects with the signal's
 * reason once it is aborted, or, if the connection fails, with an error whose `code` begins with `E`.
 */
export type Exchange = (base: URL, question: HttpQuestion) => Promise<HttpAnswer>;

export interface Platform {
  readonly exchange: Exchange;
  /** At least 32 random hexadecimal digits, not counting dashes, of which none are among the first 8 and the last 12. */
  readonly random: () => string;
}

/**
 * Makes idempotency keys in the form of a task ID, which the task gets: the time as 12 hexadecimal digits, then 20 random ones. IDs made at
 * the same time are neighbors in the hub's index, so that tasks submitted together change few of its pages.
 */
export function keyMaker(random: Platform['random']): () => string {
  let atMs = 0;
  let time = '';
  return () => {
    const nowMs = Date.now();
    if (nowMs !== atMs) time = nowMs.toString(16).padStart(12, '0');
    atMs = nowMs;
    const digits = random();
    return `task-${time}${digits.slice(0, 8)}${digits.slice(-12)}`;
  };
}

/** The code of a request that was stopped because nothing came, as of a connection that timed out. */
export const TIMED_OUT = 'ETIMEDOUT';
export const timedOut = (message: string): Error => Object.assign(new Error(message), { code: TIMED_OUT });

/** An aborted request fails with an error of its connection; what counts is why it was aborted. */
export const reasonOf = (signal: StopSignal, thrown: unknown): Error => (signal.aborted ? signal.reason : thrown) as Error;

export const brokenOff = (): Error =>
  Object.assign(new Error('the connection was closed before the answer was complete'), { code: 'ECONNRESET' });
