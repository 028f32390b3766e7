/** Parses and validates a frame. Compiles each schema once, on first use. */
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { fieldErrors, type FieldError } from './field-errors.ts';
import { excessText, findExcess, hasTooManyMembers } from './json-bounds.ts';

export type FrameParseResult<T> =
  | { readonly kind: 'frame'; readonly frame: T }
  /** Not JSON, or not an object; named like the error on the wire. */
  | { readonly kind: 'invalid_json' }
  | {
      readonly kind: 'unknown_message_type';
      readonly messageType: string | null;
      readonly object: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'validation_failed';
      readonly messageType: string;
      readonly errors: readonly FieldError[];
      /** The parsed fields, so that the reply can identify the task. */
      readonly object: Readonly<Record<string, unknown>>;
    };

/** A parser for the frames in `schemas`, which are keyed by the frame's `type`. */
export function frameParser<T>(schemas: Readonly<Record<string, TSchema>>): (text: string) => FrameParseResult<T> {
  const validators = new Map<string, Validator>();
  return (text) => {
    let value: unknown;
    const isTooLarge = hasTooManyMembers(text);
    try {
      value = isTooLarge ? scanIdentifyingFields(text) : JSON.parse(text);
    } catch {
      return { kind: 'invalid_json' };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { kind: 'invalid_json' };
    const excess = isTooLarge ? 'values' : findExcess(value);
    // A value over the limits must not be traversed any further: keep only the fields that the reply needs.
    const object = excess === null ? (value as Readonly<Record<string, unknown>>) : identifyingFields(value);
    const messageType = object['type'];
    if (typeof messageType !== 'string' || !Object.hasOwn(schemas, messageType)) {
      return { kind: 'unknown_message_type', messageType: typeof messageType === 'string' ? messageType : null, object };
    }
    if (excess !== null) {
      return { kind: 'validation_failed', messageType, errors: [{ field: '', error: excess, detail: excessText(excess) }], object };
    }
    let validator = validators.get(messageType);
    if (validator === undefined) {
      validator = Compile(schemas[messageType] as TSchema);
      validators.set(messageType, validator);
    }
    if (validator.Check(object)) return { kind: 'frame', frame: object as T };
    return { kind: 'validation_failed', messageType, errors: fieldErrors(validator, object), object };
  };
}

/** The fields that identify the frame's type, task and agent, for the reply. */
function identifyingFields(frame: object): Readonly<Record<string, unknown>> {
  const { type, task_id, generation, agent_id } = frame as Readonly<Record<string, unknown>>;
  const fields = { type, task_id, generation, agent_id };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => typeof value === 'string' || typeof value === 'number'));
}

const SCANNED_CHARACTERS = 1_024;
const IDENTIFYING_FIELD = /"(type|task_id|generation|agent_id)"\s*:\s*("[\w.-]{1,128}"|\d{1,15}(?=[,}\s]))/gu;

/** Finds the identifying fields of a frame that is too large to parse, by searching its start: our sidecars send them first. */
function scanIdentifyingFields(text: string): Readonly<Record<string, unknown>> {
  const found = [...text.slice(0, SCANNED_CHARACTERS).matchAll(IDENTIFYING_FIELD)];
  // Reversed, so that the first field of a name counts: a later one may be nested.
  return Object.fromEntries(found.reverse().map(([, name, value = '']) => [name, JSON.parse(value) as unknown]));
}
