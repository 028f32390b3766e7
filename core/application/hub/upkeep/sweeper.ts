/**
 * Posts sweeps: regularly and at the next deadline. It also begins a quiet period (quiet-period.ts), in which no task is reclaimed
 * for a missed deadline: after a start, after a storage outage, and after the event loop stalled or store time jumped forward.
 */
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { CommandInbox } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { quietMsOf } from '../batch/quiet-period.ts';

/** A timer this late is a stall; store time this far ahead of the monotonic clock since the last sweep is a jump. Milliseconds. */
const JUMP_MS = 5_000;
/** The longest timer, so that a jump is noticed in time. Milliseconds. */
export const TIMER_MAX_MS = 3_600_000;
/** The shortest time between two sweeps: tasks that stay due must not keep the event loop busy. Milliseconds. */
const GAP_MS = 20;
/** The delay after a sweep that could not be committed. Milliseconds. */
const RETRY_MS = 1_000;

export interface SweeperDeps {
  /** Its wall time is store time. */
  readonly clock: Clock;
  readonly inbox: CommandInbox;
  readonly context: HubContext;
  /** The earliest time at which something in the store is due; null when nothing is. */
  readonly nextDueAtMs: () => Promise<number | null>;
  /** When the store was last known to be in use before this start; null: never. */
  readonly lastUsedMs?: (() => number | null) | undefined;
}

export class Sweeper {
  readonly #deps: SweeperDeps;
  #timer: Timer | null = null;
  /** When the timer fires, by the monotonic clock. */
  #fireAtMonotonicMs = 0;
  /** Store time minus monotonic time: grows when store time jumps forward. */
  #offsetMs = 0;
  #running = false;
  /** The earliest due time reported while a sweep was running. */
  #pendingDueAtMs: number | null = null;
  #stopped = true;
  /** Since when the storage has been unavailable, in store time; null while it works. */
  #storageAwayFromMs: number | null = null;
  /** When the next full sweep, which also checks agents, is due, by the monotonic clock. */
  #fullSweepAtMonotonicMs = 0;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
  }

  /** Begins with a quiet period; the first sweep is immediate. */
  start(): void {
    const { clock } = this.#deps;
    this.#stopped = false;
    this.#offsetMs = clock.nowMs() - clock.monotonicMs();
    this.#startQuietPeriod('the hub has just started', this.#deps.lastUsedMs?.() ?? clock.nowMs());
    this.#arm(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Something is due at `dueAtMs`, in store time: the next sweep is no later. */
  expectDue(dueAtMs: number | null): void {
    if (this.#stopped || dueAtMs === null) return;
    if (this.#running) {
      this.#pendingDueAtMs = Math.min(dueAtMs, this.#pendingDueAtMs ?? dueAtMs);
      return;
    }
    const { clock } = this.#deps;
    const delayMs = Math.max(GAP_MS, dueAtMs - clock.nowMs());
    // By the monotonic clock, which does not jump: a scheduled sweep is never postponed.
    if (clock.monotonicMs() + delayMs < this.#fireAtMonotonicMs) this.#arm(delayMs);
  }

  /**
   * The storage could not commit, or delayed a batch for too long. Lease renewals were lost or delayed with it, so a quiet period
   * begins. `lastedMs`: how long that has lasted so far. `isOver`: it works again.
   */
  storageFailed(lastedMs = 0, isOver = false): void {
    if (this.#stopped) return;
    const fromMs = this.#deps.clock.nowMs() - Math.ceil(lastedMs);
    if (this.#storageAwayFromMs === null) this.#startQuietPeriod('the storage could not commit, or delayed a batch for too long', fromMs);
    if (!isOver) this.#storageAwayFromMs ??= fromMs;
  }

  #arm(delayMs: number): void {
    const { clock } = this.#deps;
    const boundedMs = Math.min(delayMs, TIMER_MAX_MS);
    this.#timer?.cancel();
    this.#fireAtMonotonicMs = clock.monotonicMs() + boundedMs;
    this.#timer = clock.after(boundedMs, () => this.#fired());
  }

  /**
   * A batch is about to run at `nowMs`. If store time has just jumped forward, past deadlines and the end of a quiet period, a
   * new quiet period must begin before the batch, not with the next timer.
   */
  beforeBatch(nowMs: number): void {
    if (!this.#stopped) this.#checkClocks(nowMs, 0);
  }

  #checkClocks(nowMs: number, lateMs: number): void {
    const offsetMs = nowMs - this.#deps.clock.monotonicMs();
    const jumpMs = offsetMs - this.#offsetMs;
    const lostMs = Math.max(jumpMs, lateMs);
    if (lostMs <= JUMP_MS) return;
    this.#offsetMs = offsetMs;
    this.#startQuietPeriod(
      `store time moved forward by ${Math.round(jumpMs)} ms, the timer was ${Math.round(lateMs)} ms late`,
      nowMs - Math.ceil(lostMs),
      nowMs,
    );
  }

  #fired(): void {
    const { clock } = this.#deps;
    const nowMs = clock.nowMs();
    this.#checkClocks(nowMs, clock.monotonicMs() - this.#fireAtMonotonicMs);
    this.#offsetMs = nowMs - clock.monotonicMs();
    // This sweep may be the first to succeed again, so the quiet period begins before it.
    if (this.#storageAwayFromMs !== null) this.#extendQuietPeriod(this.#storageAwayFromMs);
    this.#running = true;
    // Waits one more turn of the event loop: frames that have arrived are posted before the sweep.
    this.#timer = clock.after(0, () => this.#post());
  }

  #post(): void {
    const { clock, inbox, context } = this.#deps;
    const posted = { atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
    const dueOnly = posted.atMonotonicMs < this.#fullSweepAtMonotonicMs;
    inbox.post({ kind: 'sweep', posted, dueOnly }, (outcome) => {
      // Another hub that had the duty may have swept only due tasks.
      if (outcome.ok && outcome.answer.hadDuty && !outcome.answer.more && !dueOnly)
        this.#fullSweepAtMonotonicMs = posted.atMonotonicMs + context.timing.sweepMs;
      void this.#swept(outcome.ok, outcome.ok && outcome.answer.hadDuty);
    });
  }

  /** While another hub has the duty, this one checks again after `RETRY_MS` for what that one may have left. */
  async #swept(ok: boolean, hadDuty: boolean): Promise<void> {
    if (ok) this.#storageAwayFromMs = null;
    const storedDueAtMs = await this.#nextDueAtMs();
    this.#running = false;
    if (this.#stopped) return;
    const { clock, context } = this.#deps;
    const dueAtMs = Math.min(storedDueAtMs ?? Infinity, this.#pendingDueAtMs ?? Infinity);
    this.#pendingDueAtMs = null;
    // The store does not know what a failed sweep was for: the end of a pause is in no due row.
    const fullSweepInMs = Math.max(GAP_MS, this.#fullSweepAtMonotonicMs - clock.monotonicMs());
    this.#arm(
      Math.min(
        context.timing.sweepMs,
        hadDuty ? fullSweepInMs : Infinity,
        ok ? Math.max(hadDuty ? GAP_MS : RETRY_MS, dueAtMs - clock.nowMs()) : RETRY_MS,
      ),
    );
  }

  /** If the store cannot be read, the next regular sweep tries again. */
  async #nextDueAtMs(): Promise<number | null> {
    try {
      return await this.#deps.nextDueAtMs();
    } catch (error) {
      // While the storage is away, its failed commits are logged, and this would be logged with every retry.
      if (this.#storageAwayFromMs === null)
        this.#deps.context.log.warn('the next deadline could not be read; the next regular sweep tries again', { error });
      return null;
    }
  }

  /** `fromMs`: since when the hub could receive nothing, in store time. */
  #startQuietPeriod(why: string, fromMs: number, nowMs: number = this.#deps.clock.nowMs()): void {
    const quietMs = this.#extendQuietPeriod(fromMs, nowMs);
    this.#deps.context.log.info('a quiet period begins: no task is reclaimed for a missed deadline', { because: why, quiet_ms: quietMs });
  }

  /** Without a log line: the storage is still away. Returns the length of the period. */
  #extendQuietPeriod(fromMs: number, nowMs: number = this.#deps.clock.nowMs()): number {
    const { context } = this.#deps;
    const quietMs = quietMsOf(context.timing);
    context.quietPeriod.begin({ fromMs, nowMs, quietMs });
    return quietMs;
  }
}
