/** Validates a parsed body or query. Compiles its schema once, on first use. */
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { fieldErrors, type FieldError } from './field-errors.ts';

/** Whether it is a plain object without inherited fields, like one that was parsed. */
const isPlain = (given: object): boolean => Object.getPrototypeOf(given) === Object.prototype;

export type ReadBody<T> =
  { readonly kind: 'read'; readonly value: T } | { readonly kind: 'invalid'; readonly errors: readonly FieldError[] };

/** Unknown fields reported at once. */
const UNKNOWN_REPORTED_MAX = 20;

/**
 * A reader for objects of this closed schema. It returns an object with only the schema's fields: the given one if it has no others; fields
 * that are `null` are omitted, and any other field is an error `unknown_field`. `fields`: the word for them in its text.
 */
export function bodyReader<S extends TSchema & { readonly properties: Readonly<Record<string, TSchema>> }>(
  schema: S,
  fields = 'fields',
): (value: unknown) => ReadBody<Static<S>> {
  const names = Object.keys(schema.properties);
  const known: ReadonlySet<string> = new Set(names);
  // Which names an object has is checked here: the validator would match each of them with a pattern.
  const { additionalProperties: _, ...open } = schema as typeof schema & { readonly additionalProperties?: unknown };
  let validator: Validator | undefined;
  const unknownIn = (given: object): readonly FieldError[] =>
    Object.keys(given)
      .filter((name) => !known.has(name))
      .slice(0, UNKNOWN_REPORTED_MAX)
      .map((name, index) => ({
        field: name,
        error: 'unknown_field',
        detail: index === 0 ? `is unknown; known ${fields} are ${names.join(', ')}` : 'is unknown',
      }));
  const isAsWanted = (given: Readonly<Record<string, unknown>>): boolean => {
    for (const name in given) if (!known.has(name) || given[name] === null) return false;
    return true;
  };
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { kind: 'invalid', errors: [{ field: '', error: 'type', detail: 'must be a JSON object' }] };
    }
    const given = value as Readonly<Record<string, unknown>>;
    validator ??= Compile(open);
    if (isPlain(given) && isAsWanted(given) && validator.Check(given)) return { kind: 'read', value: given as Static<S> };
    const body: Record<string, unknown> = {};
    for (const name of names) if (Object.hasOwn(given, name) && given[name] !== null) body[name] = given[name];
    const unknown = unknownIn(given);
    if (!validator.Check(body)) return { kind: 'invalid', errors: [...unknown, ...fieldErrors(validator, body)] };
    return unknown.length === 0 ? { kind: 'read', value: body as Static<S> } : { kind: 'invalid', errors: unknown };
  };
}
