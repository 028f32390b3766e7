/** Frames from a sidecar to the hub: one schema for each type, per version. Unknown fields are ignored. */
import { HELD_STATUSES } from '../domain/task/reconciliation.ts';
import { OUTPUT_STREAMS } from '../domain/assignment/output-stream.ts';
import { Type, type Static } from 'typebox';
import {
  agentIdField,
  capabilitiesField,
  checksField,
  costField,
  countField,
  durationField,
  generationField,
  heldGenerationField,
  HELD_MAX,
  maybe,
  modelsField,
  nameField,
  nonceField,
  reasonField,
  sealedField,
  sessionIdField,
  slotsField,
  taskIdField,
  timeField,
  tokenHintField,
} from './fields.ts';
import { DEVICE_KEY_PATTERN, DEVICE_PROOF_PATTERN } from './proof.ts';

export const FAILURE_KINDS = [
  'agent_failed',
  'wake_failed',
  'confirmation_timeout',
  'result_invalid',
  'result_too_large',
  'execution_timeout',
  'silent',
  'cancelled',
  'lost',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

export const CANCEL_OUTCOMES = ['killed', 'not_running', 'already_reported', 'not_stoppable'] as const;
export type CancelOutcome = (typeof CANCEL_OUTCOMES)[number];

const words = <const T extends readonly string[]>(list: T) => Type.Enum([...list] as unknown as [T[number], ...T[number][]]);

const heldSchema = Type.Object({
  task_id: taskIdField,
  generation: heldGenerationField,
  status: words(HELD_STATUSES),
  assigned_at: Type.Optional(timeField),
  store_id: Type.Optional(Type.String({ maxLength: 128 })),
});
export type HeldFrame = Static<typeof heldSchema>;

/** The results of a sidecar's checks of whether its agent could run. */
const checksFields = { ok: Type.Boolean(), failed: Type.Optional(checksField), passed: Type.Optional(checksField) };
const checksSchema = Type.Object(checksFields);
export type ChecksFrame = Static<typeof checksSchema>;

const type = <const T extends string>(name: T) => Type.Literal(name);
/** A task's ID and, from version 2, its generation. */
const v2Task = { task_id: taskIdField, generation: generationField, agent_id: Type.Optional(Type.String()) };
const v1Task = { task_id: taskIdField, generation: Type.Optional(generationField), agent_id: Type.Optional(Type.String()) };

/** The usage of the attempt so far, and the session that its program can continue. From version 2. */
const asideFields = { models: Type.Optional(modelsField), session_id: Type.Optional(sessionIdField) };
/** Why the agent failed, if its runner can tell, and how long to wait before a retry there. From version 2. */
const causeFields = {
  cause: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  retry_after_ms: Type.Optional(durationField),
};
const usedFields = { tokens_used: maybe(countField), cost_usd: maybe(costField) };

const progressFields = {
  progress: Type.Optional(Type.Unknown()),
  execution_event: Type.Optional(Type.Unknown()),
  percent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
  message: Type.Optional(Type.String({ maxLength: 16_384 })),
  tokens_used: Type.Optional(countField),
  cost_usd: Type.Optional(costField),
};
const completeFields = {
  result: Type.Unknown(),
  ...usedFields,
  verification_report: Type.Optional(Type.Unknown()),
  verification_history: Type.Optional(Type.Unknown()),
};
const failedFields = {
  error: Type.Optional(Type.Unknown()),
  reason: Type.Optional(Type.Unknown()),
  kind: Type.Optional(words(FAILURE_KINDS)),
  retryable: Type.Optional(Type.Boolean()),
  details: Type.Optional(Type.Unknown()),
  ...usedFields,
};
const wakeResultFields = {
  status: words(['success', 'failed', 'timeout'] as const),
  attempt: Type.Optional(countField),
  error: Type.Optional(Type.Unknown()),
  reason: Type.Optional(Type.Unknown()),
};

/** Frames that are the same in both versions. */
const commonSchemas = {
  identify: Type.Object({
    type: type('identify'),
    agent_id: Type.String({ minLength: 1, maxLength: 256 }),
    token: Type.Optional(Type.String({ minLength: 1, maxLength: 1_024, writeOnly: true })),
    // Instead of the token, once the hub has proved itself.
    proof: Type.Optional(sealedField),
    // The key of its machine, and the proof that it has it: only after `hello`.
    device_key: Type.Optional(Type.String({ pattern: DEVICE_KEY_PATTERN, description: 'an Ed25519 public key in base64url' })),
    device_proof: Type.Optional(Type.String({ pattern: DEVICE_PROOF_PATTERN, description: 'an Ed25519 signature in base64url' })),
    name: Type.Optional(nameField),
    status: Type.Optional(Type.String({ maxLength: 64 })),
    capabilities: Type.Optional(capabilitiesField),
    client_type: Type.Optional(Type.String({ maxLength: 64 })),
    protocol_version: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    instance_id: Type.Optional(Type.String({ minLength: 8, maxLength: 128 })),
    process_id: Type.Optional(Type.String({ minLength: 8, maxLength: 128 })),
    // Its journal does not outlive its process.
    volatile: Type.Optional(Type.Boolean()),
    // Its agent is a function of its process: it runs as soon as a task is accepted, and no `wake_result` says so.
    in_process: Type.Optional(Type.Boolean()),
    slots: Type.Optional(slotsField),
    held: Type.Optional(Type.Array(heldSchema, { maxItems: HELD_MAX })),
    checks: Type.Optional(checksSchema),
  }),
  ping: Type.Object({
    type: type('ping'),
    draining_reason: Type.Optional(Type.Union([reasonField, Type.Null()])),
    checks: Type.Optional(checksSchema),
  }),
  status: Type.Object({ type: type('status'), status: Type.String({ minLength: 1, maxLength: 64 }) }),
  list_agents: Type.Object({ type: type('list_agents') }),
  message: Type.Object({
    type: type('message'),
    to: Type.Optional(agentIdField),
    payload: Type.Unknown(),
    message_type: Type.Optional(Type.String({ maxLength: 128 })),
    reply_to: Type.Optional(Type.String({ maxLength: 128 })),
  }),
  resource_report: Type.Object({ type: type('resource_report') }),
  agent_restarting: Type.Object({ type: type('agent_restarting'), reason: Type.Optional(reasonField) }),
};

export const v1Schemas = {
  ...commonSchemas,
  task_accepted: Type.Object({ type: type('task_accepted'), ...v1Task }),
  task_rejected: Type.Object({ type: type('task_rejected'), ...v1Task, reason: Type.Optional(Type.Unknown()) }),
  task_progress: Type.Object({ type: type('task_progress'), ...v1Task, ...progressFields }),
  wake_result: Type.Object({ type: type('wake_result'), ...v1Task, ...wakeResultFields }),
  task_complete: Type.Object({ type: type('task_complete'), ...v2Task, ...completeFields }),
  task_failed: Type.Object({ type: type('task_failed'), ...v2Task, ...failedFields }),
  task_recovering: Type.Object({ type: type('task_recovering'), ...v1Task, last_status: Type.Optional(Type.String({ maxLength: 64 })) }),
  state_report: Type.Object({
    type: type('state_report'),
    ...v2Task,
    status: Type.Optional(Type.String({ maxLength: 64 })),
    assigned_at: Type.Optional(Type.Unknown()),
  }),
};

export const v2Schemas = {
  ...commonSchemas,
  hello: Type.Object({
    type: type('hello'),
    agent_id: agentIdField,
    token_hint: tokenHintField,
    nonce: nonceField,
  }),
  identify_check: Type.Object({
    type: type('identify_check'),
    agent_id: commonSchemas.identify.properties.agent_id,
    proof: sealedField,
    instance_id: commonSchemas.identify.properties.instance_id,
    device_key: commonSchemas.identify.properties.device_key,
    device_proof: commonSchemas.identify.properties.device_proof,
  }),
  task_accepted: Type.Object({ type: type('task_accepted'), ...v2Task }),
  task_rejected: Type.Object({
    type: type('task_rejected'),
    ...v2Task,
    reason: Type.Optional(reasonField),
    // `policy`: the policy of the sidecar does not allow this task.
    cause: causeFields.cause,
  }),
  task_released: Type.Object({
    type: type('task_released'),
    ...v2Task,
    reason: reasonField,
    ...causeFields,
    after_work: Type.Optional(Type.Boolean()),
    ...usedFields,
    ...asideFields,
  }),
  task_progress: Type.Object({ type: type('task_progress'), ...v2Task, ...progressFields, ...asideFields }),
  wake_result: Type.Object({ type: type('wake_result'), ...v2Task, ...wakeResultFields }),
  task_complete: Type.Object({ type: type('task_complete'), ...v2Task, ...completeFields, ...asideFields }),
  task_failed: Type.Object({ type: type('task_failed'), ...v2Task, ...failedFields, ...causeFields, ...asideFields }),
  task_cancel_ack: Type.Object({
    type: type('task_cancel_ack'),
    ...v2Task,
    outcome: words(CANCEL_OUTCOMES),
    survivors: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }), { maxItems: 1_000 })),
    ...usedFields,
    models: Type.Optional(modelsField),
  }),
  probe_ack: Type.Object({ type: type('probe_ack'), nonce: Type.String({ maxLength: 128 }) }),
  draining: Type.Object({ type: type('draining'), reason: Type.Optional(reasonField) }),
  drained: Type.Object({ type: type('drained') }),
  resumed: Type.Object({ type: type('resumed') }),
  runner_checks: Type.Object({ type: type('runner_checks'), ...checksFields }),
  task_output: Type.Object({
    type: type('task_output'),
    ...v2Task,
    seq: countField,
    stream: words(OUTPUT_STREAMS),
    text: Type.String({ maxLength: 65_536 }),
    dropped: Type.Optional(countField),
  }),
  state_report: v1Schemas.state_report,
};

export type SidecarFrameType = keyof typeof v1Schemas | keyof typeof v2Schemas;

/** When a sidecar may send a frame. */
export interface SidecarFrameRule {
  /** Before it is identified. */
  readonly first: boolean;
  /** Once it is identified, in sessions of these versions. */
  readonly identified: readonly (1 | 2)[];
}

const FIRST = { first: true, identified: [] } as const;
const BOTH = { first: false, identified: [1, 2] } as const;
const ONLY_1 = { first: false, identified: [1] } as const;
const ONLY_2 = { first: false, identified: [2] } as const;

/** When each frame of a sidecar may be sent. The hub refuses it at any other time. */
export const SIDECAR_FRAMES = {
  hello: FIRST,
  identify_check: FIRST,
  identify: FIRST,
  ping: BOTH,
  status: BOTH,
  list_agents: BOTH,
  message: BOTH,
  resource_report: BOTH,
  agent_restarting: BOTH,
  task_accepted: BOTH,
  task_rejected: BOTH,
  task_released: ONLY_2,
  task_progress: BOTH,
  task_output: ONLY_2,
  wake_result: BOTH,
  task_complete: BOTH,
  task_failed: BOTH,
  task_cancel_ack: ONLY_2,
  task_recovering: ONLY_1,
  state_report: BOTH,
  probe_ack: ONLY_2,
  draining: ONLY_2,
  drained: ONLY_2,
  resumed: ONLY_2,
  runner_checks: ONLY_2,
} as const satisfies Readonly<Record<SidecarFrameType, SidecarFrameRule>>;

/** The frames that may be sent before identify. */
export type FirstFrameType = { [K in SidecarFrameType]: (typeof SIDECAR_FRAMES)[K]['first'] extends true ? K : never }[SidecarFrameType];

/** Whether frames of this type may be sent before identify, and at no other time. */
export const isFirstFrameType = (type: string): type is FirstFrameType =>
  Object.hasOwn(SIDECAR_FRAMES, type) && SIDECAR_FRAMES[type as SidecarFrameType].first;

export type V1Frame = { [K in keyof typeof v1Schemas]: Static<(typeof v1Schemas)[K]> }[keyof typeof v1Schemas];
export type V2Frame = { [K in keyof typeof v2Schemas]: Static<(typeof v2Schemas)[K]> }[keyof typeof v2Schemas];
export type SidecarFrame = V1Frame | V2Frame;
/** One frame by its type, in version 2. */
export type V2FrameOf<T extends keyof typeof v2Schemas> = Static<(typeof v2Schemas)[T]>;
