/** Responses about tasks. */
import { Type } from 'typebox';
import { OUTPUT_STREAMS } from '../../domain/assignment/output-stream.ts';
import { TASK_EVENT_NAMES } from '../../domain/task/event.ts';
import { PRIORITIES, STATUSES, type Priority } from '../../domain/task/task.ts';
import { agentWaiting, cost, count, object, optional, orNull, pageOf, text, texts, time, truth } from './response-fields.ts';

const status = Type.Enum([...STATUSES]);
const priority = Type.Enum([...PRIORITIES]);
const flag = optional(Type.Literal(true));

/** `POST /api/tasks` */
export const submittedSchema = Type.Object({ task_id: text, status, priority, created_at: time });
/** `POST /api/tasks/batch`. `retry_after`: seconds. */
export const submittedBatchSchema = Type.Object({
  answers: Type.Array(Type.Object({ status: count, retry_after: optional(count), body: object })),
});
/** `POST /api/tasks/bulk` */
export const submittedManySchema = Type.Object({ task_ids: texts });

const note = Type.Union([text, object]);
const taskFields = {
  id: text,
  description: text,
  metadata: object,
  priority,
  status,
  assigned_to: orNull(text),
  assigned_at: orNull(time),
  accepted_at: orNull(time),
  generation: count,
  retry_count: count,
  max_retries: count,
  needed_capabilities: texts,
  assign_to: orNull(text),
  failed_by: orNull(text),
  rejected_by: Type.Array(text),
  last_error: orNull(text),
  complete_by: orNull(time),
  run_at: orNull(time),
  ttl_ms: orNull(count),
  run_max_ms: orNull(count),
  eligible_at: orNull(time),
  result: Type.Unknown(),
  tokens_used: orNull(count),
  cost_usd: orNull(cost),
  usage_incomplete: truth,
  submitted_by: text,
  created_at: time,
  updated_at: time,
  repo: orNull(text),
  branch: orNull(text),
  file_hints: Type.Array(note),
  success_criteria: texts,
  verification_steps: Type.Array(note),
  accept: orNull(Type.Object({ empty: flag, truncated: flag, refused: flag })),
  signature: orNull(text),
  traceparent: orNull(text),
  tracestate: orNull(text),
  depends_on: texts,
};
/** A task in a list. */
export const taskSchema = Type.Object(taskFields);
/** `GET /api/tasks`, `GET /api/tasks/dead-letter` */
export const taskPageSchema = pageOf('tasks', taskSchema);

const model = Type.Object({
  model: text,
  input_tokens: optional(count),
  cached_input_tokens: optional(count),
  output_tokens: optional(count),
  cost_usd: optional(cost),
});
const attempt = Type.Object({
  generation: count,
  agent_id: text,
  tokens_used: orNull(count),
  cost_usd: orNull(cost),
  models: Type.Array(model),
});
const historyFields = {
  event: Type.Enum([...TASK_EVENT_NAMES]),
  timestamp: time,
  agent_id: optional(text),
  generation: optional(count),
  details: optional(object),
};
const keptFields = {
  generation: count,
  agent_id: text,
  kind: Type.Enum(['late', 'refused']),
  bytes: count,
  sha256: text,
  timestamp: time,
};
const waitingFor = Type.Object({
  reason: text,
  ...agentWaiting,
  capabilities: optional(texts),
  agents: optional(Type.Array(Type.Object({ agent_id: text, blocker: text, ...agentWaiting }))),
  agent_count: optional(count),
  nearest: optional(Type.Object({ agent_id: text, lacks: texts })),
  ahead: optional(Type.Object({ higher: count, same: count })),
});
/** `GET /api/tasks/:id` */
export const taskDetailSchema = Type.Object({
  ...taskFields,
  submitted_by_name: Type.Union([text, Type.Null()], {
    description: 'The name of the token in submitted_by. Null: it is the admin token or gone, or an agent asks.',
  }),
  models: Type.Array(model),
  attempts: Type.Array(attempt),
  history: Type.Array(Type.Object(historyFields)),
  history_before: orNull(count),
  kept_results: Type.Array(Type.Object(keptFields)),
  refused_reports: Type.Array(Type.Object({ agent_id: orNull(text), recorded: count, counted: count })),
  waiting_for: orNull(waitingFor),
});

/** `GET /api/tasks/:id/events` */
export const taskEventsSchema = Type.Object({
  events: Type.Array(Type.Object({ seq: count, id: count, ...historyFields })),
  before: orNull(count),
  after: orNull(count),
});

/** `GET /api/tasks/:id/results/:generation` */
export const keptResultSchema = Type.Object({
  task_id: text,
  ...keptFields,
  reason: text,
  result: Type.Unknown(),
  details: Type.Unknown(),
});

/** `GET /api/tasks/:id/output` */
export const outputPageSchema = Type.Object({
  output: Type.Array(
    Type.Object({
      n: count,
      generation: count,
      agent_id: text,
      timestamp: time,
      stream: Type.Enum([...OUTPUT_STREAMS]),
      text,
      seq: count,
      dropped: count,
    }),
  ),
  next_after: count,
  more: truth,
  kept: Type.Object({ bytes: count, ms: count }),
});
/** `GET /api/tasks/:id/output/wait` */
export const outputArrivedSchema = Type.Object({ more: truth, ended: truth });

/** `POST /api/tasks/:id/retry`, `cancel` and `adopt` */
export const taskChangedSchema = Type.Object({ task_id: text, status, generation: count });
/** `POST /api/admin/push-task` */
export const pushedSchema = Type.Object({ status: Type.Enum(['pushed', 'queued']), task_id: text, agent_id: text });

const counts = <const N extends readonly string[]>(names: N) =>
  Object.fromEntries(names.map((name) => [name, count])) as { [K in N[number]]: typeof count };
const maybeTime = orNull(time);
const sums = Type.Record(Type.String(), count);
/** `GET /api/tasks/stats` */
export const statsSchema = Type.Object({
  ...counts(STATUSES),
  queued_by_priority: Type.Object(counts(PRIORITIES)),
  oldest_ready: Type.Object(Object.fromEntries(PRIORITIES.map((name) => [name, maybeTime])) as { [K in Priority]: typeof maybeTime }),
  agents: Type.Object(counts(['offline', 'idle', 'working', 'stopping', 'draining', 'paused'] as const)),
  refused: Type.Object({ frames: sums, sockets: sums, requests: sums }),
});
