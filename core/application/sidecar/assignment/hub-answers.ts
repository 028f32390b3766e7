/** What the hub answers: to reports, to the inventory, and to frames of assignments that are gone. */
import type { Generation, TaskId } from '../../../domain/ids.ts';
import { isAnsweredBy, isEnd, type EndEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentKey, stopFor, wasWoken, type Assignment } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf, NackReason } from '../../../protocol/hub-frames.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { beginStop } from './end-of-run.ts';
import { renew, tellWoken } from './lease.ts';
import { closeReport, sendAllReports, sendReport } from '../report/outbox-reports.ts';
import type { Turn } from '../state/step-context.ts';

/** With these the assignment is gone, whatever frame they answer. */
const GONE: readonly NackReason[] = ['stale_generation', 'not_assignee', 'unknown_task'];

const assignmentOf = (frame: { readonly task_id: string; readonly generation: number }): Assignment => ({
  taskId: frame.task_id as TaskId,
  generation: frame.generation as Generation,
});

export function onAck(turn: Turn, frame: HubFrameOf<'task_ack'>): void {
  // Without a generation it answers nothing that was said: every report names one.
  if (frame.generation === undefined) return;
  const name = assignmentOf({ task_id: frame.task_id, generation: frame.generation });
  const entry = turn.report(name);
  if (entry !== undefined && isAnsweredBy(entry.report, frame.status)) {
    if (isEnd(entry)) return closeReport(turn, entry, null);
    return turn.dropReport(name);
  }
  if (frame.status === 'accepted') return;
  if (entry !== undefined && isEnd(entry)) return onForeignVerdict(turn, entry, `answered as ${frame.status}`);
  takeBack(turn, name, `the hub has it as ${frame.status}`);
}

export function onNack(turn: Turn, frame: HubFrameOf<'task_nack'>): void {
  const name = assignmentOf(frame);
  const entry = turn.report(name);
  if (entry !== undefined && isEnd(entry)) return onEndRefused(turn, entry, frame);
  if (GONE.includes(frame.reason)) return takeBack(turn, name, frame.reason);
  turn.log('warn', 'the hub refused a frame', { task_id: name.taskId, generation: name.generation, reason: frame.reason });
  turn.dropReport(name);
}

/** An assignment ends once. Which of these its end left as need not be what the outbox has: without its body it is a failure. */
const END_FRAMES: readonly string[] = [
  'task_complete',
  'task_failed',
  'task_rejected',
  'task_released',
] satisfies readonly V2Frame['type'][];

/** What was said before the end has its own answers; the end's is still to come, perhaps a better one (`late`). */
function onEndRefused(turn: Turn, entry: EndEntry, { refuses, reason }: HubFrameOf<'task_nack'>): void {
  // A hub that does not say which frame it refuses.
  if (refuses === undefined) return onForeignVerdict(turn, entry, reason);
  if (END_FRAMES.includes(refuses)) closeReport(turn, entry, reason);
}

/**
 * The hub will not have the end, unless this was its answer to something that was said before the end: an accept or
 * progress of an assignment already taken back. Then the end has its own answer still to come, perhaps a better one
 * (`late`), so it is said once more before it is given up.
 */
function onForeignVerdict(turn: Turn, entry: EndEntry, reason: string): void {
  const key = assignmentKey(entry);
  if (!turn.state.link.talkedOf.includes(key)) return closeReport(turn, entry, reason);
  turn.patchLink({ talkedOf: turn.state.link.talkedOf.filter((each) => each !== key) });
  sendReport(turn, entry);
}

function takeBack(turn: Turn, name: Assignment, reason: string): void {
  const slot = turn.slot(name);
  if (slot === undefined || slot.status === 'reporting') return turn.dropReport(name);
  beginStop(turn, slot, stopFor('taken_back', reason));
}

/**
 * After `identified`: what the hub says to the inventory, then every unanswered report, then the leases of what goes on.
 * An `abort` ends a run, never a report.
 */
export function onInventoryAnswered(turn: Turn, frame: HubFrameOf<'identified'>): void {
  // Without a journal no stop can begin; the refusals of the leases below will say it again.
  for (const held of turn.state.fault === null ? (frame.held ?? []) : []) {
    const name = assignmentOf(held);
    const isReported = turn.state.journal.outbox.some((entry) => isEnd(entry) && assignmentKey(entry) === assignmentKey(name));
    if (held.action === 'abort' && !isReported) takeBack(turn, name, held.reason ?? 'aborted by the hub');
  }
  sendAllReports(turn);
  for (const slot of turn.state.journal.slots) {
    if (slot.status === 'reporting' || slot.stop !== null) continue;
    if (wasWoken(slot)) tellWoken(turn, slot);
    if (turn.report(slot) === undefined) renew(turn, slot);
  }
}
