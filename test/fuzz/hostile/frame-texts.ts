/**
 * What hostile peers send, generated once and varied cheaply afterwards. Task ids and generations are placeholders,
 * which each sender fills with what hurts most: its own task, another's, one that is gone.
 */
import fc from 'fast-check';
import type { TSchema } from 'typebox';
import { v1Schemas, v2Schemas } from '../../../core/protocol/sidecar-frames.ts';
import { awkward, fitting, oneWrong } from './from-schema.ts';

/** Stand for task ids in generated texts. */
export const MARKS = { own: 'task-aaaaaaaaaaaaaaaa', other: 'task-bbbbbbbbbbbbbbbb', gone: 'task-cccccccccccccccc' } as const;

const SCHEMAS: readonly (readonly [string, TSchema])[] = [...Object.entries(v1Schemas), ...Object.entries(v2Schemas)];

const mark = fc.constantFrom(...Object.values(MARKS));
const generation = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 4 }), weight: 8 },
  { arbitrary: fc.constantFrom(1_000, 2 ** 31, 2 ** 32 + 1, 2 ** 53 - 2, 2 ** 53 - 1), weight: 1 },
);

/** With placeholders where task ids belong, also in the inventory of an identify. */
const marked = (frame: fc.Arbitrary<unknown>): fc.Arbitrary<Readonly<Record<string, unknown>>> =>
  fc.tuple(frame as fc.Arbitrary<Readonly<Record<string, unknown>>>, mark, generation, fc.boolean()).map(([object, id, count, keep]) => {
    if (keep || !('task_id' in object)) return object;
    return { ...object, task_id: id, ...('generation' in object ? { generation: count } : {}) };
  });

const fittingFrame = fc.oneof(...SCHEMAS.map(([, schema]) => marked(fitting(schema))));
const wrongFrame = fc.oneof(...SCHEMAS.map(([, schema]) => oneWrong(schema)));

/** JSON text that no JavaScript value produces. */
const rawJson = fc.constantFrom(
  '1e400',
  '-1e400',
  '9'.repeat(400),
  '0.'.padEnd(2_000, '1'),
  '"\\ud800"',
  '"\\u0000"',
  '['.repeat(5_000) + ']'.repeat(5_000),
  '{"a":'.repeat(2_000) + '1' + '}'.repeat(2_000),
  '['.repeat(33) + ']'.repeat(33),
  '{"__proto__":{"type":"ping"}}',
  '"\\u005f_proto__"',
);

const notFrames = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '{',
    '}',
    '[]',
    'null',
    'true',
    '0',
    '""',
    '{}',
    '{"type":null}',
    '{"type":1}',
    '{"type":["ping"]}',
    '{"type":"__proto__"}',
    '{"type":"constructor"}',
    '{"type":"toString"}',
    '{"type":"PING"}',
    '{"type":"ping"}{"type":"ping"}',
    '\ufeff{"type":"ping"}',
    '\u0000',
    '{"type":"ping",}',
    "{'type':'ping'}",
    'NaN',
    '{"type":"ping"}\n',
    '{"type":"ping","type":"identify"}',
    '['.repeat(60_000),
    '{"a":'.repeat(12_000),
    `"${'\\'.repeat(60_000)}`,
    'GET / HTTP/1.1\r\n\r\n',
  ),
  fc.json(),
  fc.string({ maxLength: 60 }),
  awkward.map((value) => JSON.stringify(value) ?? 'undefined'),
);

/** A frame's text that was cut, joined with another, or damaged in one place. */
const hurt = fc
  .tuple(
    fittingFrame.map((frame) => JSON.stringify(frame)),
    fc.nat(),
    rawJson,
    fc.constantFrom('cut', 'double', 'swap', 'raw', 'more', 'proto', 'twice'),
  )
  .map(([text, at, raw, how]) => {
    const place = at % (text.length + 1);
    switch (how) {
      case 'cut':
        return text.slice(0, place);
      case 'double':
        return text + text;
      case 'swap':
        return `${text.slice(0, place)}${String.fromCharCode(at % 65_536)}${text.slice(place + 1)}`;
      case 'raw':
        return text.replace(/:("[^"]*"|\d+)/, `:${raw}`);
      case 'more':
        return text.replace(/\}$/, `,"more":${raw}}`);
      case 'proto':
        return text.replace('{', '{"__proto__":{"generation":1,"polluted":true},');
      default:
        return text.replace(/\}$/, `,${text.slice(1)}`);
    }
  });

/** Frames that are mostly right: each of an existing type. */
export const wellMadeFrames = (count: number, seed: number): readonly string[] =>
  fc.sample(fittingFrame, { numRuns: count, seed }).map((frame) => JSON.stringify(frame));

/** Frames with one error, damaged texts, and text that is not a frame at all. */
export const brokenFrames = (count: number, seed: number): readonly string[] =>
  fc.sample(
    fc.oneof(
      wrongFrame.map((frame) => JSON.stringify(frame)),
      hurt,
      notFrames,
    ),
    { numRuns: count, seed },
  );

/** An identify with an error: also with the right token in it, in place of `TOKEN` and `AGENT`. */
export const brokenIdentifies = (count: number, seed: number): readonly string[] =>
  fc
    .sample(oneWrong(v2Schemas.identify) as fc.Arbitrary<Readonly<Record<string, unknown>>>, { numRuns: count, seed })
    .map((frame, n) => JSON.stringify(n % 2 === 0 ? frame : { ...frame, token: 'TOKEN', agent_id: 'AGENT' }));
