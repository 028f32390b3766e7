/** Time that a test or the simulation moves by hand. */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../../core/ports/clock.ts';

/** Timers fired in one `advance` or `walk`; more means that a timer restarts itself without delay. */
const FIRES_MAX = 1_000_000;

export interface VirtualClockOptions {
  /** Wall time at the start, whole milliseconds since 1970. Default 2026-01-01T00:00:00Z. */
  readonly wallMs?: number | undefined;
}

/** A clock that the test moves. */
export interface VirtualClock extends Clock {
  /**
   * Advances time by `ms`, firing each timer at its own moment: earliest due first, and of timers due at the same
   * moment the older one first.
   */
  advance(ms: number): void;
  /** Like `advance`, awaiting `between` after each timer, so that work it started can take its next step. */
  walk(ms: number, between: () => Promise<unknown>): Promise<void>;
  /** Advances to the next timer and fires it; false if there is none. */
  runNext(): boolean;
  /** Moves only the wall clock by `ms`, in either direction. */
  jumpWall(ms: number): void;
  /** The number of pending timers. */
  readonly pending: number;
  /** When the next one is due, on the monotonic clock; null if none is pending. */
  readonly nextDueMs: number | null;
}

interface Waiting {
  readonly dueMs: number;
  /** Orders timers of the same moment. */
  readonly order: number;
  readonly fire: () => void;
}

/** A `Clock` whose monotonic time begins at 0 and moves only when told to. */
export const virtualClock = (options: VirtualClockOptions = {}): VirtualClock => {
  let monotonicMs = 0;
  let wallOffsetMs = options.wallMs ?? Date.UTC(2026, 0, 1);
  let started = 0;
  /** Sorted: next one first. */
  const waiting: Waiting[] = [];

  const after = (delayMs: number, fire: () => void): Timer => {
    if (Number.isNaN(delayMs)) throw new AgentcomError('AC_INTERNAL', 'Cannot start a timer: expected a delay in milliseconds, found NaN.');
    started += 1;
    const timer: Waiting = { dueMs: monotonicMs + exact(Math.max(0, delayMs)), order: started, fire };
    waiting.splice(placeOf(waiting, timer), 0, timer);
    return {
      cancel: () => {
        const place = placeOf(waiting, timer);
        if (waiting[place] === timer) waiting.splice(place, 1);
      },
    };
  };

  /** Fires the next timer if it is due by `untilMs`. A timer's own action may have moved time past that moment. */
  const fireNext = (untilMs: number): boolean => {
    const next = waiting[0];
    if (next === undefined || next.dueMs > untilMs) return false;
    waiting.shift();
    monotonicMs = Math.max(monotonicMs, next.dueMs);
    next.fire();
    return true;
  };

  const targetOf = (ms: number): number => {
    if (!(ms >= 0)) throw new AgentcomError('AC_INTERNAL', `The virtual clock was asked to move by ${ms} ms; expected 0 or more.`);
    return monotonicMs + exact(ms);
  };

  const counted = (fires: number): number => {
    if (fires < FIRES_MAX) return fires + 1;
    throw new AgentcomError(
      'AC_INTERNAL',
      `Over ${FIRES_MAX} timers fired in one move of the virtual clock; one of them probably restarts itself without delay.`,
    );
  };

  return {
    nowMs: () => Math.floor(wallOffsetMs + monotonicMs),
    monotonicMs: () => monotonicMs,
    after,
    advance(ms) {
      const untilMs = targetOf(ms);
      for (let fires = 0; fireNext(untilMs); fires = counted(fires));
      monotonicMs = Math.max(monotonicMs, untilMs);
    },
    async walk(ms, between) {
      const untilMs = targetOf(ms);
      for (let fires = 0; fireNext(untilMs); fires = counted(fires)) await between();
      monotonicMs = Math.max(monotonicMs, untilMs);
    },
    runNext: () => fireNext(Infinity),
    jumpWall(ms) {
      wallOffsetMs += ms;
    },
    get pending() {
      return waiting.length;
    },
    get nextDueMs() {
      return waiting[0]?.dueMs ?? null;
    },
  };
};

/** Rounded up to 1024ths of a millisecond, whose sums and differences are exact. */
const exact = (ms: number): number => Math.ceil(ms * 1_024) / 1_024;

/** The position of `timer` in the sorted list, or where to insert it. */
const placeOf = (waiting: readonly Waiting[], timer: Waiting): number => {
  let low = 0;
  let high = waiting.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = waiting[middle] as Waiting;
    const isBefore = other.dueMs < timer.dueMs || (other.dueMs === timer.dueMs && other.order < timer.order);
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
};
