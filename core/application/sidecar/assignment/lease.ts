/** Signs of life, lease renewal and progress frames. */
import { hasStarted, runLeftByHubMs, runLeftMs, type AssignmentId, type Slot } from '../../../domain/assignment/slot.ts';
import { PROGRESS_EVERY_MS } from '../../../config/times.ts';
import { CLOCK_GRACE_MS } from '../state/constants.ts';
import { reasonText } from '../report/report-frames.ts';
import { maxUsage, isNoUsage, usageFields, type Usage } from '../../../domain/usage.ts';
import { frameIds, type ProgressFields } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';

/** Starts the timers that every assignment needs until its end is reported. */
export function startAssignmentTimers(step: StepContext, slot: Slot): void {
  step.startTimerOf(slot, 'lease', renewEveryMs(step));
  const leftMs = runLeftMs(slot, step.nowMs);
  if (leftMs !== null) step.startTimerOf(slot, 'run_max', leftMs);
}

/**
 * After a start, the local clock alone must not time out runs: it may have been moved forward while the sidecar was
 * down.
 */
export function restartAssignmentTimers(step: StepContext, slot: Slot): void {
  startAssignmentTimers(step, slot);
  const leftMs = runLeftMs(slot, step.nowMs);
  if (leftMs === null || leftMs >= CLOCK_GRACE_MS) return;
  step.patchLive(slot, { ageUnknown: true });
  step.startTimerOf(slot, 'run_max', CLOCK_GRACE_MS);
}

/** With the hub's time known, a run times out only if it is overdue by both clocks. */
export function resolveRunAges(step: StepContext, hubMs: number): void {
  for (const slot of step.state.journal.slots) {
    if (!step.liveSlot(slot).ageUnknown) continue;
    step.patchLive(slot, { ageUnknown: false });
    if (slot.status === 'reporting' || slot.stop !== null) continue;
    const [byThis, byHub] = [runLeftMs(slot, step.nowMs), runLeftByHubMs(slot, hubMs)];
    if (byThis !== null && byHub !== null) step.startTimerOf(slot, 'run_max', Math.max(byThis, byHub));
  }
}

const renewEveryMs = (step: StepContext): number => Math.max(1, Math.floor(step.state.link.policy.lease_ms / 3));

/**
 * Renews from acceptance until the end is reported; from then on the repeated report keeps the assignment alive. Runs
 * without signs of life are stopped before they get here.
 */
export function onLeaseTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot === undefined || slot.status === 'reporting' || slot.stop !== null) return;
  renew(step, slot);
}

export function renew(step: StepContext, slot: Slot): void {
  step.sendRefusable(slot, { type: 'task_progress', ...frameIds(slot) });
  step.startTimerOf(slot, 'lease', renewEveryMs(step));
}

/**
 * How long the agent may be silent; null if a living process is enough. `idleMs` if the runner follows its output,
 * `silenceMs` if only files can show signs of life: it polls, it is detached, or it has started although its wake failed.
 */
function silenceAllowedMs(step: StepContext, slot: Slot): number | null {
  const { idleMs, silenceMs } = step.settings.timing;
  if (slot.run === null) return hasStarted(slot) ? silenceMs : null;
  if (slot.run.detached) return silenceMs;
  return slot.run.woken || idleMs === Infinity ? null : idleMs;
}

/** There was a sign of life, or the applicable timeout changed. */
export function resetSilenceTimer(step: StepContext, slot: Slot): void {
  if (slot.status === 'reporting' || slot.stop !== null) return;
  const allowedMs = silenceAllowedMs(step, slot);
  if (allowedMs === null) step.cancelTimersOf(slot, ['silence']);
  else step.startTimerOf(slot, 'silence', allowedMs);
}

/** The agent has started. Returns the updated slot. */
export function confirmStarted(step: StepContext, slot: Slot): Slot {
  reportWake(step, slot);
  if (hasStarted(slot) || slot.stop !== null) return slot;
  const working: Slot = { ...slot, status: 'working' };
  step.putSlot(working);
  step.cancelTimersOf(slot, ['confirm', 'pickup']);
  step.log('info', 'the agent started', { task_id: slot.taskId, generation: slot.generation });
  return working;
}

/** Reports a successful wake for the task's history: once per run, as soon as the link is identified. */
export function reportWake(step: StepContext, slot: Slot): void {
  if (step.settings.inProcess || step.liveSlot(slot).wakeReported || slot.status === 'reporting' || step.state.link.phase !== 'identified')
    return;
  step.patchLive(slot, { wakeReported: true });
  step.sendRefusable(slot, { type: 'wake_result', ...frameIds(slot), status: 'success', attempt: slot.wakes });
}

export interface Progress {
  readonly percent?: number | null | undefined;
  readonly message?: string | null | undefined;
  /** Of the current run. */
  readonly used?: Usage | undefined;
  readonly sessionId?: string | undefined;
}

/** Sends progress at most once a second; fields that arrive in between are merged, and newer ones win. */
export function progress(step: StepContext, slot: Slot, reported: Progress): void {
  const live = step.liveSlot(slot);
  if (reported.used !== undefined) step.patchLive(slot, { used: maxUsage(live.used, reported.used) });
  // The hub gets the usage of the whole attempt.
  const used = reported.used === undefined || isNoUsage(reported.used) ? {} : usageFields(attemptUsage(step, slot));
  const fields: ProgressFields = { ...live.progress, ...progressFields(reported), ...used };
  if (slot.status === 'reporting' || slot.stop !== null || Object.keys(fields).length === 0) return;
  if (live.progressThrottled) step.patchLive(slot, { progress: fields });
  else sendProgress(step, slot, fields);
}

function sendProgress(step: StepContext, slot: Slot, fields: ProgressFields): void {
  step.sendRefusable(slot, { type: 'task_progress', ...frameIds(slot), ...fields });
  step.patchLive(slot, { progress: null, progressThrottled: true });
  step.startTimerOf(slot, 'progress', PROGRESS_EVERY_MS);
}

export function onProgressTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot === undefined) return;
  const { progress: waiting } = step.liveSlot(slot);
  if (waiting === null || slot.status === 'reporting' || slot.stop !== null)
    step.patchLive(slot, { progress: null, progressThrottled: false });
  else sendProgress(step, slot, waiting);
}

function progressFields(reported: Progress): ProgressFields {
  const { percent, message, sessionId } = reported;
  return {
    ...(typeof percent === 'number' && Number.isFinite(percent) ? { percent: Math.min(100, Math.max(0, percent)) } : {}),
    ...(typeof message === 'string' ? { message: reasonText(message) } : {}),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
  };
}
