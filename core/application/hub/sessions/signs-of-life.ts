/** When a peer was last heard, and whether it is to be asked for a word. */
import type { HubTiming } from '../../../config/times.ts';
import type { Clock } from '../../../ports/clock.ts';

export class SignsOfLife {
  readonly #clock: Clock;
  #lastMonotonicMs: number;
  #askedMonotonicMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMonotonicMs = clock.monotonicMs();
  }

  /** Milliseconds since 1970. */
  get lastAtMs(): number {
    return Math.round(this.#clock.nowMs() - (this.#clock.monotonicMs() - this.#lastMonotonicMs));
  }

  heard(): void {
    this.#lastMonotonicMs = this.#clock.monotonicMs();
    this.#askedMonotonicMs = null;
  }

  /** `ask`: it is silent, and MUST be asked for a word now; `dead`: it was, and gave none. */
  look({ pongWaitMs, heartbeatMs }: Pick<HubTiming, 'pongWaitMs' | 'heartbeatMs'>): 'well' | 'ask' | 'dead' {
    const now = this.#clock.monotonicMs();
    if (this.#askedMonotonicMs !== null) return now - this.#askedMonotonicMs >= pongWaitMs ? 'dead' : 'well';
    if (now - this.#lastMonotonicMs < heartbeatMs * 1.5) return 'well';
    this.#askedMonotonicMs = now;
    return 'ask';
  }
}
