/** Assignments that the hub gives. */
import { encodedBytes } from '../../../domain/encoded-text.ts';
import type { Ended } from '../../../domain/assignment/ended-assignments.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';
import { decideOffer } from '../../../domain/assignment/offer.ts';
import { stopFor, type Assignment, type Slot } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { partsFromWire, partsToWire } from '../../../protocol/task-body.ts';
import { JOURNALLED_TASKS_BYTES_MAX } from '../state/bounds.ts';
import { beginStop } from './end-of-run.ts';
import { watchLife } from './lease.ts';
import { report, sendReport } from '../report/outbox-reports.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

type AssignFrame = HubFrameOf<'task_assign'>;

/** A task for this agent. The schema has checked the pattern of its id. */
export function onAssign(turn: Turn, frame: AssignFrame): void {
  const offered: Assignment = { taskId: frame.task_id as TaskId, generation: frame.generation as Generation };
  // Not answered: the hub pushes what was never accepted again, with the same generation, to the next sidecar process.
  if (turn.state.phase !== 'running') return;
  const decision = decideOffer(turn.state.journal, offered, turn.setting.slots);
  switch (decision.kind) {
    case 'held':
      return answerHeld(turn, decision.slot);
    case 'reported':
      return sendReport(turn, decision.entry);
    case 'ended':
      return answerEnded(turn, decision.ended);
    case 'superseded':
      return rejectUnkept(turn, offered, 'superseded');
    case 'busy':
      return reject(turn, offered, frame, 'busy');
    case 'accept':
      if (turn.state.fault !== null || turn.state.isShort) return rejectUnkept(turn, offered, 'journal_unwritable');
      if (turn.state.drain !== null) return reject(turn, offered, frame, 'draining');
      if (turn.state.refusedFull) return reject(turn, offered, frame, 'refused_full');
      if (isTooMuchForJournal(turn, frame)) return reject(turn, offered, frame, 'does not fit into the journal of this sidecar');
      return accept(turn, offered, frame, decision.displaced);
  }
}

function accept(turn: Turn, offered: Assignment, frame: AssignFrame, displaced: readonly Slot[]): void {
  for (const older of displaced) beginStop(turn, older, stopFor('taken_back', 'the hub gave the task again'));
  const slot: Slot = {
    ...offered,
    status: 'accepted',
    storeId: turn.state.link.storeId,
    assignedAtMs: frame.assigned_at,
    acceptedAtMs: turn.nowMs,
    runMaxMs: frame.run_max_ms ?? null,
    task: taskOf(frame),
    wakes: 0,
    expectedSinceMs: null,
    ...(frame.session_id === undefined ? {} : { sessionId: frame.session_id }),
    run: null,
    stop: null,
  };
  turn.putSlot(slot);
  report(turn, offered, 'accepted', { reason: null, storeId: slot.storeId, assignedAtMs: slot.assignedAtMs });
  watchLife(turn, slot);
  turn.log('info', 'accepted', { task_id: slot.taskId, generation: slot.generation });
}

/** The task as its agent gets it: what the hub said of it, and nothing that a later protocol may add. */
function taskOf(frame: AssignFrame): Slot['task'] {
  return {
    task_id: frame.task_id,
    generation: frame.generation,
    description: frame.description,
    metadata: frame.metadata ?? {},
    assigned_at: frame.assigned_at,
    ...partsToWire(partsFromWire(frame)),
    run_max_ms: frame.run_max_ms ?? null,
    complete_by: frame.complete_by ?? null,
  };
}

/** The journal has a largest size, and is written whole at each step. */
function isTooMuchForJournal(turn: Turn, frame: AssignFrame): boolean {
  const bytes = turn.state.journal.slots.reduce((sum, slot) => sum + encodedBytes(slot.task), encodedBytes(taskOf(frame)));
  return bytes > JOURNALLED_TASKS_BYTES_MAX;
}

/** A repeat. One that is being stopped is not taken back by it: the stop has its own answer. */
function answerHeld(turn: Turn, slot: Slot): void {
  if (slot.stop !== null || slot.status === 'reporting') return;
  turn.sendOf(slot, { type: 'task_accepted', ...frameName(slot) });
}

/** It is never run again; the hub is told what became of it. */
function answerEnded(turn: Turn, ended: Ended): void {
  switch (ended.fate) {
    case 'killed':
    case 'not_running':
    case 'not_stoppable':
      return turn.send({ type: 'task_cancel_ack', ...frameName(ended), outcome: ended.fate });
    case 'released':
      return turn.send({ type: 'task_released', ...frameName(ended), reason: 'handed back before' });
    case 'complete':
    case 'failed':
    case 'rejected':
    case 'refused':
      return rejectUnkept(turn, ended, `ended before: ${ended.fate}`);
  }
}

function reject(turn: Turn, offered: Assignment, frame: AssignFrame, reason: string): void {
  turn.log('warn', 'rejected', { task_id: offered.taskId, generation: offered.generation, reason });
  if (turn.state.fault !== null) return rejectUnkept(turn, offered, 'journal_unwritable');
  if (turn.state.journal.outbox.length >= REJECTIONS_KEPT) return rejectUnkept(turn, offered, reason);
  report(turn, offered, 'rejected', { reason, storeId: turn.state.link.storeId, assignedAtMs: frame.assigned_at });
}

/** Reports at which rejections are not kept any more, so that ends of runs always find room. */
const REJECTIONS_KEPT = 100;

/** Said once. If it gets lost, the hub offers again, or gives the task to another. */
export function rejectUnkept(turn: Turn, offered: Assignment, reason: string): void {
  turn.send({ type: 'task_rejected', ...frameName(offered), reason });
}
