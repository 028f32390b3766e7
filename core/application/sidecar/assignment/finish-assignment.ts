/** Puts the report of an assignment's end into the outbox, and frees its slot once the run is gone. */
import { assignmentIdOf, type Slot } from '../../../domain/assignment/slot.ts';
import type { ReleaseDetails, OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { NO_USAGE, sumOf, usageFields, type Usage } from '../../../domain/usage.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { EXIT_GRACE_MS, SURVIVORS_MAX } from '../state/constants.ts';
import type { Failure } from '../state/failure.ts';
import { loggedStderr, withLastOutput } from '../run/last-output.ts';
import { flushOutput } from '../run/live-output.ts';
import { failedReport, journaledReason, type AttemptInfo, type EndReport } from '../report/report-frames.ts';
import { sendEnd, sendReport } from '../report/outbox-reports.ts';
import { frameIds } from '../state/state.ts';
import { TIMERS_UNTIL_REPORTED, TIMERS_UNTIL_REPORTED_WHILE_STOPPING } from '../state/timer-names.ts';
import type { StepContext } from '../state/step-context.ts';
import { attemptUsage, withResult } from '../run/run-usage.ts';

/**
 * Writes the end report, journals it and sends it. It replaces an `accepted` report that is still unanswered: the hub treats the
 * end as an acceptance, too. A run that is still alive gets `EXIT_GRACE_MS` to exit by itself.
 */
export function reportEnd(step: StepContext, slot: Slot, end: EndReport): void {
  const report = end.frame.type === 'task_complete' ? 'complete' : 'failed';
  const text = JSON.stringify(end.frame);
  step.beforePersist({ type: 'writeReport', assignment: assignmentIdOf(slot), text });
  addToOutbox(step, slot, { report, reason: null, keepFiles: end.keepFiles });
  logEnd(step, slot, report, reasonOf(end.frame));
  flushOutput(step, slot);
  sendEnd(step, slot, end.frame, text);
  retireSlot(step, end.keepStreams === true ? { ...slot, keepStreams: true } : slot);
}

/** Reports a failure. If the run is still alive it may yet write a result, so its files are kept. */
export function reportFailure(step: StepContext, slot: Slot, failure: Failure): void {
  const report = failedReport(slot, withLastOutput(failure, step.liveSlot(slot)), attemptInfo(step, slot));
  reportEnd(step, slot, { ...report, keepFiles: report.keepFiles || isRunning(step, slot) });
}

const isRunning = (step: StepContext, slot: Slot): boolean => slot.run !== null && step.liveSlot(slot).end === null;

/** What the end report says about the attempt; `result` is what the agent wrote. */
export const attemptInfo = (step: StepContext, slot: Slot, result: Readonly<Record<string, unknown>> = {}): AttemptInfo => ({
  used: sumOf(slot.spent ?? NO_USAGE, withResult(step.liveSlot(slot).used, result)),
  sessionId: slot.sessionId,
});

/** Releases an assignment that no agent works on. */
export function reportRelease(step: StepContext, slot: Slot, why: string): void {
  const reason = journaledReason(why);
  flushOutput(step, slot);
  sendReport(step, addToOutbox(step, slot, { report: 'released', reason, keepFiles: false, aside: releaseDetails(step, slot) }));
  logEnd(step, slot, 'released', { reason });
  retireSlot(step, slot);
}

/** What a release report says. Totals only: the usage of each model was already reported as progress. */
function releaseDetails(step: StepContext, slot: Slot): ReleaseDetails {
  const { tokensUsed, costUsd } = attemptUsage(step, slot);
  return {
    tokensUsed,
    costUsd,
    ...(slot.stop?.inability === undefined ? {} : { inability: slot.stop.inability }),
    ...(slot.sessionId === undefined ? {} : { sessionId: slot.sessionId }),
  };
}

function addToOutbox(step: StepContext, slot: Slot, report: Pick<OutboxEntry, 'report' | 'reason' | 'keepFiles' | 'aside'>): OutboxEntry {
  const { taskId, generation, storeId, assignedAtMs } = slot;
  const ended: OutboxEntry = {
    taskId,
    generation,
    report: report.report,
    reason: report.reason,
    keepFiles: report.keepFiles,
    storeId,
    assignedAtMs,
  };
  const { mayLive } = step.liveSlot(slot);
  const entry = report.aside === undefined && !mayLive ? ended : { ...ended, aside: report.aside, ...(mayLive ? { mayLive } : {}) };
  step.putReport(entry);
  return entry;
}

function logEnd(step: StepContext, slot: Slot, report: OutboxEntry['report'], why: LogFields): void {
  step.log('info', 'the assignment ended', { task_id: slot.taskId, generation: slot.generation, report, ...why });
}

/** Included in the log, which may be all there is to diagnose a failure. */
const reasonOf = (frame: EndReport['frame']): LogFields =>
  frame.type === 'task_failed' ? { kind: frame.kind, error: frame.error, ...loggedStderr(frame.details) } : {};

/** The end is reported: stops the timers, and frees the slot now or when the run exits. */
function retireSlot(step: StepContext, slot: Slot): void {
  const isStopping = slot.stop !== null && isRunning(step, slot);
  step.cancelTimersOf(slot, isStopping ? TIMERS_UNTIL_REPORTED_WHILE_STOPPING : TIMERS_UNTIL_REPORTED);
  // A polling agent must not take the task after its end was reported.
  if (step.agentPolls) step.beforePersist({ type: 'withdraw', assignment: assignmentIdOf(slot) });
  const reporting: Slot = { ...slot, status: 'reporting' };
  if (!isRunning(step, reporting)) return freeSlot(step, reporting);
  step.putSlot(reporting);
  // A run that is being stopped has a grace period already, or its runner is about to be asked again.
  if (!isStopping) step.startTimerOf(slot, 'linger', EXIT_GRACE_MS);
}

/** The end is in the outbox and the run is gone: frees the slot. */
export function freeSlot(step: StepContext, slot: Slot): void {
  const survivors = step.liveSlot(slot).end?.survivors ?? [];
  const used = attemptUsage(step, slot);
  const entry = step.findReport(slot);
  const isAnswered = entry === undefined;
  const ended = isAnswered ? step.findEnded(slot) : undefined;
  const filesKept = (entry?.keepFiles ?? ended?.filesKept) === true;
  if (survivors.length > 0) {
    if (entry !== undefined) step.patchReport(slot, { mayLive: true });
    else if (ended !== undefined) step.remember({ ...ended, mayLive: true });
  }
  step.cancelTimersOf(slot, ['linger']);
  flushOutput(step, slot);
  if (slot.expectedSinceMs !== null) step.beforePersist({ type: 'unwatch', assignment: assignmentIdOf(slot) });
  if (filesKept) step.beforePersist({ type: 'keepResult', assignment: assignmentIdOf(slot), streams: slot.keepStreams === true });
  // While the report is unanswered the files stay; `closeReport` removes them.
  else if (isAnswered) step.removeFiles(slot);
  step.dropSlot(slot);
  confirmCancel(step, slot, { outcome: 'already_reported', survivors, used });
}

/** Answers `task_cancelled`, if that is why the assignment was stopped. */
export function confirmCancel(
  step: StepContext,
  slot: Slot,
  { outcome, survivors, used }: { readonly outcome: CancelOutcome; readonly survivors: readonly number[]; readonly used: Usage },
): void {
  if (slot.stop?.cause !== 'cancelled') return;
  step.send({
    type: 'task_cancel_ack',
    ...frameIds(slot),
    outcome,
    ...usageFields(used),
    ...survivorFields(survivors),
  });
}

/** The surviving processes, for a frame or for the details of a failure. */
export const survivorFields = (survivors: readonly number[]): { readonly survivors?: number[] } =>
  survivors.length > 0 ? { survivors: survivors.slice(0, SURVIVORS_MAX) } : {};
