/** Large tasks next to the journal's state on disk: what a save costs, and that no crash, fault or damage loses one or mixes them up. */
import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import t from 'tap';
import { isHeldFile } from '../../../adapters/journal-file/held-tasks.ts';
import { inspectJournal } from '../../../adapters/journal-file/inspect-journal.ts';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import { emptyFolder, folderWith, journalIn, readText, stateIn, tryEachStep } from './journal-file-place.ts';

// Hundreds of folders, each save synced; a busy disk is slow.
t.setTimeout(240_000);

interface Slot {
  readonly taskId: string;
  readonly status: string;
  readonly task: { readonly description: string };
}
interface State {
  readonly n: number;
  readonly slots: readonly Slot[];
  readonly ended: readonly string[];
}

const KB = 1_000;
/** `id` makes the text of each task different. */
const slot = (id: string, bytes: number, status = 'accepted'): Slot => ({
  taskId: id,
  status,
  task: { description: `${id} ${'ä'.repeat(bytes / 2)}` },
});
const state = (n: number, slots: readonly Slot[]): State => ({ n, slots, ended: [`ended ${n}`] });

async function heldFiles(dataDir: string): Promise<readonly string[]> {
  return (await readdir(dataDir)).includes('held') ? await readdir(join(dataDir, 'held')) : [];
}

const [A, B, C] = [slot('a', 300 * KB), slot('b', 250 * KB), slot('c', 200 * KB)];
const SMALL = slot('s', 2 * KB);

t.test('R3: a save writes only new tasks, however many large ones are held', async (t) => {
  let bytes = 0;
  const dataDir = await emptyFolder(t);
  const files: JournalFiles = { ...nodeJournalFiles, write: (path, text) => ((bytes += text.length), nodeJournalFiles.write(path, text)) };
  const journal = journalIn(dataDir, files);
  await journal.open();
  const slots = Array.from({ length: 40 }, (_, n) => slot(`task ${n}`, 100 * KB));
  for (let n = 1; n <= slots.length; n += 1) await journal.save(state(n, slots.slice(0, n)));
  t.ok(bytes < 25_000 * KB, `${bytes} bytes for 4 MB of tasks, of which each save may hold 0.4 MB`);
  await journal.close();
  t.same(await stateIn(dataDir), state(40, slots));
});

t.test('a state with little in it has no such files, and an earlier program can read it', async (t) => {
  const dataDir = await folderWith(t, state(1, [A, SMALL]));
  t.strictSame(await heldFiles(dataDir), []);
  t.match(await readText(join(dataDir, 'queue.json')), /^\{"version":2,/);
  const large = await folderWith(t, state(1, [A, B, SMALL]));
  t.equal((await heldFiles(large)).length, 1, 'the largest');
  t.match(await readText(join(large, 'queue.json')), /^\{"version":3,/);
});

t.test('a file is removed once no copy of the state refers to it', async (t) => {
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  const counts: number[] = [];
  for (const slots of [[A, B, C], [A, B], [B], [SMALL], [A, B], [A, B, C]]) {
    await journal.save(state(counts.length, slots));
    counts.push((await heldFiles(dataDir)).length);
  }
  t.strictSame(counts, [2, 2, 1, 0, 1, 2]);
  await journal.close();
  t.same(await stateIn(dataDir), state(5, [A, B, C]));
});

t.test('R3: a task that comes back is written again after its file was removed with an error', async (t) => {
  const dataDir = await emptyFolder(t);
  const files: JournalFiles = {
    ...nodeJournalFiles,
    async remove(path) {
      await nodeJournalFiles.remove(path);
      if (isHeldFile(basename(path))) throw Object.assign(new Error('EIO, planted'), { code: 'EIO' });
    },
  };
  const journal = journalIn(dataDir, files);
  await journal.open();
  for (const slots of [[A, B], [SMALL], [SMALL], [A, B]]) await journal.save(state(1, slots));
  await journal.close();
  const again = journalIn(dataDir);
  t.match(await again.open(), { state: state(1, [A, B]), damage: null });
  await again.close();
});

t.test('the same task in two slots, a slot without a task, and values that only look like references', async (t) => {
  const odd = {
    n: 1,
    slots: [A, { ...A, taskId: 'again' }, B, null, 'slot', { task: null }, { task: { heldIn: 'x' } }, { task: [A] }],
    ended: [],
  };
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  await journal.save(odd);
  await journal.close();
  t.strictSame(await stateIn(dataDir), odd);
});

const CHANGES: readonly { readonly what: string; readonly before: readonly State[]; readonly after: State }[] = [
  { what: 'the first', before: [state(0, [])], after: state(1, [A, B]) },
  { what: 'one more', before: [state(0, [A]), state(1, [A, B])], after: state(2, [A, B, C]) },
  { what: 'a change', before: [state(0, [A, B])], after: state(1, [A, { ...B, status: 'working' }]) },
  { what: 'none left', before: [state(0, [A, B]), state(1, [A, B])], after: state(2, [SMALL]) },
];

t.test('R3: whichever step of a save fails or is killed, the state and its tasks come from the same save', async (t) => {
  for (const { what, before, after } of CHANGES) {
    const next = state(99, [...after.slots, slot('next', 100 * KB)]);
    await tryEachStep(t, { about: what, before, after, next }, async (dataDir) => {
      t.ok((await heldFiles(dataDir)).length <= 3, 'a file that no copy refers to is removed at startup');
    });
  }
});

t.test('R22: a damaged or lost task is read as before the last save, or refused by name; nothing is deleted', async (t) => {
  const damages: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ['is missing', (path) => rm(path)],
    ['does not match its SHA-256 digest', (path) => appendFile(path, ' ')],
    ['does not match its SHA-256 digest', (path) => writeFile(path, '')],
  ];
  for (const [why, damage] of damages) {
    const dataDir = await folderWith(t, state(1, [A, B]), state(2, [B, C]));
    const text = await readText(join(dataDir, 'queue.json'));
    const [file] = /[0-9a-f]{64}\.json/.exec(text) ?? [];
    if (file === undefined) throw new Error('it refers to no task');
    await damage(join(dataDir, 'held', file));
    const journal = journalIn(dataDir);
    const opened = await journal.open();
    t.same(opened.state, state(1, [A, B]));
    t.match(opened.damage?.message, `needs "held/${file}", which ${why}`);
    await journal.save(state(3, [A, B, C]));
    await journal.close();
    t.same(await stateIn(dataDir), state(3, [A, B, C]));
  }
  const both = await folderWith(t, state(1, [A, B]), state(2, [A, B]));
  const [only] = await heldFiles(both);
  await rm(join(both, 'held', only ?? ''));
  await t.rejects(journalIn(both).open(), { code: 'AC_JOURNAL_CORRUPT', message: /held/ });
});

t.test('R22: tasks that only a damaged copy names are set aside with it, and stay', async (t) => {
  const dataDir = await folderWith(t, state(1, [A, B]), state(2, [B, C]));
  const named: readonly string[] = (await readText(join(dataDir, 'queue.json.1'))).match(/[0-9a-f]{64}\.json/g) ?? [];
  const only = (await heldFiles(dataDir)).find((name) => !named.includes(name));
  if (only === undefined) throw new Error('the newest copy names no task of its own');
  await appendFile(join(dataDir, 'queue.json'), 'torn');
  const text = await readText(join(dataDir, 'held', only));
  for (let start = 1; start <= 3; start += 1) {
    t.same(await stateIn(dataDir), state(1, [A, B]));
    const kept = (await heldFiles(dataDir)).filter((name) => name.startsWith(`${only}.corrupt-`));
    t.equal(kept.length, 1, `start ${start}`);
    t.equal(await readText(join(dataDir, 'held', kept[0] ?? '')), text);
  }
  t.same((await heldFiles(dataDir)).filter(isHeldFile).sort(), [...named].sort(), 'under its own name it is removed');
  const { found } = await inspectJournal(dataDir);
  const setAside = [
    { name: new RegExp(`^held/${only}\\.corrupt-`), bytes: Buffer.byteLength(text) },
    { name: /^queue\.json\.corrupt-/, bytes: Number },
  ];
  t.match(found?.setAside, setAside, 'an inspection lists both');
});

t.test('a journal is inspected while its sidecar replaces what it refers to; what is really missing is named', async (t) => {
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  const save = (n: number): Promise<void> => journal.save(state(n, [A, slot(`new in ${n}`, 301 * KB)]));
  await save(1);
  let n = 1;
  const files: JournalFiles = {
    ...nodeJournalFiles,
    /** Twice the sidecar saves twice, so that the file is gone when it is read. */
    async read(path) {
      if (isHeldFile(basename(path)) && n < 5) for (const next of [n + 1, n + 2]) await save((n = next));
      return nodeJournalFiles.read(path);
    },
  };
  t.match((await inspectJournal(dataDir, files)).found, { newest: { kind: 'good', state: { n: 5 } }, previous: { kind: 'good' } });
  await journal.close();
  for (const name of await heldFiles(dataDir)) await rm(join(dataDir, 'held', name));
  const bad = { kind: 'bad', why: /^needs "held\/[0-9a-f]{64}\.json", which is missing$/ };
  t.match((await inspectJournal(dataDir)).found, { newest: bad, previous: bad });
});
