/** What every `Journal` must do, whatever it is based on. Each MUST of core/ports/journal.ts is a test here. */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { Generation, TaskId } from '../../../../core/domain/ids.ts';
import { JOURNAL_BYTES_MAX, type Journal } from '../../../../core/ports/journal.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import { inSuite, refuseOptions, type ContractCase, type Teardown, type TestRunner } from '../contract-case.ts';

/** One folder, or its equivalent, and the journals over it. */
export interface JournalPlace {
  /** A journal of the next process over the same folder. */
  journal(): Journal;
  /** The process that holds `journal` dies without `close`. */
  die(journal: Journal): Promise<void>;
  /** Damages the newest copy of the state, or all copies. */
  damage(which: 'newest' | 'both'): Promise<void>;
  /** The next write of this journal hits a disk fault. */
  failNextWrite(journal: Journal): void;
  /** The reason stored with a refused report, and its body; null if there is none. */
  refused(name: AssignmentId): Promise<{ readonly text: string; readonly reason: string } | null>;
}

/** A journal under test. */
export interface JournalSubject {
  /** An empty place; it releases its resources in `t.teardown`. */
  place(t: Teardown): Promise<JournalPlace>;
  /** A journal that cannot be opened, because its folder, or its equivalent, can be neither created nor written. */
  unwritable(t: Teardown): Promise<Journal>;
}

const nameOf = (digit: string, generation: number): AssignmentId => ({
  taskId: `task-${digit.repeat(16)}` as TaskId,
  generation: generation as Generation,
});

const failsWith = (t: ContractCase, work: Promise<unknown>, code: string, message: string): Promise<unknown> =>
  work.then(
    () => t.fail(`${message}: expected a failure with ${code}, found none`),
    (error: unknown) => t.equal(AgentcomError.is(error) && error.code, code, message),
  );

/** Adds the suite; `name` appears in the titles. */
export function journalContract(name: string, subject: JournalSubject, runner: TestRunner): void {
  const suite = `Journal contract, ${name}`;
  if (subject.unwritable === null) {
    refuseOptions(suite, subject, { unwritable: 'Every journal has a place that may refuse it: give it a journal whose open() fails.' });
  }
  inSuite(suite, runner, (test) => {
    test('has no state before the first save, and afterwards the last one saved', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      const opened = await first.open();
      t.equal(opened.state, undefined, 'undefined, not null or empty');
      t.equal(opened.damage, null);
      await first.save({ n: 1, text: 'grüß 😀 \ud800 \u0000' });
      await first.save({ n: 2, text: 'grüß 😀 \ud800 \u0000' });
      await first.close();

      const second = place.journal();
      const again = await second.open();
      t.strictSame(again.state, { n: 2, text: 'grüß 😀 \ud800 \u0000' });
      t.equal(again.instanceId, opened.instanceId, 'the instance id is created once');
      await second.close();
    });

    test('distinguishes a saved null from no state', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save(null);
      await first.close();
      const second = place.journal();
      t.equal((await second.open()).state, null);
      await second.close();
    });

    test('a saved state survives the death of its process', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save('kept');
      await place.die(first);
      const second = place.journal();
      t.equal((await second.open()).state, 'kept');
      await second.close();
    });

    test('refuses a second journal only while the first is alive', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      const second = place.journal();
      await failsWith(t, second.open(), 'AC_JOURNAL_LOCKED', 'another journal is refused');
      await failsWith(t, first.open(), 'AC_JOURNAL_LOCKED', 'so is opening the same one twice');
      await first.save('still mine');
      await first.close();
      t.equal((await second.open()).state, 'still mine', 'after close the folder is free');
      await place.die(second);
      const third = place.journal();
      t.equal((await third.open()).state, 'still mine', 'a dead holder is replaced');
      await third.close();
    });

    test('reads the copy before a damaged one and reports the damage', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save('older');
      await first.save('newer');
      await first.close();
      await place.damage('newest');

      const second = place.journal();
      const opened = await second.open();
      t.equal(opened.state, 'older');
      t.ok(opened.damage?.message, 'the damage is reported');
      t.ok(opened.damage?.setAside, 'the path of the damaged copy is reported');
      await second.close();

      const third = place.journal();
      const healed = await third.open();
      t.equal(healed.state, 'older');
      t.equal(healed.damage, null, 'once');
      await third.close();
    });

    test('with no good copy left, every open fails and is never answered as an empty journal', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save('older');
      await first.save('newer');
      await first.close();
      await place.damage('both');
      for (let times = 0; times < 3; times += 1) {
        await failsWith(t, place.journal().open(), 'AC_JOURNAL_CORRUPT', `start ${times + 1}`);
      }
    });

    test('a failed save leaves the previous copy', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save('good');
      place.failNextWrite(first);
      await failsWith(t, first.save('lost'), 'AC_JOURNAL_WRITE', 'the save fails');
      await place.die(first);

      const second = place.journal();
      const opened = await second.open();
      t.equal(opened.state, 'good');
      t.equal(opened.damage, null);
      await second.save('works again');
      await second.close();
      const third = place.journal();
      t.equal((await third.open()).state, 'works again');
      await third.close();
    });

    test('refuses a state over its size limit and keeps the previous one', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save('small');
      await failsWith(t, first.save('ä'.repeat(JOURNAL_BYTES_MAX / 2)), 'AC_JOURNAL_WRITE', 'two quotes too long, in bytes');
      await first.save('x'.repeat(JOURNAL_BYTES_MAX - 2));
      await failsWith(t, first.save('y'.repeat(JOURNAL_BYTES_MAX - 1)), 'AC_JOURNAL_WRITE', 'one byte too long');
      await first.close();
      const second = place.journal();
      t.equal((await second.open()).state, 'x'.repeat(JOURNAL_BYTES_MAX - 2));
      await second.close();
    });

    test('large tasks of slots are restored as saved, and do not count towards the size of the state', async (t) => {
      const place = await subject.place(t);
      const slots = Array.from({ length: 12 }, (_, n) => ({ n, task: { description: `${n} ${'ä'.repeat(90_000)}` } }));
      const small = { n: 99, task: { description: 'small' } };
      const states = [slots.slice(0, 3), slots, [...slots.slice(3), small], slots.slice(0, 2), [small], []].map((held, n) => ({
        n,
        slots: held,
      }));
      for (const state of states) {
        const journal = place.journal();
        await journal.open();
        await journal.save(state);
        await journal.save({ ...state, again: true });
        await place.die(journal);
        const next = place.journal();
        t.strictSame((await next.open()).state, { ...state, again: true });
        await next.close();
      }
    });

    test('the list of texts named ended is restored as saved, whichever way it changes', async (t) => {
      const place = await subject.place(t);
      const texts = (from: number, to: number): readonly string[] => Array.from({ length: to - from }, (_, n) => `grüß ${from + n} "😀`);
      const lists: readonly (readonly unknown[])[] = [
        [],
        texts(0, 1),
        texts(0, 40),
        texts(0, 40),
        texts(5, 41),
        [...texts(5, 9), ...texts(10, 41), 'grüß 9 again'],
        texts(30, 35).toReversed(),
        ['twice', 'twice', 'once', 'twice'],
        ['twice', 'once', 'twice', 'twice'],
        ['a text', { and: 'one that was never stored' }],
        texts(0, 3),
        [],
        texts(7, 9),
      ];
      for (const ended of lists) {
        const first = place.journal();
        await first.open();
        await first.save({ before: 1, ended });
        await place.die(first);
        const second = place.journal();
        t.strictSame((await second.open()).state, { before: 1, ended });
        await second.save({ ended, after: 2 });
        await second.save({ ended: [...ended, 'one more'], after: 3 });
        await place.die(second);
        const third = place.journal();
        t.strictSame((await third.open()).state, { ended: [...ended, 'one more'], after: 3 });
        await third.close();
      }
    });

    test('the list of texts named ended counts towards the size of the state', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      await first.save({ ended: ['small'] });
      await failsWith(t, first.save({ ended: ['x'.repeat(JOURNAL_BYTES_MAX)] }), 'AC_JOURNAL_WRITE', 'too long');
      await first.save({ ended: ['small', 'x'.repeat(JOURNAL_BYTES_MAX / 2)] });
      await failsWith(
        t,
        first.save({ ended: ['x'.repeat(JOURNAL_BYTES_MAX / 2)], y: 'y'.repeat(JOURNAL_BYTES_MAX / 2) }),
        'AC_JOURNAL_WRITE',
        'together',
      );
      await first.close();
      const second = place.journal();
      t.strictSame((await second.open()).state, { ended: ['small', 'x'.repeat(JOURNAL_BYTES_MAX / 2)] });
      await second.close();
    });

    test('executes concurrent calls in order', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      const name = nameOf('a', 1);
      const opening = first.open();
      const reports = [first.writeReport(name, 'one'), first.writeReport(name, 'two')];
      const saves = Array.from({ length: 20 }, (_, n) => first.save({ n }));
      const closing = first.close();
      await Promise.all([opening, ...reports, ...saves, closing]);
      const second = place.journal();
      t.strictSame((await second.open()).state, { n: 19 });
      t.equal(await second.readReport(name), 'two');
      await second.close();
    });

    test('saves the value as it is at the time of the call', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      const state = { n: 1 };
      const saving = first.save(state);
      state.n = 2;
      await saving;
      await first.close();
      const second = place.journal();
      t.strictSame((await second.open()).state, { n: 1 });
      await second.close();
    });

    test('stores reports by name, across restarts', async (t) => {
      const place = await subject.place(t);
      const first = place.journal();
      await first.open();
      t.equal(await first.readReport(nameOf('a', 1)), null, 'null when there is none');
      await first.writeReport(nameOf('a', 1), 'first');
      await first.writeReport(nameOf('a', 1), 'over it: grüß 😀');
      await first.writeReport(nameOf('a', 2), 'another generation');
      await first.writeReport(nameOf('b', 1), 'another task');
      await place.die(first);

      const second = place.journal();
      await second.open();
      t.equal(await second.readReport(nameOf('a', 1)), 'over it: grüß 😀');
      await second.removeReport(nameOf('a', 1));
      await second.removeReport(nameOf('a', 1));
      t.equal(await second.readReport(nameOf('a', 1)), null, 'removed, even twice');
      t.equal(await second.readReport(nameOf('a', 2)), 'another generation');
      t.equal(await second.readReport(nameOf('b', 1)), 'another task');
      await second.close();
    });

    test('a report that cannot be written is an error', async (t) => {
      const place = await subject.place(t);
      const journal = place.journal();
      await journal.open();
      await journal.writeReport(nameOf('a', 1), 'before');
      place.failNextWrite(journal);
      await failsWith(t, journal.writeReport(nameOf('a', 1), 'after'), 'AC_JOURNAL_WRITE', 'it fails');
      t.equal(await journal.readReport(nameOf('a', 1)), 'before', 'the older one is unchanged');
      await journal.close();
    });

    test('moves a refused report aside with its reason', async (t) => {
      const place = await subject.place(t);
      const journal = place.journal();
      await journal.open();
      await journal.writeReport(nameOf('a', 3), 'precious');
      t.equal((await journal.room()).refusedBytes, 0, 'nothing was refused yet');
      await journal.refuseReport(nameOf('a', 3), 'stale_generation');
      const { refusedBytes: bytes } = await journal.room();
      t.ok(bytes >= 'precious'.length + 'stale_generation'.length && bytes < 1_000, `${bytes} bytes: the body and its reason`);
      t.equal(await journal.readReport(nameOf('a', 3)), null);
      const refused = await place.refused(nameOf('a', 3));
      t.equal(refused?.text, 'precious');
      t.match(refused?.reason, /stale_generation/);
      await journal.refuseReport(nameOf('a', 3), 'again');
      t.equal((await place.refused(nameOf('a', 3)))?.text, 'precious', 'a repeat removes nothing');
      await journal.refuseReport(nameOf('c', 1), 'never written');
      t.equal(await place.refused(nameOf('c', 1)), null, 'fine when there is none');
      await journal.close();
    });

    test('builds no path from an invalid id', async (t) => {
      const place = await subject.place(t);
      const journal = place.journal();
      await journal.open();
      for (const taskId of ['../../etc/passwd', 'task-', `task-${'a'.repeat(16)}/../x`, `task-${'a'.repeat(16)}\0`]) {
        const name = { taskId: taskId as TaskId, generation: 1 as Generation };
        await t.rejects(journal.writeReport(name, 'x'), { code: 'AC_INTERNAL' }, JSON.stringify(taskId));
      }
      await journal.close();
    });

    test('can be closed twice and before open, and is unusable afterwards', async (t) => {
      const place = await subject.place(t);
      const journal = place.journal();
      await journal.close();
      await journal.open();
      await journal.save('kept');
      await Promise.all([journal.close(), journal.close()]);
      await journal.close();
      await failsWith(t, journal.save('too late'), 'AC_JOURNAL_WRITE', 'no save after close');
      await failsWith(t, place.journal().save('too early'), 'AC_JOURNAL_WRITE', 'nor before open');
      const next = place.journal();
      t.equal((await next.open()).state, 'kept');
      await next.close();
    });

    test('fails with an error when its folder cannot be created or written', async (t) => {
      await failsWith(t, (await subject.unwritable(t)).open(), 'AC_JOURNAL_WRITE', 'open fails');
    });
  });
}
