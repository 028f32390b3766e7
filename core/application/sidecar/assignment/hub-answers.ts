/** The hub's answers: to reports, to the inventory, and to frames about assignments that are no longer valid. */
import { isAnsweredBy, isEnd, type EndEntry } from '../../../domain/assignment/outbox.ts';
import { isSameAssignment, mapKey, stopFor, wasWoken, type AssignmentId } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf, NackReason } from '../../../protocol/hub-frames.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { beginStop } from './end-of-run.ts';
import { renew, reportWake } from './lease.ts';
import { closeReport, resendReport, sendAllReports } from '../report/outbox-reports.ts';
import { assignmentIdIn } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** After these the assignment is no longer valid, whichever frame was refused. */
const GONE: readonly NackReason[] = ['stale_generation', 'not_assignee', 'unknown_task'];

export function onAck(step: StepContext, frame: HubFrameOf<'task_ack'>): void {
  // Every report names a generation, so an answer without one belongs to none.
  if (frame.generation === undefined) return;
  const assignment = assignmentIdIn({ task_id: frame.task_id, generation: frame.generation });
  const entry = step.findReport(assignment);
  if (entry !== undefined && isAnsweredBy(entry.report, frame.status)) {
    if (isEnd(entry)) return closeReport(step, entry, null);
    return step.dropReport(assignment);
  }
  if (frame.status === 'accepted') return;
  if (entry !== undefined && isEnd(entry)) return onUnmatchedAnswer(step, entry, `answered as ${frame.status}`);
  stopReclaimed(step, assignment, `the hub has it as ${frame.status}`);
}

export function onNack(step: StepContext, frame: HubFrameOf<'task_nack'>): void {
  const assignment = assignmentIdIn(frame);
  const entry = step.findReport(assignment);
  if (entry !== undefined && isEnd(entry)) return onEndRefused(step, entry, frame);
  if (GONE.includes(frame.reason)) return stopReclaimed(step, assignment, frame.reason);
  step.log('warn', 'the hub refused a frame', { task_id: assignment.taskId, generation: assignment.generation, reason: frame.reason });
  step.dropReport(assignment);
}

/**
 * The frames that report an end. The one that was sent may differ from the outbox entry: an end whose body is missing
 * is reported as a failure.
 */
const END_FRAMES: readonly string[] = [
  'task_complete',
  'task_failed',
  'task_rejected',
  'task_released',
] satisfies readonly V2Frame['type'][];

/**
 * A refusal of an earlier frame says nothing about the end report, whose own answer (perhaps `late`) is still to come.
 */
function onEndRefused(step: StepContext, entry: EndEntry, { refuses, reason }: HubFrameOf<'task_nack'>): void {
  // An older hub does not say which frame it refuses.
  if (refuses === undefined) return onUnmatchedAnswer(step, entry, reason);
  if (END_FRAMES.includes(refuses)) closeReport(step, entry, reason);
}

/**
 * Either the hub refuses the end, or this answers an earlier frame, such as progress of an assignment already
 * reclaimed. In the latter case the end report's own answer (perhaps `late`) is still to come, so the report is sent
 * again before it counts as refused.
 */
function onUnmatchedAnswer(step: StepContext, entry: EndEntry, reason: string): void {
  if (!step.state.link.mayBeRefused.has(mapKey(entry))) return closeReport(step, entry, reason);
  step.forgetRefusable(entry);
  resendReport(step, entry);
}

function stopReclaimed(step: StepContext, assignment: AssignmentId, reason: string): void {
  const slot = step.slot(assignment);
  if (slot === undefined || slot.status === 'reporting') return step.dropReport(assignment);
  beginStop(step, slot, stopFor('taken_back', reason));
}

/**
 * After `identified`: applies the hub's answer to the inventory, resends unanswered reports, then renews the leases of
 * running assignments. An `abort` ends a run, never a report.
 */
export function onInventoryAnswered(step: StepContext, frame: HubFrameOf<'identified'>): void {
  // A stop needs the journal; if it is unwritable, the refused lease renewals below will trigger it again.
  for (const held of step.state.fault === null ? (frame.held ?? []) : []) {
    const assignment = assignmentIdIn(held);
    const isReported = step.state.journal.outbox.some((entry) => isEnd(entry) && isSameAssignment(entry, assignment));
    if (held.action === 'abort' && !isReported) stopReclaimed(step, assignment, held.reason ?? 'aborted by the hub');
  }
  sendAllReports(step);
  for (const slot of step.state.journal.slots) {
    if (slot.status === 'reporting' || slot.stop !== null) continue;
    if (wasWoken(slot)) reportWake(step, slot);
    if (step.findReport(slot) === undefined) renew(step, slot);
  }
}
