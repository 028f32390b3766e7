/** Validates a parsed body or query. Compiles its schema once, on first use. */
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { fieldErrors, type FieldError } from './field-errors.ts';

export type ReadBody<T> =
  { readonly kind: 'read'; readonly value: T } | { readonly kind: 'invalid'; readonly errors: readonly FieldError[] };

/** Unknown fields reported at once. */
const UNKNOWN_REPORTED_MAX = 20;

/**
 * A reader for objects of this closed schema. It returns a new object with only the schema's fields; fields that are `null` are
 * omitted, and any other field is an error `unknown_field`.
 */
export function bodyReader<S extends TSchema & { readonly properties: Readonly<Record<string, TSchema>> }>(
  schema: S,
): (value: unknown) => ReadBody<Static<S>> {
  const names = Object.keys(schema.properties);
  let validator: Validator | undefined;
  const unknownIn = (given: object): readonly FieldError[] =>
    Object.keys(given)
      .filter((name) => !names.includes(name))
      .slice(0, UNKNOWN_REPORTED_MAX)
      .map((name, index) => ({
        field: name,
        error: 'unknown_field',
        detail: index === 0 ? `is unknown; known fields are ${names.join(', ')}` : 'is unknown',
      }));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { kind: 'invalid', errors: [{ field: '', error: 'type', detail: 'must be a JSON object' }] };
    }
    const given = value as Readonly<Record<string, unknown>>;
    const body: Record<string, unknown> = {};
    let known = 0;
    for (const name of names) {
      if (!Object.hasOwn(given, name)) continue;
      known += 1;
      if (given[name] !== null) body[name] = given[name];
    }
    validator ??= Compile(schema);
    const isKnown = Object.keys(given).length === known;
    if (validator.Check(body)) return isKnown ? { kind: 'read', value: body as Static<S> } : { kind: 'invalid', errors: unknownIn(given) };
    return { kind: 'invalid', errors: [...unknownIn(given), ...fieldErrors(validator, body)] };
  };
}
