import fc from 'fast-check';
import t from 'tap';
import { PROGRESS_LINE_CHARACTERS_MAX, readProgress, readResult, unfinishedLeftMs } from '../../../core/protocol/agent-files.ts';

const NOT_JSON = 'is not JSON: expected an object such as {"status": "success", "output": …}';

t.test('a result must be a JSON object', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'is empty'],
    [' \n', 'is empty'],
    ['{"a":1', NOT_JSON],
    ['{"a":1}{"b":2}', NOT_JSON],
    ['[]', 'is an array, not a JSON object'],
    ['null', 'is null, not a JSON object'],
    ['"done"', 'is a string, not a JSON object'],
    [`{"a":${'['.repeat(30)}${']'.repeat(30)}}`, 'is nested more than 30 deep'],
    [`{"a":${'['.repeat(100_000)}`, NOT_JSON],
  ];
  for (const [text, why] of cases) t.same(readResult(text), { kind: 'unreadable', why }, text.slice(0, 40));
  t.same(readResult(`{"a":${'['.repeat(29)}${']'.repeat(29)}}`).kind, 'object', 'as deep as a frame can carry');
  t.same(readResult('\ufeff{"a":1}'), { kind: 'object', value: { a: 1 }, replaced: false }, 'a byte order mark is ignored');
  t.end();
});

t.test('any object an agent writes is preserved, except characters that cannot be sent', (t) => {
  const texts = fc.string({ unit: fc.constantFrom('a', '"', '😀', '\0', '\ud800', '\udc00'), maxLength: 6 });
  const objects = fc.dictionary(texts, fc.oneof(texts, fc.integer(), fc.array(texts), fc.dictionary(texts, texts)));
  fc.assert(
    fc.property(objects, (object) => {
      const text = JSON.stringify(object);
      const repaired = text.replace(/\\u0000|\\ud[89a-f][0-9a-f]{2}/g, '\ufffd');
      t.same(readResult(text), { kind: 'object', value: JSON.parse(repaired) as unknown, replaced: repaired !== text });
    }),
  );
  t.same(readResult('{"__proto__":{"a":"\\u0000"},"b":"\\ud800"}'), {
    kind: 'object',
    value: JSON.parse('{"__proto__":{"a":"\ufffd"},"b":"\ufffd"}') as unknown,
    replaced: true,
  });
  t.end();
});

t.test('only fields within bounds of a progress line count', (t) => {
  const nothing = { percent: null, message: null, tokensUsed: null };
  const cases: readonly (readonly [string, ReturnType<typeof readProgress>])[] = [
    ['{"percent":0}', { ...nothing, percent: 0 }],
    ['{"percent":100,"message":"","tokens_used":0}', { percent: 100, message: '', tokensUsed: 0 }],
    ['{"percent":100.5,"message":"m"}', { ...nothing, message: 'm' }],
    ['{"percent":-1}', null],
    ['{"percent":"50"}', null],
    ['{"tokens_used":1.5}', null],
    ['{"tokens_used":9007199254740992}', null],
    ['{"message":"\\ud800"}', { ...nothing, message: '\ufffd' }],
    ['', null],
    ['null', null],
    ['[1]', null],
    ['50', null],
    [`{"message":"${'x'.repeat(PROGRESS_LINE_CHARACTERS_MAX)}"}`, null],
  ];
  for (const [line, wanted] of cases) t.same(readProgress(line), wanted, line.slice(0, 40));
  t.end();
});

t.test('no text makes the readers throw', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      readResult(text);
      readProgress(text);
    }),
  );
  t.end();
});

t.test('R20: a result with too many values is refused before it is parsed or walked', async (t) => {
  const keys = Array.from({ length: 100_001 }, (_, index) => `"k${index}":1`).join(',');
  const nested = `[${'[[[[[[[[[[1]]]]]]]]]],'.repeat(20_000)}1]`;
  for (const text of [`{"status":"success",${keys}}`, `{"status":"success","output":{${keys}}}`, `{"status":"success","output":${nested}}`])
    t.match(readResult(text), { kind: 'unreadable', why: /holds more than 100000 values/ });
  const words = JSON.stringify({ status: 'success', output: 'a,b "c",'.repeat(200_000) });
  t.match(readResult(words), { kind: 'object', replaced: false }, 'commas in strings are not values');
  t.end();
});

t.test('an unparsable result file may still be completed for a limited time', async (t) => {
  const left = (sinceMs: number, firstMs: number, overSinceMs: number | null, stillMs = 2_000): number =>
    unfinishedLeftMs({ sinceMs, firstMs }, overSinceMs, stillMs, 1_000_000);
  t.equal(left(1_000_000, 1_000_000, null), 30_000, '30 s without a change while its agent may be at work');
  t.equal(left(1_000_000, 1_000_000, null, 60_000), 60_000, 'or the configured time');
  t.equal(left(1_000_000, 405_000, null), 5_000, '10 minutes in all');
  t.equal(left(1_000_000, 1_000_000, 1_000_000), 2_000);
  t.equal(left(999_000, 0, 1_000_000), 1_000, 'once its run is over, the time before counts');
  t.equal(left(1_000_000, 0, 971_000), 1_000, '30 s in all from then on');
});
