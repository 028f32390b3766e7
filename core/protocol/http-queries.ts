/** The query of every HTTP request that has one. A parameter that is unknown, or appears twice, is refused. */
import { Type, type TSchema } from 'typebox';
import { EVENT_NAMES } from '../domain/task/event.ts';
import { isTaskId, type TaskId } from '../domain/ids.ts';
import { PRIORITIES, STATUSES } from '../domain/task/task.ts';
import { TASK_ID_BEGINNING_PATTERN } from '../domain/task/task-beginning.ts';
import { agentIdField, capabilityField, taskIdField } from './fields.ts';
import { OUTPUT_STREAMS } from '../domain/assignment/output-stream.ts';

export const PAGE_DEFAULT = 50;
/** The maximum length of the text that a list is searched for. */
const TEXT_CHARACTERS_MAX = 256;
/** As tasks have it: the ID of a token, or `admin`. */
const submitter = Type.String({ minLength: 1, maxLength: 128 });

const closed = <T extends Record<string, TSchema>>(fields: T) => Type.Object(fields, { additionalProperties: false });
const optional = Type.Optional;

/** `cursor` is the `next_cursor` of the previous page; `limit` defaults to 50. */
const page = {
  limit: optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$', description: 'a whole number, 1 or more' })),
  cursor: optional(Type.String({ minLength: 1, maxLength: 256 })),
};

/**
 * `GET /api/tasks`. `since`: created at or after this time, milliseconds since 1970; `text`: in the description or the last error;
 * `order`: which tasks come first (default: the newest).
 */
export const taskListSchema = closed({
  status: optional(Type.Enum([...STATUSES])),
  priority: optional(Type.Enum([...PRIORITIES])),
  assigned_to: optional(agentIdField),
  submitted_by: optional(submitter),
  failed_by: optional(agentIdField),
  capability: optional(capabilityField),
  text: optional(Type.String({ minLength: 1, maxLength: TEXT_CHARACTERS_MAX })),
  since: optional(Type.String({ pattern: '^[0-9]{1,16}$', description: 'a time in milliseconds since 1970' })),
  order: optional(Type.Enum(['newest', 'oldest'])),
  id_prefix: optional(
    Type.String({
      pattern: TASK_ID_BEGINNING_PATTERN,
      description: 'the beginning of a task ID: "task-" and 4 to 64 hexadecimal digits (0-9, a-f)',
    }),
  ),
  ...page,
});

/** `GET /api/tasks/dead-letter` */
export const deadLetterSchema = closed({ priority: optional(Type.Enum([...PRIORITIES])), submitted_by: optional(submitter), ...page });

/** `GET /api/agents`, `GET /admin/tokens` */
export const pageSchema = closed(page);

/**
 * `GET /api/events`. `last`: starts this many events before the end, unless `Last-Event-ID` gives the position. `unless_ended`, with `task_id`:
 * refuses the stream if that task has ended.
 */
export const eventsSchema = closed({
  task_id: optional(taskIdField),
  agent_id: optional(agentIdField),
  type: optional(Type.Enum([...EVENT_NAMES])),
  about: optional(Type.Enum(['tasks', 'agents'])),
  last: optional(Type.String({ pattern: '^[0-9]{1,5}$', description: 'a whole number from 0 to 99999' })),
  unless_ended: optional(Type.Enum(['true'])),
});

/** `GET /api/tasks/:id/events`: `before` and `after` are event numbers within the task. */
const seq = optional(Type.String({ pattern: '^[0-9]{1,15}$', description: 'a whole number, 0 or more' }));
export const historySchema = closed({ before: seq, after: seq, limit: page.limit });

/** `GET /admin/audit`: entries after that number. `ndjson`: one on each line, and nothing else. */
export const auditSchema = closed({ after: seq, limit: page.limit, format: optional(Type.Enum(['json', 'ndjson'])) });

/** `GET /api/tasks/:id/results/:generation` */
export const keptResultSchema = closed({ agent_id: optional(agentIdField) });

/** `GET /api/tasks/:id/output`: chunks after that position. `search`: text in a chunk, case-insensitive. */
export const outputSchema = closed({
  after: seq,
  limit: page.limit,
  generation: seq,
  stream: optional(Type.Enum([...OUTPUT_STREAMS])),
  search: optional(Type.String({ minLength: 1, maxLength: 256 })),
});

/** `GET /api/tasks/:id/output/wait` */
export const outputWaitSchema = closed({
  after: seq,
  wait_ms: optional(Type.String({ pattern: '^[0-9]{1,6}$', description: 'a duration in milliseconds' })),
});

export const httpQuerySchemas = {
  task_list: taskListSchema,
  dead_letter: deadLetterSchema,
  page: pageSchema,
  events: eventsSchema,
  task_events: historySchema,
  kept_result: keptResultSchema,
  task_output: outputSchema,
  wait_for_output: outputWaitSchema,
  audit: auditSchema,
} as const;

/** The place of a task in the list, newest first. */
export interface TaskPlace {
  readonly createdAtMs: number;
  readonly id: TaskId;
}

export const taskCursor = (place: TaskPlace): string => `${place.createdAtMs}.${place.id}`;

/** Null if the text is not one of our cursors. */
export function readTaskCursor(text: string): TaskPlace | null {
  const [time = '', id, ...rest] = text.split('.');
  const createdAtMs = Number(time);
  if (rest.length > 0 || !/^[0-9]{1,16}$/.test(time) || !Number.isSafeInteger(createdAtMs) || !isTaskId(id)) return null;
  return { createdAtMs, id };
}
