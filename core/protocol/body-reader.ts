/** From a parsed body or query to a checked one. Compiles its schema once, on first use. */
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { fieldErrors, type FieldError } from './field-errors.ts';

export type ReadBody<T> =
  { readonly kind: 'read'; readonly value: T } | { readonly kind: 'invalid'; readonly errors: readonly FieldError[] };

/** Unknown fields told at once. */
const UNKNOWN_TOLD_MAX = 20;

/**
 * A reader for objects of this closed schema. What it answers is a new object with the fields of the schema alone;
 * fields that are `null` are left out, and any other field is an error `unknown_field`.
 */
export function bodyReader<S extends TSchema & { readonly properties: Readonly<Record<string, TSchema>> }>(
  schema: S,
): (value: unknown) => ReadBody<Static<S>> {
  const names = Object.keys(schema.properties);
  let validator: Validator | undefined;
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { kind: 'invalid', errors: [{ field: '', error: 'type', detail: 'must be a JSON object' }] };
    }
    const given = value as Readonly<Record<string, unknown>>;
    const unknown = Object.keys(given).filter((name) => !names.includes(name));
    const body: Record<string, unknown> = {};
    for (const name of names) {
      if (Object.hasOwn(given, name) && given[name] !== null) body[name] = given[name];
    }
    validator ??= Compile(schema);
    const errors: FieldError[] = unknown.slice(0, UNKNOWN_TOLD_MAX).map((name, index) => ({
      field: name,
      error: 'unknown_field',
      detail: index === 0 ? `is not known here; known are: ${names.join(', ')}` : 'is not known here',
    }));
    if (!validator.Check(body)) errors.push(...fieldErrors(validator, body));
    return errors.length === 0 ? { kind: 'read', value: body as Static<S> } : { kind: 'invalid', errors };
  };
}
