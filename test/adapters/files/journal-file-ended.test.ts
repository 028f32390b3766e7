/** The list of ended assignments next to the journal's state on disk: what a save costs, and that no crash, fault or damage breaks it. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, link, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { RESERVE_BYTES } from '../../../adapters/journal-file/file-journal.ts';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import { ENDED_MAX } from '../../../core/domain/assignment/ended-assignments.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import {
  emptyFolder,
  folderWith,
  faultyFiles,
  journalIn,
  pretendHolderDied,
  readText,
  reportName,
  smallDisk,
  stateIn,
  tryEachStep,
} from './journal-file-place.ts';

// Hundreds of folders, each save synced; a busy disk is slow.
t.setTimeout(240_000);

interface State {
  readonly n: number;
  readonly ended: readonly string[];
}

/** As long as a real one. */
const entry = (n: number): string => `${n.toString(16).padStart(32, '0')} 1 c 490896`;
const entries = (from: number, to: number): readonly string[] => Array.from({ length: to - from }, (_, n) => entry(from + n));
const state = (n: number, ended: readonly string[]): State => ({ n, ended });

const endedFiles = async (dataDir: string): Promise<readonly string[]> =>
  (await readdir(dataDir)).filter((name) => name.startsWith('ended-')).sort();

/** What a sidecar of the first version left: one file with everything in it. */
async function firstVersion(dataDir: string, old: State): Promise<void> {
  const text = JSON.stringify(old);
  const sha256 = createHash('sha256').update(text).digest('hex');
  const file = `{"version":1,"length":${Buffer.byteLength(text)},"sha256":"${sha256}","state":${text}}\n`;
  for (const name of ['queue.json', 'queue.json.1']) await writeFile(join(dataDir, name), file);
}

t.test('R3: the cost of a save depends on what changed, not on how many ended assignments are stored', async (t) => {
  const bytesOfTask = async (remembered: number): Promise<number> => {
    let bytes = 0;
    const dataDir = await emptyFolder(t);
    const files: JournalFiles = {
      ...nodeJournalFiles,
      write: (path, text) => ((bytes += text.length), nodeJournalFiles.write(path, text)),
      append: (path, at, text) => ((bytes += text.length), nodeJournalFiles.append(path, at, text)),
    };
    const journal = journalIn(dataDir, files);
    await journal.open();
    let ended = entries(0, remembered);
    await journal.save(state(0, ended));
    bytes = 0;
    const tasks = 25;
    for (let n = 1; n <= tasks; n += 1) {
      // Like a task: some saves of its slot, of some hundred bytes, and one that adds it to the ended list.
      for (let step = 0; step < 7; step += 1) await journal.save({ ...state(n, ended), slot: 'x'.repeat(900) });
      ended = [...ended, entry(remembered + n)].slice(-ENDED_MAX);
      await journal.save(state(n, ended));
    }
    await journal.close();
    t.same(await stateIn(dataDir), state(tasks, ended));
    return bytes / tasks;
  };
  const [none, full] = [await bytesOfTask(0), await bytesOfTask(ENDED_MAX)];
  t.ok(full <= 1.2 * none, `${full} bytes per task with ${ENDED_MAX} remembered, ${none} with none`);
});

/** Before and after: one more; one more with the oldest gone; and a file that is rewritten. */
const LONG = Array.from({ length: 5 }, (_, n) => `${n}`.padStart(16_000, '0'));
const BECAME_LONG = 'a file that has become long';
const CHANGES: readonly { readonly what: string; readonly before: readonly State[]; readonly after: State }[] = [
  { what: 'the first', before: [state(0, [])], after: state(1, entries(0, 1)) },
  { what: 'one more', before: [state(0, entries(0, 2)), state(1, entries(0, 3))], after: state(2, entries(0, 4)) },
  { what: 'another list', before: [state(0, entries(0, 2)), state(1, entries(0, 3))], after: state(2, entries(1, 4)) },
  {
    what: BECAME_LONG,
    before: [...LONG.keys()].map((n) => state(n, LONG.slice(n, n + 1))),
    after: state(40, ['rewritten']),
  },
  { what: 'none left', before: [state(0, entries(0, 2))], after: state(1, []) },
];

t.test('R3: whichever step of a save fails or is killed, the state and its list come from the same save', async (t) => {
  for (const { what, before, after } of CHANGES) {
    const next = state(99, [...after.ended, 'next']);
    const { dataDir } = await tryEachStep(t, { about: what, before, after, next }, async (folder) => {
      t.ok((await endedFiles(folder)).length <= 2, 'a list file that no copy refers to is removed at startup');
    });
    if (what === BECAME_LONG)
      t.ok(
        (await endedFiles(dataDir)).some((name) => name !== 'ended-1.log'),
        'the list was rewritten to a new file',
      );
  }
});

t.test('R3: unacknowledged bytes at the end of the list are not read, and are overwritten', async (t) => {
  const old = state(2, entries(0, 3));
  for (const tail of ['{"less":[0],"more":["never acknowledged"]}\n', '{"less":[', '\0'.repeat(4_096)]) {
    const dataDir = await folderWith(t, state(1, entries(0, 2)), old);
    const [file] = await endedFiles(dataDir);
    await appendFile(join(dataDir, file ?? ''), tail);
    const journal = journalIn(dataDir);
    const opened = await journal.open();
    t.same(opened.state, old);
    t.equal(opened.damage, null, 'this is not reported as damage');
    await journal.save(state(3, entries(1, 4)));
    await journal.close();
    t.same(await stateIn(dataDir), state(3, entries(1, 4)));
  }
});

t.test('R22: a list damaged at any byte is read as before the last save, or refused by name; nothing is deleted', async (t) => {
  const [older, newer] = [state(1, entries(0, 2)), state(2, entries(0, 3))];
  const dataDir = await folderWith(t, older, newer);
  const [file = ''] = await endedFiles(dataDir);
  const names = ['queue.json', 'queue.json.1', file];
  const whole = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(dataDir, name))] as const)));
  const good = whole.get(file) ?? Buffer.alloc(0);
  const shared = good.indexOf('\n') + 1;
  for (let at = 0; at < good.length; at += 1) {
    const flipped = Buffer.from(good);
    flipped[at] = (flipped[at] as number) ^ 1;
    for (const damaged of [good.subarray(0, at), flipped]) {
      for (const name of await readdir(dataDir)) if (/^(queue|ended)/.test(name)) await rm(join(dataDir, name));
      for (const [name, bytes] of whole) await writeFile(join(dataDir, name), name === file ? damaged : bytes);
      const journal = journalIn(dataDir);
      const opened = await journal.open().catch((thrown: unknown) => thrown);
      if (at < shared) {
        const isNamed = AgentcomError.is(opened) && opened.code === 'AC_JOURNAL_CORRUPT' && opened.message.includes(file);
        if (!isNamed) t.fail(`byte ${at}: ${String(opened)}`);
        for (const [name, bytes] of whole)
          if (!(await readFile(join(dataDir, name))).equals(name === file ? damaged : bytes)) t.fail(`byte ${at}: ${name} was changed`);
        continue;
      }
      const { state: found, damage } = opened as Awaited<ReturnType<Journal['open']>>;
      if (JSON.stringify(found) !== JSON.stringify(older) || damage?.message.includes(file) !== true)
        t.fail(`byte ${at}: ${JSON.stringify(found)}`);
      for (let n = 0; n < 3; n += 1) await journal.save(state(3, entries(0, 5 + n)));
      await journal.close();
      const aside = (await endedFiles(dataDir)).find((name) => name.startsWith(`${file}.corrupt-`));
      if (aside === undefined || !(await readFile(join(dataDir, aside))).equals(damaged))
        t.fail(`byte ${at}: the damaged list was not retained`);
    }
  }
  t.ok(good.length - shared > 40, `${good.length} bytes`);
});

t.test('R3: a single-file journal of an older sidecar is fully migrated, whichever step of the first start it is killed at', async (t) => {
  const old = state(1, entries(0, 50));
  const next = state(2, entries(1, 51));
  for (let nth = 1, isDone = false; !isDone; nth += 1) {
    const dataDir = await emptyFolder(t);
    await firstVersion(dataDir, old);
    const files = faultyFiles();
    files.arm(nth, 'stops the world');
    const journal = journalIn(dataDir, files);
    const begun = (async () => {
      t.same((await journal.open()).state, old);
      await journal.save(next);
      return 'saved';
    })();
    const answer = await Promise.race([begun, files.stopped.then(() => 'killed')]);
    isDone = !files.wasMet;
    await pretendHolderDied(dataDir);
    const found = JSON.stringify(await stateIn(dataDir));
    t.ok(found === JSON.stringify(next) || (answer === 'killed' && found === JSON.stringify(old)), `step ${nth}: ${answer}`);
  }
});

t.test('an older list file is retained exactly as long as a copy refers to it', async (t) => {
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  const many = Array.from({ length: 40 }, (_, n) => `${n}`.padStart(4_000, '0'));
  for (const [n, text] of many.entries()) {
    await journal.save(state(n, [text]));
    for (const name of ['queue.json', 'queue.json.1']) {
      const named = n === 0 && name === 'queue.json.1' ? null : /"file":"([^"]+)"/.exec(await readText(join(dataDir, name)))?.[1];
      if (named !== null) t.ok((await endedFiles(dataDir)).includes(named ?? ''), `${name} after save ${n} has ${named}`);
    }
    t.ok((await endedFiles(dataDir)).length <= 2);
  }
  t.notOk((await endedFiles(dataDir)).includes('ended-1.log'), 'the list was rewritten to a new file');
  await journal.close();
  await link(join(dataDir, (await endedFiles(dataDir)).at(-1) ?? ''), join(dataDir, 'ended-900.log'));
  await stateIn(dataDir);
  t.notOk((await endedFiles(dataDir)).includes('ended-900.log'), 'leftovers of a crash are removed');
});

t.test('R3, R4: on a full disk the reserve has room for a report and its save, even with the longest list', async (t) => {
  const dataDir = await emptyFolder(t);
  const isMounted = smallDisk(t, dataDir, '8m');
  t.test('with a disk of 8 MiB', { skip: isMounted ? false : 'mounting a small disk needs root on Linux' }, async (t) => {
    t.teardown(() => execFileSync('umount', ['-l', dataDir]));
    const old = { ...state(1, entries(0, ENDED_MAX)), tasks: 'x'.repeat(390_000) };
    await firstVersion(dataDir, old);
    const journal = journalIn(dataDir);
    await journal.open();
    await journal.save(old);
    t.equal((await stat(join(dataDir, 'reserve'))).size, RESERVE_BYTES);
    t.match(await journal.room(), { hasReserve: true });
    await t.rejects(writeFile(join(dataDir, 'filler'), Buffer.alloc(8_388_608)), { code: 'ENOSPC' });
    t.match(await journal.room(), { hasReserve: false }, 'less than 1 MiB counts as a full disk before anything fails');
    await t.rejects(journal.save({ ...old, n: 2 }), { code: 'AC_JOURNAL_WRITE' });
    await journal.writeReport(reportName(1), 'r'.repeat(1_000_000));
    const after = { ...state(2, entries(1, ENDED_MAX + 1)), tasks: 'x'.repeat(390_000) };
    await journal.save({ ...old, n: 2 });
    await journal.save(after);
    await journal.removeReport(reportName(1));
    await journal.close();
    t.same(await stateIn(dataDir), after);
  });
});
