/** JSON text, bodies, cursors and addresses, as the HTTP API reads and writes them. */
import fc from 'fast-check';
import t from 'tap';
import { Type } from 'typebox';
import type { TaskId } from '../../../core/domain/ids.ts';
import { fullBucket, takeOne } from '../../../core/domain/token-bucket.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { addressGroup, clientAddress, plainAddress } from '../../../core/protocol/client-address.ts';
import { DESCRIPTION_CHARACTERS_MAX } from '../../../core/protocol/fields.ts';
import { submitSchema } from '../../../core/protocol/http-bodies.ts';
import { readTaskCursor, taskCursor } from '../../../core/protocol/http-queries.ts';
import { JSON_VALUES_MAX } from '../../../core/protocol/json-bounds.ts';
import { canonicalJson, findUnstorable } from '../../../core/protocol/json-text.ts';
import { taskRecordJson, taskRowJson } from '../../../core/protocol/task-json.ts';
import { aBody, anEvent, aTask, aTaskId, anAgentId } from '../../product/contracts/fixtures.ts';

t.test('JSON that cannot be stored is found, with its field', async (t) => {
  const deep = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
  const cases: readonly (readonly [value: unknown, field: string | null])[] = [
    ['plain \u0001 \u007f 😀 \u202e', null],
    ['a\u0000b', ''],
    [{ a: ['x', 'y\ud800'] }, 'a.1'],
    [{ a: { '\udc00': 1 } }, 'a'],
    [{ a: Number.MAX_SAFE_INTEGER, b: -0.5, c: 1e-300 }, null],
    [JSON.parse('{"a":9007199254740993}'), 'a'],
    [JSON.parse('{"a":1e400}'), 'a'],
    [deep(32), null],
    [deep(33), ''],
    [Array.from({ length: JSON_VALUES_MAX }, () => 0), null],
    [Array.from({ length: JSON_VALUES_MAX + 1 }, () => 0), ''],
    [JSON.parse('{"__proto__":{"a":"\\u0000"}}'), '__proto__.a'],
  ];
  for (const [value, field] of cases) t.equal(findUnstorable(value)?.field ?? null, field, JSON.stringify(value).slice(0, 60));
});

t.test('the text of a value shows when nothing in it needs checking', async (t) => {
  const texts = [
    '{"a":"b"}',
    '["\\u0000"]',
    '["\\ud800"]',
    '[9007199254740993]',
    '[9007199254740993.0]',
    '[999999999999999]',
    '[1e400]',
    '[1.5E+300]',
    '[90071992547409.93e2]',
  ];
  for (const text of texts) t.strictSame(findUnstorable(JSON.parse(text), text), findUnstorable(JSON.parse(text)), text);
  t.equal(findUnstorable('a\u0000', '"a"'), null, 'only the text is checked: it must be that of the value');
  const number = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }));
  const text = fc.oneof(
    fc.json({ stringUnit: 'binary' }),
    number.map((one) => `{"a":[${String(one).replace(/NaN|-?Infinity/, '0')}]}`),
    fc.string({ unit: 'binary' }).map((one) => JSON.stringify({ [one]: one })),
  );
  fc.assert(
    fc.property(text, (one) => {
      const value: unknown = JSON.parse(one);
      return JSON.stringify(findUnstorable(value, one)) === JSON.stringify(findUnstorable(value));
    }),
    { numRuns: 2_000 },
  );
});

t.test('equivalent bodies have the same text', async (t) => {
  t.equal(canonicalJson(JSON.parse('{"b":[1,{"d":null,"c":"x"}],"a":1.0}')), '{"a":1,"b":[1,{"c":"x","d":null}]}');
  t.equal(canonicalJson(JSON.parse('{"__proto__":1,"a":2}')), '{"__proto__":1,"a":2}');
  t.equal(canonicalJson(JSON.parse('[{"b":[{"9":1,"10":2,":":3}],"a":"é"}]')), '[{"a":"é","b":[{"10":2,"9":1,":":3}]}]');
  const many = Array.from({ length: 40 }, (_, n) => `n${n}`);
  t.strictSame(Object.keys(JSON.parse(canonicalJson(Object.fromEntries(many.map((name) => [name, 1])))) as object), [...many].sort());
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const turned = Object.fromEntries(Object.entries(object).reverse());
      return (
        canonicalJson(object) === canonicalJson(turned) &&
        JSON.stringify(JSON.parse(canonicalJson(object))).length === JSON.stringify(object).length
      );
    }),
  );
});

t.test('a body must have exactly the fields of its schema', async (t) => {
  const read = bodyReader(Type.Object({ name: Type.String(), size: Type.Optional(Type.Integer()) }, { additionalProperties: false }));
  t.strictSame(read({ name: 'x', size: null }), { kind: 'read', value: { name: 'x' } }, 'null counts as absent');
  const fields = (value: unknown): unknown => {
    const result = read(value);
    return result.kind === 'invalid' ? result.errors.map((error) => [error.field, error.error]) : 'read';
  };
  t.strictSame(fields({ name: 'x', szie: 1, more: 2 }), [
    ['szie', 'unknown_field'],
    ['more', 'unknown_field'],
  ]);
  t.strictSame(fields({}), [['name', 'required']]);
  t.strictSame(fields({ name: null }), [['name', 'required']]);
  t.strictSame(fields({ name: 1, size: 1.5 }), [
    ['name', 'type'],
    ['size', 'type'],
  ]);
  t.strictSame(fields(JSON.parse('{"name":"x","__proto__":{"size":1}}')), [['__proto__', 'unknown_field']]);
  t.strictSame(fields(Object.create({ name: 'inherited' })), [['name', 'required']], 'inherited fields count as absent');
  for (const none of [null, [], 'x', 1, undefined]) t.strictSame(fields(none), [['', 'type']]);
});

t.test('characters are code points', async (t) => {
  const read = bodyReader(submitSchema);
  t.equal(read({ description: '😀'.repeat(DESCRIPTION_CHARACTERS_MAX) }).kind, 'read');
  t.equal(read({ description: '😀'.repeat(DESCRIPTION_CHARACTERS_MAX + 1) }).kind, 'invalid');
  t.equal(
    read({ description: 'e\u0301'.repeat(DESCRIPTION_CHARACTERS_MAX / 2 + 1) }).kind,
    'invalid',
    'a combining mark counts as a character',
  );
  t.equal(read({ description: '' }).kind, 'invalid');
});

t.test('a task is written with every field, its texts as stored', async (t) => {
  const metadata = '{"b":1,"a":{"__proto__":[1.50]},"a":2}';
  const result = '{"n":12345678901234567890}';
  const task = aTask({ assignedTo: anAgentId(), status: 'completed' });
  const row = { task, body: aBody({ metadata }), result };
  const text = taskRowJson(row);
  t.ok(text.includes(`"metadata":${metadata},`), 'metadata is embedded, not parsed and rewritten');
  t.ok(text.includes(`"result":${result},`));
  t.strictSame(JSON.parse(taskRowJson({ ...row, body: aBody(), result: null })).metadata, {}, 'always an object');
  const fields =
    'id, description, metadata, priority, status, assigned_to, assigned_at, accepted_at, generation, retry_count, max_retries, needed_capabilities, assign_to, last_error, failed_by, rejected_by, complete_by, run_at, ttl_ms, run_max_ms, eligible_at, result, tokens_used, cost_usd, usage_incomplete, submitted_by, created_at, updated_at, repo, branch, file_hints, success_criteria, verification_steps, accept, signature, traceparent, tracestate, depends_on';
  t.strictSame(Object.keys(JSON.parse(text)), fields.split(', '));
  const events = [
    { ...anEvent(), id: 1 },
    { ...anEvent({ seq: 2, event: 'accepted', agentId: anAgentId(), generation: task.generation, details: { note: 'x' } }), id: 2 },
  ];
  const waiting = {
    reason: 'capabilities',
    kind: 'capability_missing',
    message: 'No agent has "gpu".',
    capabilities: ['gpu'],
    untilMs: 5,
  } as const;
  const record = JSON.parse(taskRecordJson({ ...row, events }, waiting, 'ci')) as Record<string, unknown>;
  t.strictSame(Object.keys(record), [
    ...fields.split(', '),
    'submitted_by_name',
    'models',
    'attempts',
    'history',
    'history_before',
    'kept_results',
    'refused_reports',
    'waiting_for',
  ]);
  t.strictSame(record['history'], [
    { event: 'submitted', timestamp: events[0]?.atMs },
    { event: 'accepted', timestamp: events[1]?.atMs, agent_id: 'a1', generation: 0, details: { note: 'x' } },
  ]);
  t.strictSame(record['waiting_for'], {
    reason: 'capabilities',
    kind: 'capability_missing',
    message: 'No agent has "gpu".',
    until: 5,
    capabilities: ['gpu'],
  });
});

t.test('a cursor encodes the position of a task', async (t) => {
  const place = { createdAtMs: 1_800_000_000_000, id: aTaskId(7) };
  t.strictSame(readTaskCursor(taskCursor(place)), place);
  for (const none of [
    '',
    '.',
    '1',
    `1.${'task-x' as TaskId}`,
    `-1.${aTaskId(1)}`,
    `1e3.${aTaskId(1)}`,
    `1.${aTaskId(1)}.x`,
    `99999999999999999.${aTaskId(1)}`,
  ]) {
    t.equal(readTaskCursor(none), null, none);
  }
});

t.test('the client address behind trusted proxies', async (t) => {
  const proxies = ['10.0.0.1', '::1'];
  const cases: readonly (readonly [peer: string, forwarded: string | null, want: string])[] = [
    ['1.2.3.4', '9.9.9.9', '1.2.3.4'],
    ['10.0.0.1', null, '10.0.0.1'],
    ['10.0.0.1', '9.9.9.9', '9.9.9.9'],
    ['::ffff:10.0.0.1', '6.6.6.6, 9.9.9.9', '9.9.9.9'],
    ['10.0.0.1', '6.6.6.6, 9.9.9.9, 10.0.0.1', '9.9.9.9'],
    ['::1', '[2001:DB8::1]:443', '2001:db8::1'],
    ['10.0.0.1', '9.9.9.9:1234', '9.9.9.9'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', 'x'.repeat(46), '10.0.0.1'],
  ];
  for (const [peer, forwarded, want] of cases) t.equal(clientAddress(peer, forwarded, proxies), want, `${peer} for ${forwarded}`);
  t.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
  t.equal(addressGroup('1.2.3.4'), '1.2.3.4');
  t.equal(addressGroup('2001:db8:0:1:aaaa::1'), addressGroup('2001:0db8::1:b:c:d:e'), 'a /64 counts as one');
  t.not(addressGroup('2001:db8:0:1::1'), addressGroup('2001:db8:0:2::1'));
});

t.test('a bucket allows its burst, then its rate', async (t) => {
  const rule = { burst: 2, perSecond: 4 };
  let bucket = fullBucket(rule, 0);
  const takes = [0, 0, 0, 125, 250, 250, 10_000, 10_000, 10_000].map((nowMs) => {
    const result = takeOne(bucket, rule, nowMs);
    bucket = result.bucket;
    return result.taken ? 'taken' : result.waitMs;
  });
  t.strictSame(takes, ['taken', 'taken', 250, 125, 'taken', 250, 'taken', 'taken', 250]);
});
