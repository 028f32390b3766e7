/** What an input is about; used to defer inputs and to attribute failures. */
import { assignmentKey, type Assignment } from '../../../domain/assignment/slot.ts';
import type { Event } from './inputs.ts';
import { timerKey } from './timer-names.ts';

/** The assignment an input is about, or null. */
export function assignmentOf(event: Event): Assignment | null {
  switch (event.type) {
    case 'file_event':
      return event.event.name;
    case 'timer':
      return 'name' in event.timer ? event.timer.name : null;
    case 'frame':
      if (!('task_id' in event.frame) || event.frame.generation === undefined) return null;
      return { taskId: event.frame.task_id, generation: event.frame.generation };
    case 'persist_failed':
    case 'step_failed':
      return assignmentOf(event.during);
    default:
      return 'name' in event ? event.name : null;
  }
}

/** Signs of life; they do not change the meaning of earlier events. */
const SIGNS_OF_LIFE: readonly string[] = ['output', 'progress', 'usage', 'changed'];

const isSignOfLife = (event: Event): boolean =>
  (event.type === 'wake' && SIGNS_OF_LIFE.includes(event.event.type)) ||
  (event.type === 'file_event' && SIGNS_OF_LIFE.includes(event.event.kind));

/** Whether the event reports on a run. These must be processed in order per run. */
export const isRunEvent = (event: Event): boolean =>
  event.type !== 'frame' && event.type !== 'timer' && assignmentOf(event) !== null && !isSignOfLife(event);

/**
 * Of deferred inputs with the same key one is enough: the newest if `newest`, otherwise the first. Null for hub frames,
 * which the hub repeats.
 */
export function deferKey(event: Event): { readonly key: string; readonly newest: boolean } | null {
  if (event.type === 'frame') return null;
  const name = assignmentOf(event);
  const about = name === null ? '' : assignmentKey(name);
  switch (event.type) {
    case 'wake':
      return { key: `${about} ${event.runId} ${event.event.type}`, newest: isSignOfLife(event) };
    case 'file_event':
      return { key: `${about} ${event.event.kind}`, newest: isSignOfLife(event) };
    case 'timer':
      return { key: timerKey(event.timer), newest: true };
    case 'run_over':
    case 'invalid_wake_event':
      return { key: `${about} ${event.runId} ${event.type}`, newest: false };
    case 'step_failed':
      return { key: `${about} step_failed ${event.during.type}`, newest: false };
    default:
      return { key: `${about} ${event.type}`, newest: true };
  }
}
