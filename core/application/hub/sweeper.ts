/**
 * Lets time pass: asks the queue to sweep regularly and at the next deadline, and decides from when on silence counts.
 * Nothing is taken back for silence right after a start, after the storage came back, or after the event loop or the
 * clock was seen to jump.
 */
import type { Clock, Timer } from '../../ports/clock.ts';
import type { CommandInbox } from './commands.ts';
import type { HubContext } from './context.ts';

/** A timer this late, or clocks this far apart from each other since the last sweep, is a stall or a jump. Milliseconds. */
const JUMP_MS = 5_000;
/** No timer is longer, so that a jump is noticed within it. */
const TIMER_MAX_MS = 3_600_000;

export interface SweeperDeps {
  readonly clock: Clock;
  readonly inbox: CommandInbox;
  readonly context: HubContext;
}

export class Sweeper {
  readonly #deps: SweeperDeps;
  #timer: Timer | null = null;
  /** When the timer is to fire, by both clocks. */
  #fireAtMs = 0;
  #fireAtMonotonicMs = 0;
  /** Wall time less monotonic time: changes only when the wall clock jumps. */
  #offsetMs = 0;
  #running = false;
  #stopped = true;
  #storageAway = false;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
  }

  /** Silence counts from the end of the quiet time on; the first sweep is at once. */
  start(): void {
    const { clock } = this.#deps;
    this.#stopped = false;
    this.#offsetMs = clock.nowMs() - clock.monotonicMs();
    this.#hush('the hub has just started');
    this.#arm(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Something is due at `dueAtMs`, by the wall clock: the next sweep is not later. */
  expectDue(dueAtMs: number | null): void {
    if (this.#stopped || this.#running || dueAtMs === null || dueAtMs >= this.#fireAtMs) return;
    this.#arm(Math.max(0, dueAtMs - this.#deps.clock.nowMs()));
  }

  #arm(delayMs: number): void {
    const { clock } = this.#deps;
    const boundedMs = Math.min(delayMs, TIMER_MAX_MS);
    this.#timer?.cancel();
    this.#fireAtMs = clock.nowMs() + boundedMs;
    this.#fireAtMonotonicMs = clock.monotonicMs() + boundedMs;
    this.#timer = clock.after(boundedMs, () => this.#fired());
  }

  #fired(): void {
    const { clock } = this.#deps;
    const offsetMs = clock.nowMs() - clock.monotonicMs();
    const jumpMs = Math.abs(offsetMs - this.#offsetMs);
    const lateMs = clock.monotonicMs() - this.#fireAtMonotonicMs;
    this.#offsetMs = offsetMs;
    if (jumpMs > JUMP_MS || lateMs > JUMP_MS) this.#hush(`the clock jumped by ${jumpMs} ms, the timer was ${lateMs} ms late`);
    this.#running = true;
    // One more turn of the event loop: frames that were received before are taken before the sweep.
    this.#timer = clock.after(0, () => this.#deps.inbox.post({ kind: 'sweep' }, (outcome) => this.#swept(outcome.ok)));
  }

  #swept(ok: boolean): void {
    this.#running = false;
    if (ok && this.#storageAway) this.#hush('the storage is back');
    this.#storageAway = !ok;
    if (this.#stopped) return;
    this.#arm(this.#deps.context.timing.sweepMs);
  }

  #hush(why: string): void {
    const { clock, context } = this.#deps;
    const quietMs = Math.max(context.timing.reconnectGraceMs, context.timing.quietAfterStartMs);
    context.silence.countsFromMs = clock.nowMs() + quietMs;
    context.log.info('nothing is taken back for silence for a while', { because: why, quiet_ms: quietMs });
  }
}
