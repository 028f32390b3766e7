/** Random values that match a JSON Schema of the document, and values that almost match. */
import fc from 'fast-check';

type Schema = Readonly<Record<string, unknown>>;

/** Lists and texts are shorter than the schema allows. */
const ITEMS_MAX = 4;
const CHARACTERS_MAX = 40;

/** Letters, and characters with a meaning in JSON, HTML, SQL, a shell or a terminal. */
const CHARACTERS = [...'abcXYZ019 _-.:/\\"\'`<>&%;$\n\t\u001b\u00e9\u6f22\u202e\u{1f600}'];

/** Texts of this many code points. `fc.string` would take longer to generate than all requests with it. */
export const plainTexts = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...CHARACTERS), { minLength, maxLength }).map((all) => all.join(''));

/** Valid values. `schema` has no references. */
export function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  const anyOf = schema['anyOf'] as readonly Schema[] | undefined;
  if (anyOf !== undefined) return fc.oneof(...anyOf.map(valuesOf));
  const options = schema['enum'] as readonly unknown[] | undefined;
  if (options !== undefined) return fc.constantFrom(...options);
  if (schema['const'] !== undefined) return fc.constant(schema['const']);
  const number = (name: string, otherwise: number): number => (typeof schema[name] === 'number' ? schema[name] : otherwise);
  switch (schema['type']) {
    case 'string':
      return stringsOf(schema, number('minLength', 0), Math.min(number('maxLength', CHARACTERS_MAX), CHARACTERS_MAX));
    case 'integer':
      return fc.integer({ min: number('minimum', 0), max: number('maximum', Number.MAX_SAFE_INTEGER) });
    case 'number':
      return fc.double({ min: number('minimum', 0), max: number('maximum', 1e9), noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(valuesOf(schema['items'] as Schema), { maxLength: Math.min(number('maxItems', ITEMS_MAX), ITEMS_MAX) });
    case 'object':
      return objectsOf(schema);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function stringsOf({ pattern }: Schema, minLength: number, maxLength: number): fc.Arbitrary<string> {
  if (typeof pattern !== 'string') return plainTexts(minLength, maxLength);
  const texts = fc.stringMatching(new RegExp(pattern), { size: 'xsmall' });
  return minLength === 0 ? texts : texts.filter((text) => text.length >= minLength && text.length <= maxLength);
}

function objectsOf(schema: Schema): fc.Arbitrary<unknown> {
  const properties = schema['properties'] as Readonly<Record<string, Schema>> | undefined;
  if (properties === undefined) return fc.dictionary(plainTexts(0, 10), fc.jsonValue({ maxDepth: 2 }), { maxKeys: ITEMS_MAX });
  const fields = Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, valuesOf(one)]));
  return fc.record(fields, { requiredKeys: (schema['required'] as string[] | undefined) ?? [] });
}

const JUNK = [null, '', 0, -1, 1.5, 1e308, [], {}, [[]], 'x', '\u0000', '\ud800', true, '__proto__'];

/** A valid value with one error, or something entirely different. Some are still valid. */
export const nearValuesOf = (schema: Schema): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.tuple(valuesOf(schema), fc.nat(), fc.constantFrom('drop', 'junk', 'add'), fc.constantFrom(...JUNK)).map(([value, at, how, junk]) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return junk;
      const names = Object.keys(value);
      const name = names[at % Math.max(1, names.length)] ?? 'x';
      if (how === 'add') return { ...value, [`x${at}`]: junk };
      const { [name]: dropped, ...rest } = value as Readonly<Record<string, unknown>>;
      return how === 'drop' ? rest : { ...rest, [name]: dropped === junk ? [] : junk };
    }),
    fc.constantFrom(...JUNK),
    fc.jsonValue({ maxDepth: 3 }),
  );
