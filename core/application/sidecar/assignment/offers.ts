/** Assignments offered by the hub. */
import type { Ended } from '../../../domain/assignment/ended-assignments.ts';
import { encodedBytes, encodedBytesAtMost } from '../../../domain/encoded-text.ts';
import { policyRefusal } from '../../../domain/assignment/accept-policy.ts';
import { decideOffer } from '../../../domain/assignment/offer.ts';
import { stopFor, type AssignmentId, type Slot } from '../../../domain/assignment/slot.ts';
import { NO_ROOM, POLICY } from '../../../domain/transitions/reporting.ts';
import { HELD_TASK_BYTES_MAX } from '../../../protocol/fields.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { copyRareParts, type WirePart } from '../../../protocol/task-body.ts';
import { beginStop } from './end-of-run.ts';
import { startAssignmentTimers } from './lease.ts';
import { report, resendReport } from '../report/outbox-reports.ts';
import type { SignatureVerdict } from '../state/inputs.ts';
import { assignmentIdIn, frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

type AssignFrame = HubFrameOf<'task_assign'>;

/** A task for this agent. The schema has validated its id. */
export function onAssign(step: StepContext, frame: AssignFrame, signature?: SignatureVerdict): void {
  const offered = assignmentIdIn(frame);
  // Not answered: the hub offers it again, with the same generation, to the next sidecar process.
  if (step.state.phase !== 'running') return;
  const decision = decideOffer(step.state.journal, offered, step.settings.slots);
  switch (decision.kind) {
    case 'held':
      return answerHeld(step, decision.slot);
    case 'reported':
      return resendReport(step, decision.entry);
    case 'ended':
      return answerEnded(step, decision.ended);
    case 'superseded':
      return rejectOnce(step, offered, 'superseded');
    case 'busy':
      return reject(step, offered, frame, 'busy');
    case 'accept': {
      if (step.state.fault !== null || step.state.awaitsReserve) return rejectOnce(step, offered, 'journal_unwritable');
      if (step.state.drain !== null || step.state.ownDrain !== null) return reject(step, offered, frame, 'draining');
      if (step.state.refusedFull) return reject(step, offered, frame, 'refused_full');
      const task = taskOf(frame);
      const refusal = refusalOf(step, frame);
      if (refusal !== null) return rejectByPolicy(step, offered, refusal);
      if (step.settings.requiresSignature && signature?.kind !== 'trusted') return onUntrusted(step, offered, frame, signature);
      const bytesAtMost = encodedBytesAtMost(task);
      if (bytesAtMost > HELD_TASK_BYTES_MAX && encodedBytes(task) > HELD_TASK_BYTES_MAX) return rejectTooLarge(step, offered, task);
      if (!step.countTask(task, bytesAtMost))
        return rejectForNow(step, offered, 'the tasks that it holds leave no room for this one in its journal');
      return accept(step, offered, frame, task, decision.displaced);
    }
  }
}

function accept(step: StepContext, offered: AssignmentId, frame: AssignFrame, task: Slot['task'], displaced: readonly Slot[]): void {
  for (const older of displaced) beginStop(step, older, stopFor('taken_back', 'the hub assigned the task again'));
  const { taskId, generation } = offered;
  // Field by field, here and wherever each task needs an object: V8 creates it in one step, but one that begins with spreads in many.
  const fresh: Slot = {
    taskId,
    generation,
    status: 'accepted',
    storeId: step.state.link.storeId,
    assignedAtMs: frame.assigned_at,
    acceptedAtMs: step.nowMs,
    runMaxMs: frame.run_max_ms ?? null,
    task,
    wakes: 0,
    expectedSinceMs: null,
    run: null,
    stop: null,
  };
  // A hub may not choose in which session of the program signed text is read.
  const slot: Slot = frame.session_id === undefined || step.settings.requiresSignature ? fresh : { ...fresh, sessionId: frame.session_id };
  step.putSlot(slot);
  report(step, offered, 'accepted', { reason: null, storeId: slot.storeId, assignedAtMs: slot.assignedAtMs });
  startAssignmentTimers(step, slot);
  step.log('info', 'accepted', { task_id: taskId, generation });
}

/** Why the policy of this sidecar does not allow the task; null: it does. */
function refusalOf(step: StepContext, frame: AssignFrame): string | null {
  const { acceptPolicy } = step.settings;
  if (acceptPolicy === null) return null;
  return policyRefusal(acceptPolicy, {
    submittedBy: frame.submitted_by ?? null,
    repo: frame.repo ?? null,
    runMaxMs: frame.run_max_ms ?? null,
  });
}

/** Not checked yet, or not to be run. */
function onUntrusted(
  step: StepContext,
  offered: AssignmentId,
  frame: AssignFrame,
  verdict: Exclude<SignatureVerdict, { readonly kind: 'trusted' }> | undefined,
): void {
  if (verdict === undefined) return step.afterPersist({ type: 'checkSignature', connectionId: step.state.link.connectionId, frame });
  if (verdict.kind === 'untrusted') return rejectByPolicy(step, offered, verdict.reason);
  step.log('error', 'cannot check the signature of a task', { task_id: offered.taskId, reason: verdict.reason });
  rejectOnce(step, offered, verdict.reason);
}

const rejectTooLarge = (step: StepContext, offered: AssignmentId, task: Slot['task']): void =>
  rejectByPolicy(step, offered, `too large: ${encodedBytes(task)} bytes as JSON; a sidecar holds tasks of at most ${HELD_TASK_BYTES_MAX}`);

/** Sent once and not stored: the hub offers the task again once this agent has ended one, or after a while. */
function rejectForNow(step: StepContext, offered: AssignmentId, reason: string): void {
  step.log('info', 'rejected for now', { task_id: offered.taskId, generation: offered.generation, reason });
  step.send({ type: 'task_rejected', ...frameIds(offered), reason, cause: NO_ROOM });
}

/** Sent once and not stored: the same task gets the same answer, and a hub that offers many such tasks cannot fill the disk. */
function rejectByPolicy(step: StepContext, offered: AssignmentId, reason: string): void {
  step.log('warn', 'rejected a task by policy', { task_id: offered.taskId, generation: offered.generation, reason });
  step.send({ type: 'task_rejected', ...frameIds(offered), reason, cause: POLICY });
}

/** The task as the agent sees it: known fields only, even if a later protocol adds others. */
function taskOf(frame: AssignFrame): Slot['task'] {
  // In one literal: V8 adds the fields of a spread one by one, which costs as much as the rest of an offer.
  const task: Slot['task'] & Partial<Record<WirePart, unknown>> = {
    task_id: frame.task_id,
    generation: frame.generation,
    description: frame.description,
    metadata: frame.metadata ?? {},
    assigned_at: frame.assigned_at,
    repo: frame.repo ?? null,
    branch: frame.branch ?? null,
    file_hints: frame.file_hints ?? [],
    success_criteria: frame.success_criteria ?? [],
    verification_steps: frame.verification_steps ?? [],
    run_max_ms: frame.run_max_ms ?? null,
    complete_by: frame.complete_by ?? null,
  };
  copyRareParts(frame, task);
  return task;
}

/** A repeated offer. It does not revive an assignment that is being stopped; the stop has its own answer. */
function answerHeld(step: StepContext, slot: Slot): void {
  if (slot.stop !== null || slot.status === 'reporting') return;
  step.sendRefusable(slot, { type: 'task_accepted', ...frameIds(slot) });
}

/** It is never run again; reports to the hub how it ended. */
function answerEnded(step: StepContext, ended: Ended): void {
  switch (ended.outcome) {
    case 'killed':
    case 'not_running':
    case 'not_stoppable':
      return step.send({ type: 'task_cancel_ack', ...frameIds(ended), outcome: ended.outcome });
    case 'released':
      return step.send({ type: 'task_released', ...frameIds(ended), reason: 'already released' });
    case 'complete':
    case 'failed':
    case 'rejected':
    case 'refused':
      return rejectOnce(step, ended, `already ended: ${ended.outcome}`);
  }
}

function reject(step: StepContext, offered: AssignmentId, frame: AssignFrame, reason: string): void {
  step.log('warn', 'rejected', { task_id: offered.taskId, generation: offered.generation, reason });
  if (step.state.fault !== null) return rejectOnce(step, offered, 'journal_unwritable');
  if (step.state.journal.outbox.length >= REJECTIONS_OUTBOX_MAX) return rejectOnce(step, offered, reason);
  report(step, offered, 'rejected', { reason, storeId: step.state.link.storeId, assignedAtMs: frame.assigned_at });
}

/** When the outbox holds this many reports, rejections are no longer stored, which leaves room for ends of runs. */
const REJECTIONS_OUTBOX_MAX = 100;

/** Sent once. If it is lost, the hub offers again or assigns the task elsewhere. */
function rejectOnce(step: StepContext, offered: AssignmentId, reason: string): void {
  step.send({ type: 'task_rejected', ...frameIds(offered), reason });
}
