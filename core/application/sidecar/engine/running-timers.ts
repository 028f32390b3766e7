/** The sidecar's running timers: at most one of each name. */
import { RenewedMap } from '../../../domain/renewed-map.ts';
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { RunTimer, TimerName } from '../state/timer-names.ts';

export interface RunningTimers {
  /** Replaces a running one. */
  start(timer: TimerName, delayMs: number): void;
  /** Its delay counts from now, if it runs. */
  restart(timer: TimerName): void;
  cancel(timer: TimerName): void;
  cancelOf(assignment: AssignmentId, purposes: readonly RunTimer[]): void;
  close(): void;
}

interface Running {
  readonly timer: TimerName;
  readonly delayMs: number;
  /** On the monotonic clock: the delay counts from then, although it was started before; null: from its start. */
  countsFromMs: number | null;
  /** Null once it is cancelled. */
  pending: Timer | null;
}

/** Of the timers that belong to no assignment. */
const OWN = '';
const NONE: readonly never[] = [];

const subjectOf = (timer: TimerName): string => ('assignment' in timer ? timer.assignment.taskId : OWN);
const generationOf = (timer: TimerName): number | null => ('assignment' in timer ? timer.assignment.generation : null);

export function runningTimers(clock: Clock, onFired: (timer: TimerName) => void): RunningTimers {
  /** By task: the few timers of one are found without a name for each, and cancelled together. */
  const all = new RenewedMap<string, Running[]>();

  function find(timer: TimerName): Running | undefined {
    const generation = generationOf(timer);
    for (const each of all.get(subjectOf(timer)) ?? NONE)
      if (each.timer.purpose === timer.purpose && generationOf(each.timer) === generation) return each;
    return undefined;
  }

  function drop(running: Running): void {
    running.pending?.cancel();
    running.pending = null;
    const subject = subjectOf(running.timer);
    const others = all.get(subject) ?? [];
    if (others.length <= 1) all.delete(subject);
    else others.splice(others.indexOf(running), 1);
  }

  function wait(running: Running, delayMs: number): void {
    const pending = clock.after(delayMs, () => {
      if (running.pending !== pending) return; // It was replaced or cancelled in the meantime.
      const leftMs = running.countsFromMs === null ? 0 : running.countsFromMs + running.delayMs - clock.monotonicMs();
      running.countsFromMs = null;
      if (leftMs > 0) return wait(running, leftMs);
      drop(running);
      onFired(running.timer);
    });
    running.pending = pending;
  }

  return {
    start(timer, delayMs) {
      const replaced = find(timer);
      if (replaced !== undefined) drop(replaced);
      const running: Running = { timer, delayMs, countsFromMs: null, pending: null };
      const subject = subjectOf(timer);
      const others = all.get(subject);
      if (others === undefined) all.set(subject, [running]);
      else others.push(running);
      wait(running, delayMs);
    },
    restart(timer) {
      const running = find(timer);
      if (running !== undefined) running.countsFromMs = clock.monotonicMs();
    },
    cancel(timer) {
      const running = find(timer);
      if (running !== undefined) drop(running);
    },
    cancelOf({ taskId, generation }, purposes) {
      // Most that are named do not run.
      for (const running of [...(all.get(taskId) ?? NONE)]) {
        const { timer } = running;
        if (generationOf(timer) === generation && (purposes as readonly string[]).includes(timer.purpose)) drop(running);
      }
    },
    close() {
      for (const running of [...all.values()].flat()) running.pending?.cancel();
      all.clear();
    },
  };
}
