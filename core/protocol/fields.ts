/** The pieces that frames and HTTP bodies are made of, each with its bound. */
import { Type, type TSchema } from 'typebox';
import { AGENT_ID_PATTERN, GENERATION_MAX, TASK_ID_PATTERN, type AgentId, type Generation, type TaskId } from '../domain/ids.ts';
import type { Acceptable } from '../domain/task/task.ts';
import { MODEL_CHARACTERS_MAX, MODELS_MAX } from '../domain/usage.ts';
import { NONCE_PATTERN, SEALED_TOKEN_PATTERN, TOKEN_HINT_DIGITS, TOKEN_HINT_PATTERN } from './proof.ts';

export const PROTOCOL_VERSION = 2;

/** Capabilities of an agent or a task; sidecars and submitters alike. */
export const CAPABILITIES_MAX = 64;
export const SLOTS_MAX = 128;
/** A task of dozens of pages; the bytes of the whole submit are bounded separately (`limits.submitBytes`). */
export const DESCRIPTION_CHARACTERS_MAX = 200_000;
export const MAX_RETRIES_MAX = 100;
/** How many assignments a sidecar may hold, running and reporting. */
export const HELD_MAX = 1_000;
/** The size of one of their tasks as JSON, bytes: no sidecar accepts a larger one. */
export const HELD_TASK_BYTES_MAX = 393_216;
/**
 * The total size of their tasks as JSON, each counted with at most `HELD_TASK_COUNTED_BYTES_MAX`, bytes: the journal is written on every
 * change, and needs room for what has ended. Larger tasks can be stored apart.
 */
export const HELD_TASKS_BYTES_MAX = 393_216;
/** So that as many tasks as an agent has slots always fit. */
export const HELD_TASK_COUNTED_BYTES_MAX = 2_048;

/** Ids and generations are branded: a value that has passed a schema needs no cast. */
export const taskIdField = Type.Unsafe<TaskId>(
  Type.String({ pattern: TASK_ID_PATTERN, description: 'a task ID: "task-" and 16 to 64 hexadecimal digits (0-9, a-f)' }),
);
export const agentIdField = Type.Unsafe<AgentId>(
  Type.String({
    pattern: AGENT_ID_PATTERN,
    description: 'an agent ID: lowercase letters, digits, ".", "_" and "-", a letter or digit first, at most 64 characters',
  }),
);
export const generationField = Type.Unsafe<Generation>(Type.Integer({ minimum: 0, maximum: GENERATION_MAX }));
/** In an inventory, where an impossible generation is answered individually: the rest of the inventory counts. */
export const heldGenerationField = Type.Unsafe<Generation>(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }));
/** The last moment that a `Date` can hold, milliseconds since 1970. */
const TIME_MS_MAX = 8_640_000_000_000_000;
export const timeField = Type.Integer({ minimum: 0, maximum: TIME_MS_MAX, description: 'a time in milliseconds since 1970' });
/** The longest duration that a frame or a request may ask for: a year, in milliseconds. */
export const DURATION_MS_MAX = 31_536_000_000;
export const durationField = Type.Integer({
  minimum: 1,
  maximum: DURATION_MS_MAX,
  description: `a duration of 1 to ${DURATION_MS_MAX} milliseconds`,
});
/** The same, or 0: at once. */
export const waitField = Type.Integer({
  minimum: 0,
  maximum: DURATION_MS_MAX,
  description: `a duration of 0 to ${DURATION_MS_MAX} milliseconds`,
});
export const reasonField = Type.String({ maxLength: 16_384 });
const NAME_CHARACTERS_MAX = 128;
export const nameField = Type.String({ minLength: 1, maxLength: NAME_CHARACTERS_MAX });
/** Of a person or program, whom it tells apart in lists. */
export const tokenNameField = Type.String({
  maxLength: NAME_CHARACTERS_MAX,
  pattern: '\\S',
  description: `a name of at most ${NAME_CHARACTERS_MAX} characters that are not all spaces`,
});
export const capabilityField = Type.String({ minLength: 1, maxLength: 64 });
export const capabilitiesField = Type.Array(capabilityField, { maxItems: CAPABILITIES_MAX });
export const slotsField = Type.Integer({ minimum: 1, maximum: SLOTS_MAX });
export const countField = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** The highest cost that an attempt may report, in US dollars. */
const COST_USD_MAX = 1_000_000_000;
export const costField = Type.Number({ minimum: 0, maximum: COST_USD_MAX });
/** A model's name, as reported by the program. */
const modelField = Type.String({ minLength: 1, maxLength: MODEL_CHARACTERS_MAX });
/** What an attempt has used of each model so far. */
export const modelsField = Type.Array(
  Type.Object({
    model: modelField,
    input_tokens: Type.Optional(countField),
    cached_input_tokens: Type.Optional(countField),
    output_tokens: Type.Optional(countField),
    cost_usd: Type.Optional(costField),
  }),
  { maxItems: MODELS_MAX },
);
/** Endings that count as a result: see `Acceptance`. */
export const acceptFields = {
  empty: Type.Optional(Type.Boolean()),
  truncated: Type.Optional(Type.Boolean()),
  refused: Type.Optional(Type.Boolean()),
} as const satisfies Readonly<Record<Acceptable, TSchema>>;
/** An agent program's own session id. Passed back as an argument, so it must not look like an option or be special to a shell. */
const SESSION_ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:@=+-]{0,255}$';
const sessionIdPattern = new RegExp(SESSION_ID_PATTERN);
export const isSessionId = (value: string): boolean => sessionIdPattern.test(value);
export const sessionIdField = Type.String({
  pattern: SESSION_ID_PATTERN,
  description: 'a session ID: letters, digits and "._:@=+-", a letter or digit first, at most 256 characters',
});
/** A task with 64 capabilities of 64 characters has a signature of 7,000 characters. */
const SIGNATURE_CHARACTERS_MAX = 8_192;
/** The signature of a task: a JWS in its compact form. Only sidecars know the keys. */
export const signatureField = Type.String({
  pattern: '^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$',
  maxLength: SIGNATURE_CHARACTERS_MAX,
  description: `a JWS in compact form of at most ${SIGNATURE_CHARACTERS_MAX} characters`,
});
/** The checks of a sidecar's machine and its agent program. */
export const CHECKS_MAX = 32;
export const CHECK_CHARACTERS_MAX = 1_024;
export const checksField = Type.Array(Type.Object({ check: nameField, message: Type.String({ maxLength: CHECK_CHARACTERS_MAX }) }), {
  maxItems: CHECKS_MAX,
});
/** Digits of a handshake: a hash, a nonce or something encrypted, in hexadecimal. */
export const hexadecimalField = (pattern: string, description: string) => Type.String({ pattern, description, writeOnly: true });
export const nonceField = hexadecimalField(NONCE_PATTERN, 'a nonce of 64 hexadecimal digits');
export const tokenHintField = hexadecimalField(TOKEN_HINT_PATTERN, `the first ${TOKEN_HINT_DIGITS} hexadecimal digits of a hash`);
export const sealedField = hexadecimalField(SEALED_TOKEN_PATTERN, 'an encrypted token in hexadecimal digits');
/** Any object. Not `Type.Record`, which would match each name with a pattern that they all match. */
export const objectField = Type.Unsafe<Record<string, unknown>>({ type: 'object' });

/** A field that may be missing or null: version 1 sends both. */
export const maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
