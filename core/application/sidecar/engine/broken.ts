/** What could not be taken in. It ends the run that it is about, with its reason, and nothing else. */
import { nameOf, type Slot } from '../../../domain/assignment/slot.ts';
import { assignmentOf } from '../state/input-subject.ts';
import { STEP_AGAIN_MS } from '../state/bounds.ts';
import { stopRun } from '../assignment/end-of-run.ts';
import type { Event } from '../state/inputs.ts';
import type { Failure } from '../state/failure.ts';
import { reasonText } from '../report/report-frames.ts';
import { fail } from '../assignment/finish-assignment.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** Reports its end, and stops what lives of it at once: nobody can go on with it. */
export function endBroken(turn: Turn, slot: Slot, failure: Failure): void {
  fail(turn, slot, { ...failure, keepFiles: true, keepStreams: true });
  const settled = turn.slot(nameOf(slot));
  if (settled !== undefined) stopRun(turn, settled);
}

/** A rule of ours threw while it took `during`. */
export function onStepFailed(turn: Turn, input: { readonly during: Event; readonly message: string }): void {
  const { during, message } = input;
  if (during.type === 'timer' && !('name' in during.timer)) turn.startTimer(during.timer.purpose, STEP_AGAIN_MS);
  const name = assignmentOf(during);
  const slot = name === null ? undefined : turn.slot(name);
  if (slot === undefined) return refuseOffer(turn, during, message);
  if (slot.status === 'reporting' || slot.stop !== null) return;
  endBroken(turn, slot, { kind: 'agent_failed', error: `the sidecar could not take in what it was told of this run: ${message}` });
}

/** A task that cannot be taken is not left to wait for an answer. */
function refuseOffer(turn: Turn, during: Event, message: string): void {
  if (during.type !== 'frame' || during.frame.type !== 'task_assign') return;
  const name = assignmentOf(during);
  if (name !== null) turn.send({ type: 'task_rejected', ...frameName(name), reason: reasonText(`cannot be taken: ${message}`) });
}
