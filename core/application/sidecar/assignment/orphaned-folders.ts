/** Removes folders that an earlier process could not, for example because it was killed during a large removal. */
import { ENDED_KEPT_HOURS, recall } from '../../../domain/assignment/ended-assignments.ts';
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import type { FoundFolders } from '../../../ports/result-inbox.ts';
import type { StepContext } from '../state/step-context.ts';

const HOUR_MS = 3_600_000;

/**
 * With an empty journal nothing is known to be orphaned; an operator may have removed the journal, so the folders stay.
 */
export function findOrphanedFolders(step: StepContext): void {
  const { slots, outbox, ended } = step.state.journal;
  if (slots.length + outbox.length + ended.length > 0) step.afterPersist({ type: 'findFolders' });
}

/** Removes the folders of an assignment that has ended and keeps no files. */
export function onFoldersFound(step: StepContext, { assignment, changedAtMs }: FoundFolders): void {
  if (step.slot(assignment) !== undefined || step.findReport(assignment) !== undefined || !isOver(step, assignment, changedAtMs)) return;
  step.log('info', 'removing orphaned files of an assignment', { task_id: assignment.taskId, generation: assignment.generation });
  step.removeFiles(assignment);
}

/**
 * An unknown assignment, for example after restoring an older journal, may have an unreported result: it is kept as
 * long as ended assignments are remembered.
 */
function isOver(step: StepContext, assignment: AssignmentId, changedAtMs: number | null): boolean {
  const known = recall(step.state.journal.ended, assignment.taskId);
  if (known !== undefined && known.generation >= assignment.generation) return known.generation > assignment.generation || !known.filesKept;
  return changedAtMs !== null && step.nowMs - changedAtMs > ENDED_KEPT_HOURS * HOUR_MS;
}
