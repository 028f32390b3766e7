/** Which failures a retry may help, and how long to wait before it: for single requests, batches of submits and event streams. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { onAbort } from './platform.ts';

const RETRY_WITHIN_MS = 5_000;
/** How long streams and followers keep trying while the hub is unreachable, milliseconds. */
export const OUTAGE_MAX_MS = 300_000;
/** The first wait, which doubles up to the longest one; no wait is shorter, even if `Retry-After` is. Milliseconds. */
const WAIT_MIN_MS = 200;
const WAIT_MAX_MS = 5_000;
/** A wait is longer by a random part of itself, up to this one: clients that were cut off together do not come back together. */
const SPREAD = 0.5;
/** Of a hub that is busy or restarting, or of a proxy that does not reach it. */
const TEMPORARY_STATUSES: ReadonlySet<unknown> = new Set([429, 502, 503, 504]);
/** Errors after which nothing was sent, so any request may be retried. */
const NOT_CONNECTED: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** The longest time of a timer, milliseconds: one that is longer fires at once. */
export const TIMER_MS_MAX = 2_147_483_647;

/** Throws `AC_USAGE`, naming the option, unless it is not set or lies within the bounds. NaN lies within none. */
export function checkMs(option: string, ms: number | undefined, [from, to]: readonly [number, number]): void {
  if (ms === undefined || (ms >= from && ms <= to)) return;
  const wanted = to === Infinity ? `milliseconds from ${from}, or Infinity` : `milliseconds from ${from} to ${to}`;
  throw new AgentcomError('AC_USAGE', `${option}: expected ${wanted}, found ${String(ms)}.`);
}

/** Whether the hub may answer the same request otherwise later. */
export const isTemporaryStatus = (status: unknown): boolean => TEMPORARY_STATUSES.has(status);

/** Whether the same request may succeed later. */
export function isTemporary(error: AgentcomError): boolean {
  if (error.code === 'AC_API') return isTemporaryStatus(error.details?.['status']);
  return error.code === 'AC_API_UNREACHABLE' && (wasNotSent(error) || isOfConnection(error.details?.['reason']));
}

/** Whether the request certainly did not reach the hub. */
export const wasNotSent = (error: AgentcomError): boolean => NOT_CONNECTED.has(error.details?.['reason']);

/** A retry would repeat the errors of TLS, of a certificate or of an answer that is not HTTP. */
const isOfConnection = (reason: unknown): boolean => typeof reason === 'string' && /^E[A-Z]+$/.test(reason) && reason !== 'EPROTO';

/** How long the hub asked to wait with this refusal, milliseconds; undefined if it did not. */
export function requestedWaitMs(error: AgentcomError): number | undefined {
  const waitMs = error.details?.['retryAfterMs'];
  return typeof waitMs === 'number' ? waitMs : undefined;
}

/** The delay that a `Retry-After` header or a `retry_after` gives in seconds, as milliseconds; undefined if it does not give one. */
export function retryAfterMs(value: unknown): number | undefined {
  const seconds = Number(value ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}

/** The waits before retries that follow each other. */
export class Waits {
  #nextMs = WAIT_MIN_MS;

  /** How long to wait at least before the next retry, milliseconds. `askedMs`: how long the hub asked to wait. */
  next(askedMs = this.#nextMs): number {
    this.#nextMs = Math.min(this.#nextMs * 2, WAIT_MAX_MS);
    return Math.max(askedMs, WAIT_MIN_MS);
  }

  /** After a success. */
  restart(): void {
    this.#nextMs = WAIT_MIN_MS;
  }
}

/** A wait with its random part, milliseconds. */
export const spread = (waitMs: number): number => waitMs * (1 + SPREAD * Math.random());

/** The retries of a request and of those that continue it: how long to wait before each, and for how long in all. */
export class Retries {
  readonly #waits = new Waits();
  #withinMs: number | null = null;
  #giveUpAtMs: number | null = null;
  #onRetry: ((reason: string) => void) | undefined;

  /** Sets the time limit, unless an earlier request did. */
  begin(withinMs = RETRY_WITHIN_MS, onRetry?: (reason: string) => void): void {
    if (this.#withinMs !== null) return;
    this.#withinMs = withinMs;
    this.#onRetry = onRetry;
  }

  /** How long retries are still allowed, milliseconds. Called after a failure: the first call starts the time. */
  leftMs(): number {
    const nowMs = performance.now();
    this.#giveUpAtMs ??= nowMs + (this.#withinMs ?? RETRY_WITHIN_MS);
    return this.#giveUpAtMs - nowMs;
  }

  /**
   * Waits before the next retry, at least `askedMs` if the hub asked for that. Resolves to false immediately if that retry would be too late.
   * Rejects if `signal` is aborted.
   */
  async next(reason: string, askedMs?: number, signal?: AbortSignal): Promise<boolean> {
    const leftMs = this.leftMs();
    const waitMs = this.#waits.next(askedMs);
    if (waitMs > leftMs) return false;
    this.#onRetry?.(reason);
    await pause(Math.min(spread(waitMs), leftMs), signal);
    return true;
  }
}

/** Resolves after the delay, at the latest after the longest time of a timer. Rejects with the abort reason if `signal` is aborted. */
export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => {
        unlink();
        resolve();
      },
      Math.min(delayMs, TIMER_MS_MAX),
    );
    const unlink = onAbort(signal, (reason) => {
      clearTimeout(timer);
      reject(reason);
    });
  });
}
