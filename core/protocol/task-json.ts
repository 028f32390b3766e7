/**
 * A task as the HTTP API shows it. Metadata and result are JSON text that is set into the answer as it was kept: never
 * parsed on the way, so that nothing in it is lost, merged or reordered.
 */
import type { StoredEvent } from '../domain/event.ts';
import type { Task, TaskBody } from '../domain/task.ts';
import { totalOf, usageFields, type AttemptUsage } from '../domain/usage.ts';
import type { WaitingFor } from '../domain/waiting.ts';

/** A task with its body and result, as the store gives it. */
export interface TaskParts {
  readonly task: Task;
  readonly body: TaskBody;
  /** JSON text. */
  readonly result: string | null;
}

/** JSON text of one object: a value that is `{ raw }` is JSON text already. */
function objectText(fields: readonly (readonly [name: string, value: unknown])[]): string {
  const parts = fields.map(([name, value]) => `${JSON.stringify(name)}:${value instanceof RawJson ? value.text : JSON.stringify(value)}`);
  return `{${parts.join(',')}}`;
}

/** Marks text that is JSON already. */
class RawJson {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const raw = (text: string | null): RawJson | null => (text === null ? null : new RawJson(text));

function taskFields({ task, body, result }: TaskParts): readonly (readonly [string, unknown])[] {
  const used = totalOf(task.usage);
  return [
    ['id', task.id],
    ['description', body.description],
    ['metadata', raw(body.metadata)],
    ['priority', task.priority],
    ['status', task.status],
    ['assigned_to', task.assignedTo],
    ['assigned_at', task.assignedAtMs],
    ['accepted_at', task.acceptedAtMs],
    ['generation', task.generation],
    ['retry_count', task.retryCount],
    ['max_retries', task.maxRetries],
    ['needed_capabilities', task.requirement.capabilities],
    ['assign_to', task.requirement.assignTo],
    ['last_error', task.lastError],
    ['complete_by', task.completeByMs],
    ['run_at', task.runAtMs],
    ['ttl_ms', task.ttlMs],
    ['run_max_ms', task.runMaxMs],
    ['eligible_at', task.eligibleAtMs],
    ['result', raw(result)],
    ['tokens_used', used.tokensUsed],
    ['cost_usd', used.costUsd],
    ['submitted_by', task.submittedBy],
    ['created_at', task.createdAtMs],
    ['updated_at', task.updatedAtMs],
    ['repo', body.repo],
    ['branch', body.branch],
    ['file_hints', body.fileHints],
    ['success_criteria', body.successCriteria],
    ['verification_steps', body.verificationSteps],
    ['depends_on', task.dependsOn],
  ];
}

/** JSON text of a task in a list. */
export const taskRowJson = (row: TaskParts): string => objectText(taskFields(row));

/** JSON text of one task, with its history and what it waits for. */
export function taskRecordJson(record: TaskParts & { readonly events: readonly StoredEvent[] }, waitingFor: WaitingFor | null): string {
  return objectText([
    ...taskFields(record),
    ['models', usageFields(totalOf(record.task.usage)).models ?? []],
    ['attempts', record.task.usage.attempts.map(attemptJson)],
    ['history', record.events.map(historyEntry)],
    ['waiting_for', waitingFor === null ? null : waitingForJson(waitingFor)],
  ]);
}

/** What one attempt used, for those that said so. */
const attemptJson = (attempt: AttemptUsage): Readonly<Record<string, unknown>> => ({
  generation: attempt.generation,
  agent_id: attempt.agentId,
  tokens_used: attempt.tokensUsed,
  cost_usd: attempt.costUsd,
  models: usageFields(attempt).models ?? [],
});

/** `{event, timestamp, agent_id?, generation?, details?}` */
export function historyEntry(event: StoredEvent): Readonly<Record<string, unknown>> {
  return {
    event: event.event,
    timestamp: event.atMs,
    ...(event.agentId === null ? {} : { agent_id: event.agentId }),
    ...(event.generation === null ? {} : { generation: event.generation }),
    ...(event.details === null ? {} : { details: event.details }),
  };
}

/** An event of the stream: a history entry with its task and its place in the order of all. */
export const eventJson = (event: StoredEvent): string => JSON.stringify({ id: event.id, task_id: event.taskId, ...historyEntry(event) });

function waitingForJson(waiting: WaitingFor): Readonly<Record<string, unknown>> {
  return {
    reason: waiting.reason,
    message: waiting.message,
    ...(waiting.untilMs === undefined ? {} : { until: waiting.untilMs }),
    ...(waiting.tasks === undefined ? {} : { tasks: waiting.tasks }),
    ...(waiting.capabilities === undefined ? {} : { capabilities: waiting.capabilities }),
    ...(waiting.agents === undefined
      ? {}
      : { agents: waiting.agents.map((agent) => ({ agent_id: agent.agentId, hindrance: agent.hindrance, message: agent.message })) }),
  };
}
