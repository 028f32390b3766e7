/**
 * Quiet periods. After a disturbance (a start, a storage outage, a stalled event loop) a missing frame may be the hub's own fault,
 * not the agent's. So a quiet period begins, in which no task is reclaimed for a missed deadline and nothing is removed.
 *
 *   normal ── a disturbance ends ──► quiet ── its time is over ──► normal
 *                                      └── another disturbance ends ──► quiet, for its whole time again
 *
 * A task's deadline is postponed by one quiet period at most, plus the disturbed time within it (`disturbedMsSince`). So a series of
 * disturbances cannot keep a task with a dead agent.
 */
import type { HubTiming } from '../../../config/times.ts';

/** Disturbances that are remembered; beyond that the oldest two are merged, with the time between them. */
const DISTURBANCES_KEPT = 256;
/** Overlapping quiet periods suspend removals for at most this long. Milliseconds. */
const REMOVALS_SUSPENDED_MAX_MS = 3_600_000;

/** How long agents have to reconnect and send something. */
export const quietMsOf = (timing: HubTiming): number => Math.max(timing.reconnectGraceMs, timing.quietAfterStartMs);

/** In store time. */
interface Disturbance {
  readonly fromMs: number;
  readonly untilMs: number;
}

export class QuietPeriod {
  /** When the current or last quiet period ends, in store time. Never, until the first one begins when the hub starts. */
  untilMs: number;
  /** When the current one began; null before the first. */
  #sinceMs: number | null = null;
  #disturbances: Disturbance[] = [];

  constructor(untilMs: number = Number.MAX_SAFE_INTEGER) {
    this.untilMs = untilMs;
  }

  /** The hub could receive nothing from `fromMs` to `nowMs`; agents have `quietMs` from now on. */
  begin({ fromMs, nowMs, quietMs }: { readonly fromMs: number; readonly nowMs: number; readonly quietMs: number }): void {
    if (this.#sinceMs === null || nowMs >= this.untilMs) this.#sinceMs = nowMs;
    this.untilMs = nowMs + quietMs;
    let merged = { fromMs: Math.min(fromMs, nowMs), untilMs: nowMs };
    // Newest last: only the end of the list can overlap.
    for (let last = this.#disturbances.at(-1); last !== undefined && last.untilMs >= merged.fromMs; last = this.#disturbances.at(-1)) {
      merged = { fromMs: Math.min(last.fromMs, merged.fromMs), untilMs: Math.max(last.untilMs, merged.untilMs) };
      this.#disturbances.pop();
    }
    this.#disturbances.push(merged);
    const [first, second] = this.#disturbances;
    if (this.#disturbances.length > DISTURBANCES_KEPT && first !== undefined && second !== undefined)
      this.#disturbances.splice(0, 2, { fromMs: first.fromMs, untilMs: second.untilMs });
  }

  /** How much of the time since `sinceMs` was disturbed. Milliseconds. */
  disturbedMsSince(sinceMs: number): number {
    return this.#disturbances.reduce((sumMs, { fromMs, untilMs }) => sumMs + Math.max(0, untilMs - Math.max(fromMs, sinceMs)), 0);
  }

  /** Whether removals by age are suspended now. */
  suspendsRemovals(nowMs: number): boolean {
    if (nowMs >= this.untilMs) return false;
    return this.#sinceMs === null || nowMs < this.#sinceMs + REMOVALS_SUSPENDED_MAX_MS;
  }
}
