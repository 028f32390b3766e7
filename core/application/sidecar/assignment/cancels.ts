/** `task_cancelled`: the hub has ended the assignment and waits for confirmation that its agent has stopped. */
import type { EndedOutcome } from '../../../domain/assignment/ended-assignments.ts';
import { isEnd } from '../../../domain/assignment/outbox.ts';
import { stopFor, type AssignmentId } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { beginStop } from './end-of-run.ts';
import { assignmentIdIn, frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

export function onCancelled(step: StepContext, frame: HubFrameOf<'task_cancelled'>): void {
  const assignment = assignmentIdIn(frame);
  const slot = step.slot(assignment);
  if (slot !== undefined) return beginStop(step, slot, stopFor('cancelled', frame.reason ?? 'cancelled', frame.grace_ms ?? null));
  const entry = step.findReport(assignment);
  const ended = step.findEnded(assignment);
  if (entry !== undefined && isEnd(entry)) return confirm(step, assignment, 'already_reported');
  if (ended !== undefined) return confirm(step, assignment, outcomeOf(ended.outcome));
  // The assignment itself may still be in transit; remembering it prevents it from being run on arrival.
  stopOlderGenerations(step, assignment);
  step.remember({ ...assignment, outcome: 'not_running', filesKept: false });
  confirm(step, assignment, 'not_running');
}

/** A newer generation exists, so the hub has reclaimed all older ones. */
function stopOlderGenerations(step: StepContext, assignment: AssignmentId): void {
  for (const slot of step.state.journal.slots) {
    if (slot.taskId !== assignment.taskId || slot.generation > assignment.generation || slot.status === 'reporting') continue;
    beginStop(step, slot, stopFor('taken_back', 'a newer assignment of the task was cancelled'));
  }
}

function confirm(step: StepContext, assignment: AssignmentId, outcome: CancelOutcome): void {
  step.send({ type: 'task_cancel_ack', ...frameIds(assignment), outcome });
}

/** A repeated cancel gets the same answer as the first one. */
function outcomeOf(outcome: EndedOutcome): CancelOutcome {
  return outcome === 'killed' || outcome === 'not_running' || outcome === 'not_stoppable' ? outcome : 'already_reported';
}
