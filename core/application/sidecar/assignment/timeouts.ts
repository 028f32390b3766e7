/** Stops agents that exceed a timeout. */
import { stopFor, type AssignmentId, type StopCause } from '../../../domain/assignment/slot.ts';
import { beginStop } from './end-of-run.ts';
import { frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

const SILENT =
  'the agent showed no sign of life for too long and was stopped. If it may work that long in silence, raise timing.idleMs, or timing.silenceMs if it reports through files.';

/** Woken but not started. */
export function onConfirmTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot?.status !== 'waking_confirmation' || slot.run === null) return;
  const withinMs = step.settings.timing.confirmWithinMs;
  const hint = 'Make it write <task_id>.started when it begins, or raise timing.confirmWithinMs.';
  stopUnconfirmed(step, assignment, `the agent was woken but did not start within ${withinMs} ms. ${hint}`);
}

/** Published but not taken. */
export function onPickupTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot?.status !== 'waking_confirmation' || slot.run !== null) return;
  const withinMs = step.settings.timing.pickupWithinMs;
  stopUnconfirmed(
    step,
    assignment,
    `no agent took the task within ${withinMs} ms. Start the agent that polls for it, or raise timing.pickupWithinMs.`,
  );
}

function stopUnconfirmed(step: StepContext, assignment: AssignmentId, reason: string): void {
  const slot = step.slot(assignment);
  if (slot === undefined || slot.stop !== null) return;
  step.sendRefusable(slot, { type: 'wake_result', ...frameIds(slot), status: 'timeout', attempt: slot.wakes, reason });
  beginStop(step, slot, stopFor('confirmation_timeout', reason));
}

export function onSilenceTimer(step: StepContext, assignment: AssignmentId): void {
  stopOverdue(step, assignment, 'silent', SILENT);
}

export function onRunMaxTimer(step: StepContext, assignment: AssignmentId): void {
  const withinMs = step.slot(assignment)?.runMaxMs ?? 0;
  stopOverdue(
    step,
    assignment,
    'execution_timeout',
    `the task was not finished within ${withinMs} ms of acceptance. Submit it with a larger run_max_ms.`,
  );
}

function stopOverdue(step: StepContext, assignment: AssignmentId, cause: StopCause, reason: string): void {
  const slot = step.slot(assignment);
  if (slot !== undefined && slot.status !== 'reporting') beginStop(step, slot, stopFor(cause, reason));
}
