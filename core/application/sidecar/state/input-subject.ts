/** What an input is about: for those that wait for the journal, and for what could not be taken in. */
import type { Generation, TaskId } from '../../../domain/ids.ts';
import { assignmentKey, type Assignment } from '../../../domain/assignment/slot.ts';
import type { Event } from './inputs.ts';
import { timerKey } from './timer-names.ts';

/** Which assignment an input is about; null for none. */
export function assignmentOf(event: Event): Assignment | null {
  switch (event.type) {
    case 'sighting':
      return event.sighting.name;
    case 'timer':
      return 'name' in event.timer ? event.timer.name : null;
    case 'frame':
      if (!('task_id' in event.frame) || event.frame.generation === undefined) return null;
      return { taskId: event.frame.task_id as TaskId, generation: event.frame.generation as Generation };
    case 'persist_failed':
    case 'step_failed':
      return assignmentOf(event.during);
    default:
      return 'name' in event ? event.name : null;
  }
}

/** Signs of life, which change nothing that was said before them. */
const SIGNS: readonly string[] = ['output', 'progress', 'usage', 'changed'];

const isSign = (event: Event): boolean =>
  (event.type === 'wake' && SIGNS.includes(event.event.type)) || (event.type === 'sighting' && SIGNS.includes(event.sighting.kind));

/** Whether it tells how the run of an assignment goes: what is told of one is taken in the order in which it was told. */
export const isOfRun = (event: Event): boolean =>
  event.type !== 'frame' && event.type !== 'timer' && assignmentOf(event) !== null && !isSign(event);

/** Of those with one name that wait, one is enough: the newest of `newest`, else the first. Null for frames of the hub, which says them again. */
export function waitingName(event: Event): { readonly key: string; readonly newest: boolean } | null {
  if (event.type === 'frame') return null;
  const name = assignmentOf(event);
  const about = name === null ? '' : assignmentKey(name);
  switch (event.type) {
    case 'wake':
      return { key: `${about} ${event.runId} ${event.event.type}`, newest: isSign(event) };
    case 'sighting':
      return { key: `${about} ${event.sighting.kind}`, newest: isSign(event) };
    case 'timer':
      return { key: timerKey(event.timer), newest: true };
    case 'run_over':
    case 'wake_refused':
      return { key: `${about} ${event.runId} ${event.type}`, newest: false };
    case 'step_failed':
      return { key: `${about} step_failed ${event.during.type}`, newest: false };
    default:
      return { key: `${about} ${event.type}`, newest: true };
  }
}
