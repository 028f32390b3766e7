/** Stopping runs and deciding what their end means. Nothing is decided before a final scan for a result. */
import type { EndedOutcome } from '../../../domain/assignment/ended-assignments.ts';
import { hasStarted, isRevoked, assignmentIdOf, type AssignmentId, type Slot, type SlotStop } from '../../../domain/assignment/slot.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { abortReasonOf } from '../state/effects.ts';
import type { Failure } from '../state/failure.ts';
import { prepare, scan } from './folder-work.ts';
import { endWithoutResult, journaledReason } from '../report/report-frames.ts';
import { confirmCancel, reportFailure, freeSlot, reportRelease, survivorFields } from './finish-assignment.ts';
import type { RunEnd } from '../state/state.ts';
import { TIMERS_UNTIL_REPORTED } from '../state/timer-names.ts';
import type { StepContext } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';
import { wakeFailed } from './wakes.ts';

/**
 * Starts to stop the run of an assignment; a stop is never undone. Its report or confirmation follows once the run is
 * gone and its folder has been scanned again. A cancel overrides any other cause, since only a cancel needs a confirmation.
 */
export function beginStop(step: StepContext, slot: Slot, stop: SlotStop): void {
  const isOverridden = slot.stop !== null && stop.cause === 'cancelled' && slot.stop.cause !== 'cancelled';
  if (slot.stop !== null && !isOverridden) return;
  // Already failing; its report is about to follow.
  if (step.liveSlot(slot).failure !== null && stop.cause !== 'cancelled' && stop.cause !== 'taken_back') return;
  const stopping: Slot = { ...slot, stop: { ...stop, reason: journaledReason(stop.reason) } };
  step.putSlot(stopping);
  if (isRevoked(stopping) && step.findReport(slot)?.report === 'accepted') step.dropReport(slot);
  step.log('info', 'stopping the agent', { task_id: slot.taskId, generation: slot.generation, cause: stop.cause, reason: stop.reason });
  if (isOverridden) return;
  step.cancelTimersOf(slot, TIMERS_UNTIL_REPORTED);
  if (slot.status === 'reporting') return stopRun(step, stopping);
  if (slot.expectedSinceMs !== null) step.beforePersist({ type: 'withdraw', assignment: assignmentIdOf(slot) });
  if (slot.run !== null) return stopRun(step, stopping);
  if (mayWorkUnfollowed(step, slot)) return scan(step, slot);
  finishStop(step, stopping, null);
}

/** Whether an agent may work on it without a run: one that polls may have taken it, and another may have started although its wake failed. */
const mayWorkUnfollowed = (step: StepContext, slot: Slot): boolean =>
  slot.run === null && (hasStarted(slot) || (step.agentPolls && slot.expectedSinceMs !== null));

/** Stops the run: aborts its signal, or, if nothing follows the run, attaches to it with an aborted signal. */
export function stopRun(step: StepContext, slot: Slot): void {
  const { following, preparing } = step.liveSlot(slot);
  if (slot.run === null || step.liveSlot(slot).end !== null) return;
  if (following) return step.afterPersist({ type: 'kill', runId: slot.run.runId, reason: abortReasonOf(slot) });
  if (step.agentPolls) return endRun(step, slot, UNKNOWN_END);
  if (!preparing) prepare(step, slot);
}

/** Nothing is known about how the run ended. */
export const UNKNOWN_END: RunEnd = { stopped: false, exitCode: null, signal: null, stderrTail: '', survivors: [] };

/** The run's process tree is gone. Unless its result is known, the folder is scanned again. */
export function endRun(step: StepContext, slot: Slot, end: RunEnd): void {
  step.patchLive(slot, { end, following: false });
  step.cancelTimersOf(slot, ['confirm', 'silence', 'linger']);
  if (slot.status === 'reporting') return freeSlot(step, slot);
  scan(step, slot);
}

/**
 * The runner reported a failure but may have missed a result that the agent wrote, so the folder is scanned first. Only
 * the first failure counts. It is not journaled: the next process gets it from the runner again, or scans the folder
 * when the run ends.
 */
export function failUnlessResult(step: StepContext, slot: Slot, failure: Failure): void {
  if (step.liveSlot(slot).failure !== null) return;
  step.patchLive(slot, { failure });
  scan(step, slot);
}

/** A scan has finished; any result it found has already been delivered. Only the newest scan counts. */
export function onScanned(step: StepContext, input: { readonly assignment: AssignmentId; readonly scan: number }): void {
  const slot = step.slot(input.assignment);
  const { scan: newest, end, failure } = step.liveSlot(input.assignment);
  if (slot === undefined || input.scan !== newest || slot.status === 'reporting') return;
  if (slot.run === null) {
    if (slot.stop !== null) finishStop(step, slot, null);
  } else if (end !== null) concludeRun(step, slot, end);
  else if (failure !== null && slot.stop === null) reportFailure(step, slot, failure);
}

/** A run has ended without a result. */
function concludeRun(step: StepContext, slot: Slot, end: RunEnd): void {
  const gone: Slot = { ...slot, run: null };
  if (end.survivors.length > 0 || (slot.run?.detached === true && !end.stopped)) step.patchLive(slot, { mayLive: true });
  if (slot.stop !== null) return finishStop(step, gone, { wasDetached: slot.run?.detached ?? false, end });
  const { wakeError, failure: reported } = step.liveSlot(slot);
  const isSurvived = end.survivors.length > 0;
  const survivors = survivorFields(end.survivors);
  if (reported !== null)
    return reportFailure(step, gone, isSurvived ? { ...reported, details: { ...reported.details, ...survivors } } : reported);
  if (wakeError !== null && !isSurvived) return wakeFailed(step, gone, { message: wakeError, retryable: true });
  if (wakeError !== null) return reportFailure(step, gone, { kind: 'wake_failed', error: wakeError, details: survivors });
  // Cannot loop: the retry has no session.
  if (end.sessionGone === true && slot.sessionId !== undefined && !hasStarted(slot) && !step.liveSlot(slot).mayLive)
    return wakeFailed(step, { ...gone, sessionId: undefined }, { message: SESSION_GONE, retryable: true });
  // Includes a run that was stopped because it cannot be adopted.
  const isUnknown = end.stopped || (end.exitCode === null && end.signal === null);
  // An `exited` event makes an end of its own.
  if (end === UNKNOWN_END && !step.liveSlot(slot).attached) return reportFailure(step, gone, ENDED_WITHOUT_RESULT);
  if (isUnknown) return reportFailure(step, gone, step.settings.runner?.adoptable === false ? LOST_NOT_ADOPTABLE : LOST);
  const ranMs = step.nowMs - (slot.run?.startedAtMs ?? 0);
  // Negative: the clock was set back, and how long it ran is unknown. One that ran for hours must not be woken again.
  const isEarly = !hasStarted(slot) && ranMs >= 0 && ranMs <= step.settings.timing.confirmWithinMs;
  const failure = endWithoutResult(end);
  // Never wake an agent alongside processes that could not be killed.
  if (isSurvived) return reportFailure(step, gone, { ...failure, details: { ...failure.details, ...survivors } });
  if (isEarly && !step.liveSlot(slot).attached) {
    // A crash means that it did start, so a restart is a new attempt. A clean early exit may only mean that it was
    // woken too soon.
    if (end.exitCode !== 0) return reportFailure(step, gone, { ...failure, kind: 'wake_failed' });
    return wakeFailed(step, gone, { message: failure.error, retryable: true, details: failure.details });
  }
  reportFailure(step, gone, failure);
}

const SESSION_GONE = 'the session of the earlier attempt no longer exists; starting afresh';

const LOST: Failure = {
  kind: 'lost',
  error: 'the agent process is gone and left no result: the machine was restarted, or the process was killed',
};

const LOST_NOT_ADOPTABLE: Failure = {
  kind: 'lost',
  error: 'the agent process left no result: its sidecar or machine went down, and its runner cannot adopt runs',
};

const ENDED_WITHOUT_RESULT: Failure = { kind: 'lost', error: 'its wake runner ended without a result or an `exited` event' };

const NOT_STOPPABLE = 'the agent cannot be stopped from here, left no result, and may still be working';

interface StoppedRun {
  readonly wasDetached: boolean;
  readonly end: RunEnd;
}

/** The run was stopped and left no result: sends the report or confirmation that is still due, if any. */
function finishStop(step: StepContext, slot: Slot, stopped: StoppedRun | null): void {
  const stop = slot.stop as SlotStop;
  const end = stopped?.end ?? UNKNOWN_END;
  const outcome = outcomeOf(slot, stopped);
  if (outcome === 'not_stoppable') step.patchLive(slot, { mayLive: true });
  const { mayLive, hasUnreadableResult } = step.liveSlot(slot);
  if (stop.cause === 'released') {
    // An agent that has said that it cannot work does not, whether it can be stopped or not.
    if (outcome !== 'not_stoppable' || stop.inability !== undefined) return reportRelease(step, { ...slot, run: null }, stop.reason);
    return reportFailure(step, slot, { kind: 'lost', error: `${stop.reason}; ${NOT_STOPPABLE}` });
  }
  if (stop.cause !== 'cancelled' && stop.cause !== 'taken_back') {
    const details = { reason: stop.reason, ...survivorFields(end.survivors) };
    return reportFailure(step, slot, { kind: stop.cause, error: stop.reason, details });
  }
  const used = attemptUsage(step, slot);
  dropWithoutReport(step, slot, outcome);
  step.remember({ ...assignmentIdOf(slot), outcome, filesKept: hasUnreadableResult, mayLive });
  confirmCancel(step, slot, { outcome, survivors: end.survivors, used });
}

function outcomeOf(slot: Slot, stopped: StoppedRun | null): CancelOutcome & EndedOutcome {
  if (stopped === null) return hasStarted(slot) ? 'not_stoppable' : 'not_running';
  if (stopped.end.stopped) return 'killed';
  // The launcher is gone, but the agent runs on its own; nothing here shows whether it has ended.
  return stopped.wasDetached ? 'not_stoppable' : 'killed';
}

/** Frees the slot without a report. */
function dropWithoutReport(step: StepContext, slot: Slot, outcome: CancelOutcome): void {
  step.cancelTimersOf(slot, [...TIMERS_UNTIL_REPORTED, 'linger']);
  if (slot.expectedSinceMs !== null) step.beforePersist({ type: 'unwatch', assignment: assignmentIdOf(slot) });
  if (step.liveSlot(slot).hasUnreadableResult) step.beforePersist({ type: 'keepResult', assignment: assignmentIdOf(slot), streams: false });
  else step.removeFiles(slot);
  step.dropReport(slot);
  step.dropSlot(slot);
  step.log('info', 'the agent is stopped', { task_id: slot.taskId, generation: slot.generation, outcome });
}

/** The grace period of a run whose end is reported has passed. */
export function onLingerTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot?.status === 'reporting' && slot.run !== null) stopRun(step, slot);
}
