/** Part of the ResultInbox contract: what is kept of an assignment that has ended. */
import { assignmentText } from '../../../../core/ports/assignment-name.ts';
import type { CaseTest } from '../contract-case.ts';
import { type InboxSubject, TASK, expecting, nameOf, ownPath } from './inbox-place.ts';

const a1 = nameOf('a', 1);
const b1 = nameOf('b', 1);

export function endedTests(test: CaseTest, subject: InboxSubject): void {
  test('removes the files of an ended assignment, and nothing else', async (t) => {
    const place = await subject.place(t);
    const { inbox } = await expecting(place, a1);
    await inbox.prepare(nameOf('a', 2), TASK, true);
    const others = (await place.paths()).filter((path) => path.includes('.g2'));
    await place.write(ownPath(a1, 'json'), '{}');
    await place.write(`runs/${assignmentText(a1)}/stdout`, 'x');
    await inbox.remove(a1);
    await inbox.remove(a1);
    t.strictSame(await place.paths(), others);
  });

  test('R20: retains only the result of an ended assignment, and on request the output of its run', async (t) => {
    const place = await subject.place(t);
    const { inbox } = await expecting(place, a1);
    const run = `runs/${assignmentText(a1)}`;
    await inbox.prepare(b1, TASK, true);
    const others = (await place.paths()).filter((path) => path.includes(assignmentText(b1)));
    const write = async (): Promise<void> => {
      await place.write(ownPath(a1, 'json'), '{"n":1}');
      await place.write(ownPath(a1, 'started'), '');
      await place.write(`results/${assignmentText(a1)}/repo/a/file`, 'x'.repeat(1_000));
      await place.write(`${run}/stdout`, 'words');
      await place.write(`${run}/scratch`, 'x'.repeat(1_000));
      await place.write(`${run}/repo/stdout`, 'x'.repeat(1_000));
    };
    await write();
    await inbox.keepResult(a1, true);
    t.strictSame(await place.paths(), [ownPath(a1, 'json'), `${run}/stdout`, ...others].sort());
    t.equal(await inbox.keptBytes(a1), '{"n":1}words'.length);
    await write();
    await inbox.keepResult(a1, false);
    await inbox.keepResult(a1, false);
    t.strictSame(await place.paths(), [ownPath(a1, 'json'), ...others].sort());
    t.equal(await inbox.keptBytes(a1), '{"n":1}'.length);
    await inbox.remove(a1);
    t.equal(await inbox.keptBytes(a1), 0);
    await inbox.keepResult(nameOf('c', 1), true);
  });
}
