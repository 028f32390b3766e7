import { chmod, chown, link, mkdir, readdir, rename, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { RESULT_FILE_BYTES_MAX } from '../../../core/protocol/agent-files.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import { expecting, nameOf, ownPath, TASK } from '../../product/contracts/files/inbox-place.ts';
import { resultInboxContract } from '../../product/contracts/files/result-inbox.contract.ts';
import { filesPlace } from './results-files-place.ts';

t.setTimeout(120_000);

const a1 = nameOf('a', 1);

resultInboxContract('files', { place: (t) => filesPlace(t) }, t);

t.test('the watcher alone notices files in both places, without any timer', async (t) => {
  const place = await filesPlace(t);
  const { saw, inbox } = await expecting(place, a1);
  await inbox.scan(a1);
  const own = nameOf('b', 1);
  await inbox.prepare(own, TASK, false);
  inbox.watch(own, 'all');
  await inbox.scan(own);
  await place.write(`results/${a1.taskId}.json`, '{"flat":true}');
  await place.write(ownPath(own, 'json'), '{"flat":false}');
  const results = [await saw.next('result'), await saw.next('result', 2)];
  t.same(results.map(({ value }) => value['flat']).sort(), [false, true]);
  t.equal(place.clock.monotonicMs(), 0);
});

t.test('the periodic listing alone notices files, without any watcher event', async (t) => {
  const place = await filesPlace(t, { watch: () => ({ close: () => Promise.resolve() }) });
  const { saw, inbox } = await expecting(place, a1);
  await inbox.scan(a1);
  await place.write(ownPath(a1, 'started'), '');
  await place.write(`results/${a1.taskId}.json`, '{"status":"success"}');
  place.clock.advance(4_999);
  t.same(saw.of('started'), []);
  place.clock.advance(1);
  await saw.next('started');
  await saw.next('result');
});

t.test('a half-written result that the watcher saw is read again by a timer', async (t) => {
  const place = await filesPlace(t);
  const { saw } = await expecting(place, a1);
  await place.write(ownPath(a1, 'json'), '{"half":');
  await place.pass(saw.next('invalid'));
  t.equal(saw.of('invalid').length, 1, 'the verdict is reported once');
});

t.test('R20: folders left by earlier processes are found by name, and nothing else is', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const b2 = nameOf('b', 2);
  await place.write(`runs/${assignmentText(b2)}/stdout`, 'x');
  for (const path of ['results/notes.txt', 'results/mine.g1/a', `results/${a1.taskId}.json`, `runs/${assignmentText(nameOf('c', 1))}`])
    await place.write(path, '{}');
  const found = await inbox.listFolders();
  t.same(found.map(({ assignment }) => assignmentText(assignment)).sort(), [a1, b2].map(assignmentText).sort());
  for (const { changedAtMs } of found) t.ok(Math.abs(Date.now() - (changedAtMs ?? 0)) < 60_000);
  await inbox.remove(b2);
  t.same(
    (await inbox.listFolders()).map(({ assignment }) => assignment),
    [a1],
  );
});

t.test('folders and files are accessible to their owner only', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  await inbox.prepare(a1, TASK, true);
  await inbox.withdraw(nameOf('b', 1));
  const modeOf = async (path: string): Promise<string> => ((await stat(join(place.dataDir, path))).mode & 0o777).toString(8);
  const text = assignmentText(a1);
  for (const folder of ['results', 'runs', 'tasks', `results/${text}`, `runs/${text}`]) t.equal(await modeOf(folder), '700', folder);
  for (const file of [`runs/${text}/task.json`, `tasks/${text}.json`]) t.equal(await modeOf(file), '600', file);
  t.same(await readdir(join(place.dataDir, 'tasks')), [`${text}.json`], 'agents never see a half-written file');
  await inbox.withdraw(a1);
  t.equal(await modeOf(ownPath(a1, 'stop')), '600');
});

t.test('an unclaimed flat file is moved away after a minute, not sooner', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const path = `results/${nameOf('c', 1).taskId}.json`;
  await place.write(path, '{"late":true}');
  await place.write(`results/${a1.taskId}.progress`, '{"percent":1}\n');
  place.clock.advance(5_000);
  for (let seconds = 5; seconds < 60; seconds += 5) {
    await inbox.scan(a1);
    t.ok(await place.read(path), `there after ${seconds} s`);
    place.clock.advance(5_000);
  }
  const gone = async (): Promise<void> => {
    for (let times = 0; (await place.read(path)) !== null; times += 1) if (times > 1_000) throw new Error('It is still there.');
  };
  await place.pass(gone());
  const refused = (await place.paths()).filter((found) => found.startsWith('refused/'));
  t.equal(refused.length, 2, 'the file and its reason');
  t.equal(await place.read(refused.find((found) => found.endsWith('.json')) ?? ''), '{"late":true}');
  t.ok(await place.read(`results/${a1.taskId}.progress`), 'the progress of an expected task remains');
});

t.test('a huge file is rejected by its size without being read', async (t) => {
  const place = await filesPlace(t);
  const { inbox, saw } = await expecting(place, a1);
  await place.write(ownPath(a1, 'json'), '');
  await truncate(join(place.dataDir, ownPath(a1, 'json')), 2 ** 40);
  await inbox.scan(a1);
  t.equal(saw.of('invalid')[0]?.reason, 'result_too_large');
});

t.test('R20: of a result only as much is kept as could be read, and a sparse file counts as what it stores', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const huge = async (path: string): Promise<string> => {
    await place.write(path, '{"output":"x');
    await truncate(join(place.dataDir, path), 2 ** 31);
    return join(place.dataDir, path);
  };
  const kept = await huge(ownPath(a1, 'json'));
  t.ok((await inbox.keptBytes(a1)) < RESULT_FILE_BYTES_MAX, 'before it is cut');
  await inbox.keepResult(a1, false);
  t.equal((await stat(kept)).size, RESULT_FILE_BYTES_MAX);
  t.equal((await place.read(ownPath(a1, 'json')))?.slice(0, 12), '{"output":"x', 'its beginning');

  const c1 = nameOf('c', 1);
  await inbox.prepare(c1, TASK, false);
  await place.write(ownPath(c1, 'json'), '{}');
  await huge(`results/${c1.taskId}.json`);
  inbox.watch(c1, 'all');
  await inbox.scan(c1);
  const refused = (await place.paths()).filter((path) => /^refused\/.*json$/.test(path));
  for (const path of refused) t.equal((await stat(join(place.dataDir, path))).size, RESULT_FILE_BYTES_MAX, path);
  t.equal(refused.length, 1, 'a second result');

  const elsewhere = await huge('elsewhere');
  const b1 = nameOf('b', 1);
  await inbox.prepare(b1, TASK, false);
  await link(elsewhere, join(place.dataDir, ownPath(b1, 'json')));
  await inbox.keepResult(b1, false);
  t.equal((await stat(elsewhere)).size, 2 ** 31, 'a file with another name stays whole there');
  t.equal(await inbox.keptBytes(b1), 0);
});

t.test('R20: all folders of an ended assignment are removed, even if they are deeper than a path can be', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const own = `results/${assignmentText(a1)}`;
  for (const keeps of [true, false]) {
    await inbox.prepare(a1, TASK, false);
    await place.write(`${own}/file`, 'x');
    for (const name of ['a', 'b']) await deepFolder(join(place.dataDir, own), name);
    if (keeps) await inbox.keepResult(a1, true);
    else await inbox.remove(a1);
    t.same(await place.paths(), []);
    t.same(await inbox.listFolders(), []);
  }
});

t.test('a folder that cannot be removed does not stop the removal of others', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const parent = join(place.dataDir, 'results');
  await chmod(parent, 0o500);
  await withoutRoot(place.dataDir, async () => {
    await t.rejects(inbox.remove(a1), { code: 'AC_JOURNAL_WRITE' });
  });
  t.same(await readdir(join(place.dataDir, 'runs')), []);
  await chmod(parent, 0o700);
  await inbox.remove(a1);
  t.same(await inbox.listFolders(), []);
});

t.test('R20: folders that an agent made inaccessible are removed too, and so next to a retained result', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const own = join(place.dataDir, 'results', assignmentText(a1));
  await withoutRoot(place.dataDir, async () => {
    for (const mode of [0o500, 0]) {
      for (const keeps of [true, false]) {
        await inbox.prepare(a1, TASK, false);
        await place.write(ownPath(a1, 'json'), '{}');
        await mkdir(join(own, 'outer', 'inner', 'innermost'), { recursive: true });
        await deepFolder(join(own, 'outer'), 'a');
        for (const locked of ['outer/inner/innermost', 'outer/inner', 'outer/a', 'outer', '.']) await chmod(join(own, locked), mode);
        await (keeps ? inbox.keepResult(a1, true) : inbox.remove(a1));
        t.same(await place.paths(), keeps ? [ownPath(a1, 'json')] : []);
      }
    }
  });
  t.same(await inbox.listFolders(), []);
});

t.test('R20: files whose names are not UTF-8 are removed next to a result, and are counted', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const odd = (folder: string): Buffer =>
    Buffer.concat([Buffer.from(join(place.dataDir, folder, assignmentText(a1), 'caf')), Buffer.of(0xe9)]);
  await place.write(ownPath(a1, 'json'), '{}');
  await mkdir(odd('results'));
  await writeFile(Buffer.concat([odd('results'), Buffer.from('/inner')]), 'x');
  await writeFile(odd('runs'), 'x'.repeat(10_000));
  await inbox.keepResult(a1, true);
  t.same(await place.paths(), [ownPath(a1, 'json')]);
  await writeFile(odd('results'), 'x'.repeat(10_000));
  t.equal(await inbox.keptBytes(a1), 10_002, 'what a process that survived has written since');
});

t.test('a flood of progress is cut to the newest lines', async (t) => {
  const place = await filesPlace(t);
  const { inbox, saw } = await expecting(place, a1);
  await inbox.scan(a1);
  const lines = Array.from({ length: 100_000 }, (_, n) => `{"tokens_used":${n}}\n`);
  await place.write(ownPath(a1, 'progress'), lines.join(''));
  await inbox.scan(a1);
  t.equal(saw.of('progress').at(-1)?.tokensUsed, 99_999);
  t.ok(saw.of('progress').length <= 300, `${saw.of('progress').length} told`);
});

t.test('logs that a folder cannot be read only once', async (t) => {
  const place = await filesPlace(t);
  await expecting(place, a1);
  const folder = join(place.dataDir, 'results', assignmentText(a1));
  await chmod(folder, 0);
  await withoutRoot(place.dataDir, () => place.pass(new Promise((resolve) => place.clock.after(20_000, () => resolve(undefined)))));
  await chmod(folder, 0o700);
  const warnings = place.log.lines.filter(({ level }) => level === 'warn');
  t.match(warnings, [{ message: /Cannot read the results folder/, fields: { taskId: a1.taskId, generation: 1 } }]);
  t.equal(warnings.length, 1);
});

t.test('R16: an agent with a read-only folder gets no stop note, and this is not a disk failure', async (t) => {
  const place = await filesPlace(t);
  const { inbox } = await expecting(place, a1);
  const folder = join(place.dataDir, 'results', assignmentText(a1));
  await chmod(folder, 0o500);
  await withoutRoot(place.dataDir, async () => {
    await inbox.withdraw(a1);
  });
  t.same(await readdir(folder), []);
  t.match(
    place.log.lines.filter(({ level }) => level === 'warn'),
    [{ message: /Cannot write the stop file for the agent/ }],
  );
  await chmod(folder, 0o700);
});

/** A chain of folders, built from its end, since its path is too long for any system call. */
async function deepFolder(above: string, name: string): Promise<void> {
  const next = join(above, 'next');
  const chain = join(above, name);
  await mkdir(chain);
  for (let depth = 0; depth < 100; depth += 1) {
    await mkdir(next);
    await rename(chain, join(next, name.repeat(100)));
    await rename(next, chain);
  }
}

/** Root is not restricted, so it becomes another user for this test. */
async function withoutRoot(dataDir: string, work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return await work();
  for (const path of [dataDir, ...(await readdir(dataDir, { recursive: true })).map((name) => join(dataDir, name))])
    await chown(path, NOBODY, NOBODY);
  process.seteuid?.(NOBODY);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

const NOBODY = 65_534;
