import t from 'tap';
import { memoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import { journalContract } from '../../product/contracts/files/journal.contract.ts';
import { memoryJournalSubject } from '../suites/twin-subjects.ts';

journalContract('memory', memoryJournalSubject, t);

t.test('a crash in the middle of a save loses or keeps that save, as the test chooses', async (t) => {
  for (const keepUnsynced of [false, true]) {
    const first = memoryJournal({ sync: () => new Promise<void>((resolve) => setImmediate(resolve)) });
    await first.open();
    await first.save('old');
    let isAnswered = false;
    void first.save('new').then(() => (isAnswered = true));
    await Promise.resolve();
    first.crash({ keepUnsynced });
    const next = first.reopen();
    t.equal((await next.open()).state, keepUnsynced ? 'new' : 'old');
    await next.save('later');
    t.equal(isAnswered, false, 'the dead process gets no answer');
  }
});

t.test('fails exactly the write that the test chose', async (t) => {
  const journal = memoryJournal();
  await journal.open();
  journal.failWrite(3);
  await journal.save(1);
  await journal.save(2);
  await t.rejects(journal.save(3), { code: 'AC_JOURNAL_WRITE' });
  await journal.save(4);
  await journal.close();
  t.equal((await journal.reopen().open()).state, 4);
});
