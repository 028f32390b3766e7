/** Frames from the hub to a sidecar, which our own sidecar validates with these schemas. Unknown fields are ignored. */
import { Type, type Static } from 'typebox';
import {
  countField,
  generationField,
  hexadecimalField,
  nonceField,
  reasonField,
  sessionIdField,
  taskIdField,
  timeField,
} from './fields.ts';
import { HUB_PROOF_PATTERN } from './proof.ts';
import { assignedParts } from './task-body.ts';

const type = <const T extends string>(name: T) => Type.Literal(name);
const task = { task_id: taskIdField, generation: generationField };
const text = Type.String();
/** Maximum length of an ID, a nonce or a status, characters. The hub accepts no longer ones back. */
const WORD_CHARACTERS_MAX = 128;
const word = Type.String({ maxLength: WORD_CHARACTERS_MAX });

export const NACK_REASONS = ['stale_generation', 'not_assignee', 'invalid_state', 'unknown_task', 'validation_failed'] as const;
export type NackReason = (typeof NACK_REASONS)[number];

/** The codes of `error` frames, besides refusals of version 1 task frames. */
export const WIRE_ERRORS = [
  'not_identified',
  'invalid_token',
  'token_agent_mismatch',
  'invalid_device_key',
  'agent_id_in_use',
  'invalid_json',
  'unknown_message_type',
  'validation_failed',
  'rate_limited',
] as const;
export type WireError = (typeof WIRE_ERRORS)[number];
/** Why a message to other agents failed, after `message_failed: `. */
export const MESSAGE_FAILURES = ['agent_not_connected', 'messages_off', 'too_large'] as const;
export type MessageFailure = (typeof MESSAGE_FAILURES)[number];
/** The verbs by which version 1 names refused reports. */
export const V1_VERBS = ['accept', 'reject', 'complete', 'fail'] as const;
export type V1Verb = (typeof V1_VERBS)[number];

const policySchema = Type.Object({
  heartbeat_ms: countField,
  pong_wait_ms: countField,
  reconnect_max_ms: countField,
  lease_ms: countField,
  max_frame_bytes: countField,
  reconnect_grace_ms: countField,
});
export type PolicyFrame = Static<typeof policySchema>;

export const hubSchemas = {
  challenge: Type.Object({
    type: type('challenge'),
    nonce: nonceField,
    proof: hexadecimalField(HUB_PROOF_PATTERN, 'a proof in hexadecimal digits'),
  }),
  identified: Type.Object({
    type: type('identified'),
    agent_id: word,
    protocol_version: Type.Optional(Type.Integer()),
    hub_id: Type.Optional(word),
    server_time: Type.Optional(timeField),
    store_id: Type.Optional(word),
    policy: Type.Optional(policySchema),
    held: Type.Optional(
      Type.Array(Type.Object({ ...task, action: Type.Enum(['continue', 'abort', 'report']), reason: Type.Optional(reasonField) })),
    ),
  }),
  identify_checked: Type.Object({
    type: type('identify_checked'),
    agent_id: word,
    in_use: Type.Boolean(),
    // An older hub does not say.
    wrong_device: Type.Optional(Type.Boolean()),
  }),
  error: Type.Object({ type: type('error'), error: text, retry_after_ms: Type.Optional(countField) }),
  pong: Type.Object({ type: type('pong'), timestamp: timeField }),
  task_assign: Type.Object({
    type: type('task_assign'),
    ...task,
    description: text,
    metadata: Type.Optional(Type.Unknown()),
    assigned_at: timeField,
    // The ID of the token that submitted it. Older hubs do not send it.
    submitted_by: Type.Optional(word),
    ...assignedParts,
    run_max_ms: Type.Optional(Type.Union([countField, Type.Null()])),
    complete_by: Type.Optional(Type.Union([timeField, Type.Null()])),
    session_id: Type.Optional(sessionIdField),
  }),
  task_ack: Type.Object({
    type: type('task_ack'),
    task_id: taskIdField,
    generation: Type.Optional(generationField),
    status: word,
    duplicate: Type.Optional(Type.Boolean()),
  }),
  task_nack: Type.Object({
    type: type('task_nack'),
    ...task,
    reason: Type.Enum([...NACK_REASONS]),
    // The type of the frame that this answers.
    refuses: Type.Optional(word),
    current_generation: Type.Optional(generationField),
  }),
  task_cancelled: Type.Object({
    type: type('task_cancelled'),
    ...task,
    reason: Type.Optional(reasonField),
    grace_ms: Type.Optional(countField),
    timestamp: Type.Optional(timeField),
  }),
  probe: Type.Object({ type: type('probe'), nonce: word }),
  drain: Type.Object({ type: type('drain'), deadline_ms: Type.Optional(countField) }),
  resume: Type.Object({ type: type('resume') }),
  // The sidecar runs its checks at once and reports the results.
  check: Type.Object({ type: type('check') }),
  restart_sidecar: Type.Object({ type: type('restart_sidecar'), reason: Type.Optional(text) }),
};

export type HubFrameType = keyof typeof hubSchemas;
export type HubFrame = { [K in HubFrameType]: Static<(typeof hubSchemas)[K]> }[HubFrameType];
export type HubFrameOf<T extends HubFrameType> = Static<(typeof hubSchemas)[T]>;

/** What a sidecar waits for: the proof of the hub, the answer to its identify, or, from then on, its work. */
export type HubFramePhase = 'greeting' | 'identifying' | 'identified';

const WORK = ['identified'] as const;

/** Each frame of the hub, with the phases in which a sidecar accepts it. It ignores the frame in any other. */
export const HUB_FRAMES: Readonly<Record<HubFrameType, readonly HubFramePhase[]>> = {
  challenge: ['greeting'],
  identified: ['identifying'],
  // Answers identify_check, which is sent by `agentcom doctor`, never by a sidecar.
  identify_checked: [],
  error: ['greeting', 'identifying', 'identified'],
  pong: WORK,
  task_assign: WORK,
  task_ack: WORK,
  task_nack: WORK,
  task_cancelled: WORK,
  probe: WORK,
  drain: WORK,
  resume: WORK,
  check: WORK,
  restart_sidecar: WORK,
};

/** Whether a sidecar in this phase accepts frames of this type. */
export const acceptsHubFrame = (phase: string, type: string): boolean =>
  Object.hasOwn(HUB_FRAMES, type) && (HUB_FRAMES[type as HubFrameType] as readonly string[]).includes(phase);
