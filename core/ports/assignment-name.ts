/** An assignment as text, for the names of its files and folders: `<task_id>.g<generation>`. */
import { AgentcomError } from '../errors/agentcom-error.ts';
import { isGeneration, isTaskId } from '../domain/ids.ts';
import type { AssignmentId } from '../domain/assignment/slot.ts';

const NAME = /^(.+)\.g(0|[1-9][0-9]{0,15})$/;

/** Every path of an assignment is built from this text. Throws `AC_INTERNAL` for an invalid id, because it could contain a path. */
export function assignmentText({ taskId, generation }: AssignmentId): string {
  if (isTaskId(taskId) && isGeneration(generation)) return `${taskId}.g${generation}`;
  throw new AgentcomError('AC_INTERNAL', 'Cannot name the files of an assignment: its task id or generation is not valid.', {
    details: { taskId, generation },
  });
}

/** The inverse of `assignmentText`; null if the text names no assignment. */
export function readAssignmentText(text: string): AssignmentId | null {
  const [, taskId, digits] = NAME.exec(text) ?? [];
  const generation = Number(digits);
  return isTaskId(taskId) && isGeneration(generation) ? { taskId, generation } : null;
}
