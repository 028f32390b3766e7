/** Draining and stopping: when the sidecar accepts no new tasks. */
import { SIDECAR_STOPPED } from '../../../domain/agent/breaker.ts';
import { withFiles } from '../../../domain/assignment/ended-assignments.ts';
import { isEndOfRun } from '../../../domain/assignment/outbox.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { assignmentIdOf, stopFor, type Slot } from '../../../domain/assignment/slot.ts';
import { JOURNAL_RETRY_MS, DISK_CHECK_MS, STOP_WITHIN_MS } from '../state/constants.ts';
import { beginStop, stopRun } from '../assignment/end-of-run.ts';
import { attachTo } from '../assignment/wakes.ts';
import { onReserve } from '../health/checks.ts';
import type { SidecarState } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** Accepts nothing new; runs that are still active at the deadline are stopped and released. */
export function onDrain(step: StepContext, frame: HubFrameOf<'drain'>): void {
  step.state = { ...step.state, drain: { reason: 'drained by an operator', drainedSent: false } };
  sendDraining(step);
  if (frame.deadline_ms === undefined) step.cancelTimers('drain');
  else step.startTimer('drain', frame.deadline_ms);
}

export function onResume(step: StepContext): void {
  step.state = { ...step.state, drain: null };
  step.cancelTimers('drain');
  if (ownDrainReason(step.state) !== null) return sendDraining(step);
  step.log('info', 'accepting tasks again');
  sendResumed(step);
}

export function onDrainTimer(step: StepContext): void {
  if (step.state.drain === null) return;
  for (const slot of step.state.journal.slots) {
    if (slot.status !== 'reporting') beginStop(step, slot, stopFor('released', step.state.drain.reason));
  }
}

/** The sidecar's own reason to accept no tasks, if it has one. */
export function ownDrainReason(state: SidecarState): 'journal_unwritable' | 'refused_full' | 'stopping' | null {
  if (state.fault !== null || state.awaitsReserve) return 'journal_unwritable';
  if (state.refusedFull) return 'refused_full';
  return state.ownDrain === null ? null : 'stopping';
}

/**
 * Sent when draining starts. The sidecar repeats a reason of its own to every hub; repeating an operator's drain is up to
 * the hub.
 */
export function sendDraining(step: StepContext): void {
  const reason = ownDrainReason(step.state) ?? step.state.drain?.reason;
  if (reason !== undefined) step.send({ type: 'draining', reason });
}

/** Sent when no reason of the sidecar's own is left. Does not end an operator's drain. */
function sendResumed(step: StepContext): void {
  if (ownDrainReason(step.state) === null) step.send({ type: 'resumed' });
}

/** After identifying, the hub sends again whether an operator drains this agent, and until when. */
export function clearDrain(step: StepContext): void {
  step.state = { ...step.state, drain: null };
  step.cancelTimers('drain');
}

/** For completed assignments only truncated output is kept here; for all others the hub has less, or nothing. */
export function measureDisk(step: StepContext): void {
  const { ended, outbox } = step.state.journal;
  const kept = withFiles(ended);
  const unread = [...kept.filter(({ outcome }) => outcome !== 'complete'), ...outbox.filter(({ keepFiles }) => keepFiles)];
  const read = kept.filter(({ outcome }) => outcome === 'complete');
  step.afterPersist({ type: 'measureDisk', unread: unread.map(assignmentIdOf), read: read.map(assignmentIdOf) });
}

export function onDiskTimer(step: StepContext): void {
  measureDisk(step);
  step.startTimer('disk', DISK_CHECK_MS);
}

/**
 * Refused reports wait for an operator; when there are too many, no task is accepted, so that there won't be more.
 * After a full disk none is accepted until there is room for the reports of running assignments.
 */
export function onDiskMeasured(step: StepContext, disk: { readonly refusedBytes: number; readonly hasReserve: boolean }): void {
  const { refusedBytesMax } = step.settings;
  const before = ownDrainReason(step.state);
  const refusedFull = disk.refusedBytes > refusedBytesMax;
  const awaitsReserve = step.state.awaitsReserve && !(disk.hasReserve && step.state.fault === null);
  if (refusedFull && !step.state.refusedFull) {
    const fields = { bytes: disk.refusedBytes, bytes_max: refusedBytesMax };
    const what = 'refused/ and the kept files of failed assignments in results/ and runs/ exceed their limit';
    step.log('error', `${what}; rejecting tasks until they are removed`, fields);
  }
  step.state = { ...step.state, refusedFull, awaitsReserve };
  onReserve(step, disk.hasReserve);
  if (awaitsReserve || !disk.hasReserve) step.startTimer('disk', JOURNAL_RETRY_MS);
  const after = ownDrainReason(step.state);
  if (after === before) return;
  if (after !== null) return sendDraining(step);
  step.log('info', 'accepting tasks again');
  sendResumed(step);
}

/** This process is about to stop: its runs may finish, and nothing new begins. */
export function onOwnDrain(step: StepContext): void {
  if (step.state.ownDrain !== null) return;
  step.state = { ...step.state, ownDrain: { notified: false } };
  sendDraining(step);
}

const isEmpty = ({ journal }: SidecarState): boolean => journal.slots.length === 0 && !journal.outbox.some(isEndOfRun);

/** After every input: sends `drained` once nothing is left. */
export function sendDrained(step: StepContext): void {
  const { drain, ownDrain, link } = step.state;
  if (ownDrain?.notified === false && isEmpty(step.state)) {
    step.state = { ...step.state, ownDrain: { notified: true } };
    step.afterPersist({ type: 'drained' });
  }
  if (drain === null || drain.drainedSent || link.phase !== 'identified') return;
  if (!isEmpty(step.state)) return;
  step.state = { ...step.state, drain: { ...drain, drainedSent: true } };
  step.send({ type: 'drained' });
}

/**
 * Accepts and wakes nothing new. Working agents are left to the next process if the runner can adopt them. Those whose end is reported are
 * stopped now, without the rest of their time to exit.
 */
export function onStop(step: StepContext): void {
  if (step.state.phase === 'stopping' || step.state.phase === 'stopped') return;
  step.state = { ...step.state, phase: 'stopping' };
  step.cancelTimers('reconnect');
  step.startTimer('stop', STOP_WITHIN_MS);
  step.log('info', 'stopping; running agents are left to the next sidecar process', {
    slots: step.state.journal.slots.length,
    reports: step.state.journal.outbox.length,
  });
  if (step.settings.runner?.adoptable === false) releaseRuns(step);
  for (const slot of step.state.journal.slots) if (slot.status === 'reporting') stopRun(step, slot);
}

/** Nobody could adopt these runs later. Stopped and released now, they cost no attempt and keep their sessions. */
function releaseRuns(step: StepContext): void {
  const reason = 'its sidecar was stopped, and its runner cannot adopt runs';
  const inability = { cause: SIDECAR_STOPPED, retryAtMs: null };
  for (const slot of step.state.journal.slots) {
    if (slot.run !== null && slot.status !== 'reporting') beginStop(step, slot, { ...stopFor('released', reason), inability });
  }
}

/** Whether its run is not wanted and may still be alive. Left alone, it would go on until a next process, which may never start. */
const isBeingStopped = ({ run, stop, status }: Slot): boolean => run !== null && (stop !== null || status === 'reporting');

/** The last reports were not answered in time; they stay in the journal. */
export function onStopTimer(step: StepContext): void {
  if (step.state.phase === 'stopping') finish(step);
}

/** After every input: finishes stopping once all reports are answered. */
export function stopWhenDone(step: StepContext): void {
  const { phase, link, journal } = step.state;
  if (phase !== 'stopping' || journal.slots.some(isBeingStopped)) return;
  if (link.phase !== 'identified' || journal.outbox.length === 0) finish(step);
}

/**
 * What is held cannot be kept: every run is stopped, and no lease is renewed, so that the hub reassigns the tasks. Nothing is reported,
 * since no later process would know of the reports that the hub answers.
 */
export function onJournalLost(step: StepContext): void {
  for (const slot of step.state.journal.slots) stopLost(step, slot);
  step.patchLink({ phase: 'down' });
  finish(step);
}

/** A run that an earlier process detached, or whose folders are still being created after a start, cannot be attached to. */
function stopLost(step: StepContext, slot: Slot): void {
  const stop = { reason: 'the data directory of its sidecar is lost' };
  const { following, paths, end } = step.liveSlot(slot);
  const { run } = slot;
  if (run === null || end !== null) return;
  if (following) step.afterPersist({ type: 'kill', runId: run.runId, reason: stop });
  else if (paths !== null) attachTo(step, slot, { run, paths, stop });
  else step.log('error', 'cannot stop a run; its agent may still be alive', { task_id: slot.taskId, process: run.process });
}

function finish(step: StepContext): void {
  const isLeaving = step.state.ownDrain !== null && step.state.link.phase === 'identified';
  step.state = { ...step.state, phase: 'stopped' };
  step.afterPersist(isLeaving ? { type: 'disconnect', leaving: true } : { type: 'disconnect' });
  step.cancelTimers('stop');
  step.afterPersist({ type: 'stopped' });
}
