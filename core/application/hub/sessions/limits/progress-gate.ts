/**
 * Throttles the progress reports of each task to one per second; of those in between, the latest is kept and passes at
 * the end of the second.
 */
import { PROGRESS_EVERY_MS } from '../../../../config/times.ts';
import type { TaskId } from '../../../../domain/ids.ts';
import type { Clock, Timer } from '../../../../ports/clock.ts';

interface Gate {
  readonly timer: Timer;
  waiting: (() => void) | null;
}

export class ProgressGate {
  readonly #clock: Clock;
  readonly #gates = new Map<TaskId, Gate>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `pass` now, or at the end of the task's second unless a newer report has arrived by then. */
  offer(taskId: TaskId, pass: () => void): void {
    const gate = this.#gates.get(taskId);
    if (gate !== undefined) {
      gate.waiting = pass;
      return;
    }
    this.#close(taskId);
    pass();
  }

  /** Passes the waiting report of this task at once: the end of its run is being reported. */
  flush(taskId: TaskId): void {
    const gate = this.#gates.get(taskId);
    if (gate === undefined) return;
    gate.timer.cancel();
    this.#gates.delete(taskId);
    gate.waiting?.();
  }

  /** Cancels all timers; waiting reports are dropped with the session. */
  stop(): void {
    for (const gate of this.#gates.values()) gate.timer.cancel();
    this.#gates.clear();
  }

  #close(taskId: TaskId): void {
    const timer = this.#clock.after(PROGRESS_EVERY_MS, () => {
      const waiting = this.#gates.get(taskId)?.waiting ?? null;
      this.#gates.delete(taskId);
      if (waiting !== null) this.offer(taskId, waiting);
    });
    this.#gates.set(taskId, { timer, waiting: null });
  }
}
