/** Wakes agents when slots are free, retries failed wakes, and attaches to runs of an earlier process. */
import {
  assignmentIdOf,
  assignmentKey,
  hasStarted,
  stopFor,
  type AssignmentId,
  type Slot,
  type SlotInability,
  type SlotRun,
} from '../../../domain/assignment/slot.ts';
import { wakeableSlots } from '../../../domain/assignment/wakeable-slots.ts';
import type { PreparedRun } from '../../../ports/result-inbox.ts';
import type { WakeRequest } from '../../../ports/wake-runner.ts';
import { ATTACH_RETRY_MS } from '../state/constants.ts';
import { abortReasonOf, type AbortReason } from '../state/effects.ts';
import { prepare, watch } from './folder-work.ts';
import { resetSilenceTimer } from './lease.ts';
import { reasonText } from '../report/report-frames.ts';
import { reportFailure, reportRelease } from './finish-assignment.ts';
import { frameIds, NO_OUTPUT } from '../state/state.ts';
import { isNoUsage, NO_USAGE } from '../../../domain/usage.ts';
import type { StepContext } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';

/** After every input: prepares every assignment that may be woken now, or wakes it at once if there is nothing to prepare. */
export function wakeReady(step: StepContext): void {
  if (step.state.phase !== 'running') return;
  for (const slot of wakeableSlots(step.state.journal.slots, step.settings.slots)) {
    if (step.settings.inProcess) wake(step, slot, { paths: NO_PATHS, runId: `run-${assignmentKey(slot)}.w${slot.wakes + 1}` });
    else if (!step.liveSlot(slot).preparing) prepare(step, slot);
  }
}

/** A function has no folders. */
const NO_PATHS: PreparedRun = { resultsDir: '', taskFile: '', runDir: '' };

/**
 * The folders exist: attaches, or wakes or publishes if that is still to be done. Since they were requested, the sidecar may have begun
 * to stop, or the agent may have started.
 */
export function onPrepared(
  step: StepContext,
  input: { readonly assignment: AssignmentId; readonly paths: PreparedRun; readonly runId: string },
): void {
  const slot = step.slot(input.assignment);
  if (slot === undefined || !step.liveSlot(slot).preparing) return;
  step.patchLive(slot, { preparing: false, paths: input.paths });
  if (slot.run !== null) return attach(step, slot, slot.run, input.paths);
  const isUnwoken = slot.status === 'accepted' || slot.status === 'waking';
  if (!isUnwoken || slot.stop !== null || step.state.phase !== 'running') return;
  if (step.agentPolls) publish(step, slot, input.paths);
  else wake(step, slot, input);
}

function wake(step: StepContext, slot: Slot, input: { readonly paths: PreparedRun; readonly runId: string }): void {
  const run: SlotRun = { runId: input.runId, startedAtMs: step.nowMs, process: null, woken: false, detached: false };
  const status = step.settings.inProcess ? 'working' : 'waking';
  const waking: Slot = { ...slot, status, wakes: slot.wakes + 1, run, expectedSinceMs: slot.expectedSinceMs ?? step.nowMs };
  step.putSlot(waking);
  step.patchLive(slot, { following: true, attached: false, end: null, wakeError: null, wakeReported: false, lastOutput: NO_OUTPUT });
  if (slot.expectedSinceMs === null && !step.settings.inProcess) watch(step, slot);
  step.afterPersist({ type: 'wake', request: requestFor(step, waking, run, input.paths) });
  resetSilenceTimer(step, waking);
}

/** Publishes the task for a polling agent. */
function publish(step: StepContext, slot: Slot, paths: PreparedRun): void {
  const sinceMs = slot.expectedSinceMs ?? step.nowMs;
  step.putSlot({ ...slot, status: 'waking_confirmation', wakes: slot.wakes + 1, expectedSinceMs: sinceMs });
  if (slot.expectedSinceMs === null) watch(step, slot);
  step.afterPersist({ type: 'publish', assignment: assignmentIdOf(slot), task: { ...slot.task, results_dir: paths.resultsDir } });
  step.startTimerOf(slot, 'pickup', step.settings.timing.pickupWithinMs);
}

/**
 * Attaches to a run that nothing follows: to follow it to its end or, if it is unwanted or cannot be adopted, to stop
 * it.
 */
function attach(step: StepContext, slot: Slot, run: SlotRun, paths: PreparedRun): void {
  const { following, end, wakeError, failure } = step.liveSlot(slot);
  const { runner } = step.settings;
  if (following || end !== null || runner === null) return;
  const isUnwanted = slot.stop !== null || slot.status === 'reporting' || failure !== null;
  const notAdoptable = runner.adoptable ? null : { reason: 'its runner cannot adopt runs' };
  const notSpawned = wakeError === null ? null : { reason: 'its runner threw before it reported a process' };
  attachTo(step, slot, { run, paths, stop: isUnwanted ? abortReasonOf(slot) : (notAdoptable ?? notSpawned) });
}

/** With `stop`, to stop it. */
export function attachTo(
  step: StepContext,
  slot: Slot,
  { run, paths, stop }: { readonly run: SlotRun; readonly paths: PreparedRun; readonly stop: AbortReason | null },
): void {
  step.patchLive(slot, { following: true, attached: true, handedOver: false });
  step.log('info', stop === null ? 'attaching to a run' : 'attaching to a run to stop it', {
    task_id: slot.taskId,
    generation: slot.generation,
  });
  step.afterPersist({ type: 'attach', run: { ...requestFor(step, slot, run, paths), process: run.process }, stop });
}

function requestFor(step: StepContext, slot: Slot, run: SlotRun, paths: PreparedRun): WakeRequest {
  const { taskId, generation, task, sessionId } = slot;
  const { resultsDir, taskFile, runDir } = paths;
  const request: WakeRequest = { taskId, generation, agentId: step.settings.agentId, runId: run.runId, task, resultsDir, taskFile, runDir };
  return sessionId === undefined ? request : { ...request, session: sessionId };
}

export function onPrepareFailed(
  step: StepContext,
  input: { readonly assignment: AssignmentId; readonly paths: PreparedRun; readonly message: string },
): void {
  const slot = step.slot(input.assignment);
  if (slot === undefined) return;
  step.patchLive(slot, { preparing: false });
  if (slot.run !== null) return attachAnyway(step, slot, slot.run, input);
  if (slot.stop !== null || hasStarted(slot)) return;
  // A published task was counted when it was published.
  const wakes = slot.status === 'waking_confirmation' ? slot.wakes : slot.wakes + 1;
  wakeFailed(step, { ...slot, wakes }, { message: input.message, retryable: true });
}

/** Its agent may have damaged its folders, or the disk is full; neither justifies abandoning a run. */
function attachAnyway(step: StepContext, slot: Slot, run: SlotRun, input: { readonly paths: PreparedRun; readonly message: string }): void {
  const fields = { task_id: slot.taskId, generation: slot.generation, error: input.message };
  step.log('warn', 'cannot recreate the folders of a run; attaching to it anyway', fields);
  step.patchLive(slot, { paths: input.paths });
  attach(step, slot, run, input.paths);
}

/** A run that cannot be followed may be alive: its slot is kept, and the runner is called again. */
export function attachLater(step: StepContext, slot: Slot, message: string): void {
  step.log('error', 'cannot attach to a run; trying again', {
    task_id: slot.taskId,
    generation: slot.generation,
    error: message,
    retry_ms: ATTACH_RETRY_MS,
  });
  step.startTimerOf(slot, 'retry', ATTACH_RETRY_MS);
}

export interface WakeFailure {
  readonly message: string;
  /** False: retrying is pointless. */
  readonly retryable: boolean;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /**
   * The waking service is unavailable, which says nothing about the task: it is released once the retries are used up.
   */
  readonly inability?: SlotInability | undefined;
}

/** The wake failed and nothing that it started is alive. `slot` has no run any more. */
export function wakeFailed(step: StepContext, slot: Slot, failure: WakeFailure): void {
  const { wakeRetriesMs } = step.settings.timing;
  const error = reasonText(failure.message);
  step.sendRefusable(slot, { type: 'wake_result', ...frameIds(slot), status: 'failed', attempt: slot.wakes, error });
  step.log('warn', 'could not wake the agent', { task_id: slot.taskId, generation: slot.generation, attempt: slot.wakes, error });
  const used = attemptUsage(step, slot);
  const gone: Slot = { ...slot, run: null, ...(isNoUsage(used) ? {} : { spent: used }) };
  step.patchLive(slot, { used: NO_USAGE });
  if (!failure.retryable) return reportFailure(step, gone, { kind: 'wake_failed', error, details: failure.details });
  const delayMs = wakeRetriesMs[slot.wakes - 1];
  if (delayMs === undefined && failure.inability !== undefined) {
    return reportRelease(step, { ...gone, stop: { ...stopFor('released', error), inability: failure.inability } }, error);
  }
  if (delayMs === undefined) {
    const details = { ...failure.details, attempts: slot.wakes, last_message: error };
    return reportFailure(step, gone, {
      kind: 'wake_failed',
      error: reasonText(`all ${slot.wakes} attempts to wake the agent failed: ${error}`),
      details,
    });
  }
  step.putSlot({ ...gone, status: 'waking' });
  step.patchLive(slot, { following: false, end: null, wakeError: null, wakeReported: false });
  step.cancelTimersOf(slot, ['confirm', 'pickup', 'silence']);
  step.startTimerOf(slot, 'retry', delayMs);
}

/** Retries a wake, or an attach. */
export function onRetryTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot === undefined || step.liveSlot(slot).preparing || step.liveSlot(slot).following) return;
  const isWaiting = slot.run === null && slot.status === 'waking' && slot.stop === null && step.state.phase === 'running';
  if (isWaiting || (slot.run !== null && step.liveSlot(slot).end === null)) prepare(step, slot);
}
