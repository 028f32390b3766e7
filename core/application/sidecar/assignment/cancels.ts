/** `task_cancelled`: the hub took the assignment away and waits for confirmation that its agent has stopped. */
import type { EndedOutcome } from '../../../domain/assignment/ended-assignments.ts';
import { isEnd } from '../../../domain/assignment/outbox.ts';
import { stopFor, type Assignment } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { beginStop } from './end-of-run.ts';
import { frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

export function onCancelled(step: StepContext, frame: HubFrameOf<'task_cancelled'>): void {
  const name: Assignment = { taskId: frame.task_id, generation: frame.generation };
  const slot = step.slot(name);
  if (slot !== undefined) return beginStop(step, slot, stopFor('cancelled', frame.reason ?? 'cancelled', frame.grace_ms ?? null));
  const entry = step.findReport(name);
  const ended = step.findEnded(name);
  if (entry !== undefined && isEnd(entry)) return confirm(step, name, 'already_reported');
  if (ended !== undefined) return confirm(step, name, outcomeOf(ended.outcome));
  // The assignment itself may still be in transit; remembering it prevents it from being run on arrival.
  stopOlderGenerations(step, name);
  step.remember({ ...name, outcome: 'not_running', filesKept: false });
  confirm(step, name, 'not_running');
}

/** Cancelling a newer generation implies that older ones are gone too. */
function stopOlderGenerations(step: StepContext, name: Assignment): void {
  for (const slot of step.state.journal.slots) {
    if (slot.taskId !== name.taskId || slot.generation > name.generation || slot.status === 'reporting') continue;
    beginStop(step, slot, stopFor('taken_back', 'a newer assignment of the task was cancelled'));
  }
}

function confirm(step: StepContext, name: Assignment, outcome: CancelOutcome): void {
  step.send({ type: 'task_cancel_ack', ...frameIds(name), outcome });
}

/** A repeated cancel gets the same answer as the first one. */
function outcomeOf(outcome: EndedOutcome): CancelOutcome {
  return outcome === 'killed' || outcome === 'not_running' || outcome === 'not_stoppable' ? outcome : 'already_reported';
}
