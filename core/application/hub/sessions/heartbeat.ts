/** When a connection last received anything, and whether its peer is to be probed. */
import type { HubTiming } from '../../../config/times.ts';
import type { Clock } from '../../../ports/clock.ts';

export class Heartbeat {
  readonly #clock: Clock;
  #lastMonotonicMs: number;
  #probedMonotonicMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMonotonicMs = clock.monotonicMs();
  }

  /** Milliseconds since 1970. */
  get lastAtMs(): number {
    return Math.round(this.#clock.nowMs() - (this.#clock.monotonicMs() - this.#lastMonotonicMs));
  }

  received(): void {
    this.#lastMonotonicMs = this.#clock.monotonicMs();
    this.#probedMonotonicMs = null;
  }

  /** `probe`: nothing came for a while, and the caller MUST probe the peer now. `dead`: it was probed and did not answer. */
  check(monotonicMs: number, { pongWaitMs, heartbeatMs }: Pick<HubTiming, 'pongWaitMs' | 'heartbeatMs'>): 'alive' | 'probe' | 'dead' {
    if (this.#probedMonotonicMs !== null) return monotonicMs - this.#probedMonotonicMs >= pongWaitMs ? 'dead' : 'alive';
    if (monotonicMs - this.#lastMonotonicMs < heartbeatMs * 1.5) return 'alive';
    this.#probedMonotonicMs = monotonicMs;
    return 'probe';
  }
}
