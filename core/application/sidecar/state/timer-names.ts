/** The sidecar's timers: at most one per purpose and, where it concerns an assignment, per assignment. */
import { assignmentKey, type AssignmentId } from '../../../domain/assignment/slot.ts';

/** Timers of the sidecar as a whole. */
export type OwnTimer = 'reconnect' | 'identify' | 'ping' | 'pong' | 'journal' | 'disk' | 'drain' | 'stop' | 'checks';

/**
 * Timers of one assignment.
 * - `retry`: wake again, or ask the runner again about a run.
 * - `confirm`: a woken agent must have started.
 * - `pickup`: a published task must have been taken.
 * - `linger`: a run must have exited after its result.
 * - `lease`: renew the lease.
 * - `silence`: a sign of life is due.
 * - `run_max`: the run has taken too long.
 * - `progress`: the next progress frame may be sent.
 * - `output`: the next live output may be sent.
 * - `repeat`: a report is still unanswered.
 */
export type RunTimer = 'retry' | 'confirm' | 'pickup' | 'linger' | 'lease' | 'silence' | 'run_max' | 'progress' | 'output' | 'repeat';

export type TimerName = { readonly purpose: OwnTimer } | { readonly purpose: RunTimer; readonly assignment: AssignmentId };

/** Equal timers have equal keys. */
export const timerKey = (timer: TimerName): string =>
  'assignment' in timer ? `${timer.purpose} ${assignmentKey(timer.assignment)}` : timer.purpose;

/** Every timer that may run until the end of its assignment is reported. */
export const TIMERS_UNTIL_REPORTED: readonly RunTimer[] = [
  'retry',
  'confirm',
  'pickup',
  'lease',
  'silence',
  'run_max',
  'progress',
  'output',
];

/** The same while the run is still being stopped: if its runner threw, only `retry` asks it again to stop the run. */
export const TIMERS_UNTIL_REPORTED_WHILE_STOPPING: readonly RunTimer[] = TIMERS_UNTIL_REPORTED.filter((purpose) => purpose !== 'retry');
