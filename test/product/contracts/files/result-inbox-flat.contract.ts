/** Part of the ResultInbox contract: flat names, for agents that know only one results folder. */
import type { CaseTest } from '../contract-case.ts';
import { type InboxPlace, type InboxSubject, TASK, expecting, nameOf, ownPath } from './inbox-place.ts';

const a1 = nameOf('a', 1);
const flat = (file: string): string => `results/${a1.taskId}.${file}`;

/** What was moved away, and why. */
async function refusedIn(place: InboxPlace): Promise<readonly { readonly text: string | null; readonly reason: string | null }[]> {
  const paths = (await place.paths()).filter((path) => path.startsWith('refused/') && !path.endsWith('.reason.txt'));
  const found = [];
  for (const path of paths) {
    const reason = await place.read(path.replace(/\.[a-z]+$/, '.reason.txt'));
    found.push({ text: await place.read(path), reason });
  }
  return found;
}

export function flatNameTests(test: CaseTest, subject: InboxSubject): void {
  test('flat files written after the wake count, and move into the folder', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(flat('started'), '');
    await saw.next('started');
    await place.write(flat('progress'), '{"percent":5}\n');
    t.equal((await saw.next('progress')).percent, 5);
    await place.write(flat('json'), '{"status":"success","generation":1}');
    t.strictSame((await saw.next('result')).value, { status: 'success', generation: 1 });
    await inbox.scan(a1);
    t.equal(await place.read(flat('json')), null);
    t.equal(await place.read(ownPath(a1, 'json')), '{"status":"success","generation":1}');
    t.ok((await place.read(ownPath(a1, 'started'))) !== null);
    t.strictSame(await refusedIn(place), []);
  });

  test('R8: flat files that exist before the wake belong to an earlier run and are refused, whatever their mtime', async (t) => {
    const place = await subject.place(t);
    const nowMs = place.clock.nowMs();
    await place.write(flat('started'), 'old started', nowMs - 1_000);
    await place.write(flat('json'), '{"old":"result"}', nowMs + 3_600_000);
    await place.write(flat('progress'), '{"percent":99}\n', nowMs);
    const { inbox, saw } = await expecting(place, a1);
    await inbox.scan(a1);
    t.strictSame(saw.all, []);
    const refused = await refusedIn(place);
    t.strictSame(refused.map(({ text }) => text).sort(), ['old started', '{"old":"result"}', '{"percent":99}\n']);
    for (const { reason } of refused) t.match(reason, /before the wake/);
  });

  test('R8: flat files written after the wake survive a restart and another wake', async (t) => {
    const place = await subject.place(t);
    const { inbox } = await expecting(place, a1);
    await inbox.close();
    await place.write(flat('json'), '{"status":"success"}');
    const second = await expecting(place, a1);
    await second.inbox.scan(a1);
    t.ok(second.saw.of('result').length > 0);
    t.strictSame(await refusedIn(place), []);
  });

  test('R8: while an earlier run may be alive, only a flat file that names its generation counts', async (t) => {
    const place = await subject.place(t);
    const a3 = nameOf('a', 3);
    const { inbox, saw } = await expecting(place, a3, 'named');
    await place.write(flat('progress'), '{"percent":99}\n');
    await place.write(flat('started'), '');
    await place.write(flat('json'), '{"status":"success","output":"STALE work of generation 1"}');
    await inbox.scan(a3);
    t.strictSame(
      saw.all.filter(({ kind }) => kind !== 'changed'),
      [],
    );
    const refused = await refusedIn(place);
    t.equal(refused.length, 2);
    for (const { reason } of refused) t.match(reason, /names no generation/);
    await place.write(flat('started'), '{"generation":3}');
    await place.write(flat('json'), '{"status":"success","generation":3}');
    await inbox.scan(a3);
    t.ok(saw.of('started').length > 0);
    t.ok(saw.of('result').length > 0);
  });

  test('R8: a flat file written after the wake counts whatever its mtime, because clocks and mounts differ', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(flat('started'), '', place.clock.nowMs() - 4_000);
    await place.write(flat('json'), '{"status":"success"}', place.clock.nowMs() - 3_600_000);
    await inbox.scan(a1);
    t.ok(saw.of('started').length > 0);
    t.ok(saw.of('result').length > 0);
    t.strictSame(await refusedIn(place), []);
  });

  test('a flat file that names another generation is refused', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(flat('json'), '{"status":"success","generation":7}');
    await place.write(flat('started'), '{"generation":"7"}');
    await inbox.scan(a1);
    t.strictSame(
      saw.all.filter(({ kind }) => kind !== 'changed'),
      [],
    );
    const refused = await refusedIn(place);
    t.strictSame(refused.map(({ text }) => text).sort(), ['{"generation":"7"}', '{"status":"success","generation":7}']);
    for (const { reason } of refused) t.match(reason, /generation/);
  });

  test('a flat file that names its own generation, as a number or a string, counts', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(flat('started'), '{"generation":"1"}');
    await place.write(flat('json'), '{"generation":1}');
    await inbox.scan(a1);
    t.ok(saw.of('started').length > 0);
    t.ok(saw.of('result').length > 0);
    t.strictSame(await refusedIn(place), []);
  });

  test('no flat file counts while two generations of the task are expected', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    const a2 = nameOf('a', 2);
    await inbox.prepare(a2, TASK, false);
    inbox.watch(a2, 'all');
    await place.write(flat('json'), '{"status":"success"}');
    await inbox.scan(a1);
    await inbox.scan(a2);
    t.strictSame(saw.of('result'), []);
    t.ok(await place.read(flat('json')), 'it stays until then');
    inbox.unwatch(a1);
    await inbox.scan(a2);
    t.strictSame(saw.of('result')[0]?.assignment, a2);
  });

  test('a flat result that follows the result in the folder is refused', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(ownPath(a1, 'json'), '{"n":1}');
    await inbox.scan(a1);
    await place.write(flat('json'), '{"n":2}');
    await inbox.scan(a1);
    t.ok(saw.of('result').every(({ value }) => value['n'] === 1));
    t.equal((await refusedIn(place))[0]?.text, '{"n":2}');
  });

  test('a half-written flat result is left until it is complete; one that stays incomplete is invalid and retained', async (t) => {
    const place = await subject.place(t);
    const { inbox, saw } = await expecting(place, a1);
    await place.write(flat('json'), '{"status":');
    const looking = inbox.scan(a1);
    await place.write(flat('json'), '{"status":"success"}');
    await place.pass(looking);
    t.equal(saw.of('result').at(-1)?.value['status'], 'success');
    t.strictSame(saw.of('invalid'), []);

    const other = nameOf('b', 1);
    await inbox.prepare(other, TASK, false);
    inbox.watch(other, 'all');
    await place.write(`results/${other.taskId}.json`, '{"status":');
    const sinceMs = place.clock.monotonicMs();
    await place.pass(inbox.scan(other));
    t.match(saw.of('invalid')[0], { assignment: other, reason: 'result_invalid' });
    t.ok(place.clock.monotonicMs() - sinceMs >= place.stillMs, 'not before it stopped changing');
    t.equal(await place.read(ownPath(other, 'json')), '{"status":');
  });
}
