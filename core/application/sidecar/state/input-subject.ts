/** What an input is about; used to defer inputs and to attribute failures. */
import { assignmentKey, type AssignmentId } from '../../../domain/assignment/slot.ts';
import type { SidecarInput } from './inputs.ts';
import { timerKey } from './timer-names.ts';

/** The assignment an input is about, or null. */
export function assignmentOf(input: SidecarInput): AssignmentId | null {
  switch (input.type) {
    case 'file_event':
      return input.event.assignment;
    case 'timer':
      return 'assignment' in input.timer ? input.timer.assignment : null;
    case 'frame':
      if (!('task_id' in input.frame) || input.frame.generation === undefined) return null;
      return { taskId: input.frame.task_id, generation: input.frame.generation };
    case 'persist_failed':
    case 'step_failed':
      return assignmentOf(input.input);
    default:
      return 'assignment' in input ? input.assignment : null;
  }
}

/** Types of events that are signs of life; they do not change the meaning of earlier ones. */
const SIGNS_OF_LIFE: readonly string[] = ['output', 'progress', 'usage', 'changed'];

const isSignOfLife = (input: SidecarInput): boolean =>
  (input.type === 'wake_event' && SIGNS_OF_LIFE.includes(input.event.type)) ||
  (input.type === 'file_event' && SIGNS_OF_LIFE.includes(input.event.kind));

/** Whether the input reports on a run. These must be processed in order per run. */
export const isRunEvent = (input: SidecarInput): boolean =>
  input.type !== 'frame' && input.type !== 'timer' && assignmentOf(input) !== null && !isSignOfLife(input);

/**
 * Of deferred inputs with the same key one is enough: the newest if `newest`, otherwise the first. Null for hub frames,
 * which the hub repeats.
 */
export function deferKey(input: SidecarInput): { readonly key: string; readonly newest: boolean } | null {
  if (input.type === 'frame') return null;
  const assignment = assignmentOf(input);
  const about = assignment === null ? '' : assignmentKey(assignment);
  switch (input.type) {
    case 'wake_event':
      return { key: `${about} ${input.runId} ${input.event.type}`, newest: isSignOfLife(input) };
    case 'file_event':
      return { key: `${about} ${input.event.kind}`, newest: isSignOfLife(input) };
    case 'timer':
      return { key: timerKey(input.timer), newest: true };
    case 'wake_stream_ended':
    case 'invalid_wake_event':
      return { key: `${about} ${input.runId} ${input.type}`, newest: false };
    case 'step_failed':
      return { key: `${about} step_failed ${input.input.type}`, newest: false };
    default:
      return { key: `${about} ${input.type}`, newest: true };
  }
}
