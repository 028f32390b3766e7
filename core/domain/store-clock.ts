/**
 * Store time: every stored time is set by it and compared with it. It runs with the monotonic clock and follows the wall clock
 * without jumping with it.
 *
 *   in sync ── the wall clock is over a second ahead ──► in doubt ── it stayed ahead for long enough ──► one step ──► in sync
 *      │                                                     └── it came back ──► in sync
 *      └── the wall clock is behind ──► store time runs slower until both agree
 *
 * It never goes back. The time reached is kept in the store (`StoredClock`), so that a hub that starts with a wrong clock
 * continues from there.
 */

/** The stored state of the clock. */
export interface StoredClock {
  /** The store time reached. Milliseconds since 1970. */
  readonly markMs: number;
  /** Store time minus wall clock at that moment; negative while a wall clock that is ahead is not trusted. Milliseconds. */
  readonly offsetMs: number;
  /** Before this store time nothing is removed by age. */
  readonly removalsFromMs: number;
}

/** The clocks that it is based on. */
export interface TimeSource {
  /** Milliseconds since 1970; may be wrong and may jump. */
  wallMs(): number;
  /** Never goes back, and never jumps while this process runs. Milliseconds. */
  monotonicMs(): number;
}

/** What operators should know about the clocks. */
export type ClockEvent =
  /** The wall clock is ahead or behind by `byMs`. Store time follows once it has stayed so for `confirmedInMs`. */
  | { readonly type: 'wall_clock_differs'; readonly byMs: number; readonly confirmedInMs: number }
  /** Store time was moved forward by `byMs`. */
  | { readonly type: 'stepped'; readonly byMs: number };

/** Clocks this close count as in sync: the wall clock is read in whole milliseconds. Milliseconds. */
const IN_SYNC_MS = 2;
/** A wall clock that is at most this far ahead is followed by running faster; one that is further ahead, in one step once confirmed. Milliseconds. */
const SLEW_MS_MAX = 1_000;
/** How much faster than the monotonic clock store time may run: more than clocks drift, and too little to end a grace period early. */
const SPEED_UP = 1 / 500;
/** How much slower it runs while the wall clock is behind: a longer lease does no harm. */
const SLOW_DOWN = 1 / 20;
/** A wall clock is trusted once its difference has lasted for a hundredth of that difference, and at least this long. Milliseconds. */
const CONFIRM_MS_MIN = 300_000;
const CONFIRM_SHARE = 1 / 100;
/** How far ahead of the mark the wall clock may be to be trusted at once at a start: the hub may have been down. 30 days in milliseconds. */
const START_TRUSTED_MS = 2_592_000_000;
/** A step longer than this suspends removals for as long as the step was, at most for `REMOVALS_SUSPENDED_MS_MAX`. Milliseconds. */
const LONG_STEP_MS = 3_600_000;
const REMOVALS_SUSPENDED_MS_MAX = 604_800_000;

/** Since when the wall clock differs, and the smallest difference since then. */
interface Difference {
  readonly sinceMonotonicMs: number;
  readonly leastMs: number;
}

/** The clock behind all stored times: it never goes back, and a jump of the wall clock does not move it at once. */
export class StoreClock {
  readonly #source: TimeSource;
  readonly #notify: (event: ClockEvent) => void;
  #storeMs: number;
  #atMonotonicMs: number;
  #wallMs: number;
  #ahead: Difference | null = null;
  #behind: Difference | null = null;
  #removalsFromMs: number;
  /** The store time reached before it was opened; null for a new store. */
  readonly lastUsedMs: number | null;

  /** `saved`: the stored state, null if the store never had a clock. `newestMs`: the latest stored time that is known. */
  constructor(options: {
    readonly source: TimeSource;
    readonly saved: StoredClock | null;
    readonly newestMs: number | null;
    readonly notify?: ((event: ClockEvent) => void) | undefined;
  }) {
    const { source, saved, newestMs } = options;
    this.#source = source;
    this.#notify = options.notify ?? (() => undefined);
    this.#atMonotonicMs = source.monotonicMs();
    this.#wallMs = source.wallMs();
    this.#removalsFromMs = saved?.removalsFromMs ?? 0;
    const reachedMs = saved === null && newestMs === null ? null : Math.max(saved?.markMs ?? -Infinity, newestMs ?? -Infinity);
    this.lastUsedMs = reachedMs;
    this.#storeMs = reachedMs ?? this.#wallMs;
    if (reachedMs === null) return;
    // If the wall clock was ahead and not trusted when the hub stopped, the same amount is not trusted now.
    const nowMs = this.#wallMs + Math.min(0, saved?.offsetMs ?? 0);
    const awayMs = nowMs - reachedMs;
    if (awayMs > 0 && (saved === null || awayMs <= START_TRUSTED_MS)) this.#stepBy(awayMs);
    this.#update();
  }

  /** Whole milliseconds. Never decreases. */
  nowMs(): number {
    this.#update();
    return Math.floor(this.#storeMs);
  }

  /**
   * The wall clock as far as it is trusted, to compare with other clocks: store time, unless the wall clock has been behind for so
   * long that it must be right. Never after `nowMs`. Whole milliseconds.
   */
  wallMs(): number {
    this.#update();
    return Math.floor(this.#storeMs - (isConfirmed(this.#behind, this.#atMonotonicMs) ? this.#behind.leastMs : 0));
  }

  /**
   * The time against which ages are measured for removal; null while nothing may be removed because the wall clock is in doubt, or
   * store time stepped recently. Never after `nowMs`, nor after a wall clock that stays behind.
   */
  removableMs(): number | null {
    const wallMs = this.wallMs();
    return this.#ahead !== null || this.#storeMs < this.#removalsFromMs ? null : wallMs;
  }

  /** How far store time must step forward now, because the wall clock has stayed ahead for long enough; 0: not at all. */
  get confirmedStepMs(): number {
    this.#update();
    return isConfirmed(this.#ahead, this.#atMonotonicMs) ? this.#ahead.leastMs : 0;
  }

  /** Moves it forward by `confirmedStepMs`. */
  step(): void {
    const byMs = this.confirmedStepMs;
    if (byMs === 0) return;
    this.#ahead = null;
    this.#stepBy(byMs);
    this.#notify({ type: 'stepped', byMs });
  }

  /** Another hub on the same store has reached this time, so it is at least this time here. */
  atLeast(reachedMs: number): void {
    this.#update();
    if (reachedMs > this.#storeMs) this.#stepBy(reachedMs - this.#storeMs);
  }

  /** The state to store. */
  get state(): StoredClock {
    this.#update();
    const markMs = Math.floor(this.#storeMs);
    return { markMs, offsetMs: Math.round(this.#storeMs - this.#wallMs), removalsFromMs: Math.ceil(this.#removalsFromMs) };
  }

  #stepBy(byMs: number): void {
    this.#storeMs += byMs;
    if (byMs > LONG_STEP_MS)
      this.#removalsFromMs = Math.max(this.#removalsFromMs, this.#storeMs + Math.min(byMs, REMOVALS_SUSPENDED_MS_MAX));
  }

  #update(): void {
    const monotonicMs = Math.max(this.#atMonotonicMs, this.#source.monotonicMs());
    const passedMs = monotonicMs - this.#atMonotonicMs;
    this.#atMonotonicMs = monotonicMs;
    this.#wallMs = this.#source.wallMs();
    this.#storeMs += passedMs + slewMs(this.#wallMs - this.#storeMs - passedMs, passedMs);
    const gapMs = this.#wallMs - this.#storeMs;
    this.#ahead = this.#differing(this.#ahead, gapMs);
    this.#behind = this.#differing(this.#behind, -gapMs, -1);
  }

  #differing(before: Difference | null, byMs: number, sign = 1): Difference | null {
    if (byMs <= SLEW_MS_MAX) return null;
    if (before !== null) return byMs < before.leastMs ? { ...before, leastMs: byMs } : before;
    this.#notify({ type: 'wall_clock_differs', byMs: sign * byMs, confirmedInMs: confirmMs(byMs) });
    return { sinceMonotonicMs: this.#atMonotonicMs, leastMs: byMs };
  }
}

const confirmMs = (byMs: number): number => Math.max(CONFIRM_MS_MIN, byMs * CONFIRM_SHARE);

const isConfirmed = (difference: Difference | null, monotonicMs: number): difference is Difference =>
  difference !== null && monotonicMs - difference.sinceMonotonicMs >= confirmMs(difference.leastMs);

/** By how much store time runs faster or slower than the `passedMs` of the monotonic clock. */
function slewMs(gapMs: number, passedMs: number): number {
  if (gapMs < -IN_SYNC_MS) return -Math.min(-gapMs, passedMs * SLOW_DOWN);
  return gapMs > IN_SYNC_MS && gapMs <= SLEW_MS_MAX ? Math.min(gapMs, passedMs * SPEED_UP) : 0;
}
