/**
 * The store's time: what every stored time is set and judged by. It runs with the monotonic clock and follows the wall clock
 * without ever jumping with it.
 *
 *   together ── the wall clock is ahead by over a second ──► in doubt ── it stayed ahead for long enough ──► one step ──► together
 *      │                                                        └── it came back ──► together
 *      └── it is behind ──► store time runs slow until it agrees
 *
 * It never goes back. What was reached is kept in the store (`StoredClock`), so that a hub that starts with a wrong clock
 * goes on from there.
 */

/** What the store keeps of its clock. */
export interface StoredClock {
  /** Store time that was reached. Milliseconds since 1970. */
  readonly markMs: number;
  /** Store time less wall clock at that moment; negative while a wall clock that is ahead is not believed. Milliseconds. */
  readonly offsetMs: number;
  /** Before this store time nothing is removed for its age. */
  readonly removalsFromMs: number;
}

/** The clocks that it is made of. */
export interface TimeSource {
  /** Milliseconds since 1970; may be wrong and may jump. */
  wallMs(): number;
  /** Never goes back, and never jumps while this process runs. Milliseconds. */
  monotonicMs(): number;
}

/** What an operator should know of the clocks. */
export type ClockNews =
  /** The wall clock is ahead or behind by so much. Followed once it stayed so for `confirmedInMs`. */
  | { readonly news: 'wall_clock_differs'; readonly byMs: number; readonly confirmedInMs: number }
  /** The store's time was moved forward by so much. */
  | { readonly news: 'stepped'; readonly byMs: number };

/** A wall clock this near is as good as the same: it is read in whole milliseconds. Milliseconds. */
const TOGETHER_MS = 2;
/** A wall clock that is ahead by no more is followed by running fast; by more, in one step once that is confirmed. Milliseconds. */
const SLEW_MS_MAX = 1_000;
/** How much faster than the monotonic clock store time may run: more than clocks drift, and too little to end a grace early. */
const FASTER = 1 / 500;
/** How much slower it runs while the wall clock is behind: nobody loses anything to a lease that lasts longer. */
const SLOWER = 1 / 20;
/** A wall clock that is off must stay so for a hundredth of what it is off by before it is believed, and at least for this long. Milliseconds. */
const CONFIRM_MS_MIN = 300_000;
const CONFIRM_SHARE = 1 / 100;
/** How far ahead of the mark a start believes the wall clock at once: the hub may have been down. 30 days in milliseconds. */
const START_BELIEVED_MS = 2_592_000_000;
/** After a step of more than this, removals wait for as long as the step was, at most for `REMOVALS_HELD_MS_MAX`. Milliseconds. */
const STEP_HOLDS_MS = 3_600_000;
const REMOVALS_HELD_MS_MAX = 604_800_000;

/** Since when the wall clock is off, and by how much at least since then. */
interface Difference {
  readonly sinceMonotonicMs: number;
  readonly leastMs: number;
}

export class StoreClock {
  readonly #source: TimeSource;
  readonly #told: (news: ClockNews) => void;
  #storeMs: number;
  #atMonotonicMs: number;
  #wallMs: number;
  #ahead: Difference | null = null;
  #behind: Difference | null = null;
  #removalsFromMs: number;
  /** When it was last known to run before it was opened; null for a new store. */
  readonly lastUsedMs: number | null;

  /** `saved`: what the store has kept, null where it never had a clock. `newestMs`: the latest time that is known to be stored. */
  constructor(options: {
    readonly source: TimeSource;
    readonly saved: StoredClock | null;
    readonly newestMs: number | null;
    readonly told?: ((news: ClockNews) => void) | undefined;
  }) {
    const { source, saved, newestMs } = options;
    this.#source = source;
    this.#told = options.told ?? (() => undefined);
    this.#atMonotonicMs = source.monotonicMs();
    this.#wallMs = source.wallMs();
    this.#removalsFromMs = saved?.removalsFromMs ?? 0;
    const reachedMs = saved === null && newestMs === null ? null : Math.max(saved?.markMs ?? -Infinity, newestMs ?? -Infinity);
    this.lastUsedMs = reachedMs;
    this.#storeMs = reachedMs ?? this.#wallMs;
    if (reachedMs === null) return;
    // A wall clock that was not believed when the hub ended is not believed for that either.
    const nowMs = this.#wallMs + Math.min(0, saved?.offsetMs ?? 0);
    const awayMs = nowMs - reachedMs;
    if (awayMs > 0 && (saved === null || awayMs <= START_BELIEVED_MS)) this.#stepBy(awayMs);
    this.#look();
  }

  /** Whole milliseconds. Never less than it was. */
  nowMs(): number {
    this.#look();
    return Math.floor(this.#storeMs);
  }

  /**
   * The wall clock as far as it is believed, for whoever compares clocks: store time, unless the wall clock has been behind for so
   * long that it must be right. Never after `nowMs`. Whole milliseconds.
   */
  wallMs(): number {
    this.#look();
    return Math.floor(this.#storeMs - (isConfirmed(this.#behind, this.#atMonotonicMs) ? this.#behind.leastMs : 0));
  }

  /**
   * The time by which things are old enough to be removed; null while nothing is to be removed: the wall clock is in doubt, or it
   * was found ahead lately. Never after `nowMs`, nor after a wall clock that stays behind.
   */
  removableMs(): number | null {
    const wallMs = this.wallMs();
    return this.#ahead !== null || this.#storeMs < this.#removalsFromMs ? null : wallMs;
  }

  /** By how much store time is to be moved forward now, because the wall clock stayed ahead by that for long enough; 0: not at all. */
  get confirmedStepMs(): number {
    this.#look();
    return isConfirmed(this.#ahead, this.#atMonotonicMs) ? this.#ahead.leastMs : 0;
  }

  /** Moves it forward by `confirmedStepMs`. */
  step(): void {
    const byMs = this.confirmedStepMs;
    if (byMs === 0) return;
    this.#ahead = null;
    this.#stepBy(byMs);
    this.#told({ news: 'stepped', byMs });
  }

  /** Another hub on the same store has reached this: it is no earlier here. */
  atLeast(reachedMs: number): void {
    this.#look();
    if (reachedMs > this.#storeMs) this.#stepBy(reachedMs - this.#storeMs);
  }

  /** What to keep. */
  get state(): StoredClock {
    this.#look();
    const markMs = Math.floor(this.#storeMs);
    return { markMs, offsetMs: Math.round(this.#storeMs - this.#wallMs), removalsFromMs: Math.ceil(this.#removalsFromMs) };
  }

  #stepBy(byMs: number): void {
    this.#storeMs += byMs;
    if (byMs > STEP_HOLDS_MS) this.#removalsFromMs = Math.max(this.#removalsFromMs, this.#storeMs + Math.min(byMs, REMOVALS_HELD_MS_MAX));
  }

  #look(): void {
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
    this.#told({ news: 'wall_clock_differs', byMs: sign * byMs, confirmedInMs: confirmMs(byMs) });
    return { sinceMonotonicMs: this.#atMonotonicMs, leastMs: byMs };
  }
}

const confirmMs = (byMs: number): number => Math.max(CONFIRM_MS_MIN, byMs * CONFIRM_SHARE);

const isConfirmed = (difference: Difference | null, monotonicMs: number): difference is Difference =>
  difference !== null && monotonicMs - difference.sinceMonotonicMs >= confirmMs(difference.leastMs);

/** By how much store time runs faster or slower than the `passedMs` of the monotonic clock. */
function slewMs(gapMs: number, passedMs: number): number {
  if (gapMs < -TOGETHER_MS) return -Math.min(-gapMs, passedMs * SLOWER);
  return gapMs > TOGETHER_MS && gapMs <= SLEW_MS_MAX ? Math.min(gapMs, passedMs * FASTER) : 0;
}
