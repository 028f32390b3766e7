/** What a list keeps of a task, without its metadata, its result and the end of a long description, so that thousands fit in memory. */
import type { TaskJson } from '../../client/types.ts';
import { startOf } from '../parts/untrusted-text.tsx';

export type TaskStatus = TaskJson['status'];

export interface TaskRow {
  readonly id: string;
  readonly text: string;
  readonly status: TaskStatus;
  readonly isRunning: boolean;
  readonly priority: TaskJson['priority'];
  readonly agentId: string | null;
  readonly assignTo: string | null;
  readonly needs: readonly string[];
  readonly error: string | null;
  readonly retries: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

const TEXT_CHARACTERS = 200;
const ERROR_CHARACTERS = 300;

export const taskRow = (task: TaskJson): TaskRow => ({
  id: task.id,
  text: startOf(task.description, TEXT_CHARACTERS),
  status: task.status,
  isRunning: task.accepted_at !== null,
  priority: task.priority,
  agentId: task.assigned_to,
  assignTo: task.assign_to,
  needs: task.needed_capabilities,
  error: task.last_error === null ? null : startOf(task.last_error, ERROR_CHARACTERS),
  retries: task.retry_count,
  createdAtMs: task.created_at,
  updatedAtMs: task.updated_at,
});
