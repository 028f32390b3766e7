/**
 * Lets time pass: asks the queue to sweep regularly and at the next deadline, and decides from when on silence counts.
 * Nothing is taken back for silence right after a start, after the storage came back, or after the event loop stood still or
 * the store's time was moved forward (quiet-period.ts).
 */
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { CommandInbox } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { quietMsOf } from '../batch/quiet-period.ts';

/** A timer this late, or store time this far ahead of the monotonic clock since the last sweep, is a stall or a jump. Milliseconds. */
const JUMP_MS = 5_000;
/** No timer is longer, so that a jump is noticed within it. Milliseconds. */
export const TIMER_MAX_MS = 3_600_000;
/** Between two sweeps, at least: what one sweep leaves due must not keep the loop busy. Milliseconds. */
const GAP_MS = 20;
/** After a sweep that could not be committed: what was due still is, and will be until the storage is back. Milliseconds. */
const RETRY_MS = 1_000;

export interface SweeperDeps {
  /** Its wall time is the store's. */
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
  /** When the timer is to fire, by the monotonic clock. */
  #fireAtMonotonicMs = 0;
  /** Store time less monotonic time: grows when store time is moved forward. */
  #offsetMs = 0;
  #running = false;
  /** The earliest due time heard of while a sweep was running. */
  #heardDueAtMs: number | null = null;
  #stopped = true;
  /** Since when the storage is away, by the store's clock; null while it is there. */
  #storageAwayFromMs: number | null = null;
  /** When agents are to be looked at too, by the monotonic clock. What is due is looked at whenever it is due. */
  #agentsAtMonotonicMs = 0;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
  }

  /** Silence counts from the end of the quiet time on; the first sweep is at once. */
  start(): void {
    const { clock } = this.#deps;
    this.#stopped = false;
    this.#offsetMs = clock.nowMs() - clock.monotonicMs();
    this.#hush('the hub has just started', this.#deps.lastUsedMs?.() ?? clock.nowMs());
    this.#arm(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Something is due at `dueAtMs`, by the wall clock: the next sweep is not later. */
  expectDue(dueAtMs: number | null): void {
    if (this.#stopped || dueAtMs === null) return;
    if (this.#running) {
      this.#heardDueAtMs = Math.min(dueAtMs, this.#heardDueAtMs ?? dueAtMs);
      return;
    }
    const { clock } = this.#deps;
    const delayMs = Math.max(GAP_MS, dueAtMs - clock.nowMs());
    // By the clock that does not jump: a sweep that is set is never put off.
    if (clock.monotonicMs() + delayMs < this.#fireAtMonotonicMs) this.#arm(delayMs);
  }

  /**
   * The storage could not commit, or kept a batch waiting for too long: renewals were lost or late with it, so from now on silence does
   * not count for a while. `lastedMs`: how long that took so far. `isOver`: it goes on now.
   */
  storageFailed(lastedMs = 0, isOver = false): void {
    if (this.#stopped) return;
    const fromMs = this.#deps.clock.nowMs() - Math.ceil(lastedMs);
    if (this.#storageAwayFromMs === null) this.#hush('the storage could not commit, or a batch had to wait too long', fromMs);
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
   * A batch is about to be judged at `nowMs`, by the store's clock. Where that has just been moved forward, the end of a quiet time is
   * past by it, and so are deadlines: the quiet time begins before the batch, not with the next timer.
   */
  judging(nowMs: number): void {
    if (!this.#stopped) this.#lookAtClocks(nowMs, 0);
  }

  #lookAtClocks(nowMs: number, lateMs: number): void {
    const offsetMs = nowMs - this.#deps.clock.monotonicMs();
    const jumpMs = offsetMs - this.#offsetMs;
    const goneMs = Math.max(jumpMs, lateMs);
    if (goneMs <= JUMP_MS) return;
    this.#offsetMs = offsetMs;
    this.#hush(
      `store time moved forward by ${Math.round(jumpMs)} ms, the timer was ${Math.round(lateMs)} ms late`,
      nowMs - Math.ceil(goneMs),
      nowMs,
    );
  }

  #fired(): void {
    const { clock } = this.#deps;
    const nowMs = clock.nowMs();
    this.#lookAtClocks(nowMs, clock.monotonicMs() - this.#fireAtMonotonicMs);
    this.#offsetMs = nowMs - clock.monotonicMs();
    // This sweep may be the first that succeeds again, so the quiet time begins before it.
    if (this.#storageAwayFromMs !== null) this.#hush('the storage was away', this.#storageAwayFromMs);
    this.#running = true;
    // One more turn of the event loop: frames that were received before are taken before the sweep.
    this.#timer = clock.after(0, () => this.#post());
  }

  #post(): void {
    const { clock, inbox, context } = this.#deps;
    const asked = { atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
    const dueOnly = asked.atMonotonicMs < this.#agentsAtMonotonicMs;
    inbox.post({ kind: 'sweep', asked, dueOnly }, (outcome) => {
      // Another hub that had the duty may have looked only for what is due.
      if (outcome.ok && outcome.answer.hadDuty && !outcome.answer.more && !dueOnly)
        this.#agentsAtMonotonicMs = asked.atMonotonicMs + context.timing.sweepMs;
      void this.#swept(outcome.ok, outcome.ok && outcome.answer.hadDuty);
    });
  }

  /** What is due when another hub looks at it is that one's; whatever it leaves is looked at a moment later. */
  async #swept(ok: boolean, hadDuty: boolean): Promise<void> {
    if (ok) this.#storageAwayFromMs = null;
    const storedDueAtMs = await this.#nextDueAtMs();
    this.#running = false;
    if (this.#stopped) return;
    const { clock, context } = this.#deps;
    const dueAtMs = Math.min(storedDueAtMs ?? Infinity, this.#heardDueAtMs ?? Infinity);
    this.#heardDueAtMs = null;
    // What a failed sweep was for is not known any more: the end of a pause is in no row that is due.
    const agentsInMs = Math.max(GAP_MS, this.#agentsAtMonotonicMs - clock.monotonicMs());
    this.#arm(
      Math.min(
        context.timing.sweepMs,
        hadDuty ? agentsInMs : Infinity,
        ok ? Math.max(hadDuty ? GAP_MS : RETRY_MS, dueAtMs - clock.nowMs()) : RETRY_MS,
      ),
    );
  }

  /** A store that cannot be read is asked again at the next regular sweep. */
  async #nextDueAtMs(): Promise<number | null> {
    try {
      return await this.#deps.nextDueAtMs();
    } catch (error) {
      this.#deps.context.log.warn('the next deadline could not be read; the next regular sweep looks again', { error });
      return null;
    }
  }

  /** `fromMs`: since when nobody could be heard, by the store's clock. */
  #hush(why: string, fromMs: number, nowMs: number = this.#deps.clock.nowMs()): void {
    const { context } = this.#deps;
    const quietMs = quietMsOf(context.timing);
    context.silence.disturbed({ fromMs, nowMs, quietMs });
    context.log.info('nothing is taken back for silence for a while', { because: why, quiet_ms: quietMs });
  }
}
