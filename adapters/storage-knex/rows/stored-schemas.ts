/**
 * The schemas of the states of stored rows, at the boundary between the database and the domain. Checked when a row is read from the
 * database, never when it comes from memory. Fields that are not named here may be anything; named are numbers that only grow, names, lists
 * and values that are used in calculations.
 */
import { Type, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { KEPT_RESULTS_MAX } from '../../../core/domain/task/kept-results.ts';
import { REJECTIONS_MAX } from '../../../core/domain/task/rules.ts';
import { NO_TERMS, OUTCOMES_KEPT, PRIORITIES, STATUSES } from '../../../core/domain/task/task.ts';
import { ATTEMPTS_KEPT } from '../../../core/domain/usage.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { agentIdField, CAPABILITIES_MAX, countField, HELD_MAX, taskIdField } from '../../../core/protocol/fields.ts';
import { fieldErrors } from '../../../core/protocol/field-errors.ts';
import { DEPENDENCIES_MAX } from '../../../core/protocol/http-bodies.ts';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const text = Type.String();
const time = nullable(countField);
export const capabilitiesSchema = Type.Array(text, { maxItems: CAPABILITIES_MAX });

export const taskSchema = Type.Object({
  id: taskIdField,
  priority: Type.Enum([...PRIORITIES]),
  status: Type.Enum([...STATUSES]),
  generation: countField,
  requirement: Type.Object({ capabilities: capabilitiesSchema, assignTo: nullable(agentIdField) }),
  assignedTo: nullable(agentIdField),
  assignedAtMs: time,
  acceptedAtMs: time,
  deadlineAtMs: time,
  runDeadlineAtMs: time,
  progressCount: countField,
  round: countField,
  retryCount: countField,
  maxRetries: Type.Integer(),
  handBacks: countField,
  parked: Type.Boolean(),
  avoid: nullable(agentIdField),
  rejectedBy: Type.Array(agentIdField, { maxItems: REJECTIONS_MAX }),
  eligibleAtMs: time,
  expiresAtMs: time,
  ...Object.fromEntries(Object.keys(NO_TERMS).map((term) => [term, time])),
  dependsOn: Type.Array(taskIdField, { maxItems: DEPENDENCIES_MAX }),
  dependentsAfter: nullable(Type.Union([taskIdField, Type.Literal('')])),
  usage: Type.Object({ attempts: Type.Array(Type.Object({ generation: countField }), { maxItems: ATTEMPTS_KEPT }) }),
  outcomes: Type.Array(Type.Object({ generation: countField, agentId: agentIdField, report: text, answer: text }), {
    maxItems: OUTCOMES_KEPT,
  }),
  kept: Type.Object({
    results: Type.Array(Type.Object({ generation: countField, agentId: agentIdField, kind: text, bytes: countField, sha256: text }), {
      maxItems: KEPT_RESULTS_MAX,
    }),
    refused: Type.Array(Type.Object({ agentId: nullable(agentIdField), told: countField, counted: countField })),
  }),
  submittedBy: text,
  createdAtMs: countField,
  updatedAtMs: countField,
  eventSeq: countField,
});

export const agentSchema = Type.Object({
  id: agentIdField,
  name: text,
  capabilities: capabilitiesSchema,
  slots: countField,
  sessionNumber: countField,
  madeAtMs: Type.Optional(countField),
  eventSeq: Type.Optional(countField),
  hubId: nullable(text),
  connected: Type.Boolean(),
  connectedAtMs: time,
  disconnectedAtMs: time,
  lastHeardAtMs: time,
  instanceId: nullable(text),
  processId: Type.Optional(nullable(text)),
  inProcess: Type.Optional(Type.Boolean()),
  deviceKey: Type.Optional(nullable(text)),
  draining: Type.Boolean(),
  orders: countField,
  pausedUntilMs: time,
  busyUntilMs: time,
  brokenUntilMs: time,
  strikes: Type.Array(taskIdField, { maxItems: HELD_MAX }),
  assignedCount: countField,
});

/** Of a pending stop: what is used to find its task. */
export const stopSchema = Type.Object({ agentId: agentIdField, taskId: taskIdField, generation: countField });
/** Of a tombstone: those of older versions have little more. */
export const tombstoneSchema = Type.Object({ id: taskIdField, status: Type.Enum([...STATUSES]) });
export const taskIdsSchema = Type.Array(taskIdField);

/** A check that returns the value, or throws `AC_STORE_DAMAGED` naming the row and what was found instead. */
export function storedCheck<T>(table: string, schema: TSchema): (value: unknown, id: unknown) => T {
  let validator: Validator | undefined;
  return (value, id) => {
    validator ??= Compile(schema);
    if (validator.Check(value)) return value as T;
    const [first] = fieldErrors(validator, value, 'strings');
    throw damaged(table, id, first === undefined ? 'is not what it should be' : `${first.field || 'the state'} ${first.detail}`);
  };
}

/** The value of a column with JSON text. Throws `AC_STORE_DAMAGED`; `column`: what it has, for the message. */
export function storedJson(text: unknown, column: string, table: string, id: unknown): unknown {
  try {
    return JSON.parse(text as string) as unknown;
  } catch (cause) {
    throw damaged(table, id, `${column} is not JSON`, cause);
  }
}

export const damaged = (table: string, id: unknown, what: string, cause?: unknown): AgentcomError =>
  new AgentcomError(
    'AC_STORE_DAMAGED',
    `A stored row cannot be read: ${table} ${String(id)}: ${what}. Run agentcom doctor --fsck, and restore a backup if it was not changed by hand.`,
    { details: { table, id: String(id), damage: what }, cause },
  );
