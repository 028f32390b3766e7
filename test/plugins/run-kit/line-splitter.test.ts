/** Which lines of a program's output are dropped, and how an object is recognised among them. */
import t from 'tap';
import { lineSplitter, objectIn } from '../../../plugins/run-kit/index.ts';

void t.test('R20: a line with more members than a result may have is dropped before it is parsed', (t) => {
  const named = (members: number): string =>
    JSON.stringify(Object.fromEntries(Array.from({ length: members }, (_, n) => [`k${String(n)}`, 0])));
  const text = JSON.stringify({ text: named(30_000) });
  t.strictSame(lineSplitter().push(Buffer.from(`one\n${named(20_001)}\n${text}\n${named(20_000)}\n`)), {
    lines: ['one', text, named(20_000)],
    dropped: [{ at: 1, isObject: true }],
  });
  t.equal(objectIn(named(20_001)), null);
  t.not(objectIn(named(20_000)), null);
  t.end();
});

void t.test('R4: an overlong line is recognised as an object even after blanks and a byte order mark', (t) => {
  const splitter = lineSplitter(8);
  for (const start of ['{', ' {', '\t \r{', '\ufeff{', '\ufeff {', ' '.repeat(20) + '{']) {
    const bytes = Buffer.from(`${start}"long": 1}\n`);
    t.strictSame(splitter.push(bytes).dropped, [{ at: 0, isObject: true }], JSON.stringify(start));
    const inBytes = [...bytes].flatMap((_, at) => splitter.push(bytes.subarray(at, at + 1)).dropped);
    t.strictSame(inBytes, [{ at: 0, isObject: true }], 'byte by byte');
    t.not(objectIn(`${start}"long": 1}`), null, 'it is also read as one');
  }
  for (const start of ['[{', 'a {', '"{'])
    t.strictSame(splitter.push(Buffer.from(`${start}"long": 1}\n`)).dropped, [{ at: 0, isObject: false }], start);
  t.end();
});
