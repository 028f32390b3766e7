import t from 'tap';
import fc from 'fast-check';
import {
  cutEncoded,
  cutEncodedStart,
  encodedBytes,
  encodedBytesAtMost,
  utf8Bytes,
  wellFormed,
  wellFormedValue,
} from '../../../core/domain/encoded-text.ts';

const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom('"', '\\', '\n', '\u0001', '\u0000', '\ud800', '\udc00', 'é', '€', '😀'),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
});

t.test('byte counts match TextEncoder', async (t) => {
  fc.assert(
    fc.property(anyText, (text) => {
      const bytes = new TextEncoder().encode(text).length;
      if (utf8Bytes(text) !== bytes) throw new Error(`${JSON.stringify(text)}: ${utf8Bytes(text)}, expected ${bytes}`);
    }),
  );
  t.equal(encodedBytes({ a: 'é' }), 10);
  t.equal(encodedBytes(undefined), 4);
});

t.test('a cut text is the longest prefix or suffix that fits, without a split character', async (t) => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 2, max: 60 }), (text, bytesMax) => {
      for (const cut of [cutEncoded(text, bytesMax), cutEncodedStart(text, bytesMax)]) {
        const [isStart, isEnd] = [text.startsWith(cut), text.endsWith(cut)];
        if ((!isStart && !isEnd) || encodedBytes(cut) > bytesMax) throw new Error(`${JSON.stringify(text)} cut to ${JSON.stringify(cut)}`);
        if (cut !== text && encodedBytes(cut) < bytesMax - 12) throw new Error(`${JSON.stringify(cut)} could be longer`);
      }
    }),
  );
  t.equal(cutEncoded('a😀b', 6), 'a');
  t.equal(cutEncoded('a😀b', 7), 'a😀');
  t.equal(cutEncodedStart('a😀b', 7), '😀b');
  t.equal(cutEncoded('"""', 6), '""');
});

t.test('characters that no store accepts are replaced, also in names', async (t) => {
  t.equal(wellFormed('a\u0000b\ud800c😀\udc00'), 'a\uFFFDb\uFFFDc😀\uFFFD');
  t.same(wellFormedValue({ 'k\u0000': ['\udc00', { deep: '\u0000' }, 1, null, true] }), {
    'k\uFFFD': ['\uFFFD', { deep: '\uFFFD' }, 1, null, true],
  });
  const sly = wellFormedValue(JSON.parse('{"__proto__":{"polluted":true}}')) as object;
  t.equal(Object.getPrototypeOf(sly), Object.prototype);
  t.ok(Object.hasOwn(sly, '__proto__'));
});

t.test('no JSON value encodes to more bytes than its estimated upper bound', async (t) => {
  const { value: anyValue } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      anyText,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(true, false, null),
      fc.array(tie('value')),
      fc.dictionary(anyText, tie('value')),
    ),
  }));
  fc.assert(fc.property(anyValue, (value) => encodedBytes(value) <= encodedBytesAtMost(value)));
  t.ok(encodedBytesAtMost({ text: 'a'.repeat(1_000) }) < 7_000);
});
