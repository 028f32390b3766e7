/** Arbitraries from the very schemas that the hub validates with: valid values, and values with one error. */
import fc from 'fast-check';
import type { TSchema } from 'typebox';

interface Shape {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Shape[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Longer texts reveal nothing new, and cost much: only `beyond` goes to the true limits. */
const LENGTH_USUAL = 12;
const ITEMS_USUAL = 4;
const WHOLE_USUAL = 5;

/** Numbers around the limits of what programs count, time and store with. */
const edgeNumber = fc.constantFrom(
  ...[2 ** 31, 2 ** 32, 2 ** 53, 1e15, 8.64e15, 1e308].flatMap((edge) => [edge - 1, edge, edge + 1, -edge, edge / 3]),
);

/** Deeper than any limit, at it, and just below it: objects, arrays, and both in turn. */
const deepValue = fc
  .tuple(fc.constantFrom(30, 31, 32, 33, 34, 100, 1_000, 3_000), fc.constantFrom('array', 'object', 'both'), fc.jsonValue({ maxDepth: 1 }))
  .map(([depth, kind, inner]) => {
    let value: unknown = inner;
    for (let level = 0; level < depth; level += 1)
      value = kind === 'array' || (kind === 'both' && level % 2 === 0) ? [value] : { a: value };
    return value;
  });

/** Many members or elements; names that are long, alike, numbers or from the prototype; some over the limit of a frame or a body. */
const wideValue = fc
  .tuple(
    fc.constantFrom(10, 1_000, 10_000, 60_000),
    fc.constantFrom<(n: number) => string>(
      (n) => String(n),
      (n) => `k${n}`,
      (n) => `__proto__${n}`,
      (n) => 'x'.repeat(n % 50) + String(n),
    ),
    fc.constantFrom('array', 'object', 'rows'),
  )
  .map(([size, nameOf, kind]) => {
    if (kind === 'array') return Array.from({ length: size }, (_, n) => (n % 3 === 0 ? null : n));
    if (kind === 'rows') return Array.from({ length: Math.ceil(size / 10) }, (_, n) => ({ n, [nameOf(n)]: [n, n, n], a: {}, b: [] }));
    return Object.fromEntries(Array.from({ length: size }, (_, n) => [nameOf(n), n % 7]));
  });

/** Texts at and over the limits of fields, events and histories, in one, two and four bytes a character. */
const longText = fc
  .tuple(fc.constantFrom(1_024, 16_384, 16_385, 65_536, 250_000), fc.constantFrom('x', 'é', '\u{1f9e8}', '\\', '"', '\n'))
  .map(([length, character]) => character.repeat(Math.ceil(length / character.length)));

/** Values whose structure is the attack: depth, width, size, and numbers at the limits of exactness. */
export const structured: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: edgeNumber, weight: 6 },
  { arbitrary: deepValue, weight: 2 },
  { arbitrary: longText, weight: 2 },
  { arbitrary: wideValue, weight: 1 },
);

/** Values that are known to have surprised programs. */
export const awkward: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    ' ',
    0,
    -0,
    -1,
    0.5,
    1e308,
    -1e308,
    5e-324,
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER + 2,
    true,
    false,
    [],
    {},
    [[]],
    [null],
    '\u0000',
    'a\u0000b',
    '\ud800',
    '\udfff\ud800',
    '\ufeff',
    '\u202e',
    '__proto__',
    'constructor',
    'toString',
    '../../etc/passwd',
    '-rf',
    '--',
    '${TASK_ID}',
    'x'.repeat(70_000),
    '\u{1f9e8}'.repeat(5_000),
    { __proto__: null, toString: 1 },
    { constructor: { prototype: { polluted: true } } },
    { length: 1e9 },
    { then: 1 },
    { toJSON: 'x' },
  ),
  fc.jsonValue({ maxDepth: 4 }),
);

/** Values that this schema accepts; mostly short ones. */
export const fitting = (schema: TSchema): fc.Arbitrary<unknown> => fits(schema as Shape);

function fits(shape: Shape): fc.Arbitrary<unknown> {
  if ('const' in shape) return fc.constant(shape.const);
  if (shape.enum !== undefined) return fc.constantFrom(...shape.enum);
  if (shape.anyOf !== undefined) return fc.oneof(...shape.anyOf.map(fits));
  if (shape.properties !== undefined) return objectOf(shape);
  switch (shape.type) {
    case 'object':
      return fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 });
    case 'array':
      return fc.array(fits(shape.items ?? {}), { maxLength: Math.min(shape.maxItems ?? ITEMS_USUAL, ITEMS_USUAL) });
    case 'string':
      return textOf(shape);
    case 'integer':
      return wholeOf(shape);
    case 'number':
      return fc.double({ min: shape.minimum ?? -1e6, max: shape.maximum ?? 1e6, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.oneof({ arbitrary: awkward, weight: 4 }, { arbitrary: structured, weight: 1 });
  }
}

function textOf({ pattern, minLength = 0, maxLength = LENGTH_USUAL }: Shape): fc.Arbitrary<string> {
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern), { size: 'small' });
  return fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, LENGTH_USUAL)) });
}

function wholeOf({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: Shape): fc.Arbitrary<number> {
  const usual = fc.integer({ min: minimum, max: Math.min(maximum, minimum + WHOLE_USUAL) });
  return fc.oneof({ arbitrary: usual, weight: 4 }, { arbitrary: fc.constantFrom(minimum, maximum), weight: 1 });
}

function objectOf({ properties = {}, required = [] }: Shape): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(Object.entries(properties).map(([name, shape]) => [name, fits(shape)]));
  return fc.record(fields, { requiredKeys: [...required] });
}

/** Values of an object schema with one error: a field that is missing, of another type, beyond its limit, or unknown. */
export function oneWrong(schema: TSchema): fc.Arbitrary<unknown> {
  const { properties = {}, required = [] } = schema as Shape;
  const names = Object.keys(properties);
  const whole = objectOf(schema as Shape) as fc.Arbitrary<Readonly<Record<string, unknown>>>;
  const set = (name: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.tuple(whole, value).map(([object, wrong]) => ({ ...object, [name]: wrong }));
  const wrongs = names.flatMap((name): fc.Arbitrary<unknown>[] => [
    set(name, awkward),
    set(name, structured),
    set(name, beyond(properties[name] ?? {})),
    ...(required.includes(name) ? [whole.map((object) => without(object, name))] : []),
  ]);
  const unknown = fc.tuple(whole, fc.constantFrom('__proto__', 'constructor', 'extra', ''), fc.oneof(awkward, structured));
  return fc.oneof(
    ...wrongs,
    // As parsed from JSON: an own property, not a prototype.
    unknown.map(([object, name, value]) => Object.defineProperty({ ...object }, name, { value, enumerable: true })),
  );
}

const without = (object: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));

/** One over, or one under, what the shape allows. */
function beyond(shape: Shape): fc.Arbitrary<unknown> {
  const { type, minimum, maximum, minLength, maxLength, maxItems, items } = shape;
  const values: unknown[] = ['1', [1], { type: 'ping' }];
  if (minimum !== undefined) values.push(minimum - 1, minimum - 0.5);
  if (maximum !== undefined) values.push(maximum * 2, maximum + 1);
  if (minLength !== undefined) values.push('x'.repeat(Math.max(0, minLength - 1)));
  if (maxLength !== undefined) values.push('x'.repeat(maxLength + 1), '\u{1f9e8}'.repeat(maxLength));
  if (maxItems !== undefined) values.push(Array.from({ length: maxItems + 1 }, () => (items?.type === 'string' ? 'x' : {})));
  if (type === 'string') values.push(1, null, '\u0000', '\ud800');
  return fc.constantFrom(...values);
}
