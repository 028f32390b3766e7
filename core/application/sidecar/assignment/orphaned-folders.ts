/** Folders that an earlier process had no time to remove: a kill amid a large removal would leave them there for ever. */
import { ENDED_KEPT_HOURS, recall } from '../../../domain/assignment/ended-assignments.ts';
import type { Assignment } from '../../../domain/assignment/slot.ts';
import type { FoundFolders } from '../../../ports/result-inbox.ts';
import type { Turn } from '../state/step-context.ts';

const HOUR_MS = 3_600_000;

/** An empty journal knows nothing, perhaps since somebody has taken it away: then what lies there is left to that person. */
export function findLeftovers(turn: Turn): void {
  const { slots, outbox, ended } = turn.state.journal;
  if (slots.length + outbox.length + ended.length > 0) turn.outwardly({ type: 'findFolders' });
}

/** Removes those of an assignment that has ended and keeps nothing. */
export function onFoldersFound(turn: Turn, { name, changedAtMs }: FoundFolders): void {
  if (turn.slot(name) !== undefined || turn.report(name) !== undefined || !isOver(turn, name, changedAtMs)) return;
  turn.log('info', 'removing what an earlier process left of an assignment', { task_id: name.taskId, generation: name.generation });
  turn.durably({ type: 'removeFiles', name });
}

/** Of one that nobody knows, as after an older journal was put back, a result may wait to be seen: it has as long as the memory lasts. */
function isOver(turn: Turn, name: Assignment, changedAtMs: number | null): boolean {
  const known = recall(turn.state.journal.ended, name.taskId);
  if (known !== undefined && known.generation >= name.generation) return known.generation > name.generation || !known.filesKept;
  return changedAtMs !== null && turn.nowMs - changedAtMs > ENDED_KEPT_HOURS * HOUR_MS;
}
