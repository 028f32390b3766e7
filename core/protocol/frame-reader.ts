/** Parses and validates a frame. Compiles each schema once, on first use. */
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { fieldErrors, type FieldError } from './field-errors.ts';
import { excessText, findExcess, hasTooManyMembers } from './json-bounds.ts';

export type ReadFrame<T> =
  | { readonly kind: 'frame'; readonly frame: T }
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
      /** What parsed, for an answer that can name the task. */
      readonly object: Readonly<Record<string, unknown>>;
    };

/** A reader for the frames in `schemas`, distinguished by `type`. */
export function frameReader<T>(schemas: Readonly<Record<string, TSchema>>): (text: string) => ReadFrame<T> {
  const validators = new Map<string, Validator>();
  return (text) => {
    let value: unknown;
    const isUnread = hasTooManyMembers(text);
    try {
      value = isUnread ? namesAtStart(text) : JSON.parse(text);
    } catch {
      return { kind: 'invalid_json' };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { kind: 'invalid_json' };
    const excess = isUnread ? 'values' : findExcess(value);
    // Nothing after this may walk a value over the limits, so only the fields that name the task are passed on.
    const object = excess === null ? (value as Readonly<Record<string, unknown>>) : namesIn(value);
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

/** The same for a frame that is not parsed, if they come first, as our sidecars send them. */
function namesAtStart(text: string): Readonly<Record<string, unknown>> {
  const names = [...text.slice(0, START_CHARACTERS).matchAll(NAMED)];
  return Object.fromEntries(names.reverse().map(([, name, value = '']) => [name, JSON.parse(value) as unknown]));
}
const START_CHARACTERS = 1_024;
const NAMED = /"(type|task_id|generation|agent_id)"\s*:\s*("[\w.-]{1,128}"|\d{1,15}(?=[,}\s]))/gu;

/** The fields that identify a frame's type, task and agent, for the answer. */
function namesIn(frame: object): Readonly<Record<string, unknown>> {
  const { type, task_id, generation, agent_id } = frame as Readonly<Record<string, unknown>>;
  const names = { type, task_id, generation, agent_id };
  return Object.fromEntries(Object.entries(names).filter(([, value]) => typeof value === 'string' || typeof value === 'number'));
}
