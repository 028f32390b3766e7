/** What people read of a value that is not valid: a sentence that says what was wanted. */
import t from 'tap';
import { Type } from 'typebox';
import { bodyReader, type ReadBody } from '../../../core/protocol/body-reader.ts';
import { DESCRIPTION_CHARACTERS_MAX } from '../../../core/protocol/fields.ts';
import { submitSchema, tokenSchema } from '../../../core/protocol/http-bodies.ts';

const errorsOf =
  (read: (value: unknown) => ReadBody<unknown>) =>
  (value: unknown): readonly string[] => {
    const result = read(value);
    return result.kind === 'invalid' ? result.errors.map(({ field, error, detail }) => `${field} [${error}] ${detail}`) : [];
  };
const submit = errorsOf(bodyReader(submitSchema));
const token = errorsOf(bodyReader(tokenSchema));

t.test('each mistake is a sentence with its field', async (t) => {
  const cases: readonly (readonly [body: Readonly<Record<string, unknown>>, wanted: readonly string[]])[] = [
    [{}, ['description [required] is required']],
    [{ description: '' }, ['description [minLength] must not be empty']],
    [
      { description: 'x'.repeat(DESCRIPTION_CHARACTERS_MAX + 1) },
      [`description [maxLength] must have at most ${DESCRIPTION_CHARACTERS_MAX} characters`],
    ],
    [{ description: 'a', max_retries: 101 }, ['max_retries [maximum] must be <= 100']],
    [{ description: 'a', success_criteria: Array(257).fill('x') }, ['success_criteria [maxItems] must have at most 256 entries']],
  ];
  for (const [body, wanted] of cases) t.strictSame(submit(body), wanted);
  t.strictSame(token({ role: 'king', name: 'x' }), ['role [enum] must be one of submitter, viewer, operator, admin']);
});

t.test('a value that may be of several kinds is judged as the kind that it is', async (t) => {
  const one = Type.Union([Type.String({ minLength: 1 }), Type.Object({ a: Type.Integer() }, { maxProperties: 2 })]);
  const read = errorsOf(bodyReader(Type.Object({ list: Type.Array(one) }, { additionalProperties: false })));
  t.strictSame(read({ list: ['ok', { a: 1 }] }), []);
  t.strictSame(read({ list: [7] }), ['list.0 [type] must be string or object']);
  t.strictSame(read({ list: [''] }), ['list.0 [minLength] must not be empty']);
  t.strictSame(read({ list: [{ a: 1, b: 2, c: 3 }] }), ['list.0 [maxProperties] must have at most 2 names']);
});

t.test('what is wrong in a hundred thousand places is answered at once, and in part', async (t) => {
  const many = { description: 'a', file_hints: Array(100_000).fill(7) };
  const startedMs = performance.now();
  t.ok(submit(many).length <= 20);
  t.ok(performance.now() - startedMs < 5_000);
});
