/** How a task ended, in one line. */
import type { TaskDetail, TaskJson } from '../../client/index.ts';
import { duration } from './time-text.ts';

/** `1 of 4`: attempts that failed or were lost, of those that the task may take. */
export const failedAttempts = ({ retry_count: failed, max_retries: retries }: Pick<TaskJson, 'retry_count' | 'max_retries'>): string =>
  `${failed} of ${retries + 1}`;

export function taskOutcome(task: TaskDetail): string {
  const took = `after ${duration(task.updated_at - task.created_at)}`;
  const tokens = task.tokens_used === null ? '' : `, ${task.tokens_used} tokens`;
  const cost = task.cost_usd === null || task.cost_usd === undefined ? '' : `, ${task.cost_usd} USD`;
  switch (task.status) {
    case 'completed':
      return `${task.id} completed by ${task.assigned_to ?? 'an agent'} ${took}${tokens}${cost}`;
    case 'cancelled':
      return `${task.id} was cancelled ${took}${stillRuns(task)}`;
    case 'dead_letter':
      return `${task.id} was dead-lettered ${took}: ${task.last_error ?? 'no reason given'}`;
    default:
      return `${task.id} is ${task.status}`;
  }
}

/** Continues a sentence about a cancelled task: that its agent may still be running; empty if it is not. */
export const stillRuns = ({ waiting_for: waiting }: Pick<TaskDetail, 'waiting_for'>): string =>
  waiting === null ? '' : `; ${waiting.message.replace(/\.$/, '')}`;

/** The result's `output` if it has one; text unchanged, anything else as JSON. */
export function resultText(result: unknown): string {
  const output = typeof result === 'object' && result !== null && 'output' in result ? result.output : result;
  return typeof output === 'string' ? output : JSON.stringify(output, null, 2);
}

/** For a person who sees only the `output`: that its sidecar has truncated it; null if it is whole. */
export function truncationNote(result: unknown): string | null {
  const { output_truncated: isTruncated, output_bytes: bytes } = (result ?? {}) as {
    readonly output_truncated?: unknown;
    readonly output_bytes?: unknown;
  };
  if (isTruncated !== true) return null;
  return `The output is truncated: it had ${String(bytes)} bytes. The sidecar that ran it keeps all of it in results/ of its data directory, for up to 7 days.`;
}
