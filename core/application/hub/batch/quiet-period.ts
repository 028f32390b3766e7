/**
 * Whether the silence of an agent means anything. After a disturbance (a start, an outage of the storage, a stalled loop) it was
 * perhaps not the agent that was silent: a quiet time begins, in which nothing is taken back for silence and nothing is removed.
 *
 *   counts ── a disturbance ends ──► quiet ── its time is over ──► counts
 *                                      └── another disturbance ends ──► quiet, for its whole time again
 *
 * A task's deadline is put off by one quiet time at most, and by as long as nobody could be heard in it (`deafMsSince`), so that
 * one disturbance after the other keeps no dead agent's task.
 */
import type { HubTiming } from '../../../config/times.ts';

/** Disturbances that are remembered; the oldest two become one, with what is between them. */
const DISTURBANCES_KEPT = 256;
/** Nothing is removed in a quiet time, but a row of them holds removals up no longer than this. Milliseconds. */
const REMOVALS_HELD_MS = 3_600_000;

/** How long everybody has to come back and be heard. */
export const quietMsOf = (timing: HubTiming): number => Math.max(timing.reconnectGraceMs, timing.quietAfterStartMs);

/** Times of the store. */
interface Disturbance {
  readonly fromMs: number;
  readonly untilMs: number;
}

export class Silence {
  /** From then on silence counts. Before the first disturbance, the start, it never does. */
  countsFromMs: number;
  /** Since when it has not counted. */
  #quietSinceMs: number | null = null;
  #disturbances: Disturbance[] = [];

  constructor(countsFromMs: number = Number.MAX_SAFE_INTEGER) {
    this.countsFromMs = countsFromMs;
  }

  /** Nobody could be heard from `fromMs` to `nowMs`, and everybody has `quietMs` from now on. */
  disturbed({ fromMs, nowMs, quietMs }: { readonly fromMs: number; readonly nowMs: number; readonly quietMs: number }): void {
    if (this.#quietSinceMs === null || nowMs >= this.countsFromMs) this.#quietSinceMs = nowMs;
    this.countsFromMs = nowMs + quietMs;
    let joined = { fromMs: Math.min(fromMs, nowMs), untilMs: nowMs };
    // Newest last: only the end of the list can be touched.
    for (let last = this.#disturbances.at(-1); last !== undefined && last.untilMs >= joined.fromMs; last = this.#disturbances.at(-1)) {
      joined = { fromMs: Math.min(last.fromMs, joined.fromMs), untilMs: Math.max(last.untilMs, joined.untilMs) };
      this.#disturbances.pop();
    }
    this.#disturbances.push(joined);
    const [first, second] = this.#disturbances;
    if (this.#disturbances.length > DISTURBANCES_KEPT && first !== undefined && second !== undefined)
      this.#disturbances.splice(0, 2, { fromMs: first.fromMs, untilMs: second.untilMs });
  }

  /** How much of the time since then was disturbed. Milliseconds. */
  deafMsSince(sinceMs: number): number {
    return this.#disturbances.reduce((sumMs, { fromMs, untilMs }) => sumMs + Math.max(0, untilMs - Math.max(fromMs, sinceMs)), 0);
  }

  /** Whether nothing is to be removed for its age now. */
  holdsRemovals(nowMs: number): boolean {
    if (nowMs >= this.countsFromMs) return false;
    return this.#quietSinceMs === null || nowMs < this.#quietSinceMs + REMOVALS_HELD_MS;
  }
}
