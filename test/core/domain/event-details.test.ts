/** Event details that are too large are cut so that the explanation remains. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { boundedDetails, EVENT_DETAILS_BYTES_MAX } from '../../../core/domain/task/event-details.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

t.test('details that fit are returned as the same object', (t) => {
  const bare = bytesOf({ text: '' });
  for (const details of [
    {},
    { reason: 'x', n: 1, list: [null, true, { a: 'b' }] },
    { text: 'x'.repeat(EVENT_DETAILS_BYTES_MAX - bare) },
    { text: 'é'.repeat((EVENT_DETAILS_BYTES_MAX - bare) / 2) },
  ])
    t.equal(boundedDetails(details, sha256), details);
  t.equal(boundedDetails(null, sha256), null);
  t.end();
});

t.test('larger details keep small fields and the start of texts, with the size and hash of the whole', (t) => {
  const cases = [
    { text: 'x'.repeat(EVENT_DETAILS_BYTES_MAX) },
    { reason: 'stale_generation', a: 'é"'.repeat(50_000), b: '\u0000'.repeat(40_000), usage: { tokens_used: 7 } },
    { reason: 'deep', nested: Array.from({ length: 5_000 }, (_, n) => ({ n })) },
    Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`field-${n}`, n])),
    { ['k'.repeat(200_000)]: 1, kind: 'long name' },
    { texts: '\ud83d\ude00'.repeat(20_000) },
  ];
  for (const details of cases) {
    const cut = boundedDetails(details, sha256) as Record<string, unknown>;
    t.ok(bytesOf(cut) <= EVENT_DETAILS_BYTES_MAX, `${bytesOf(cut)} bytes`);
    const text = JSON.stringify(details);
    t.match(cut['truncated'], { bytes: Buffer.byteLength(text), sha256: sha256(text) });
    for (const [name, value] of Object.entries(cut)) {
      if (name === 'truncated') continue;
      const whole = (details as Record<string, unknown>)[name];
      if (typeof value === 'string') t.ok((whole as string).startsWith(value) && !/\p{Surrogate}/u.test(value), name);
      else t.equal(value, whole, name);
    }
  }
  t.match(boundedDetails(cases[1] ?? {}, sha256), {
    reason: 'stale_generation',
    usage: { tokens_used: 7 },
    truncated: { fields: ['a', 'b'] },
  });
  t.ok(bytesOf(boundedDetails(cases[1] ?? {}, sha256)) > EVENT_DETAILS_BYTES_MAX / 2, 'and uses the available room');
  t.end();
});
