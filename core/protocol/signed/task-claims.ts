/**
 * What a submitter signs of a task: the claims of a JWT (RFC 7519), created by its client and checked by sidecars. They contain the digest of
 * the task's text, which a sidecar recomputes from the assignment. What the sidecar can check by itself is included verbatim, so that it need
 * not trust the hub.
 */
import { Type, type Static } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import type { AgentId } from '../../domain/ids.ts';
import { agentIdField, CAPABILITIES_MAX, capabilityField, durationField, timeField } from '../fields.ts';
import { canonicalJson } from '../json-text.ts';
import { partsFromWire, partsToWire, type WirePart } from '../task-body.ts';

export const SIGNATURE_ALGORITHM = 'EdDSA';
/** So that no other JWT of the same key passes for a task. */
export const SIGNATURE_TYPE = 'agentcom-task+jwt';
/** How long a signature is valid by default: a day. Milliseconds. */
export const SIGNATURE_LIFE_MS = 86_400_000;
/** The longest that a signature may be valid: a sidecar remembers it for that long. Milliseconds. */
export const SIGNATURE_LIFE_MS_MAX = 31 * 86_400_000;
/** How far the clocks of submitter and sidecar may differ, milliseconds. */
export const SIGNATURE_CLOCK_MS = 60_000;
export const AUDIENCES_MAX = 64;

const secondsField = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000 });

/** Closed: a claim that this version does not know may be one that forbids running the task here. */
const claimsSchema = Type.Object(
  {
    iat: secondsField,
    exp: secondsField,
    /** Its `run_at`. */
    nbf: Type.Optional(secondsField),
    /** The nonce. */
    jti: Type.String({ pattern: '^[A-Za-z0-9_-]{16,64}$' }),
    /** Agent IDs and audiences, one of which has to be the sidecar's. Absent: any. */
    aud: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: AUDIENCES_MAX })),
    content_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    needed_capabilities: Type.Optional(Type.Array(capabilityField, { maxItems: CAPABILITIES_MAX })),
    assign_to: Type.Optional(agentIdField),
    run_max_ms: Type.Optional(durationField),
    complete_by: Type.Optional(timeField),
  },
  { additionalProperties: false },
);
export type TaskClaims = Static<typeof claimsSchema>;

/** Compiled on first use. */
let validator: Validator | null = null;

/** The payload of a verified signature; null if it is not of this form. */
export function readClaims(payload: unknown): TaskClaims | null {
  validator ??= Compile(claimsSchema);
  return validator.Check(payload) ? (payload as TaskClaims) : null;
}

/** Parts of a task that are not signed: the signature itself, and what does not affect what runs. */
const UNSIGNED: ReadonlySet<string> = new Set<WirePart>(['signature', 'traceparent', 'tracestate']);

/** The fields of a submit or an assignment that make up the text of the task. */
export type SignedContent = Readonly<Partial<Record<WirePart, unknown>>> & {
  readonly description: string;
  readonly metadata?: unknown;
};

/**
 * The text whose digest is signed, by the rules of RFC 8785: canonical JSON of all parts of the task. What is empty is left out, so that a
 * part which a later version adds changes the text only of tasks that have it.
 */
export function contentText(task: SignedContent): string {
  const { description, metadata } = task;
  const content: Record<string, unknown> = { description, metadata };
  for (const [part, value] of Object.entries(partsToWire(partsFromWire(withoutNulls(task)))))
    if (!UNSIGNED.has(part)) content[part] = value;
  return canonicalJson(Object.fromEntries(Object.entries(content).filter(([, value]) => !isEmpty(value))));
}

/** In a submit, null stands for an absent field. */
export const withoutNulls = <T extends object>(task: T): T =>
  Object.fromEntries(Object.entries(task).filter(([, value]) => value !== null)) as T;

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

/** The terms of a submit that are signed in addition to its text. */
export interface SignedTerms {
  readonly needed_capabilities?: readonly string[] | undefined;
  readonly assign_to?: string | undefined;
  readonly run_at?: number | undefined;
  readonly run_max_ms?: number | undefined;
  readonly complete_by?: number | undefined;
}

export interface SigningTerms {
  readonly nowMs: number;
  /** From now, or from `run_at` if that is later. */
  readonly expiresInMs: number;
  /** Empty: any sidecar. */
  readonly audience: readonly string[];
  readonly nonce: string;
  readonly contentSha256: string;
}

/** The claims to sign for a submit. */
export function claimsFor(task: SignedTerms, { nowMs, expiresInMs, audience, nonce, contentSha256 }: SigningTerms): TaskClaims {
  const { run_at: runAtMs, needed_capabilities: needed = [], assign_to: assignTo } = task;
  return {
    iat: seconds(nowMs),
    exp: seconds(Math.max(nowMs, runAtMs ?? 0) + expiresInMs),
    ...(runAtMs === undefined ? {} : { nbf: seconds(runAtMs) }),
    jti: nonce,
    ...(audience.length === 0 ? {} : { aud: [...audience] }),
    content_sha256: contentSha256,
    ...(needed.length === 0 ? {} : { needed_capabilities: [...new Set(needed)].sort() }),
    ...(assignTo === undefined ? {} : { assign_to: assignTo as AgentId }),
    ...(task.run_max_ms === undefined ? {} : { run_max_ms: task.run_max_ms }),
    ...(task.complete_by === undefined ? {} : { complete_by: task.complete_by }),
  };
}

const seconds = (ms: number): number => Math.floor(ms / 1_000);

/** The assignment as the hub sent it. */
export interface SignedOffer {
  readonly contentSha256: string;
  readonly runMaxMs: number | null;
  readonly completeByMs: number | null;
}

/** The sidecar as it knows itself. */
export interface SignedAudience {
  readonly agentId: AgentId;
  readonly capabilities: readonly string[];
  readonly audiences: readonly string[];
}

/**
 * Why a sidecar does not run what the hub offers under these claims; null: it is what was signed, for this sidecar and for now. Expiry and
 * `nbf` are checked with the signature. Continues a sentence that begins with the task.
 */
export function claimsRefusal(claims: TaskClaims, offer: SignedOffer, self: SignedAudience, nowMs: number): string | null {
  if (claims.content_sha256 !== offer.contentSha256)
    return 'is not what its submitter signed: its text, metadata, repo or another part was changed';
  if (claims.iat * 1_000 > nowMs + SIGNATURE_CLOCK_MS)
    return 'was signed in the future; check the clocks of the submitter and of this machine';
  if ((claims.exp - Math.max(claims.iat, claims.nbf ?? 0)) * 1_000 > SIGNATURE_LIFE_MS_MAX)
    return `has a signature that is valid for more than ${SIGNATURE_LIFE_MS_MAX / 86_400_000} days; sign it for less`;
  const names = [self.agentId, ...self.audiences];
  if (claims.aud !== undefined && !claims.aud.some((name) => names.includes(name)))
    return 'is signed for other audiences than this sidecar';
  if (claims.assign_to !== undefined && claims.assign_to !== self.agentId) return `is signed for agent ${claims.assign_to} alone`;
  const lacking = claims.needed_capabilities?.find((capability) => !self.capabilities.includes(capability));
  if (lacking !== undefined) return `is signed for agents with the capability ${JSON.stringify(lacking)}`;
  if (claims.run_max_ms !== undefined && (offer.runMaxMs === null || offer.runMaxMs > claims.run_max_ms))
    return `may run for ${claims.run_max_ms} ms by its signature, and the hub says ${offer.runMaxMs ?? 'without limit'}`;
  if ((claims.complete_by ?? null) !== offer.completeByMs) return 'has another complete_by than its submitter signed';
  if (claims.complete_by !== undefined && claims.complete_by <= nowMs) return 'was to be completed by a time that has passed';
  return null;
}
