/**
 * A task as the HTTP API shows it. Metadata and result are stored JSON text that is inserted into the answer without being
 * parsed, so that nothing in it is lost, merged or reordered.
 */
import { isAgentEvent, type StoredEvent } from '../domain/task/event.ts';
import type { KeptResultRef, KeptResult, RefusedCount } from '../domain/task/kept-results.ts';
import { isIncomplete, totalOf, usageFields, type AttemptUsage } from '../domain/usage.ts';
import type { WaitingFor } from '../domain/waiting/waiting-for.ts';
import type { WholeTask } from '../domain/task/removal.ts';
import type { TaskRow } from '../domain/task/task.ts';
import { agentWaitingJson } from './agent-json.ts';
import { partEntries } from './task-body.ts';
import { termEntries } from './task-terms.ts';

/** JSON text of one object: a value that is a `RawJson` is JSON text already. */
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

function taskFields({ task, body, result }: TaskRow): readonly (readonly [string, unknown])[] {
  const used = totalOf(task.usage);
  return [
    ['id', task.id],
    ['description', body.description],
    ['metadata', raw(body.metadata ?? '{}')],
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
    ['failed_by', task.avoid],
    ['rejected_by', task.rejectedBy],
    ...termEntries(task),
    ['eligible_at', task.eligibleAtMs],
    ['result', raw(result)],
    ['tokens_used', used.tokensUsed],
    ['cost_usd', used.costUsd],
    ['usage_incomplete', isIncomplete(task.usage)],
    ['submitted_by', task.submittedBy],
    ['created_at', task.createdAtMs],
    ['updated_at', task.updatedAtMs],
    ...partEntries(body),
    ['depends_on', task.dependsOn],
  ];
}

/** JSON text of a task in a list. */
export const taskRowJson = (row: TaskRow): string => objectText(taskFields(row));

/** JSON text of one task, with its history, why it is waiting, and the name of the token that submitted it. */
export function taskRecordJson(
  record: TaskRow & { readonly events: readonly StoredEvent[] },
  waitingFor: WaitingFor | null,
  submitterName: string | null = null,
): string {
  return objectText([
    ...taskFields(record),
    ['submitted_by_name', submitterName],
    ['models', usageFields(totalOf(record.task.usage)).models ?? []],
    ['attempts', record.task.usage.attempts.map(attemptJson)],
    ['history', record.events.map(historyEntry)],
    ['history_before', olderBefore(record.events)],
    ['kept_results', record.task.kept.results.map(keptNameJson)],
    ['refused_reports', record.task.kept.refused.map(refusedCountJson)],
    ['waiting_for', waitingFor === null ? null : waitingForJson(waitingFor)],
  ]);
}

/** JSON text of a task in the archive: everything that was stored about it, and when it was archived. */
export const archivedTaskJson = (task: WholeTask, archivedAtMs: number): string =>
  objectText([
    ['archived_at', archivedAtMs],
    ...taskFields(task),
    ['models', usageFields(totalOf(task.task.usage)).models ?? []],
    ['attempts', task.task.usage.attempts.map(attemptJson)],
    ['history', task.events.map((event) => ({ id: event.id, ...historyEntry(event) }))],
    ['kept_results', new RawJson(`[${task.kept.map(keptResultJson).join(',')}]`)],
    ['refused_reports', task.task.kept.refused.map(refusedCountJson)],
  ]);

/** The usage of one attempt that reported any. */
const attemptJson = (attempt: AttemptUsage): Readonly<Record<string, unknown>> => ({
  generation: attempt.generation,
  agent_id: attempt.agentId,
  tokens_used: attempt.tokensUsed,
  cost_usd: attempt.costUsd,
  models: usageFields(attempt).models ?? [],
});

/** The number before which there are older events; null: these begin with the first. */
const olderBefore = (events: readonly StoredEvent[]): number | null => {
  const first = events[0]?.seq ?? 1;
  return first > 1 ? first : null;
};

/** JSON text of a page of a history. `lastSeq`: the number of the task's newest event. */
export function historyPageJson(events: readonly StoredEvent[], lastSeq: number): string {
  const last = events.at(-1)?.seq ?? lastSeq;
  return JSON.stringify({
    events: events.map((event) => ({ seq: event.seq, id: event.id, ...historyEntry(event) })),
    before: olderBefore(events),
    after: last < lastSeq ? last : null,
  });
}

const keptNameJson = ({ generation, agentId, kind, bytes, sha256, atMs }: KeptResultRef): Readonly<Record<string, unknown>> => ({
  generation,
  agent_id: agentId,
  kind,
  bytes,
  sha256,
  timestamp: atMs,
});

const refusedCountJson = ({ agentId, told, counted }: RefusedCount): Readonly<Record<string, unknown>> => ({
  agent_id: agentId,
  recorded: told,
  counted,
});

/** JSON text of a complete kept result. */
export const keptResultJson = (kept: KeptResult): string =>
  objectText([
    ['task_id', kept.taskId],
    ...Object.entries(keptNameJson(kept)),
    ['reason', kept.reason],
    ['result', raw(kept.result)],
    ['details', raw(kept.details)],
  ]);

/** `{event, timestamp, agent_id?, generation?, details?}` */
function historyEntry(event: StoredEvent): Readonly<Record<string, unknown>> {
  return {
    event: event.event,
    timestamp: event.atMs,
    ...(event.agentId === null ? {} : { agent_id: event.agentId }),
    ...(event.generation === null ? {} : { generation: event.generation }),
    ...(event.details === null ? {} : { details: event.details }),
  };
}

/** An event of the stream: a history entry with its task, unless it is an agent's, and its position in the stream. */
export const eventJson = (event: StoredEvent): string =>
  JSON.stringify({ id: event.id, task_id: isAgentEvent(event) ? undefined : event.taskId, ...historyEntry(event) });

function waitingForJson(waiting: WaitingFor): Readonly<Record<string, unknown>> {
  const { agents, nearest } = waiting;
  return {
    reason: waiting.reason,
    kind: waiting.kind,
    message: waiting.message,
    until: waiting.untilMs,
    tasks: waiting.tasks,
    capabilities: waiting.capabilities,
    agents: agents?.map((agent) => ({ agent_id: agent.agentId, blocker: agent.blocker, ...agentWaitingJson(agent) })),
    agent_count: waiting.agentCount,
    nearest: nearest === undefined ? undefined : { agent_id: nearest.agentId, lacks: nearest.lacks },
    ahead: waiting.ahead,
  };
}
