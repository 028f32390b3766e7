/** Submitting and pushing. Either all drafts of a command are inserted, or none. */
import type { TaskId } from '../../../domain/ids.ts';
import { decideSubmit } from '../../../domain/transitions/submitting.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Batch } from '../batch/batch.ts';
import type { PushAnswer, PushCommand, SubmitAnswer, SubmitCommand, SubmittedTask, TaskDraft } from '../batch/commands.ts';

export function handleSubmit(batch: Batch, command: SubmitCommand): SubmitAnswer {
  const { idempotency, submittedBy } = command;
  if (idempotency !== null) {
    const known = batch.keys.get({ owner: submittedBy, key: idempotency.key });
    if (known !== undefined) {
      if (known.digest !== idempotency.digest) return { kind: 'idempotency_mismatch' };
      const tasks = known.taskIds.map((id) => batch.taskSnapshot(id)).filter((task) => task !== undefined);
      return { kind: 'repeated', tasks: tasks.map(submitted) };
    }
  }
  const refusal = refusalOf(batch, command);
  if (refusal !== null) {
    if (idempotency !== null) batch.keys.requireLoaded();
    return refusal;
  }
  const tasks = command.drafts.map((draft) => insert(batch, draft, submittedBy));
  if (idempotency !== null) {
    batch.keys.add({ owner: submittedBy, ...idempotency, taskIds: tasks.map((task) => task.id), createdAtMs: batch.nowMs });
  }
  return { kind: 'submitted', tasks };
}

function refusalOf(batch: Batch, { drafts }: SubmitCommand): SubmitAnswer | null {
  for (let index = 0; index < drafts.length; index += 1) {
    const draft = drafts[index] as TaskDraft;
    if (draft.assignTo !== null && batch.agentSnapshot(draft.assignTo) === undefined)
      return { kind: 'unknown_agent', index, agentId: draft.assignTo };
    const { completeByMs } = draft;
    if (completeByMs !== null && completeByMs <= batch.nowMs)
      return { kind: 'complete_by_passed', index, completeByMs, nowMs: batch.nowMs };
    const unknown = draft.dependsOn.find((id) => batch.task(id) === undefined && !isMet(batch, id));
    if (unknown !== undefined) return { kind: 'unknown_task', index, taskId: unknown };
  }
  return null;
}

/** Answered after the dispatch of the same batch, which decides whether the agent had room. */
export function handlePush(batch: Batch, command: PushCommand, isConnected: boolean): () => PushAnswer {
  const { draft } = command;
  if (!isConnected) return () => ({ kind: 'agent_not_connected', agentId: draft.assignTo });
  insert(batch, draft, command.submittedBy);
  return () => ({ kind: batch.task(draft.id)?.status === 'assigned' ? 'pushed' : 'queued', taskId: draft.id });
}

/** Whether every dependency is completed. All of them were loaded with the batch. */
export const dependenciesMet = (batch: Batch, dependsOn: readonly TaskId[]): boolean => dependsOn.every((id) => isMet(batch, id));

const isMet = (batch: Batch, id: TaskId): boolean => batch.taskSnapshot(id)?.status === 'completed';

function insert(batch: Batch, draft: TaskDraft, submittedBy: string): SubmittedTask {
  const made = decideSubmit(draft, submittedBy, dependenciesMet(batch, draft.dependsOn), batch.nowMs);
  batch.insert(made, draft.body);
  return submitted(made.task);
}

const submitted = ({ id, status, priority, createdAtMs }: Pick<Task, keyof SubmittedTask>): SubmittedTask => ({
  id,
  status,
  priority,
  createdAtMs,
});
