/** The pieces that frames and HTTP bodies are made of, each with its bound. */
import { Type, type TSchema } from 'typebox';
import { AGENT_ID_PATTERN, TASK_ID_PATTERN } from '../domain/ids.ts';

export const PROTOCOL_VERSION = 2;

/** Capabilities of an agent or a task; sidecars and submitters alike. */
export const CAPABILITIES_MAX = 64;
export const SLOTS_MAX = 128;
/** Depth of JSON in a frame or a body. */
export const JSON_DEPTH_MAX = 32;
export const DESCRIPTION_CHARACTERS_MAX = 10_000;
export const MAX_RETRIES_MAX = 100;
/** How many assignments a sidecar may hold, running and reporting. */
export const HELD_MAX = 1_000;

export const taskIdField = Type.String({ pattern: TASK_ID_PATTERN });
export const agentIdField = Type.String({ pattern: AGENT_ID_PATTERN });
export const generationField = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const timeField = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** The longest duration that anybody may ask for: a year, milliseconds. */
const DURATION_MS_MAX = 31_536_000_000;
export const durationField = Type.Integer({ minimum: 1, maximum: DURATION_MS_MAX });
/** The same, or at once. */
export const waitField = Type.Integer({ minimum: 0, maximum: DURATION_MS_MAX });
export const reasonField = Type.String({ maxLength: 16_384 });
export const nameField = Type.String({ minLength: 1, maxLength: 128 });
export const capabilityField = Type.String({ minLength: 1, maxLength: 64 });
export const capabilitiesField = Type.Array(capabilityField, { maxItems: CAPABILITIES_MAX });
export const slotsField = Type.Integer({ minimum: 1, maximum: SLOTS_MAX });
export const countField = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const costField = Type.Number({ minimum: 0 });
export const objectField = Type.Record(Type.String(), Type.Unknown());

/** A field that may be missing or null: version 1 sends both. */
export const maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
