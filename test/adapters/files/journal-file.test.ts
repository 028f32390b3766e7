import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { pack, unpack } from '../../../adapters/journal-file/envelope.ts';
import { processMark } from '../../../adapters/journal-file/process-mark.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import { nodeJournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import { journalContract, type JournalSubject } from '../../product/contracts/files/journal.contract.ts';
import {
  deadPid,
  emptyFolder,
  faultyFiles,
  folderWith,
  journalIn,
  pretendHolderDied,
  readText,
  reportName,
  smallDisk,
  startSaver,
  stateIn,
  tryEachStep,
} from './journal-file-place.ts';

// Hundreds of saves, each synced; a busy disk is slow.
t.setTimeout(120_000);

const subject: JournalSubject = {
  async place(t) {
    const dataDir = await emptyFolder(t);
    const faults = new Map<Journal, { failNext: boolean }>();
    return {
      journal() {
        const fault = { failNext: false };
        const files = faultyFiles();
        const journal = journalIn(dataDir, {
          ...files,
          // Without a reserve a report is not written a second time: one fault, one failed call.
          freeBytes: () => Promise.resolve(0),
          write: (path, bytes) => {
            if (path.includes('reserve')) return Promise.reject(new Error('no reserve in this test'));
            if (!fault.failNext) return files.write(path, bytes);
            fault.failNext = false;
            return Promise.reject(new Error('EIO: i/o error, planted'));
          },
        });
        faults.set(journal, fault);
        return journal;
      },
      die: () => pretendHolderDied(dataDir),
      async damage(which) {
        await appendFile(join(dataDir, 'queue.json'), 'torn');
        if (which === 'both') await appendFile(join(dataDir, 'queue.json.1'), 'torn');
      },
      failNextWrite(journal) {
        (faults.get(journal) as { failNext: boolean }).failNext = true;
      },
      async refused(name) {
        const file = join(dataDir, 'refused', assignmentText(name));
        const names = await readdir(join(dataDir, 'refused'));
        if (!names.includes(`${assignmentText(name)}.json`)) return null;
        return { text: await readText(`${file}.json`), reason: await readText(`${file}.reason.txt`) };
      },
    };
  },
  async unwritable(t) {
    const folder = await emptyFolder(t);
    await writeFile(join(folder, 'file'), 'in the way');
    return journalIn(join(folder, 'file', 'data'));
  },
};
journalContract('files', subject, t);

t.test('R22: a queue.json truncated at any length is never read as empty or as a different state', async (t) => {
  const whole = pack(JSON.stringify({ n: 2, text: 'grüß' }), null);
  const dataDir = await folderWith(t, { n: 1 }, { n: 2, text: 'grüß' });
  const queue = join(dataDir, 'queue.json');
  const previous = await readFile(join(dataDir, 'queue.json.1'));
  t.same(await readFile(queue), whole);
  for (let length = 0; length < whole.length; length += 1) {
    await rm(queue);
    await writeFile(queue, whole.subarray(0, length));
    const journal = journalIn(dataDir);
    const opened = await journal.open();
    t.same(opened.state, { n: 1 }, `${length} of ${whole.length} bytes: the copy before it`);
    t.same(await readFile(opened.damage?.setAside as string), whole.subarray(0, length), 'the damaged copy is retained');
    await journal.close();

    const bare = await emptyFolder(t);
    await writeFile(join(bare, 'queue.json'), whole.subarray(0, length));
    await t.rejects(journalIn(bare).open(), { code: 'AC_JOURNAL_CORRUPT' }, 'refused when there is no other copy');
  }
  t.same(await readFile(join(dataDir, 'queue.json.1')), previous, 'the good copy was never touched');
});

t.test('R22: corrupted bytes are never read as a state', (t) => {
  const states = fc.jsonValue({ maxDepth: 3 });
  const change = fc.record({ at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) });
  fc.assert(
    fc.property(states, change, (state, { at, by }) => {
      const bytes = pack(JSON.stringify(state), null);
      const place = at % bytes.length;
      bytes[place] = (bytes[place] as number) ^ by;
      return unpack(bytes).kind !== 'good';
    }),
    { numRuns: 2_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => unpack(Buffer.from(noise)).kind === 'bad'));
  fc.assert(
    fc.property(states, (state) =>
      t.same(unpack(pack(JSON.stringify(state), null)), { kind: 'good', state: JSON.parse(JSON.stringify(state)), ended: null, held: 0 }),
    ),
  );
  t.end();
});

t.test('a missing queue.json is read from the other copy, and this is reported', async (t) => {
  const dataDir = await folderWith(t, 'older', 'newer');
  await rm(join(dataDir, 'queue.json'));
  const journal = journalIn(dataDir);
  const opened = await journal.open();
  t.equal(opened.state, 'older');
  t.match(opened.damage?.message ?? '', 'is missing');
  t.equal(opened.damage?.setAside, null);
  await journal.close();
});

t.test('a journal of a newer version is refused and left unchanged', async (t) => {
  const dataDir = await folderWith(t, 'older', 'newer');
  const queue = join(dataDir, 'queue.json');
  await writeFile(queue, '{"version":4,"how":"not known yet"}');
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_SCHEMA_UNKNOWN', message: /version 4/ });
  t.equal(await readText(queue), '{"version":4,"how":"not known yet"}');
});

t.test('R3: a save that fails at any step leaves the old state; one killed at any step leaves the old or the new', async (t) => {
  for (const before of [[], ['older'], ['oldest', 'older']] as const) {
    const about = `${before.length} saves before`;
    await tryEachStep(t, { about, before, after: 'new', next: 'next' }, async (dataDir) => {
      t.notOk(
        (await readdir(dataDir)).some((name) => name.includes('.next')),
        'no half-written file remains',
      );
    });
  }
});

t.test('the next start finds the good copy, whichever step of a recovery is killed', async (t) => {
  for (let nth = 1, isDone = false; !isDone; nth += 1) {
    const dataDir = await folderWith(t, 'older', 'newer');
    await truncate(join(dataDir, 'queue.json'), 50);
    const files = faultyFiles();
    files.arm(nth, 'stops the world');
    await Promise.race([journalIn(dataDir, files).open(), files.stopped]);
    isDone = !files.wasMet;
    await pretendHolderDied(dataDir);
    t.equal(await stateIn(dataDir), 'older', `killed at step ${nth}`);
  }
});

t.test('a lock is judged by PID, start time and boot', async (t) => {
  const me = await processMark(process.pid);
  const gone = await deadPid();
  const onLinux = process.platform === 'linux' ? false : 'start time and boot are known on Linux';
  const cases = [
    { what: 'of a process that ended', mark: { pid: gone, startTime: null, bootId: null }, isFree: true, skip: false },
    { what: 'of an earlier process with this PID', mark: { ...me, startTime: '1' }, isFree: true, skip: onLinux },
    { what: 'of this PID before the last boot', mark: { ...me, bootId: 'another' }, isFree: true, skip: onLinux },
    { what: 'of the current process', mark: me, isFree: false, skip: false },
    { what: 'without a process start time', mark: { pid: process.pid }, isFree: false, skip: false },
    { what: 'torn by a power failure', mark: null, isFree: true, skip: false },
    { what: 'that names a process group', mark: { pid: -1 }, isFree: true, skip: false },
  ] as const;
  for (const { what, mark, isFree, skip } of cases) {
    t.test(`a lock ${what} is ${isFree ? 'followed' : 'respected'}`, { skip }, async (t) => {
      const dataDir = await folderWith(t, 'kept');
      await writeFile(join(dataDir, 'lock'), mark === null ? '{"pi' : JSON.stringify(mark));
      if (isFree) t.equal(await stateIn(dataDir), 'kept');
      else await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_LOCKED' });
    });
  }
});

t.test('when many processes take over from a dead holder at once, at most one gets the folder', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const dataDir = await emptyFolder(t);
    await pretendHolderDied(dataDir);
    const journals = Array.from({ length: 5 }, () => journalIn(dataDir));
    const answers = await Promise.allSettled(journals.map((journal) => journal.open()));
    const winners = journals.filter((_, index) => answers[index]?.status === 'fulfilled');
    t.ok(winners.length <= 1, `${winners.length} of 5`);
    for (const answer of answers) if (answer.status === 'rejected') t.match(answer.reason, { code: 'AC_JOURNAL_LOCKED' });
    await Promise.all(journals.map((journal) => journal.close()));
    t.equal(await stateIn(dataDir), undefined, 'the folder is free afterwards');
    t.same(
      (await readdir(dataDir)).filter((name) => name.startsWith('lock')),
      [],
      'no lock remains',
    );
  }
});

t.test('folders and files are accessible to their owner only, and a folder with wider permissions is refused', async (t) => {
  const dataDir = join(await emptyFolder(t), 'made', 'deep');
  const journal = journalIn(dataDir);
  await journal.open();
  await journal.save(1);
  await journal.writeReport(reportName(1), 'x');
  await journal.writeReport(reportName(2), 'x');
  await journal.refuseReport(reportName(2), 'why');
  const modeOf = async (path: string): Promise<string> => ((await stat(join(dataDir, path))).mode & 0o777).toString(8);
  for (const folder of ['.', 'outbox', 'refused']) t.equal(await modeOf(folder), '700', folder);
  const refused = (await readdir(join(dataDir, 'refused'))).map((name) => `refused/${name}`);
  t.equal(refused.length, 2);
  for (const file of ['queue.json', 'lock', 'instance-id', 'reserve', `outbox/${assignmentText(reportName(1))}.json`, ...refused]) {
    t.equal(await modeOf(file), '600', file);
  }
  await journal.close();
  await chmod(dataDir, 0o755);
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_DATA_DIR', message: /chmod 700/ });
});

t.test('a file in place of the folder is an error that names its path', async (t) => {
  const folder = await emptyFolder(t);
  await writeFile(join(folder, 'data'), '');
  await t.rejects(journalIn(join(folder, 'data')).open(), { code: 'AC_JOURNAL_WRITE', message: new RegExp(join(folder, 'data')) });
});

t.test('a folder in place of queue.json is not read as an empty journal', async (t) => {
  const dataDir = await emptyFolder(t);
  await mkdir(join(dataDir, 'queue.json'));
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_CORRUPT' });
});

t.test('R3: a file that the disk silently truncated does not count as written', async (t) => {
  const dataDir = await emptyFolder(t);
  let isShort = false;
  const journal = journalIn(dataDir, {
    ...nodeJournalFiles,
    write: (path, bytes) => nodeJournalFiles.write(path, isShort ? bytes.subarray(0, bytes.length >> 1) : bytes),
  });
  await journal.open();
  await journal.save('good');
  isShort = true;
  await t.rejects(journal.save('cut short'), { code: 'AC_JOURNAL_WRITE', message: /read back \d+ different ones/ });
  await t.rejects(journal.writeReport(reportName(1), 'a report'), { code: 'AC_JOURNAL_WRITE' });
  isShort = false;
  await journal.close();
  t.equal(await stateIn(dataDir), 'good');
});

t.test('on an almost full disk saves fail, and the good state remains', async (t) => {
  const dataDir = await emptyFolder(t);
  const isMounted = smallDisk(t, dataDir, '256k');
  t.test('with a disk of 256 KiB', { skip: isMounted ? false : 'mounting a small disk needs root on Linux' }, async (t) => {
    t.teardown(() => execFileSync('umount', ['-l', dataDir]));
    const journal = journalIn(dataDir);
    const filler = join(dataDir, 'filler');
    await journal.open();
    await journal.save('good');
    t.match(await journal.room(), { hasReserve: false }, 'less than 1 MiB counts as a full disk before anything fails');
    await t.rejects(writeFile(filler, Buffer.alloc(300_000)), { code: 'ENOSPC' });
    const state = 'x'.repeat(100_000);
    let failures = 0;
    let isSaved = false;
    for (let { size } = await stat(filler); !isSaved; size -= 4096) {
      await truncate(filler, size);
      const error = await journal.save(state).then(
        () => null,
        (reason: unknown) => reason as { readonly code: string; readonly message: string },
      );
      isSaved = error === null;
      if (error !== null) t.equal(error.code, 'AC_JOURNAL_WRITE');
      const found = unpack(await readFile(join(dataDir, 'queue.json')));
      t.same(
        found,
        { kind: 'good', state: isSaved ? state : 'good', ended: null, held: 0 },
        `with ${size} bytes of filler: ${error?.message ?? 'saved'}`,
      );
      if (error !== null) failures += 1;
    }
    t.ok(failures > 0, `${failures} saves found no room`);
    await journal.close();
    t.equal(await stateIn(dataDir), state);
  });
});

t.test('R22: a folder locked by another container is refused, and taken over once its holder is gone', async (t) => {
  // Also a path that is too long for a socket address.
  for (const dataDir of [join(await emptyFolder(t), 'a'), join(await emptyFolder(t), 'long-'.repeat(30))]) {
    const holder = journalIn(dataDir);
    await holder.open();
    // As seen from another container: the PID exists in no process here.
    const lock = join(dataDir, 'lock');
    const mark = JSON.parse(await readText(lock)) as object;
    const seen = Buffer.from(`${JSON.stringify({ ...mark, pid: await deadPid(), startTime: '1' })}\n`);
    const held = await readFile(lock);
    await writeFile(lock, seen);
    await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_LOCKED', message: /another container/ });
    t.ok((await readFile(lock)).equals(seen), 'the lock is unchanged');
    await writeFile(lock, held);
    await holder.close();
    await writeFile(lock, seen);
    t.equal(await stateIn(dataDir), undefined, 'the folder is free once its holder is gone');
    t.same(
      (await readdir(dataDir)).filter((name) => name.startsWith('lock')),
      [],
    );
  }
});

const canUnshare = process.platform === 'linux' && process.getuid?.() === 0 && isUnshareThere();

t.test(
  'R22: of two processes with PID 1 in separate namespaces, only one gets the folder',
  { skip: canUnshare ? false : 'needs unshare, as root' },
  async (t) => {
    const dataDir = await emptyFolder(t);
    const saver = () => startSaver(t, dataDir, ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']);
    const first = saver();
    await once(first.stdout as NodeJS.ReadableStream, 'data');
    const second = saver();
    t.not((await once(second, 'exit'))[0], 0, 'the second is refused');
    first.stdout?.resume();
    first.kill('SIGKILL');
    await once(first, 'close'); // the process it started has released the stream, too
    const third = saver();
    t.ok(await once(third.stdout as NodeJS.ReadableStream, 'data'), 'the next process takes over from the dead one');
  },
);

function isUnshareThere(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // not installed, or not permitted here
  }
}
