/** Part of the ResultInbox contract: results that are still being written, and results that never become valid. */
import type { CaseTest } from '../contract-case.ts';
import { type InboxSubject, expecting, nameOf, ownPath } from './inbox-place.ts';

const a1 = nameOf('a', 1);
const path = ownPath(a1, 'json');

export function unfinishedResultTests(test: CaseTest, subject: InboxSubject): void {
  test('a result written in two parts is read once it is complete', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(path, '{"status":"suc');
    const looking = inbox.scan(a1);
    await place.write(path, '{"status":"success","output":"whole"}');
    await place.pass(looking);
    t.strictSame(saw.of('invalid'), []);
    t.equal(saw.of('result').at(-1)?.value['output'], 'whole');
  });

  for (const [what, text] of [
    ['half a result', '{"status":'],
    ['an empty file', ''],
    ['an array', '[{"status":"success"}]'],
    ['a word', '"success"'],
    ['null', 'null'],
    ['not JSON', 'success'],
    ['deep nesting', `{"output":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ] as const) {
    test(`${what} is invalid once it stops changing, and is retained`, async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await place.write(path, text);
      const sinceMs = place.clock.monotonicMs();
      const looking = inbox.scan(a1);
      await place.pass(looking);
      const [invalid] = saw.of('invalid');
      t.match(invalid, { kind: 'invalid', assignment: a1, reason: 'result_invalid' });
      t.ok((invalid?.message.length ?? 0) < 500, `the message is short: ${invalid?.message}`);
      t.ok(place.clock.monotonicMs() - sinceMs >= place.stillMs, 'not before');
      t.equal(await place.read(path), text);
      t.strictSame(saw.of('result'), []);
    });
  }

  test('a result that keeps changing without completing is invalid after half a minute', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(path, '{');
    await place.pass(inbox.scan(nameOf('b', 1)));
    const sinceMs = place.clock.monotonicMs();
    let isDone = false;
    const looking = inbox.scan(a1).then(() => (isDone = true));
    for (let n = 0; !isDone; n += 1) {
      await place.write(path, `{${' '.repeat(n)}`);
      await place.pass(Promise.race([looking, inbox.scan(nameOf('b', 1))]));
    }
    const tookMs = place.clock.monotonicMs() - sinceMs;
    t.equal(saw.of('invalid')[0]?.reason, 'result_invalid');
    t.ok(tookMs >= 29_000 && tookMs < 40_000, `after ${tookMs} ms`);
  });

  test('R4: a result written in parts, seconds apart, is read once it is complete', async (t) => {
    for (const file of [path, `results/${a1.taskId}.json`]) {
      const place = await subject.place(t);
      const { saw } = await expecting(place, a1);
      const passed = (ms: number): Promise<void> => place.pass(new Promise((resolve) => place.clock.after(ms, () => resolve(null))));
      for (const part of ['', '{"status":', '{"status":"success",']) {
        await place.write(file, part);
        await passed(10_000);
      }
      await place.write(file, '{"status":"success","output":"whole"}');
      await passed(10_000);
      t.strictSame(saw.of('invalid'), []);
      t.equal(saw.of('result')[0]?.value['output'], 'whole');
    }
  });

  test('while its agent may be running, a result is invalid only after half a minute without changes', async (t) => {
    const place = await subject.place(t);
    const { saw } = await expecting(place, a1);
    const passed = (ms: number): Promise<void> => place.pass(new Promise((resolve) => place.clock.after(ms, () => resolve(null))));
    await place.write(path, '{"status":');
    await passed(25_000);
    t.strictSame(saw.of('invalid'), []);
    await passed(15_000);
    t.match(saw.of('invalid'), [{ reason: 'result_invalid' }]);
  });

  test('a result that is repaired later is reported as well', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(path, 'oops');
    await place.pass(inbox.scan(a1));
    await place.write(path, '{"status":"success"}');
    await inbox.scan(a1);
    t.equal(saw.of('result').length > 0, true);
  });

  test('a result over 8 MiB is too large and retained; one of 8 MiB is read', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    const frame = '{"output":""}'.length;
    const largest = `{"output":"${'x'.repeat(8 * 1024 * 1024 - frame)}"}`;
    await place.write(path, largest);
    await inbox.scan(a1);
    t.equal((saw.of('result')[0]?.value['output'] as string).length, largest.length - frame);
    await place.write(path, `${largest} `);
    await inbox.scan(a1);
    t.match(saw.of('invalid')[0], { reason: 'result_too_large', assignment: a1 });
    t.equal((await place.read(path))?.length, largest.length + 1);
  });
}
