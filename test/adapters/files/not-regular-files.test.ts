/** A FIFO or a folder in place of a file that a sidecar reads when it starts: it starts, or says which file it is. It never waits for a writer. */
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inspectJournal } from '../../../adapters/journal-file/inspect-journal.ts';
import { makeDataDir, readSecretFile } from '../../../apps/data-dir.ts';
import { deviceKeyIn } from '../../../apps/signing/device-key-file.ts';
import { nonceMemory } from '../../../apps/signing/nonce-memory.ts';
import { emptyFolder, folderWith, journalIn } from './journal-file-place.ts';

const skip = process.platform === 'win32' && 'Windows has no FIFOs in folders';

const KINDS: readonly (readonly [name: string, make: (path: string) => unknown])[] = [
  ['a FIFO', (path) => execFileSync('mkfifo', ['-m', '600', path])],
  ['a folder', (path) => mkdir(path, { mode: 0o700 })],
];
const replaced = async (path: string, make: (path: string) => unknown): Promise<string> => {
  await rm(path, { recursive: true, force: true });
  await make(path);
  return path;
};
const large = { n: 1, slots: [1, 2, 3].map((id) => ({ task: { description: `${id}`.repeat(300_000) } })) };

for (const [kind, make] of KINDS) {
  t.test(`${kind} as queue.json is set aside, and the previous copy is read`, { skip }, async (t) => {
    const dataDir = await folderWith(t, { n: 1 }, { n: 2 });
    await replaced(join(dataDir, 'queue.json'), make);
    t.match((await inspectJournal(dataDir)).found?.newest, {
      kind: 'bad',
      why: `cannot be read (Expected a regular file at "${join(dataDir, 'queue.json')}", found ${kind})`,
    });
    const journal = journalIn(dataDir);
    const { state, damage } = await journal.open();
    t.same(state, { n: 1 });
    t.match(damage?.message, `found ${kind}); the previous copy was read instead.`);
    await journal.save({ n: 3 });
    await journal.close();
    t.ok((await readdir(dataDir)).some((name) => name.startsWith('queue.json.corrupt-')));
  });

  t.test(`${kind} as both copies, or as the only one: the error names them`, { skip }, async (t) => {
    const dataDir = await folderWith(t, { n: 1 }, { n: 2 });
    for (const name of ['queue.json', 'queue.json.1']) await replaced(join(dataDir, name), make);
    const wanted = `queue.json" cannot be read (Expected a regular file at "${join(dataDir, 'queue.json')}", found ${kind}), and `;
    await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_CORRUPT', message: wanted });
    await rm(join(dataDir, 'queue.json.1'), { recursive: true });
    await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_CORRUPT', message: /queue\.json\.1" is missing\. Restore one/ });
  });

  t.test(`${kind} as queue.json.1 is replaced, or the save names it`, { skip }, async (t) => {
    const dataDir = await folderWith(t, { n: 1 }, { n: 2 });
    await replaced(join(dataDir, 'queue.json.1'), make);
    const journal = journalIn(dataDir);
    t.same((await journal.open()).state, { n: 2 });
    const [saved] = await Promise.allSettled([journal.save({ n: 3 })]);
    await journal.close();
    if (kind === 'a FIFO') t.ok((await lstat(join(dataDir, 'queue.json.1'))).isFile());
    else t.match(saved, { reason: { message: /^Expected a regular file at ".*queue\.json\.1", found a folder\. Move it away/ } });
  });

  t.test(`${kind} as a large task: the previous copy is read, or the error names it`, { skip }, async (t) => {
    const dataDir = await folderWith(t, { n: 1 }, large);
    const [name = ''] = await readdir(join(dataDir, 'held'));
    const path = await replaced(join(dataDir, 'held', name), make);
    const journal = journalIn(dataDir);
    if (kind === 'a folder') {
      await t.rejects(journal.open(), {
        code: 'AC_DATA_DIR',
        message: `Expected a regular file at "${path}", found a folder. Move it away`,
      });
      await rm(path, { recursive: true });
    }
    t.match(await journal.open(), { state: { n: 1 }, damage: { message: name } });
    await journal.close();
  });

  t.test(`${kind} as another file of the data directory: the error names it`, { skip }, async (t) => {
    for (const name of ['lock', 'instance-id', 'instance-place']) {
      const dataDir = await folderWith(t, { n: 1 });
      const path = await replaced(join(dataDir, name), make);
      const message = `Expected a regular file at "${path}", found ${kind}. Move it away, or restore the file.`;
      await t.rejects(journalIn(dataDir).open(), { code: 'AC_DATA_DIR', message }, name);
      await rename(path, `${path}.away`);
      const journal = journalIn(dataDir);
      t.same((await journal.open()).state, { n: 1 });
      await journal.close();
    }
    const dataDir = await emptyFolder(t);
    const message = `found ${kind}. Move it away`;
    await t.rejects(readSecretFile(await replaced(join(dataDir, 'token'), make)), { code: 'AC_DATA_DIR', message });
    await replaced(join(dataDir, 'device-key.jwk'), make);
    await t.rejects(deviceKeyIn(dataDir), { code: 'AC_DATA_DIR', message });
    await t.rejects(nonceMemory(await replaced(join(dataDir, 'nonces'), make)).open(), { code: 'AC_DATA_DIR', message });
    await replaced(join(dataDir, '.writable'), make);
    await t.rejects(makeDataDir(dataDir, ''), { code: 'AC_DATA_DIR', message: /\.writable/ });
  });
}
