/** The sidecar's running timers: at most one of each name. */
import { assignmentKey, type AssignmentId } from '../../../domain/assignment/slot.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { RunTimer, TimerName } from '../state/timer-names.ts';

export interface RunningTimers {
  /** Replaces a running one. */
  start(timer: TimerName, delayMs: number): void;
  /** Starts it again with the same delay, if it runs. */
  restart(timer: TimerName): void;
  cancel(timer: TimerName): void;
  cancelOf(assignment: AssignmentId, purposes: readonly RunTimer[]): void;
  close(): void;
}

interface Running {
  readonly purpose: TimerName['purpose'];
  readonly delayMs: number;
  readonly timer: Timer;
}

/** Of the timers that belong to no assignment. */
const OWN = '';

const subjectOf = (timer: TimerName): string => ('assignment' in timer ? assignmentKey(timer.assignment) : OWN);

export function runningTimers(clock: Clock, onFired: (timer: TimerName) => void): RunningTimers {
  /** By assignment: the few timers of one are found without a name for each, and cancelled together. */
  const all = new Map<string, Running[]>();

  function drop(subject: string, purpose: TimerName['purpose']): Running | undefined {
    const running = all.get(subject);
    const at = running?.findIndex((each) => each.purpose === purpose) ?? -1;
    if (running === undefined || at < 0) return undefined;
    const [dropped] = running.splice(at, 1);
    if (running.length === 0) all.delete(subject);
    dropped?.timer.cancel();
    return dropped;
  }

  function start(timer: TimerName, delayMs: number): void {
    const { purpose } = timer;
    const subject = subjectOf(timer);
    drop(subject, purpose);
    const started: Running = {
      purpose,
      delayMs,
      timer: clock.after(delayMs, () => {
        // It was replaced in the meantime.
        if (all.get(subject)?.includes(started) !== true) return;
        drop(subject, purpose);
        onFired(timer);
      }),
    };
    const running = all.get(subject);
    if (running === undefined) all.set(subject, [started]);
    else running.push(started);
  }

  return {
    start,
    restart(timer) {
      const dropped = drop(subjectOf(timer), timer.purpose);
      if (dropped !== undefined) start(timer, dropped.delayMs);
    },
    cancel: (timer) => void drop(subjectOf(timer), timer.purpose),
    cancelOf(assignment, purposes) {
      const subject = assignmentKey(assignment);
      if (!all.has(subject)) return;
      for (const purpose of purposes) drop(subject, purpose);
    },
    close() {
      for (const running of all.values()) for (const { timer } of running) timer.cancel();
      all.clear();
    },
  };
}
