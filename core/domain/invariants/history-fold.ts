/** A task as its events tell it: what every row must agree with. */
import type { TaskEvent } from '../task/event.ts';
import { GENERATION_ZERO, nextGeneration, type AgentId, type Generation } from '../ids.ts';
import type { Status } from '../task/task.ts';

export interface Told {
  readonly status: Status;
  readonly generation: Generation;
  readonly assignedTo: AgentId | null;
  readonly accepted: boolean;
  readonly retryCount: number;
  /** Assignments of this round that were accepted and not handed back. */
  readonly attempts: number;
  /** Ends of this round: completed, cancelled, dead-lettered. */
  readonly ends: number;
}

/** Before its first event. */
export const UNTOLD: Told = {
  status: 'queued',
  generation: GENERATION_ZERO,
  assignedTo: null,
  accepted: false,
  retryCount: 0,
  attempts: 0,
  ends: 0,
};

/** What one more event makes of it. */
export function toldBy(before: Told, event: TaskEvent): Told {
  switch (event.event) {
    case 'scheduled':
    case 'blocked':
      return { ...before, status: event.event };
    case 'eligible':
      return { ...before, status: 'queued' };
    case 'assigned':
      return { ...before, status: 'assigned', generation: event.generation ?? before.generation, assignedTo: event.agentId };
    case 'accepted':
      return { ...before, accepted: true, attempts: before.attempts + 1 };
    case 'failed':
    case 'lost':
      return { ...takenBack(before), retryCount: before.retryCount + 1 };
    case 'released':
      return { ...takenBack(before), attempts: before.attempts - (before.accepted ? 1 : 0) };
    case 'rejected':
    case 'reclaimed':
      return takenBack(before);
    case 'completed':
      return { ...before, status: 'completed', ends: before.ends + 1 };
    case 'cancelled':
      return { ...takenBack(before), status: 'cancelled', ends: before.ends + 1 };
    case 'dead_lettered':
      return { ...(before.status === 'assigned' ? takenBack(before) : before), status: 'dead_letter', ends: before.ends + 1 };
    case 'retried':
      return { ...before, generation: nextGeneration(before.generation), retryCount: 0, attempts: 0, ends: 0 };
    case 'report_refused': {
      const raisedTo = event.details?.['raised_to'];
      return typeof raisedTo === 'number' ? { ...before, generation: raisedTo as Generation } : before;
    }
    case 'submitted':
    case 'woken':
    case 'wake_failed':
    case 'progress':
    case 'expired':
    case 'stop_requested':
    case 'stop_confirmed':
    case 'late_result':
    case 'adopted':
    case 'parked':
    case 'unparked':
      return before;
  }
}

const takenBack = (before: Told): Told => ({
  ...before,
  status: 'queued',
  generation: nextGeneration(before.generation),
  assignedTo: null,
  accepted: false,
});
