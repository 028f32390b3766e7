/** Blocks an address or agent that failed too often, longer each time. Only failures count. */
import { backoffMs, type BackoffTimes } from '../../../../domain/backoff.ts';

/** How long a failure counts, milliseconds. */
const WINDOW_MS = 60_000;
/** 30 s doubling to 120 s: less than the reconnect grace. */
const BLOCK_TIMES: BackoffTimes = { firstMs: 30_000, maxMs: 120_000 };
/** Names tracked at once; beyond that the oldest is dropped. */
const NAMES_MAX = 10_000;

interface Known {
  readonly failuresMs: readonly number[];
  readonly untilMs: number;
  readonly times: number;
}

export class Throttle {
  readonly #known = new Map<string, Known>();
  readonly #failuresMax: number;

  /** `failuresMax` failures within a minute block a name. */
  constructor(failuresMax: number) {
    this.#failuresMax = failuresMax;
  }

  /** How long the name is still blocked, milliseconds; 0 when it is not. */
  retryAfterMs(name: string, nowMs: number): number {
    return Math.max(0, (this.#known.get(name)?.untilMs ?? 0) - nowMs);
  }

  /** Counts a failure and returns whether the name is blocked: from now on, or already, if the connection was open before the block. */
  failed(name: string, nowMs: number): boolean {
    const before = this.#known.get(name) ?? { failuresMs: [], untilMs: 0, times: 0 };
    if (nowMs < before.untilMs) return true;
    const failuresMs = [...before.failuresMs.filter((at) => at > nowMs - WINDOW_MS), nowMs];
    this.#known.delete(name);
    if (failuresMs.length < this.#failuresMax) {
      this.#remember(name, { ...before, failuresMs });
      return false;
    }
    const times = nowMs > before.untilMs + BLOCK_TIMES.maxMs ? 1 : before.times + 1;
    this.#remember(name, { failuresMs: [], untilMs: nowMs + backoffMs(BLOCK_TIMES, times), times });
    return true;
  }

  #remember(name: string, known: Known): void {
    this.#known.set(name, known);
    if (this.#known.size > NAMES_MAX) {
      const oldest = this.#known.keys().next();
      if (!oldest.done) this.#known.delete(oldest.value);
    }
  }
}
