/** A save that fails when its state already has its name, on a disk that then refuses to take it back. */
import t from 'tap';
import { nodeJournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import { emptyFolder, journalIn, pretendHolderDied, stateIn } from './journal-file-place.ts';

t.test(
  'R3: a state that could not be taken back after a failed save is neither read later nor kept as the copy of one that was saved',
  async (t) => {
    for (const failing of [['rename'], ['rename', 'remove']] as const) {
      for (const before of [[], ['old'], ['older', 'old']]) {
        const dataDir = await emptyFolder(t);
        let isSick = false;
        let failsLater = false;
        const refuse = (what: string): void => {
          if (isSick && failing.some((one) => one === what)) throw new Error(`EIO: i/o error, ${what}, planted`);
        };
        const journal = journalIn(dataDir, {
          ...nodeJournalFiles,
          async rename(from, to) {
            refuse('rename');
            if (failsLater && from.endsWith('queue.json.next')) throw new Error('EIO: i/o error, planted');
            await nodeJournalFiles.rename(from, to);
            isSick ||= becomesSick && from.endsWith('queue.json.next');
          },
          async remove(path) {
            refuse('remove');
            await nodeJournalFiles.remove(path);
          },
          async syncFolder(path) {
            if (isSick) throw new Error('EIO: i/o error, sync, planted');
            await nodeJournalFiles.syncFolder(path);
          },
        });
        let becomesSick = false;
        await journal.open();
        for (const each of before) await journal.save(each);
        becomesSick = true;
        const about = `${failing.join(' and ')} after ${before.length} saves`;
        await t.rejects(journal.save('not saved'), { code: 'AC_JOURNAL_WRITE' }, about);
        await t.rejects(journal.save('nor this'), { code: 'AC_JOURNAL_WRITE' }, about);
        // The disk recovers, but the next save fails on the way.
        [isSick, becomesSick, failsLater] = [false, false, true];
        await t.rejects(journal.save('nor this one'), { code: 'AC_JOURNAL_WRITE' }, about);
        await pretendHolderDied(dataDir);
        t.equal(await stateIn(dataDir), before.at(-1), about);
      }
    }
  },
);

t.test('R3: a process that ends after a failed save leaves the state before it, if the disk can remove a file at least', async (t) => {
  for (const before of [[], ['old'], ['older', 'old']]) {
    const dataDir = await emptyFolder(t);
    let isSick = false;
    let becomesSick = false;
    const journal = journalIn(dataDir, {
      ...nodeJournalFiles,
      async rename(from, to) {
        if (isSick) throw new Error('EIO: i/o error, planted');
        await nodeJournalFiles.rename(from, to);
        isSick = becomesSick && from.endsWith('queue.json.next');
      },
      async syncFolder(path) {
        if (isSick) throw new Error('EIO: i/o error, planted');
        await nodeJournalFiles.syncFolder(path);
      },
    });
    await journal.open();
    for (const each of before) await journal.save(each);
    becomesSick = true;
    await t.rejects(journal.save('not saved'), { code: 'AC_JOURNAL_WRITE' });
    await pretendHolderDied(dataDir);
    t.equal(await stateIn(dataDir), before.at(-1), `after ${before.length} saves`);
  }
});
