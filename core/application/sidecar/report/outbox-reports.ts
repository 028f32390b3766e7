/**
 * The outbox. A report is journaled before it is first sent, sent again after every `identified` and with growing
 * delays while unanswered, and dropped only after the hub's answer (its files first).
 */
import { backoffMs } from '../../../domain/backoff.ts';
import { GENERATION_ZERO, nextGeneration } from '../../../domain/ids.ts';
import { PersistentMap } from '../../../domain/persistent-map.ts';
import { utf8Bytes } from '../../../domain/encoded-text.ts';
import { hasBody, type EndEntry, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentIdOf, type AssignmentId } from '../../../domain/assignment/slot.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { RETRY_AFTER_MS_MAX } from '../state/constants.ts';
import { keptResult } from './fit-report.ts';
import { attemptFields, bodyMissingReport, fitFrame, type EndFrame } from './report-frames.ts';
import type { StoredBody } from '../state/inputs.ts';
import { frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/**
 * Puts a report without a body into the outbox and sends it. The acceptance of a task's first assignment waits for the end of the turn if its
 * run may have ended by then. That of a later one does not: whatever ended the process last time may do so again, and has to use up retries.
 */
export function report(step: StepContext, assignment: AssignmentId, kind: 'accepted' | 'rejected', about: ReportAbout): void {
  const { taskId, generation } = assignment;
  const { reason, storeId, assignedAtMs } = about;
  const entry: OutboxEntry = { taskId, generation, report: kind, reason, keepFiles: false, storeId, assignedAtMs };
  step.putReport(entry);
  const mayWait = kind === 'accepted' && step.settings.awaitsTurns && generation === nextGeneration(GENERATION_ZERO);
  if (mayWait) step.afterPersist({ type: 'awaitTurn', assignment });
  else sendReport(step, entry);
}

/** Sends the acceptances that no end report has replaced. */
export function onTurnOver(step: StepContext, assignments: readonly AssignmentId[]): void {
  for (const assignment of assignments) {
    const entry = step.findReport(assignment);
    if (entry?.report === 'accepted') sendReport(step, entry);
  }
}

export interface ReportAbout {
  readonly reason: string | null;
  readonly storeId: string | null;
  readonly assignedAtMs: number;
}

/** After `identified`: resends every unanswered report in its original order. */
export function sendAllReports(step: StepContext): void {
  step.state = { ...step.state, resendCounts: new PersistentMap() };
  for (const entry of step.state.journal.outbox) sendReport(step, entry);
}

/** Sends the report for the first time on this link, or requests its body first, and schedules the next attempt. */
export const sendReport = (step: StepContext, entry: OutboxEntry): void => send(step, entry, false);

/** The same for a report that was sent on this link before. */
export const resendReport = (step: StepContext, entry: OutboxEntry): void => send(step, entry, true);

function send(step: StepContext, entry: OutboxEntry, isResend: boolean): void {
  if (step.state.link.phase !== 'identified') return;
  const assignment = assignmentIdOf(entry);
  planRepeat(step, assignment, isResend ? step.countResend(entry) : 0);
  if (hasBody(entry)) return step.afterPersist({ type: 'readReport', assignment });
  if (entry.report === 'accepted')
    return step.sendRefusable(assignment, { type: 'task_accepted', task_id: entry.taskId, generation: entry.generation });
  step.send(bodylessEnd(entry, step.nowMs));
}

function bodylessEnd(entry: OutboxEntry, nowMs: number): V2Frame {
  const reason = entry.reason ?? '';
  if (entry.report !== 'released') return { type: 'task_rejected', ...frameIds(entry), reason };
  const { inability, sessionId, tokensUsed = null, costUsd = null } = entry.aside ?? {};
  const retryAtMs = inability?.retryAtMs ?? null;
  return {
    type: 'task_released',
    ...frameIds(entry),
    reason,
    ...(inability === undefined ? {} : { cause: inability.cause }),
    ...(inability?.afterWork === true ? { after_work: true } : {}),
    ...(retryAtMs === null ? {} : { retry_after_ms: Math.min(RETRY_AFTER_MS_MAX, Math.max(1, Math.ceil(retryAtMs - nowMs))) }),
    ...attemptFields({ used: { tokensUsed, costUsd }, sessionId }),
  };
}

/** A report body was read for sending. */
export function onReportRead(
  step: StepContext,
  { assignment, body }: { readonly assignment: AssignmentId; readonly body: StoredBody },
): void {
  const entry = step.findReport(assignment);
  if (entry === undefined || !hasBody(entry)) return;
  const fields = { task_id: entry.taskId, generation: entry.generation };
  // The next repeat reads it again.
  if (body.kind === 'unreadable') return step.log('error', 'a report cannot be read', { ...fields, error: body.error });
  const text = body.kind === 'found' ? body.text : '';
  const frame = parseEnd(text);
  if (frame === null) {
    const message = 'a report is missing or damaged; its assignment is reported as lost, which changes nothing if the hub has its end';
    step.log('error', message, fields);
    return step.send(bodyMissingReport(entry));
  }
  const fit = fitted(step, frame, text);
  if (fit !== frame) keepWhatIsCut(step, entry);
  step.send(fit);
}

/** The report fit into a frame when it was made, so no files were to be kept; now the hub receives less of it. */
function keepWhatIsCut(step: StepContext, entry: OutboxEntry): void {
  if (entry.keepFiles) return;
  step.patchReport(entry, { keepFiles: true });
  const slot = step.slot(entry);
  if (slot === undefined) step.beforePersist({ type: 'keepResult', assignment: assignmentIdOf(entry), streams: true });
  else step.putSlot({ ...slot, keepStreams: true });
}

/** The hub may accept smaller frames than when the report was made. */
function fitted(step: StepContext, frame: EndFrame, text: string): EndFrame {
  const frameBytesMax = step.state.link.policy.max_frame_bytes;
  if (frame.type !== 'task_complete' || utf8Bytes(text) <= frameBytesMax) return frame;
  return fitFrame(frame, keptResult(frame.result), { frameBytesMax, sha256: step.settings.sha256 });
}

function parseEnd(text: string): EndFrame | null {
  try {
    return JSON.parse(text) as EndFrame;
  } catch {
    return null; // The file is damaged; the caller logs it.
  }
}

/** Sends an end report whose body, `text`, is already in memory. */
export function sendEnd(step: StepContext, assignment: AssignmentId, frame: EndFrame, text: string): void {
  if (step.state.link.phase !== 'identified') return;
  planRepeat(step, assignmentIdOf(assignment), 0);
  step.afterPersist({ type: 'send', frame, text });
}

function planRepeat(step: StepContext, assignment: AssignmentId, resends: number): void {
  step.startTimerOf(assignment, 'repeat', backoffMs(step.settings.timing.reportRepeat, resends + 1));
}

export function onRepeatTimer(step: StepContext, assignment: AssignmentId): void {
  const entry = step.findReport(assignment);
  if (entry !== undefined) resendReport(step, entry);
}

/**
 * The hub has answered: removes the report's files, then the report, and remembers the assignment. With `refusal`, the
 * body moves to `refused/` for the operator instead.
 */
export function closeReport(step: StepContext, entry: EndEntry, refusal: string | null): void {
  const assignment = assignmentIdOf(entry);
  if (hasBody(entry))
    step.beforePersist(refusal === null ? { type: 'removeReport', assignment } : { type: 'refuseReport', assignment, reason: refusal });
  const slot = step.slot(assignment);
  if (slot === undefined && !entry.keepFiles && entry.report !== 'rejected') step.removeFiles(assignment);
  step.dropReport(assignment);
  const outcome = refusal === null ? entry.report : 'refused';
  const { taskId, generation, keepFiles: filesKept, mayLive } = entry;
  step.remember({ taskId, generation, outcome, filesKept, mayLive });
  step.forgetRefusable(assignment);
  if (refusal !== null)
    step.log('warn', 'the hub refused a report', {
      task_id: assignment.taskId,
      generation: assignment.generation,
      report: entry.report,
      reason: refusal,
    });
}
