/**
 * How assignments leave their slots: runs are stopped, their ends are understood, and what an end means is decided only
 * after a last look for a result.
 */
import type { Fate } from '../../../domain/assignment/ended-assignments.ts';
import { hasStarted, isGivenUp, nameOf, type Assignment, type Slot, type SlotStop } from '../../../domain/assignment/slot.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { stopReasonOf } from '../state/effects.ts';
import type { Failure } from '../state/failure.ts';
import { look, prepare } from './folder-work.ts';
import { endWithoutResult } from '../report/report-frames.ts';
import { confirmCancel, fail, release, SURVIVORS_MAX, wrapUp } from './finish-assignment.ts';
import type { RunEnd } from '../state/state.ts';
import { UNSETTLED_TIMERS } from '../state/timer-names.ts';
import type { Turn } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';
import { wakeFailed } from './wakes.ts';

/**
 * Begins to stop an assignment, for good. What is owed about it follows when its run is gone and its folder was looked
 * at once more. A cancel takes over from any other cause, since only it waits for a confirmation.
 */
export function beginStop(turn: Turn, slot: Slot, stop: SlotStop): void {
  const isTakenOver = slot.stop !== null && stop.cause === 'cancelled' && slot.stop.cause !== 'cancelled';
  if (slot.stop !== null && !isTakenOver) return;
  // It has failed already, which is told in a moment.
  if (turn.live(slot).failure !== null && stop.cause !== 'cancelled' && stop.cause !== 'taken_back') return;
  const stopping: Slot = { ...slot, stop };
  turn.putSlot(stopping);
  if (isGivenUp(stopping) && turn.report(slot)?.report === 'accepted') turn.dropReport(slot);
  turn.log('info', 'stopping the agent', { task_id: slot.taskId, generation: slot.generation, cause: stop.cause, reason: stop.reason });
  if (isTakenOver) return;
  turn.cancelTimersOf(slot, UNSETTLED_TIMERS);
  if (slot.status === 'reporting') return stopRun(turn, stopping);
  if (slot.expectedSinceMs !== null) turn.durably({ type: 'withdraw', name: nameOf(slot) });
  if (slot.run !== null) return stopRun(turn, stopping);
  if (isPublished(turn, slot)) return look(turn, slot);
  finishStop(turn, stopping, null);
}

/** Whether its agent polls for itself and may have taken it. */
const isPublished = (turn: Turn, slot: Slot): boolean => turn.setting.runner === null && slot.expectedSinceMs !== null;

/** Stops the run: by its signal, or, where nothing follows it, by following it with a signal that is aborted already. */
export function stopRun(turn: Turn, slot: Slot): void {
  const { following, preparing } = turn.live(slot);
  if (slot.run === null || turn.live(slot).end !== null) return;
  if (following) return turn.outwardly({ type: 'kill', runId: slot.run.runId, reason: stopReasonOf(slot) });
  if (turn.setting.runner === null) return endRun(turn, slot, UNKNOWN_END);
  if (!preparing) prepare(turn, slot);
}

/** Nothing is known of how it ended. */
export const UNKNOWN_END: RunEnd = { stopped: false, exitCode: null, signal: null, stderrTail: '', survivors: [] };

/** The run's process tree is gone. Unless its result is known already, the folder is looked at once more. */
export function endRun(turn: Turn, slot: Slot, end: RunEnd): void {
  turn.patchLive(slot, { end, following: false });
  turn.cancelTimersOf(slot, ['confirm', 'silence', 'linger']);
  if (slot.status === 'reporting') return wrapUp(turn, slot);
  look(turn, slot);
}

/**
 * Its runner says that it failed, and may not know of a result that its agent wrote: the folder is looked at first. The first such
 * word counts. It is not journalled: the next process hears it again, or looks when the run is over.
 */
export function failUnlessResult(turn: Turn, slot: Slot, failure: Failure): void {
  if (turn.live(slot).failure !== null) return;
  turn.patchLive(slot, { failure });
  look(turn, slot);
}

/** The folder was looked at; a result that was in it came before. Only the newest look counts. */
export function onLooked(turn: Turn, input: { readonly name: Assignment; readonly look: number }): void {
  const slot = turn.slot(input.name);
  const { look: newest, end, failure } = turn.live(input.name);
  if (slot === undefined || input.look !== newest || slot.status === 'reporting') return;
  if (slot.run === null) {
    if (slot.stop !== null) finishStop(turn, slot, null);
  } else if (end !== null) conclude(turn, slot, end);
  else if (failure !== null && slot.stop === null) fail(turn, slot, failure);
}

/** A run has ended and left no result. */
function conclude(turn: Turn, slot: Slot, end: RunEnd): void {
  const gone: Slot = { ...slot, run: null };
  if (end.survivors.length > 0 || (slot.run?.detached === true && !end.stopped)) turn.patchLive(slot, { mayLive: true });
  if (slot.stop !== null) return finishStop(turn, gone, { wasDetached: slot.run?.detached ?? false, end });
  const { wakeError, failure: told } = turn.live(slot);
  const isSurvived = end.survivors.length > 0;
  if (told !== null) return fail(turn, gone, isSurvived ? { ...told, details: { ...told.details, ...survivorsOf(end) } } : told);
  if (wakeError !== null && !isSurvived) return wakeFailed(turn, gone, { message: wakeError, retryable: true });
  if (wakeError !== null) return fail(turn, gone, { kind: 'wake_failed', error: wakeError, details: survivorsOf(end) });
  // Without a session it cannot end so again.
  if (end.sessionGone === true && slot.sessionId !== undefined && !hasStarted(slot) && !turn.live(slot).mayLive)
    return wakeFailed(turn, { ...gone, sessionId: undefined }, { message: SESSION_GONE, retryable: true });
  // Also one that was stopped because nobody can go on with it.
  const isUnknown = end.stopped || (end.exitCode === null && end.signal === null);
  if (isUnknown) return fail(turn, gone, turn.setting.runner?.adoptable === false ? LEFT_BEHIND : LOST);
  const isEarly = !hasStarted(slot) && turn.nowMs - (slot.run?.startedAtMs ?? 0) <= turn.setting.timing.confirmWithinMs;
  const failure = endWithoutResult(end);
  // Beside what could not be killed nothing is woken.
  if (isSurvived) return fail(turn, gone, { ...failure, details: { ...failure.details, ...survivorsOf(end) } });
  if (isEarly && !turn.live(slot).attached) {
    // One that crashed was started: another start is another attempt. One that ended well may only have come too early.
    if (end.exitCode !== 0) return fail(turn, gone, { ...failure, kind: 'wake_failed' });
    return wakeFailed(turn, gone, { message: failure.error, retryable: true, details: failure.details });
  }
  fail(turn, gone, failure);
}

/** Those that live, for the story of the task. */
const survivorsOf = ({ survivors }: RunEnd): Readonly<Record<string, unknown>> =>
  survivors.length > 0 ? { survivors: survivors.slice(0, SURVIVORS_MAX) } : {};

const SESSION_GONE = 'the session of the earlier attempt is not there any more; the task begins afresh';

const LOST: Failure = {
  kind: 'lost',
  error: 'the agent process is gone and left no result: its machine was started anew, or somebody killed it',
};

const LEFT_BEHIND: Failure = {
  kind: 'lost',
  error:
    'the agent process left no result: its sidecar or its machine ended without handing it back, and its runner cannot go on with a run of an earlier sidecar',
};

interface StoppedRun {
  readonly wasDetached: boolean;
  readonly end: RunEnd;
}

/** It is stopped and left no result: says what is owed about it. */
function finishStop(turn: Turn, slot: Slot, stopped: StoppedRun | null): void {
  const stop = slot.stop as SlotStop;
  const end = stopped?.end ?? UNKNOWN_END;
  const outcome = outcomeOf(turn, slot, stopped);
  if (outcome === 'not_stoppable') turn.patchLive(slot, { mayLive: true });
  const { mayLive, hasUnread } = turn.live(slot);
  if (stop.cause === 'released') return release(turn, { ...slot, run: null }, stop.reason);
  if (stop.cause !== 'cancelled' && stop.cause !== 'taken_back') {
    return fail(turn, slot, { kind: stop.cause, error: stop.reason, details: { reason: stop.reason, ...survivorsOf(end) } });
  }
  const used = attemptUsage(turn, slot);
  leave(turn, slot, outcome);
  turn.remember({ ...nameOf(slot), fate: outcome, filesKept: hasUnread, mayLive });
  confirmCancel(turn, slot, { outcome, survivors: end.survivors, used });
}

function outcomeOf(turn: Turn, slot: Slot, stopped: StoppedRun | null): CancelOutcome & Fate {
  if (stopped === null) return isPublished(turn, slot) && hasStarted(slot) ? 'not_stoppable' : 'not_running';
  if (stopped.end.stopped) return 'killed';
  // Its launcher is gone, but the agent was on its own: nobody here can say that it ended.
  return stopped.wasDetached ? 'not_stoppable' : 'killed';
}

/** Leaves without a report. */
function leave(turn: Turn, slot: Slot, outcome: CancelOutcome): void {
  turn.cancelTimersOf(slot, [...UNSETTLED_TIMERS, 'linger']);
  if (slot.expectedSinceMs !== null) turn.durably({ type: 'forget', name: nameOf(slot) });
  turn.durably(
    turn.live(slot).hasUnread ? { type: 'keepResult', name: nameOf(slot), streams: false } : { type: 'removeFiles', name: nameOf(slot) },
  );
  turn.dropReport(slot);
  turn.dropSlot(slot);
  turn.log('info', 'the agent is stopped', { task_id: slot.taskId, generation: slot.generation, outcome });
}

/** A settled run had its moment to end by itself. */
export function onLingerTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot?.status === 'reporting' && slot.run !== null) stopRun(turn, slot);
}
