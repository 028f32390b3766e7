/** The sidecar's timers: one for each purpose and, where it is about an assignment, for each assignment. */
import { assignmentKey, type Assignment } from '../../../domain/assignment/slot.ts';

/** Of the sidecar itself. */
export type OwnTimer = 'reconnect' | 'identify' | 'ping' | 'pong' | 'journal' | 'room' | 'drain' | 'stop' | 'checks';

/**
 * Of one assignment. `retry`: the next try to wake or to find out about a run. `confirm`: a woken agent must have been
 * heard of. `pickup`: a published task must have been taken. `linger`: a run must be over after its result. `lease`:
 * the next renewal. `silence`: a sign of life is due. `run_max`: it has lasted too long. `progress`: the next progress
 * may be sent. `repeat`: a report is unanswered.
 */
export type RunTimer = 'retry' | 'confirm' | 'pickup' | 'linger' | 'lease' | 'silence' | 'run_max' | 'progress' | 'repeat';

export type TimerName = { readonly purpose: OwnTimer } | { readonly purpose: RunTimer; readonly name: Assignment };

/** One text for equal timers. */
export const timerKey = (timer: TimerName): string => ('name' in timer ? `${timer.purpose} ${assignmentKey(timer.name)}` : timer.purpose);

/** All that may run while an assignment is not settled. */
export const UNSETTLED_TIMERS: readonly RunTimer[] = ['retry', 'confirm', 'pickup', 'lease', 'silence', 'run_max', 'progress'];
