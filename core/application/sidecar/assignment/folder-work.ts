/** Asynchronous work on an assignment's folders. */
import { recall } from '../../../domain/assignment/ended-assignments.ts';
import { assignmentIdOf, type Slot } from '../../../domain/assignment/slot.ts';
import type { StepContext } from '../state/step-context.ts';

/** Creates its folders and task file. `onPrepared` decides what to do then, from the state at that time. */
export function prepare(step: StepContext, slot: Slot): void {
  step.patchLive(slot, { preparing: true });
  step.afterPersist({ type: 'prepare', assignment: assignmentIdOf(slot), task: slot.task });
}

/** Watches its files. While an earlier run of the task may be alive, flat file names must include their generation. */
export function watch(step: StepContext, slot: Slot): void {
  const { outbox, ended } = step.state.journal;
  const mayLive =
    recall(ended, slot.taskId)?.mayLive === true || outbox.some((entry) => entry.taskId === slot.taskId && entry.mayLive === true);
  step.afterPersist({ type: 'watch', assignment: assignmentIdOf(slot), flat: mayLive ? 'named' : 'all' });
}

/** Scans its folder; only the newest scan counts. */
export function scan(step: StepContext, slot: Slot): void {
  const number = step.liveSlot(slot).scan + 1;
  step.patchLive(slot, { scan: number });
  step.afterPersist({ type: 'scan', assignment: assignmentIdOf(slot), scan: number });
}
