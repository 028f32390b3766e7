/** Responses about agents, their tokens and their enrollment. */
import { Type } from 'typebox';
import { agentWaiting, count, object, optional, orNull, pageOf, text, texts, time, truth } from './response-fields.ts';

const named = Type.Array(Type.Object({ check: text, message: text }));
const checks = Type.Object({ ok: truth, reported_at: time, failed: named, passed: named });

const agentFields = {
  agent_id: text,
  name: text,
  status: Type.Enum(['offline', 'idle', 'working', 'stopping', 'draining', 'paused']),
  capabilities: texts,
  slots: count,
  connected: truth,
  connected_at: orNull(time),
  disconnected_at: orNull(time),
  last_seen: orNull(time),
  protocol_version: count,
  device_key_bound: truth,
  draining: truth,
  draining_reason: orNull(text),
  drain_until: orNull(time),
  paused_until: orNull(time),
  paused_reason: orNull(text),
  paused_cause: orNull(text),
  checks: orNull(checks),
  busy_until: orNull(time),
  busy_reason: orNull(text),
  conflict_until: orNull(time),
  reported_status: orNull(text),
  current_task: orNull(text),
  tasks: Type.Array(Type.Object({ task_id: text, generation: count, assigned_at: orNull(time), accepted_at: orNull(time) })),
  pending_stops: count,
  resources: orNull(object),
};
/** An agent in a list. */
export const agentSchema = Type.Object(agentFields);
/** `GET /api/agents/:id` */
export const agentDetailSchema = Type.Object({ ...agentFields, waiting_for: Type.Object(agentWaiting) });
/** `GET /api/agents` */
export const agentPageSchema = pageOf('agents', agentSchema);
/** `POST /api/agents/:id/drain`, `resume`, `check` and `takeover` */
export const agentChangedSchema = Type.Object({ agent_id: text, change: Type.Enum(['drain', 'resume', 'check', 'takeover']) });
/** `DELETE /api/agents/:id` */
export const agentRemovedSchema = Type.Object({ removed: text });

const role = Type.Enum(['agent', 'submitter', 'viewer', 'operator', 'admin']);
const tokenFields = {
  id: text,
  name: text,
  role,
  agent_id: orNull(text),
  prefix: text,
  capabilities: orNull(texts),
  max_slots: orNull(count),
  created_at: time,
  revoked_at: orNull(time),
  expires_at: orNull(time),
  last_used_at: orNull(time),
  replaced_by: orNull(text),
  submits_as: text,
};
export const listedTokenSchema = Type.Object(tokenFields);
/** `GET /admin/tokens` */
export const tokenPageSchema = pageOf('tokens', listedTokenSchema);
/** `POST /admin/tokens` */
export const createdTokenSchema = Type.Object({ token: text, ...tokenFields });
/** `POST /admin/tokens/:id/rotate` */
export const rotatedTokenSchema = Type.Object({ token: text, ...tokenFields, rotated: listedTokenSchema });
/** `DELETE /admin/tokens/:id` */
export const revokedSchema = Type.Object({ revoked: texts });

/** `POST /admin/enrol-secrets` */
export const enrolSecretSchema = Type.Object({ secret: text, expires_at: time, fingerprint: orNull(text), loopback_only: Type.Boolean() });
const urls = { hub_ws_url: text, hub_api_url: text };
/** `POST /api/onboard/register` with the secret itself */
export const registrationSchema = Type.Object({ agent_id: text, token: text, ...urls });
/** `POST /api/onboard/register`, first call: the hub proves that it knows the secret. */
export const registerChallengeSchema = Type.Object({ hub_nonce: text, proof: text });
/** `POST /api/onboard/register`, second call */
export const sealedRegistrationSchema = Type.Object({ agent_id: text, sealed_token: text, proof: text, ...urls });

/** `POST /api/session` */
export const sessionOpenedSchema = Type.Object({ id: text, role, expires_at: time });
/** `DELETE /api/session` */
export const sessionEndedSchema = Type.Object({});

/** `GET /api/whoami` */
export const whoAmISchema = Type.Object({ id: text, name: text, role, agent_id: orNull(text), submits_as: text, server_time: time });
/** `GET /health` */
export const healthSchema = Type.Object({
  status: Type.Enum(['ok', 'degraded']),
  version: text,
  storage: text,
  durable: truth,
  transport: text,
  loop_delay_ms: count,
  server_time: time,
  deadlocks: optional(count),
});
/** `GET /ready` */
export const readySchema = Type.Object({ status: Type.Literal('ready') });
/** `GET /api/schemas` */
export const schemasSchema = Type.Object({
  protocol_version: count,
  http: Type.Object({ bodies: object, queries: object }),
  frames: Type.Object({ from_sidecar: object, from_hub: object }),
});
