/** `task_cancelled`: the assignment is gone, and the hub waits to hear that its agent is stopped. */
import type { Fate } from '../../../domain/assignment/ended-assignments.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';
import { isEnd } from '../../../domain/assignment/outbox.ts';
import { stopFor, type Assignment } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { beginStop } from './end-of-run.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

export function onCancelled(turn: Turn, frame: HubFrameOf<'task_cancelled'>): void {
  const name: Assignment = { taskId: frame.task_id as TaskId, generation: frame.generation as Generation };
  const slot = turn.slot(name);
  if (slot !== undefined) return beginStop(turn, slot, stopFor('cancelled', frame.reason ?? 'cancelled', frame.grace_ms ?? null));
  const entry = turn.report(name);
  const ended = turn.ended(name);
  if (entry !== undefined && isEnd(entry)) return confirm(turn, name, 'already_reported');
  if (ended !== undefined) return confirm(turn, name, outcomeOf(ended.fate));
  // Its assignment may still be under way to here: it is remembered, so that it is not run when it comes.
  takeBackOlder(turn, name);
  turn.remember({ ...name, fate: 'not_running', filesKept: false });
  confirm(turn, name, 'not_running');
}

/** Who is told that a newer assignment is gone has lost the older one long since. */
function takeBackOlder(turn: Turn, name: Assignment): void {
  for (const slot of turn.state.journal.slots) {
    if (slot.taskId !== name.taskId || slot.generation > name.generation || slot.status === 'reporting') continue;
    beginStop(turn, slot, stopFor('taken_back', 'a newer assignment of the task was cancelled'));
  }
}

function confirm(turn: Turn, name: Assignment, outcome: CancelOutcome): void {
  turn.send({ type: 'task_cancel_ack', ...frameName(name), outcome });
}

/** A repeated cancel gets its first answer. */
function outcomeOf(fate: Fate): CancelOutcome {
  return fate === 'killed' || fate === 'not_running' || fate === 'not_stoppable' ? fate : 'already_reported';
}
