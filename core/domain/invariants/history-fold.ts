/** A task folded from its events: every row must agree with it. */
import { isAgentEventName, type TaskEvent } from '../task/event.ts';
import { GENERATION_ZERO, nextGeneration, type AgentId, type Generation } from '../ids.ts';
import type { Status } from '../task/task.ts';

export interface FoldedHistory {
  readonly status: Status;
  readonly generation: Generation;
  readonly assignedTo: AgentId | null;
  readonly accepted: boolean;
  readonly retryCount: number;
  /** Assignments of this round that were accepted and not released. */
  readonly attempts: number;
  /** How often this round ended: completed, cancelled, dead-lettered. */
  readonly ends: number;
}

/** Before the first event. */
export const EMPTY_HISTORY: FoldedHistory = {
  status: 'queued',
  generation: GENERATION_ZERO,
  assignedTo: null,
  accepted: false,
  retryCount: 0,
  attempts: 0,
  ends: 0,
};

/** Applies one event. */
export function foldHistory(before: FoldedHistory, event: TaskEvent): FoldedHistory {
  if (isAgentEventName(event.event)) return before;
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
      return { ...reclaimed(before), retryCount: before.retryCount + 1 };
    case 'released':
      return { ...reclaimed(before), attempts: before.attempts - (before.accepted ? 1 : 0) };
    case 'rejected':
    case 'reclaimed':
      return reclaimed(before);
    case 'completed':
      return { ...before, status: 'completed', ends: before.ends + 1 };
    case 'cancelled':
      return { ...reclaimed(before), status: 'cancelled', ends: before.ends + 1 };
    case 'dead_lettered':
      return { ...(before.status === 'assigned' ? reclaimed(before) : before), status: 'dead_letter', ends: before.ends + 1 };
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

const reclaimed = (before: FoldedHistory): FoldedHistory => ({
  ...before,
  status: 'queued',
  generation: nextGeneration(before.generation),
  assignedTo: null,
  accepted: false,
});
