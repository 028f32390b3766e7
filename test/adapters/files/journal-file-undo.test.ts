/** A save that fails when its state already has its name, on a disk that then refuses to undo it. */
import t from 'tap';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import { emptyFolder, journalIn, pretendHolderDied, stateIn } from './journal-file-place.ts';

const BEFORE = [[], ['old'], ['older', 'old']];

/** A disk that fails as soon as the next save has renamed its state: from then on it syncs no folder, and refuses these operations. */
function sickDisk(refused: readonly ('rename' | 'remove')[]) {
  const sick = { isSoon: false, isNow: false, refusesStates: false };
  const requireAllowed = (what: 'rename' | 'remove'): void => {
    if (sick.isNow && refused.includes(what)) throw new Error(`EIO: i/o error, ${what}, planted`);
  };
  const files: JournalFiles = {
    ...nodeJournalFiles,
    async rename(from, to) {
      requireAllowed('rename');
      const isState = from.endsWith('queue.json.next');
      if (sick.refusesStates && isState) throw new Error('EIO: i/o error, planted');
      await nodeJournalFiles.rename(from, to);
      sick.isNow ||= sick.isSoon && isState;
    },
    async remove(path) {
      requireAllowed('remove');
      await nodeJournalFiles.remove(path);
    },
    async syncFolder(path) {
      if (sick.isNow) throw new Error('EIO: i/o error, sync, planted');
      await nodeJournalFiles.syncFolder(path);
    },
  };
  return {
    files,
    fail: (): void => void (sick.isSoon = true),
    /** Recovers, but the next save fails before its state gets its name. */
    recoverUntilNextState: (): void => void Object.assign(sick, { isSoon: false, isNow: false, refusesStates: true }),
  };
}

t.test('R3: a state whose failed save could not be undone is neither read later nor kept as the previous state', async (t) => {
  for (const refused of [['rename'], ['rename', 'remove']] as const)
    for (const before of BEFORE) {
      const dataDir = await emptyFolder(t);
      const disk = sickDisk(refused);
      const journal = journalIn(dataDir, disk.files);
      await journal.open();
      for (const each of before) await journal.save(each);
      disk.fail();
      const about = `${refused.join(' and ')} after ${before.length} saves`;
      await t.rejects(journal.save('not saved'), { code: 'AC_JOURNAL_WRITE' }, about);
      await t.rejects(journal.save('nor this'), { code: 'AC_JOURNAL_WRITE' }, about);
      disk.recoverUntilNextState();
      await t.rejects(journal.save('nor this one'), { code: 'AC_JOURNAL_WRITE' }, about);
      await pretendHolderDied(dataDir);
      t.equal(await stateIn(dataDir), before.at(-1), about);
    }
});

t.test('R3: a process that ends after a failed save leaves the state before it, as long as the disk can remove a file', async (t) => {
  for (const before of BEFORE) {
    const dataDir = await emptyFolder(t);
    const disk = sickDisk(['rename']);
    const journal = journalIn(dataDir, disk.files);
    await journal.open();
    for (const each of before) await journal.save(each);
    disk.fail();
    await t.rejects(journal.save('not saved'), { code: 'AC_JOURNAL_WRITE' });
    await pretendHolderDied(dataDir);
    t.equal(await stateIn(dataDir), before.at(-1), `after ${before.length} saves`);
  }
});
