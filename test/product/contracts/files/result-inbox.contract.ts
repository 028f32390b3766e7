/**
 * What every `ResultInbox` must do. Each MUST of core/ports/result-inbox.ts is a test here; unfinished results, flat
 * names and ended assignments have files of their own.
 */
import type { Generation, TaskId } from '../../../../core/domain/ids.ts';
import { assignmentText } from '../../../../core/ports/assignment-name.ts';
import { inSuite, type CaseTest, type TestRunner } from '../contract-case.ts';
import { type InboxSubject, TASK, expecting, nameOf, ownPath } from './inbox-place.ts';
import { endedTests } from './result-inbox-ended.contract.ts';
import { flatNameTests } from './result-inbox-flat.contract.ts';
import { unfinishedResultTests } from './result-inbox-unfinished.contract.ts';
import { fileEventRecorder } from './file-event-recorder.ts';

const a1 = nameOf('a', 1);
const b1 = nameOf('b', 1);

/** Adds the suite; `name` appears in the titles. */
export function resultInboxContract(name: string, subject: InboxSubject, runner: TestRunner): void {
  inSuite(`ResultInbox contract, ${name}`, runner, (test) => {
    test('creates the folders and the complete task, the same each time', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      await inbox.open(() => undefined);
      const prepared = await inbox.prepare(a1, TASK, false);
      t.ok(prepared.resultsDir.startsWith('/') && prepared.resultsDir.endsWith(`/results/${assignmentText(a1)}`), prepared.resultsDir);
      t.ok(prepared.runDir.startsWith('/') && prepared.runDir.endsWith(`/runs/${assignmentText(a1)}`), prepared.runDir);
      t.equal(prepared.taskFile, `${prepared.runDir}/task.json`);
      t.strictSame(JSON.parse((await place.read(`runs/${assignmentText(a1)}/task.json`)) ?? ''), TASK);
      await place.write(ownPath(a1, 'json'), '{}');
      t.strictSame(await inbox.prepare(a1, TASK, false), prepared);
      t.equal(await place.read(ownPath(a1, 'json')), '{}', 'existing files in the folder remain');
      t.notOk(
        (await place.paths()).some((path) => path.startsWith('tasks/')),
        'nothing is published',
      );
    });

    test('reports started, progress and result', async (t) => {
      const place = await subject.place(t);
      const { saw } = await expecting(place, a1);
      await place.write(ownPath(a1, 'started'), '');
      t.strictSame(await saw.next('started'), { kind: 'started', assignment: a1 });
      await place.write(ownPath(a1, 'progress'), '{"percent":50,"message":"half","tokens_used":7}\n');
      t.strictSame(await saw.next('progress'), { kind: 'progress', assignment: a1, percent: 50, message: 'half', tokensUsed: 7 });
      await place.write(ownPath(a1, 'json'), '{"status":"success","output":{"n":1},"tokens_used":7,"mine":[1,null]}');
      t.strictSame(await saw.next('result'), {
        kind: 'result',
        assignment: a1,
        value: { status: 'success', output: { n: 1 }, tokens_used: 7, mine: [1, null] },
        replaced: false,
      });
    });

    test('reports files that appeared while nothing watched', async (t) => {
      const place = await subject.place(t);
      const first = await expecting(place, a1);
      await first.inbox.close();
      await place.write(ownPath(a1, 'started'), '');
      await place.write(ownPath(a1, 'json'), '{"status":"success"}');
      const second = place.inbox();
      const saw = fileEventRecorder();
      await second.open(saw.put);
      second.watch(a1, 'all');
      await saw.next('result');
      t.strictSame(
        saw.all.map(({ kind }) => kind),
        ['started', 'result'],
        'and started first',
      );
      t.strictSame(first.saw.all, [], 'to the current listener');
    });

    test('reports nothing for a name that is not expected', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await inbox.prepare(b1, TASK, false);
      await place.write(ownPath(b1, 'started'), '');
      await place.write(ownPath(b1, 'json'), '{}');
      await place.write(ownPath(a1, 'started'), '');
      await saw.next('started');
      await inbox.scan(b1);
      inbox.unwatch(a1);
      inbox.unwatch(a1);
      await place.write(ownPath(a1, 'json'), '{}');
      await inbox.scan(a1);
      await inbox.scan(b1);
      t.ok(
        saw.all.every((sighting) => sighting.assignment.taskId === a1.taskId && sighting.kind !== 'result'),
        'neither for the other nor for the forgotten one',
      );
      inbox.watch(a1, 'all');
      await saw.next('result');
    });

    test('R8: distinguishes generations', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, nameOf('a', 2));
      await inbox.prepare(a1, TASK, false);
      await place.write(ownPath(a1, 'json'), '{"status":"success","from":"an earlier run"}');
      await inbox.scan(nameOf('a', 2));
      t.strictSame(saw.of('result'), []);
    });

    test('never calls back synchronously', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      let isInside = false;
      let calls = 0;
      await inbox.open(() => {
        calls += 1;
        t.notOk(isInside, 'called synchronously');
      });
      await inbox.prepare(a1, TASK, false);
      await place.write(ownPath(a1, 'started'), '');
      isInside = true;
      inbox.watch(a1, 'all');
      const looking = inbox.scan(a1);
      inbox.unwatch(b1);
      isInside = false;
      await looking;
      t.ok(calls > 0, 'it was called');
    });

    test('scan answers after reporting all existing files, and reports them again each time', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await inbox.scan(a1);
      await place.write(ownPath(a1, 'started'), '');
      await place.write(ownPath(a1, 'json'), '{"status":"success"}');
      await inbox.scan(a1);
      const [started, results] = [saw.of('started').length, saw.of('result').length];
      t.ok(started > 0 && results > 0, 'reported before it answered');
      await inbox.scan(a1);
      t.ok(saw.of('started').length > started && saw.of('result').length > results, 'and again, as the first may have been lost');
    });

    test('unknown file names are ignored', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      const folder = `results/${assignmentText(a1)}`;
      const names = [
        `${b1.taskId}.json`,
        `${b1.taskId}.started`,
        'result.json',
        `${a1.taskId}.json.tmp`,
        `.${a1.taskId}.json`,
        `x${a1.taskId}.json`,
      ];
      for (const other of names) await place.write(`${folder}/${other}`, '{"status":"success"}');
      await place.write('results/task-ZZZ.json', '{"status":"success"}');
      await inbox.scan(a1);
      t.strictSame(
        saw.all.filter(({ kind }) => kind !== 'changed'),
        [],
      );
      t.equal(await place.read('results/task-ZZZ.json'), '{"status":"success"}', 'and left in place');
    });

    test('a file that changes in the folder is a sign of life, unless the inbox changed it', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await inbox.scan(a1);
      t.strictSame(saw.of('changed'), [], 'nothing changed yet');
      await place.write(`results/${assignmentText(a1)}/notes.txt`, 'thinking');
      await inbox.scan(a1);
      t.equal(saw.of('changed').length, 1);
      await inbox.withdraw(a1);
      await inbox.scan(a1);
      t.equal(saw.of('changed').length, 1);
    });

    test('every complete, meaningful line of progress is reported once', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await inbox.scan(a1);
      const path = ownPath(a1, 'progress');
      const lines = ['{"percent":10}', 'not JSON', '[]', '{"percent":101,"message":"x"}', '{}', '{"tokens_used":3}'].join('\n');
      await place.write(path, `${lines}\n{"percent":9`);
      await inbox.scan(a1);
      await inbox.scan(a1);
      await place.write(path, `${lines}\n{"percent":90}\n`);
      await inbox.scan(a1);
      t.strictSame(
        saw.of('progress').map(({ percent, message, tokensUsed }) => [percent, message, tokensUsed]),
        [
          [10, null, null],
          [null, 'x', null],
          [null, null, 3],
          [90, null, null],
        ],
      );
      await place.write(path, '{"message":"restarted \\u0000"}\n');
      await inbox.scan(a1);
      t.equal(saw.of('progress').at(-1)?.message, 'restarted \ufffd');
    });

    test('of the progress from before the watch, only the newest is reported', async (t) => {
      const place = await subject.place(t);
      const first = await expecting(place, a1);
      await first.inbox.close();
      await place.write(ownPath(a1, 'progress'), '{"percent":1}\n{"percent":2}\n{"percent":3}\n');
      const inbox = place.inbox();
      const saw = fileEventRecorder();
      await inbox.open(saw.put);
      inbox.watch(a1, 'all');
      await inbox.scan(a1);
      t.strictSame(
        saw.of('progress').map(({ percent }) => percent),
        [3],
      );
    });

    test('unsendable characters are replaced, and this is reported; the rest of the text is kept', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await place.write(
        ownPath(a1, 'json'),
        '{"output":"a\\u0000b\\ud800c","\\u0000":["\\udc00"],"__proto__":{"x":1},"ok":"\\ud83d\\ude00"}',
      );
      await inbox.scan(a1);
      const { value, replaced } = saw.of('result')[0] ?? {};
      t.equal(replaced, true);
      t.equal(JSON.stringify(value), '{"output":"a\ufffdb\ufffdc","\ufffd":["\ufffd"],"__proto__":{"x":1},"ok":"😀"}');
      t.equal(({} as { x?: number }).x, undefined);
    });

    test('publishes a task for a polling agent, and withdraws it', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      await inbox.open(() => undefined);
      const { resultsDir } = await inbox.prepare(a1, TASK, true);
      await inbox.prepare(b1, TASK, true);
      await inbox.prepare(a1, TASK, true);
      const published = `tasks/${assignmentText(a1)}.json`;
      t.strictSame(JSON.parse((await place.read(published)) ?? ''), { ...TASK, generation: 1, results_dir: resultsDir });
      t.strictSame(
        (await place.paths()).filter((path) => path.startsWith('tasks/')),
        [published, `tasks/${assignmentText(b1)}.json`],
      );
      await inbox.withdraw(a1);
      t.equal(await place.read(published), null);
      t.ok(await place.read(ownPath(a1, 'stop')), 'the agent gets a stop note');
      await inbox.withdraw(a1);
      await inbox.withdraw(nameOf('c', 1));
    });

    test('a task that an agent has taken is not offered to another one', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      await inbox.open(() => undefined);
      await inbox.prepare(a1, TASK, true);
      const published = `tasks/${assignmentText(a1)}.json`;
      const taken = `results/${assignmentText(a1)}/mine.json`;
      t.ok(await place.move(published, taken));
      await inbox.prepare(a1, TASK, true);
      t.equal(await place.read(published), null);
      t.ok(await place.read(taken));
    });

    test('a published task that an agent moved into its results folder has started', async (t) => {
      const place = await subject.place(t);
      const { inbox, saw } = await expecting(place, a1);
      await inbox.prepare(a1, TASK, true);
      await inbox.scan(a1);
      t.strictSame(saw.of('started'), []);
      t.ok(await place.move(`tasks/${assignmentText(a1)}.json`, `results/${assignmentText(a1)}/${assignmentText(a1)}.json`));
      await inbox.scan(a1);
      t.ok(saw.of('started').length > 0);
    });

    test('at startup withdraws all tasks that are not held', async (t) => {
      const place = await subject.place(t);
      const first = place.inbox();
      await first.open(() => undefined);
      for (const name of [a1, nameOf('a', 2), b1]) await first.prepare(name, TASK, true);
      await first.close();
      await place.write('tasks/README', 'kept');
      await place.write('tasks/notes.json', 'kept');
      const second = place.inbox();
      await second.open(() => undefined);
      await second.withdrawAllExcept([b1]);
      t.strictSame(
        (await place.paths()).filter((path) => path.startsWith('tasks/')),
        ['tasks/README', 'tasks/notes.json', `tasks/${assignmentText(b1)}.json`],
      );
      await second.withdrawAllExcept([]);
      t.equal(await place.read(`tasks/${assignmentText(b1)}.json`), null);
    });

    test('builds no path from an invalid id', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      await inbox.open(() => undefined);
      for (const taskId of ['../../etc', '', `task-${'a'.repeat(16)}/..`, `task-${'A'.repeat(16)}`]) {
        const name = { taskId: taskId as TaskId, generation: 1 as Generation };
        t.throws(() => inbox.watch(name, 'all'), { code: 'AC_INTERNAL' }, JSON.stringify(taskId));
        await t.rejects(
          Promise.resolve().then(() => inbox.prepare(name, TASK, true)),
          { code: 'AC_INTERNAL' },
        );
        await t.rejects(
          Promise.resolve().then(() => inbox.remove(name)),
          { code: 'AC_INTERNAL' },
        );
      }
      t.strictSame(await place.paths(), []);
    });

    test('fails with an error when the folders cannot be created', async (t) => {
      const place = await subject.place(t);
      const inbox = place.inbox();
      await inbox.open(() => undefined);
      await place.breakPrepare(inbox);
      await t.rejects(inbox.prepare(a1, TASK, false), { code: 'AC_JOURNAL_WRITE' });
    });

    test('can be closed twice and before open, and reports nothing afterwards', async (t) => {
      const place = await subject.place(t);
      const never = place.inbox();
      await never.close();
      const { inbox, saw } = await expecting(place, a1);
      await place.write(ownPath(a1, 'json'), '{"hal');
      const looking = inbox.scan(a1);
      await Promise.all([inbox.close(), inbox.close()]);
      await looking;
      await inbox.close();
      const count = saw.all.length;
      await place.write(ownPath(a1, 'json'), '{"half":1}');
      inbox.watch(a1, 'all');
      await inbox.scan(a1);
      await place.pass(Promise.resolve());
      t.equal(saw.all.length, count);
    });

    unfinishedResultTests(test, subject);
    endedTests(test, subject);
    flatNameTests(test, subject);
    oddThingTests(test, subject);
  });
}

/** Links, FIFOs and folders under our names. */
function oddThingTests(test: CaseTest, subject: InboxSubject): void {
  test('follows no link and reads nothing but regular files', async (t) => {
    const place = await subject.place(t);
    const { odd } = place;
    if (typeof odd?.link !== 'function')
      return t.fail('Its place has no odd: { link, fifo, folder }, which put something else under a name.');
    const { inbox, saw } = await expecting(place, a1);
    await place.write('secret.json', '{"status":"success","output":"secret"}');
    const kinds = ['started', 'json', 'progress'];
    for (const file of kinds) await odd.link(ownPath(a1, file), 'secret.json');
    await place.pass(inbox.scan(a1));

    await inbox.prepare(b1, TASK, false);
    inbox.watch(b1, 'all');
    for (const file of kinds) await odd.fifo(ownPath(b1, file));
    await place.pass(inbox.scan(b1));

    const c1 = nameOf('c', 1);
    await inbox.prepare(c1, TASK, false);
    inbox.watch(c1, 'all');
    for (const file of kinds) await odd.folder(ownPath(c1, file));
    await place.pass(inbox.scan(c1));

    const d1 = nameOf('d', 1);
    await odd.folder('elsewhere');
    await place.write(`elsewhere/${d1.taskId}.json`, '{"output":"secret"}');
    await odd.link(`results/${assignmentText(d1)}`, 'elsewhere');
    inbox.watch(d1, 'all');
    await inbox.scan(d1);
    await t.rejects(inbox.prepare(d1, TASK, false), { code: 'AC_JOURNAL_WRITE' }, 'a link is not accepted as its folder either');

    const e1 = nameOf('e', 1);
    await inbox.prepare(e1, TASK, false);
    inbox.watch(e1, 'all');
    await odd.link(`results/${e1.taskId}.json`, 'secret.json');
    await odd.fifo(`results/${e1.taskId}.started`);
    await inbox.scan(e1);

    await odd.link(ownPath(e1, 'stop'), 'secret.json');
    await inbox.withdraw(e1);
    t.equal(await place.read('secret.json'), '{"status":"success","output":"secret"}', 'nothing is written through a link');
    const invalid = saw.of('invalid');
    t.match(invalid.map(({ assignment, reason }) => [assignment, reason]), [a1, b1, c1].map((name) => [name, 'result_invalid'])); // prettier-ignore
    t.match(invalid[0]?.message, /is not a regular file/, 'with the reason');
    t.strictSame(
      saw.all.filter(({ kind }) => kind !== 'changed' && kind !== 'invalid'),
      [],
    );
  });
}
