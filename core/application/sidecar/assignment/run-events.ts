/** Handles the runner's events. Events of a run that the slot no longer has are dropped. */
import { isAgentFault } from '../../../domain/agent/breaker.ts';
import {
  hasStarted,
  assignmentIdOf,
  stopFor,
  type AssignmentId,
  type Slot,
  type SlotInability,
  type SlotRun,
} from '../../../domain/assignment/slot.ts';
import type { WakeEvent } from '../../../ports/wake-runner.ts';
import { isSessionId } from '../../../protocol/fields.ts';
import type { InvalidEventReason } from '../state/runner-events.ts';
import { RETRY_AFTER_MS_MAX } from '../state/constants.ts';
import { requestChecks } from '../health/checks.ts';
import { beginStop, endRun, failUnlessResult, stopRun, UNKNOWN_END } from './end-of-run.ts';
import { recordOutput } from '../run/last-output.ts';
import { streamOutput } from '../run/live-output.ts';
import { confirmStarted, progress, reportWake, resetSilenceTimer } from './lease.ts';
import { onRunnerResult } from './results.ts';
import { reasonText } from '../report/report-frames.ts';
import { reportFailure } from './finish-assignment.ts';
import type { StepContext } from '../state/step-context.ts';
import { readUsage } from '../run/run-usage.ts';
import { isNoUsage } from '../../../domain/usage.ts';
import { attachLater, wakeFailed } from './wakes.ts';

/** The slot, if it still has this run and the run has not ended. */
function slotOfRun(step: StepContext, assignment: AssignmentId, runId: string): (Slot & { readonly run: SlotRun }) | null {
  const slot = step.slot(assignment);
  if (slot?.run?.runId !== runId || step.liveSlot(assignment).end !== null) return null;
  return slot as Slot & { readonly run: SlotRun };
}

export function onWakeEvent(
  step: StepContext,
  input: { readonly assignment: AssignmentId; readonly runId: string; readonly event: WakeEvent },
): void {
  const slot = slotOfRun(step, input.assignment, input.runId);
  if (slot === null) return;
  const { event } = input;
  switch (event.type) {
    case 'spawned':
      step.putSlot({ ...slot, run: { ...slot.run, process: event.process } });
      return resetSilenceTimer(step, slot);
    case 'woken':
      return onWoken(step, slot);
    case 'started':
      return onStarted(step, slot, event.sessionId);
    case 'output':
      recordOutput(step, slot, event.stream === 'stderr' ? 'stderr' : 'output', event.text);
      streamOutput(step, slot, event.stream === 'stderr' ? 'stderr' : 'stdout', event.text, event.dropped);
      return resetSilenceTimer(step, slot);
    case 'progress': {
      const started = confirmStarted(step, slot);
      recordOutput(step, slot, 'output', event.message);
      streamOutput(step, started, 'agent', event.message);
      resetSilenceTimer(step, started);
      return progress(step, started, { percent: event.percent, message: event.message });
    }
    case 'usage':
      resetSilenceTimer(step, slot);
      return progress(step, slot, { used: readUsage(event) });
    case 'completed':
      if (step.settings.inProcess) step.patchLive(slot, { end: UNKNOWN_END, following: false });
      recordUsage(step, slot, event);
      return onRunnerResult(step, slot, event.output ?? null);
    case 'failed':
      return event.phase === 'spawn' ? onSpawnFailed(step, slot, event) : onAgentFailed(step, slot, event);
    case 'exited':
      return endRun(step, slot, {
        ...UNKNOWN_END,
        exitCode: event.exitCode,
        signal: event.signal,
        stderrTail: event.stderrTail,
        survivors: event.survivors ?? [],
        sessionGone: event.sessionGone,
      });
    case 'stopped':
      return endRun(step, slot, { ...UNKNOWN_END, stopped: true, survivors: event.survivors });
  }
}

/**
 * The runner yielded an invalid event, so it cannot be trusted any more: the run fails, and an agent that is alive is
 * stopped, so that none is woken alongside it. An invalid result is the agent's fault, and the run ends as usual.
 */
export function onInvalidWakeEvent(
  step: StepContext,
  input: { readonly assignment: AssignmentId; readonly runId: string; readonly reason: InvalidEventReason; readonly message: string },
): void {
  const slot = slotOfRun(step, input.assignment, input.runId);
  if (slot === null) return;
  const { reason, message } = input;
  const fields = { task_id: slot.taskId, generation: slot.generation, reason, error: message };
  step.log('error', 'the wake runner yielded an invalid event', fields);
  if (slot.status === 'reporting' || slot.stop !== null || step.liveSlot(slot).failure !== null) return;
  if (reason !== 'invalid_event') return failUnlessResult(step, slot, { kind: reason, error: message, keepFiles: true, keepStreams: true });
  const kind = slot.run.process === null ? 'wake_failed' : 'agent_failed';
  failUnlessResult(step, slot, { kind, error: `the wake runner failed: ${message}`, retryable: true, keepFiles: true, keepStreams: true });
  stopRun(step, slot);
}

/** The hub stores the session for another attempt on this machine. */
function onStarted(step: StepContext, slot: Slot, sessionId: string | undefined): void {
  const isValid = sessionId !== undefined && isSessionId(sessionId);
  if (sessionId !== undefined && !isValid) step.log('warn', 'ignored an invalid session id', { task_id: slot.taskId });
  const updated = isValid && sessionId !== slot.sessionId ? { ...slot, sessionId } : slot;
  if (updated !== slot) step.putSlot(updated);
  const started = confirmStarted(step, updated);
  resetSilenceTimer(step, started);
  if (isValid) progress(step, started, { sessionId });
}

/** The agent is on its own: from now on only its files show what it does, and the first must appear in time. */
function onWoken(step: StepContext, slot: Slot & { readonly run: SlotRun }): void {
  const status = slot.status === 'waking' ? 'waking_confirmation' : slot.status;
  const woken: Slot = { ...slot, status, run: { ...slot.run, woken: true } };
  step.putSlot(woken);
  step.patchLive(slot, { handedOver: step.liveSlot(slot).attached });
  reportWake(step, woken);
  resetSilenceTimer(step, woken);
  if (!hasStarted(woken) && woken.stop === null) step.startTimerOf(slot, 'confirm', step.settings.timing.confirmWithinMs);
}

/** The usage that comes with a result is sent with it. */
function recordUsage(step: StepContext, slot: Slot, event: Extract<WakeEvent, { readonly type: 'completed' }>): void {
  const used = readUsage(event);
  if (!isNoUsage(used)) progress(step, { ...slot, status: 'reporting' }, { used });
}

type Failed = Extract<WakeEvent, { readonly type: 'failed' }>;

function onSpawnFailed(step: StepContext, slot: Slot & { readonly run: SlotRun }, event: Omit<Failed, 'type' | 'phase'>): void {
  // A run with a process was spawned, even if the runner now reports otherwise; and a stop only needs the end of the run.
  const wasSpawned = step.liveSlot(slot).attached && slot.run.process !== null;
  if (slot.stop !== null || slot.status === 'reporting' || wasSpawned) return endRun(step, slot, UNKNOWN_END);
  const { wakeError, failure } = step.liveSlot(slot);
  if (failure !== null) return endRun(step, slot, UNKNOWN_END);
  // If only the answer of a call was lost, the agent may have been woken: then it is left alone, or the same assignment is retried first.
  const isOutage = event.kind === 'model_unavailable' && event.retryable;
  if (isOutage && hasStarted(slot)) {
    step.log('warn', 'the call to wake the agent failed, but the agent has started', {
      task_id: slot.taskId,
      generation: slot.generation,
      error: event.message,
    });
    return onWoken(step, slot);
  }
  step.patchLive(slot, { following: false, attached: false });
  if (isAgentFault(event.kind ?? null) && !isOutage) return releaseUnspent(step, { ...slot, run: null }, event);
  // The task exceeds the program's limits, or the program refuses it; neither says anything about this machine.
  if (event.kind === 'limit' || (event.kind === 'agent_failed' && !event.retryable)) {
    const { kind: cause, message: error, retryable, details } = event;
    return reportFailure(step, { ...slot, run: null }, { kind: 'agent_failed', cause, error, retryable, details });
  }
  const inability = isOutage ? inabilityOf(step, event) : undefined;
  const { retryable, details } = event;
  wakeFailed(step, { ...slot, run: null }, { message: wakeError ?? event.message, retryable, details, inability });
}

function onAgentFailed(step: StepContext, slot: Slot, event: Omit<Failed, 'type' | 'phase'>): void {
  if (slot.status === 'reporting' || slot.stop !== null) return;
  const { message, retryable, retryAfterMs, details, kind: cause } = event;
  // A fault of the agent's environment says nothing about the task.
  if (isAgentFault(cause ?? null) && step.liveSlot(slot).failure === null) return releaseUnspent(step, slot, event);
  const kind = cause === 'unresponsive' ? 'silent' : 'agent_failed';
  failUnlessResult(step, slot, { kind, error: message, retryable, cause, retryAfterMs: retryDelayMs(retryAfterMs), details });
}

/**
 * The agent cannot work at present. The task is released without using up a retry once its run is known to be gone,
 * and the hub assigns this agent nothing for as long as the report asks. Work already begun continues in its session if the
 * runner can resume it.
 */
function releaseUnspent(step: StepContext, slot: Slot, event: Omit<Failed, 'type' | 'phase'>): void {
  const { kind = 'agent_failed', message } = event;
  step.log('warn', 'the agent cannot work at present', { task_id: slot.taskId, generation: slot.generation, cause: kind, error: message });
  beginStop(step, slot, { ...stopFor('released', reasonText(message)), inability: inabilityOf(step, event, slot.run !== null) });
  requestChecks(step);
}

function inabilityOf(
  step: StepContext,
  { kind = 'agent_failed', retryAfterMs, beforeWork }: Omit<Failed, 'type' | 'phase'>,
  mayHaveWorked = false,
): SlotInability {
  const waitMs = retryDelayMs(retryAfterMs);
  const afterWork = mayHaveWorked && beforeWork !== true ? { afterWork: true } : {};
  return { cause: kind, retryAtMs: waitMs === undefined ? null : step.nowMs + waitMs, ...afterWork };
}

/** Clamped to what a frame can carry. */
const retryDelayMs = (ms: number | undefined): number | undefined =>
  ms === undefined || !Number.isFinite(ms) ? undefined : Math.min(RETRY_AFTER_MS_MAX, Math.max(1, Math.ceil(ms)));

/**
 * The runner's stream is over. If the run's end was reported, there is nothing to do. Otherwise a woken agent is on its
 * own, and any other run counts as ended in an unknown way.
 */
export function onWakeStreamEnded(
  step: StepContext,
  input: { readonly assignment: AssignmentId; readonly runId: string; readonly error: string | null },
): void {
  const slot = slotOfRun(step, input.assignment, input.runId);
  if (slot === null) return;
  const { attached, handedOver } = step.liveSlot(slot);
  step.patchLive(slot, { following: false });
  if (input.error !== null) return onRunnerThrew(step, slot, input.error);
  if (!slot.run.woken || (attached && !handedOver)) return endRun(step, slot, UNKNOWN_END);
  const detached: Slot = { ...slot, run: { ...slot.run, detached: true } };
  step.putSlot(detached);
  if (slot.stop !== null) stopRun(step, detached);
  else resetSilenceTimer(step, detached);
}

/**
 * The runner may have started something before it threw: processes with this run id are found and stopped before the next
 * attempt.
 */
function stopUnspawned(step: StepContext, slot: Slot & { readonly run: SlotRun }, error: string): void {
  step.patchLive(slot, { wakeError: error });
  stopRun(step, slot);
}

function onRunnerThrew(step: StepContext, slot: Slot & { readonly run: SlotRun }, error: string): void {
  step.log('error', 'the wake runner threw', { task_id: slot.taskId, generation: slot.generation, error });
  if (step.liveSlot(slot).attached || slot.stop !== null) return attachLater(step, slot, error);
  if (slot.run.process === null) return stopUnspawned(step, slot, error);
  onAgentFailed(step, slot, { message: `the wake runner failed: ${error}`, retryable: true });
  // Nothing follows its process any more, so stop it now, without the grace period.
  const reporting = step.slot(assignmentIdOf(slot));
  if (reporting !== undefined) stopRun(step, reporting);
}
