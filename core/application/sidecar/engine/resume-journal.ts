/** The start input: resumes everything in the journal and connects to the hub. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { assignmentIdOf, wasWoken, type Slot } from '../../../domain/assignment/slot.ts';
import { ATTACH_RETRY_MS, CLOCK_GRACE_MS } from '../state/constants.ts';
import { failAndStop } from './step-failures.ts';
import { requestChecks } from '../health/checks.ts';
import { prepare, scan, watch } from '../assignment/folder-work.ts';
import { findOrphanedFolders } from '../assignment/orphaned-folders.ts';
import { restartAssignmentTimers, resetSilenceTimer } from '../assignment/lease.ts';
import { connect } from '../link/link.ts';
import { stopRun } from '../assignment/end-of-run.ts';
import { freeSlot } from '../assignment/finish-assignment.ts';
import type { StepContext } from '../state/step-context.ts';

export function onStart(step: StepContext): void {
  if (step.state.phase !== 'new') return;
  step.state = { ...step.state, phase: 'running' };
  if (step.agentPolls) step.log('info', 'no wake runner configured; the agent must poll tasks/');
  const { slots } = step.state.journal;
  step.afterPersist({ type: 'withdrawAllExcept', assignments: slots.filter((slot) => isPublished(step, slot)).map(assignmentIdOf) });
  findOrphanedFolders(step);
  for (const slot of slots) resumeOrFail(step, slot);
  step.startTimer('disk', 0);
  requestChecks(step);
  connect(step);
}

const isPublished = (step: StepContext, slot: Slot): boolean => step.agentPolls && slot.expectedSinceMs !== null && slot.stop === null;

/** An assignment that throws here would throw at every start, so only that assignment fails. */
function resumeOrFail(step: StepContext, slot: Slot): void {
  try {
    resume(step, slot);
  } catch (thrown) {
    const error = messageOf(thrown);
    step.log('error', 'could not resume an assignment', { task_id: slot.taskId, generation: slot.generation, error });
    if (slot.status !== 'reporting' && slot.stop === null)
      return failAndStop(step, slot, { kind: 'agent_failed', error: `the sidecar could not resume it after a restart: ${error}` });
    // Its end is known; only its run has to be found and stopped.
    step.startTimerOf(slot, 'retry', ATTACH_RETRY_MS);
  }
}

function resume(step: StepContext, slot: Slot): void {
  // The previous process reported the wake. If it died before doing so, that event is missing from the task's history.
  if (wasWoken(slot)) step.patchLive(slot, { wakeReported: true });
  if (slot.expectedSinceMs !== null) watch(step, slot);
  if (slot.status === 'reporting') return slot.run === null ? freeSlot(step, slot) : stopRun(step, slot);
  if (slot.stop !== null) return slot.run === null ? scan(step, slot) : stopRun(step, slot);
  restartAssignmentTimers(step, slot);
  if (slot.run !== null) return resumeRun(step, slot);
  if (slot.status === 'waking') {
    const { wakeRetriesMs } = step.settings.timing;
    return step.startTimerOf(slot, 'retry', wakeRetriesMs[slot.wakes - 1] ?? 0);
  }
  if (slot.status !== 'accepted') resumePublished(step, slot);
}

/**
 * A run of an earlier process: adopted, or stopped and reported as lost. Results written meanwhile are found by the
 * scan.
 */
function resumeRun(step: StepContext, slot: Slot): void {
  if (step.agentPolls) return stopRun(step, slot);
  if (!slot.run?.detached) prepare(step, slot);
  resetSilenceTimer(step, slot);
  if (slot.status === 'waking_confirmation') step.startTimerOf(slot, 'confirm', step.settings.timing.confirmWithinMs);
}

/**
 * The agent polls: it has taken the task or still may. The previous process may have died before writing the task file,
 * so the task is published again, which is a no-op if the file is there or was taken.
 */
function resumePublished(step: StepContext, slot: Slot): void {
  if (slot.status === 'working') return resetSilenceTimer(step, slot);
  step.afterPersist({ type: 'publish', assignment: assignmentIdOf(slot), task: slot.task });
  const { pickupWithinMs } = step.settings.timing;
  const leftMs = (slot.expectedSinceMs ?? step.nowMs) + pickupWithinMs - step.nowMs;
  step.startTimerOf(slot, 'pickup', Math.min(pickupWithinMs, Math.max(CLOCK_GRACE_MS, leftMs)));
}
