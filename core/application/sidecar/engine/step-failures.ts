/** Handles inputs whose step threw: the affected assignment fails with the error, everything else continues. */
import { assignmentIdOf, type Slot } from '../../../domain/assignment/slot.ts';
import { assignmentOf } from '../state/input-subject.ts';
import { STEP_RETRY_MS } from '../state/constants.ts';
import { stopRun } from '../assignment/end-of-run.ts';
import type { SidecarInput } from '../state/inputs.ts';
import type { Failure } from '../state/failure.ts';
import { reasonText } from '../report/report-frames.ts';
import { reportFailure } from '../assignment/finish-assignment.ts';
import { frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** Fails the assignment and stops its run now; nothing could resume it. */
export function failAndStop(step: StepContext, slot: Slot, failure: Failure): void {
  reportFailure(step, slot, { ...failure, keepFiles: true, keepStreams: true });
  const reporting = step.slot(assignmentIdOf(slot));
  if (reporting !== undefined) stopRun(step, reporting);
}

/** The step for `input` threw. */
export function onStepFailed(step: StepContext, { input, message }: { readonly input: SidecarInput; readonly message: string }): void {
  if (input.type === 'timer' && !('assignment' in input.timer)) step.startTimer(input.timer.purpose, STEP_RETRY_MS);
  const assignment = assignmentOf(input);
  const slot = assignment === null ? undefined : step.slot(assignment);
  if (slot === undefined) return rejectOffer(step, input, message);
  if (slot.status === 'reporting' || slot.stop !== null) return;
  failAndStop(step, slot, { kind: 'agent_failed', error: `the sidecar failed to process an event of this run: ${message}` });
}

/** Reject an offer that cannot be processed, so that the hub need not wait for a timeout. */
function rejectOffer(step: StepContext, input: SidecarInput, message: string): void {
  if (input.type !== 'frame' || input.frame.type !== 'task_assign') return;
  const assignment = assignmentOf(input);
  if (assignment === null) return;
  step.send({ type: 'task_rejected', ...frameIds(assignment), reason: reasonText(`cannot be accepted: ${message}`) });
}
