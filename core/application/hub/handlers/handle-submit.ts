/** Submitting and pushing. Either all drafts of a command are inserted, or none. */
import type { TaskId } from '../../../domain/ids.ts';
import { decideSubmit, isSubmitOf } from '../../../domain/transitions/submitting.ts';
import { isNameInTime } from '../../../domain/task/idempotency-key.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Tombstone } from '../../../domain/task/tombstone.ts';
import { isSameContent } from '../../../protocol/task-body.ts';
import type { Batch } from '../batch/batch.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { Idempotency, PushAnswer, PushCommand, SubmitAnswer, SubmitCommand, SubmittedTask, TaskDraft } from '../batch/commands.ts';

/** Stored for a key whose submits are compared with what is stored. */
const NO_DIGEST = '';

export function handleSubmit(batch: Batch, command: SubmitCommand, { timing }: Pick<HubContext, 'timing'>): SubmitAnswer {
  const { idempotency, submittedBy, drafts } = command;
  const known = idempotency === null ? null : knownOf(batch, command, idempotency);
  if (known !== null) return known;
  const refusal = refusalOf(batch, command);
  if (refusal !== null) {
    if (idempotency !== null) batch.keys.requireLoaded();
    return refusal;
  }
  if (idempotency === null) return { kind: 'submitted', tasks: drafts.map((draft) => insert(batch, draft, submittedBy)) };
  const { key, name, digest } = idempotency;
  if (name !== null && digest === null && isNameInTime(name, batch.nowMs, timing.tombstoneMs))
    return { kind: 'submitted', tasks: drafts.map((draft) => insert(batch, draft, submittedBy, name)) };
  if (name !== null) batch.keys.requireLoaded();
  const tasks = drafts.map((draft) => insert(batch, draft, submittedBy));
  const taskIds = tasks.map((task) => task.id);
  batch.keys.add({ owner: submittedBy, key, digest: digest ?? NO_DIGEST, taskIds, createdAtMs: batch.nowMs });
  return { kind: 'submitted', tasks };
}

/** The answer to a submit whose key was used before; null: it was not, as far as the batch knows. */
function knownOf(batch: Batch, { drafts, submittedBy }: SubmitCommand, { key, name, digest }: Idempotency): SubmitAnswer | null {
  const record = batch.keys.get({ owner: submittedBy, key });
  const ids = record?.taskIds ?? (name !== null && batch.taskSnapshot(name) !== undefined ? [name] : null);
  if (ids === null) return null;
  const tasks = ids.map((id) => batch.taskSnapshot(id)).filter((task) => task !== undefined);
  const [draft] = drafts;
  const isSame =
    digest === null && draft !== undefined
      ? ids.length === 1 && tasks.every((task) => (record !== undefined || task.submittedBy === submittedBy) && isFrom(batch, task, draft))
      : record?.digest === digest;
  return isSame ? { kind: 'repeated', tasks: tasks.map(submitted) } : { kind: 'idempotency_mismatch' };
}

/** Whether the task may come from this draft. Of a removed task nothing is left to compare. */
function isFrom(batch: Batch, task: Task | Tombstone, draft: TaskDraft): boolean {
  if (!('requirement' in task)) return true;
  const body = batch.body(task.id);
  if (body === undefined) batch.keys.requireLoaded();
  return isSubmitOf(task, draft) && (body === undefined || isSameContent(body, draft.body));
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

/** `name`: the ID that an idempotency key gives the task; null: it gets that of the draft. */
function insert(batch: Batch, draft: TaskDraft, submittedBy: string, name: TaskId | null = null): SubmittedTask {
  const made = decideSubmit(draft, submittedBy, dependenciesMet(batch, draft.dependsOn), batch.nowMs, name ?? draft.id);
  batch.insert(made, draft.body, name !== null);
  return submitted(made.task);
}

const submitted = ({ id, status, priority, createdAtMs }: Pick<Task, keyof SubmittedTask>): SubmittedTask => ({
  id,
  status,
  priority,
  createdAtMs,
});
