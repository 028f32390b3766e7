/** Who failed too often is held off for a while, longer each time. Only failures count. */
import { backoffMs, type BackoffTimes } from '../../../../domain/backoff.ts';

/** How long a failure counts, milliseconds. */
const WINDOW_MS = 60_000;
/** 30 s doubling to 120 s: less than the reconnect grace. */
const HOLD_OFF: BackoffTimes = { firstMs: 30_000, maxMs: 120_000 };
/** Names remembered at once; the oldest is forgotten. */
const NAMES_MAX = 10_000;

interface Known {
  readonly failuresMs: readonly number[];
  readonly untilMs: number;
  readonly times: number;
}

export class Throttle {
  readonly #known = new Map<string, Known>();
  readonly #failuresMax: number;

  /** `failuresMax` failures within a minute hold a name off. */
  constructor(failuresMax: number) {
    this.#failuresMax = failuresMax;
  }

  /** How long the name is still held off, milliseconds; 0 when it is not. */
  heldOffMs(name: string, nowMs: number): number {
    return Math.max(0, (this.#known.get(name)?.untilMs ?? 0) - nowMs);
  }

  /** Notes a failure and answers whether the name is held off from now on. */
  failed(name: string, nowMs: number): boolean {
    const before = this.#known.get(name) ?? { failuresMs: [], untilMs: 0, times: 0 };
    const failuresMs = [...before.failuresMs.filter((at) => at > nowMs - WINDOW_MS), nowMs];
    this.#known.delete(name);
    if (failuresMs.length < this.#failuresMax) {
      this.#remember(name, { ...before, failuresMs });
      return false;
    }
    const times = nowMs > before.untilMs + HOLD_OFF.maxMs ? 1 : before.times + 1;
    this.#remember(name, { failuresMs: [], untilMs: nowMs + backoffMs(HOLD_OFF, times), times });
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
