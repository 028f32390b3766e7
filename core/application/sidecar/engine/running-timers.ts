/** The sidecar's running timers: at most one of each name. */
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import { RenewedMap } from '../../../domain/renewed-map.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import { catchUpMs } from '../../../ports/timing/after-silence.ts';
import type { RunTimer, TimerName } from '../state/timer-names.ts';

export interface RunningTimers {
  /** Replaces a running timer of the same name. */
  start(timer: TimerName, delayMs: number): void;
  /** If it is running, its delay starts over. */
  restart(timer: TimerName): void;
  cancel(timer: TimerName): void;
  cancelOf(assignment: AssignmentId, purposes: readonly RunTimer[]): void;
  close(): void;
}

interface Running {
  readonly timer: TimerName;
  delayMs: number;
  /** By the monotonic clock. */
  dueMs: number;
}

/** What these conclude from the silence of an agent is true only if the sidecar was listening. */
const SILENCE: ReadonlySet<TimerName['purpose']> = new Set(['confirm', 'pickup', 'silence']);

/** The subject of the timers that belong to no assignment. */
const OWN = '';

const subjectOf = (timer: TimerName): string => ('assignment' in timer ? timer.assignment.taskId : OWN);
const generationOf = (timer: TimerName): number | null => ('assignment' in timer ? timer.assignment.generation : null);

/** Only one timer of the clock is armed, for the earliest: most are cancelled long before they are due, and searching them all costs less. */
export function runningTimers(clock: Clock, onFired: (timer: TimerName) => void): RunningTimers {
  /** By task: the few timers of a task are found without a key for each, and are cancelled together. */
  const all = new RenewedMap<string, Running[]>();
  let armed: Timer | null = null;
  /** When the armed timer fires; the earliest running one may be due later, since a cancel does not rearm it. */
  let armedForMs = Infinity;

  function find(of: readonly Running[] | undefined, timer: TimerName): Running | undefined {
    if (of === undefined) return undefined;
    const generation = generationOf(timer);
    for (const each of of) if (each.timer.purpose === timer.purpose && generationOf(each.timer) === generation) return each;
    return undefined;
  }

  function remove(of: Running[], place: number, subject: string): void {
    of.splice(place, 1);
    if (of.length === 0) all.delete(subject);
  }

  function drop(running: Running): void {
    const subject = subjectOf(running.timer);
    const of = all.get(subject) ?? [];
    remove(of, of.indexOf(running), subject);
  }

  function armFor(dueMs: number, nowMs: number): void {
    if (dueMs >= armedForMs) return;
    armed?.cancel();
    armed = clock.after(dueMs - nowMs, fireDue);
    armedForMs = dueMs;
  }

  function fireDue(): void {
    const nowMs = clock.monotonicMs();
    const due: Running[] = [];
    let nextMs = Infinity;
    for (const of of all.values())
      for (const each of of) {
        const moreMs = SILENCE.has(each.timer.purpose) ? catchUpMs(each.delayMs, nowMs - each.dueMs) : 0;
        if (moreMs > 0) each.dueMs = nowMs + moreMs;
        if (each.dueMs <= nowMs) due.push(each);
        else nextMs = Math.min(nextMs, each.dueMs);
      }
    armedForMs = Infinity;
    armFor(nextMs, nowMs);
    due.sort((a, b) => a.dueMs - b.dueMs);
    for (const each of due) drop(each);
    for (const each of due) onFired(each.timer);
  }

  return {
    start(timer, delayMs) {
      const nowMs = clock.monotonicMs();
      const dueMs = nowMs + delayMs;
      const subject = subjectOf(timer);
      const of = all.get(subject);
      const replaced = find(of, timer);
      if (replaced !== undefined) {
        replaced.delayMs = delayMs;
        replaced.dueMs = dueMs;
      } else if (of === undefined) all.set(subject, [{ timer, delayMs, dueMs }]);
      else of.push({ timer, delayMs, dueMs });
      armFor(dueMs, nowMs);
    },
    restart(timer) {
      const running = find(all.get(subjectOf(timer)), timer);
      if (running !== undefined) running.dueMs = clock.monotonicMs() + running.delayMs;
    },
    cancel(timer) {
      const running = find(all.get(subjectOf(timer)), timer);
      if (running !== undefined) drop(running);
    },
    cancelOf({ taskId, generation }, purposes) {
      const of = all.get(taskId);
      // Goes through the running ones, since most of those named are not running.
      for (let place = (of?.length ?? 0) - 1; of !== undefined && place >= 0; place -= 1) {
        const { timer } = of[place] as Running;
        if (generationOf(timer) === generation && (purposes as readonly string[]).includes(timer.purpose)) remove(of, place, taskId);
      }
    },
    close() {
      armed?.cancel();
      armedForMs = Infinity;
      all.clear();
    },
  };
}
