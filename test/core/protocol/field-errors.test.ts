/** What users read about an invalid value: a sentence that states what was expected. */
import t from 'tap';
import { Type } from 'typebox';
import { bodyReader, type ReadBody } from '../../../core/protocol/body-reader.ts';
import { DESCRIPTION_CHARACTERS_MAX } from '../../../core/protocol/fields.ts';
import { httpBodySchemas, sessionSchema, submitSchema, tokenSchema } from '../../../core/protocol/http-bodies.ts';
import { httpQuerySchemas, taskListSchema } from '../../../core/protocol/http-queries.ts';
import { hubSchemas } from '../../../core/protocol/hub-frames.ts';
import { v1Schemas, v2Schemas } from '../../../core/protocol/sidecar-frames.ts';

const errorsOf =
  (read: (value: unknown) => ReadBody<unknown>) =>
  (value: unknown): readonly string[] => {
    const result = read(value);
    return result.kind === 'invalid' ? result.errors.map(({ field, error, detail }) => `${field} [${error}] ${detail}`) : [];
  };
const submit = errorsOf(bodyReader(submitSchema));
const token = errorsOf(bodyReader(tokenSchema));
const list = errorsOf(bodyReader(taskListSchema));
const a = { description: 'a' };

t.test('each error is a sentence with its field', async (t) => {
  const cases: readonly (readonly [body: Readonly<Record<string, unknown>>, wanted: readonly string[]])[] = [
    [{}, ['description [required] is required']],
    [{ description: '' }, ['description [minLength] must not be empty']],
    [
      { description: 'x'.repeat(DESCRIPTION_CHARACTERS_MAX + 1) },
      [`description [maxLength] must have at most ${DESCRIPTION_CHARACTERS_MAX} characters, found ${DESCRIPTION_CHARACTERS_MAX + 1}`],
    ],
    [{ description: ' \n\t' }, ['description [pattern] must be text, not only white space, found " \\n\\t"']],
    [{ description: 5 }, ['description [type] must be text, not only white space, found 5']],
    [{ ...a, max_retries: 101 }, ['max_retries [maximum] must be a whole number from 0 to 100, found 101']],
    [{ ...a, max_retries: '3' }, ['max_retries [type] must be a whole number from 0 to 100, found "3"']],
    [{ ...a, ttl_ms: 0 }, ['ttl_ms [minimum] must be a duration of 1 to 31536000000 milliseconds, found 0']],
    [{ ...a, run_at: 'soon' }, ['run_at [type] must be a time in milliseconds since 1970, found "soon"']],
    [{ ...a, metadata: [1, 2] }, ['metadata [type] must be an object, found a list of 2 items']],
    [{ ...a, needed_capabilities: 'gpu' }, ['needed_capabilities [type] must be a list, found "gpu"']],
    [{ ...a, accept: { empty: 'yes' } }, ['accept.empty [type] must be true or false, found "yes"']],
    [{ ...a, priority: 'asap' }, ['priority [enum] must be one of urgent, high, normal, low, critical, found "asap"']],
    [
      { ...a, depends_on: ['x'] },
      ['depends_on.0 [pattern] must be a task ID: "task-" and 16 to 64 hexadecimal digits (0-9, a-f), found "x"'],
    ],
    [{ ...a, success_criteria: Array(257).fill('x') }, ['success_criteria [maxItems] must have at most 256 entries, found 257']],
  ];
  for (const [body, wanted] of cases) t.strictSame(submit(body), wanted);
  t.strictSame(token({ role: 'king', name: 'x' }), ['role [enum] must be one of submitter, viewer, operator, admin, found "king"']);
  t.match(list({ assigned_to: 'A B' }), [/^assigned_to \[pattern\] must be an agent ID: lowercase letters, .* found "A B"$/]);
  t.strictSame(list({ limit: '0' }), ['limit [pattern] must be a whole number, 1 or more, found "0"']);
});

t.test('secrets are not echoed, and long texts are cut', async (t) => {
  t.strictSame(errorsOf(bodyReader(sessionSchema))({ token: 'hunter 2' }), [
    'token [pattern] must be a token of 1 to 1024 printable ASCII characters, found a text of 8 characters',
  ]);
  const [long = ''] = submit({ ...a, repo: 'r', assign_to: 'X'.repeat(5_000) });
  t.match(long, /found "X{60}…"$/);
});

t.test('every pattern of the protocol has a description', async (t) => {
  const unsaid = (schema: unknown, path: string): readonly string[] => {
    if (typeof schema !== 'object' || schema === null) return [];
    const here = 'pattern' in schema && typeof schema.pattern === 'string' && !('description' in schema) ? [path] : [];
    return [...here, ...Object.entries(schema).flatMap(([name, inner]) => unsaid(inner, `${path}/${name}`))];
  };
  // The names of a record are a pattern that allows everything.
  const missing = unsaid({ httpBodySchemas, httpQuerySchemas, hubSchemas, v1Schemas, v2Schemas }, '');
  t.strictSame(missing, []);
});

t.test('a value of a union is validated as the kind that it is', async (t) => {
  const one = Type.Union([Type.String({ minLength: 1 }), Type.Object({ a: Type.Integer() }, { maxProperties: 2 })]);
  const read = errorsOf(bodyReader(Type.Object({ list: Type.Array(one) }, { additionalProperties: false })));
  t.strictSame(read({ list: ['ok', { a: 1 }] }), []);
  t.strictSame(read({ list: [7] }), ['list.0 [type] must be a string or an object, found 7']);
  t.strictSame(read({ list: [''] }), ['list.0 [minLength] must not be empty']);
  t.strictSame(read({ list: [{ a: 1, b: 2, c: 3 }] }), ['list.0 [maxProperties] must have at most 2 names, found 3']);
});

t.test('a body with 100,000 errors is answered fast, with some of them', async (t) => {
  const many = { description: 'a', file_hints: Array(100_000).fill(7) };
  const startedMs = performance.now();
  t.ok(submit(many).length <= 20);
  t.ok(performance.now() - startedMs < 5_000);
});
