/** From text to a checked frame. Compiles each schema once, on first use. */
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { JSON_DEPTH_MAX } from './fields.ts';

export interface FieldError {
  readonly field: string;
  readonly error: string;
  readonly detail: string;
}

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

/** At most this many field errors are told; the rest follow once these are mended. */
const FIELD_ERRORS_MAX = 20;

/** A reader of the frames in `schemas`, told apart by `type`. The types of what it answers come from the schemas. */
export function frameReader<T>(schemas: Readonly<Record<string, TSchema>>): (text: string) => ReadFrame<T> {
  const validators = new Map<string, Validator>();
  return (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return { kind: 'invalid_json' };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !withinDepth(value, JSON_DEPTH_MAX)) {
      return { kind: 'invalid_json' };
    }
    const object = value as Readonly<Record<string, unknown>>;
    const messageType = object['type'];
    if (typeof messageType !== 'string' || !Object.hasOwn(schemas, messageType)) {
      return { kind: 'unknown_message_type', messageType: typeof messageType === 'string' ? messageType : null, object };
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

/** The errors of a value as people read them: which field, the kind of error, and what was wanted. */
export function fieldErrors(validator: Validator, value: unknown): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const error of validator.Errors(value)[1]) {
    const path = error.instancePath.slice(1).replaceAll('/', '.');
    const params = error.params as Readonly<Record<string, unknown>>;
    const missing =
      error.keyword === 'required' && Array.isArray(params['requiredProperties']) ? (params['requiredProperties'] as string[]) : null;
    const fields = missing === null ? [path] : missing.map((name) => (path === '' ? name : `${path}.${name}`));
    for (const field of fields) errors.push({ field, error: missing === null ? error.keyword : 'required', detail: error.message });
    if (errors.length >= FIELD_ERRORS_MAX) break;
  }
  return errors.slice(0, FIELD_ERRORS_MAX);
}

/** Whether objects and arrays are nested at most `depth` deep. */
export function withinDepth(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  for (const inner of Object.values(value)) if (!withinDepth(inner, depth - 1)) return false;
  return true;
}
