/**
 * The body of every HTTP request. A field that is not listed is refused, so that a misspelled one is not lost silently;
 * `null` stands for an absent field. Lengths count Unicode code points; times are milliseconds since 1970.
 */
import { Type, type Static, type TSchema } from 'typebox';
import { PRIORITIES, type Priority } from '../domain/task/task.ts';
import {
  agentIdField,
  capabilitiesField,
  capabilityField,
  CAPABILITIES_MAX,
  DESCRIPTION_CHARACTERS_MAX,
  durationField,
  generationField,
  MAX_RETRIES_MAX,
  nonceField,
  objectField,
  sealedField,
  signatureField,
  slotsField,
  taskIdField,
  tokenHintField,
  tokenNameField,
  waitField,
} from './fields.ts';
import { submittedParts } from './task-body.ts';
import { submittedTerms } from './task-terms.ts';

export const DEPENDENCIES_MAX = 100;
export const MAX_RETRIES_DEFAULT = 3;
/** Slots that a token allows by default. */
export const TOKEN_SLOTS_DEFAULT = 16;

/** Aliases of priorities in a submit; the task gets the priority itself. Scripts of the original use `critical`. */
export const PRIORITY_SYNONYMS = { critical: 'urgent' } as const satisfies Readonly<Record<string, Priority>>;

/** An object with these fields and no others. */
const closed = <T extends Record<string, TSchema>>(fields: T) => Type.Object(fields, { additionalProperties: false });
const optional = Type.Optional;
const descriptionField = Type.String({
  minLength: 1,
  maxLength: DESCRIPTION_CHARACTERS_MAX,
  pattern: '\\S',
  description: 'text, not only white space',
});

/** `POST /api/tasks`, and each line of `POST /api/tasks/bulk`. */
export const submitSchema = closed({
  description: descriptionField,
  priority: optional(Type.Enum([...PRIORITIES, 'critical'])),
  metadata: optional(objectField),
  needed_capabilities: optional(Type.Array(capabilityField, { maxItems: CAPABILITIES_MAX })),
  max_retries: optional(Type.Integer({ minimum: 0, maximum: MAX_RETRIES_MAX })),
  assign_to: optional(agentIdField),
  depends_on: optional(Type.Array(taskIdField, { maxItems: DEPENDENCIES_MAX })),
  ...submittedTerms,
  ...submittedParts,
});
export type SubmitBody = Static<typeof submitSchema>;

/** Lines of one `POST /api/tasks/batch`. */
export const SUBMITS_PER_BATCH_MAX = 256;
/** Each line of `POST /api/tasks/batch`: a submit with its headers. `task` is the body of a submit. */
export const batchItemSchema = closed({
  task: Type.Unknown(),
  key: optional(Type.String()),
  traceparent: optional(Type.String()),
  tracestate: optional(Type.String()),
});

/** `POST /api/admin/push-task`. An `agent_id` that no agent can have is simply not connected. */
export const pushSchema = closed({
  agent_id: Type.String({ minLength: 1, maxLength: 256 }),
  description: descriptionField,
  metadata: optional(objectField),
  signature: optional(signatureField),
});
export type PushBody = Static<typeof pushSchema>;

/** `POST /api/tasks/:id/adopt` */
export const adoptSchema = closed({ generation: generationField });
export type AdoptBody = Static<typeof adoptSchema>;

/** `POST /api/agents/:id/drain`: empty, or how long runs may continue before they are released. 0: at once. */
export const drainSchema = closed({ deadline_ms: optional(waitField) });

/** Actions without parameters take no body or an empty object. */
export const emptySchema = closed({});

/** `POST /api/onboard/register` */
export const registerSchema = closed({
  agent_id: agentIdField,
  secret: Type.String({ minLength: 1, maxLength: 1_024, writeOnly: true }),
});
export type RegisterBody = Static<typeof registerSchema>;

/** `POST /api/session`: printable ASCII, as in a bearer header. */
export const sessionSchema = closed({
  token: Type.String({
    pattern: '^[\\x21-\\x7e]{1,1024}$',
    description: 'a token of 1 to 1024 printable ASCII characters',
    writeOnly: true,
  }),
});

const helloFields = {
  agent_id: agentIdField,
  secret_hint: tokenHintField,
  nonce: nonceField,
};
/** `POST /api/onboard/register`, first call: asks the hub to prove that it knows the secret. */
export const registerHelloSchema = closed(helloFields);
export type RegisterHelloBody = Static<typeof registerHelloSchema>;
/** `POST /api/onboard/register`, second call: once the hub has proved it. */
export const registerProvedSchema = closed({
  ...helloFields,
  hub_nonce: nonceField,
  sealed_secret: sealedField,
});
export type RegisterProvedBody = Static<typeof registerProvedSchema>;

/** `POST /admin/tokens`: for an agent, or for a person or program with a role. */
export const tokenSchema = closed({
  agent_id: optional(agentIdField),
  name: optional(tokenNameField),
  role: optional(Type.Enum(['submitter', 'viewer', 'operator', 'admin'])),
  capabilities: optional(capabilitiesField),
  max_slots: optional(slotsField),
  expires_in_ms: optional(durationField),
});
export type TokenBody = Static<typeof tokenSchema>;

/** How long a rotated token still works: by default, and at most. Milliseconds. */
export const OVERLAP_MS_DEFAULT = 3_600_000;
export const OVERLAP_MS_MAX = 2_592_000_000;
/** `POST /admin/tokens/:id/rotate`: empty, or how long the old token still works. 0: it expires at once. */
export const rotateSchema = closed({
  overlap_ms: optional(
    Type.Integer({ minimum: 0, maximum: OVERLAP_MS_MAX, description: `a duration of 0 to ${OVERLAP_MS_MAX} milliseconds (30 days)` }),
  ),
});
export type RotateBody = Static<typeof rotateSchema>;

/** By name, for `GET /api/schemas`. */
export const httpBodySchemas = {
  submit: submitSchema,
  push: pushSchema,
  adopt: adoptSchema,
  drain: drainSchema,
  empty: emptySchema,
  register: registerSchema,
  registerHello: registerHelloSchema,
  registerProved: registerProvedSchema,
  session: sessionSchema,
  token: tokenSchema,
  rotate: rotateSchema,
} as const;
