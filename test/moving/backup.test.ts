/** A store copied while its hub writes, and restored: by the commands, with real hubs and sidecars. */
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { emptyFolder, outside } from '../adapters/storage-places/sqlite-storage-place.ts';
import { run, type Ran } from '../apps/cli/cli-world.ts';
import { makeWorld } from '../apps/app-world.ts';

const world = await makeWorld(t, {
  storage: { name: 'sqlite', text: `sqlite({ file: 'hub.db' })` },
  // A restart on a busy machine takes longer than the grace period of other tests; here no agent stays away.
  hubTiming: { reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, leaseMs: 60_000 },
});
const { api } = world;
const config = ['--config', path.join(world.dir, 'hub.config.mjs')];
const database = path.join(world.dir, 'hub', 'hub.db');
const kept = path.join(world.dir, 'kept.db');
const agentcom = (...argv: readonly string[]): Promise<Ran> => run(['--json', ...argv, ...config], { cwd: world.dir });
const answer = async (...argv: readonly string[]): Promise<Readonly<Record<string, unknown>>> => {
  const { code, out, err } = await agentcom(...argv);
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Readonly<Record<string, unknown>>;
};
const storeIdIn = async (file: string): Promise<unknown> => (await outside(file, 'SELECT store_id FROM store'))[0]?.['store_id'];

let hub = await world.startHub();
let sidecar = await world.startSidecar('a1', { extra: 'slots: 2' });

async function atWork(description: string): Promise<string> {
  const { task_id: id } = await api.tasks.submit({ description, needed_capabilities: ['code'] });
  await world.event(id, ['woken']);
  await world.ledgerLine(id, 'start');
  return id;
}

/** Submits tasks one after the other until told to stop; returns what was acknowledged, and when. */
function submitting(): { stop(): Promise<void>; readonly acknowledged: readonly string[] } {
  const acknowledged: string[] = [];
  let isOver = false;
  const loop = async (): Promise<void> => {
    while (!isOver)
      acknowledged.push((await api.tasks.submit({ description: 'x'.repeat(10_000), needed_capabilities: ['nobody-has'] })).task_id);
  };
  const loops = Promise.all([loop(), loop(), loop(), loop()]);
  return { acknowledged, stop: async () => void ((isOver = true), await loops) };
}

const before = await atWork('continues during the restore');
let after = '';

t.test('a backup taken while the hub writes is intact and holds everything acknowledged before', async (t) => {
  const writes = submitting();
  while (writes.acknowledged.length < 200) await new Promise(setImmediate);
  const had = [...writes.acknowledged, before];
  const made = await answer('backup', 'kept.db');
  await writes.stop();
  t.ok(writes.acknowledged.length > had.length, 'the hub accepted more meanwhile');
  const ids = new Set((await outside(kept, 'SELECT id FROM tasks')).map((row) => row['id']));
  t.strictSame(
    had.filter((id) => !ids.has(id)),
    [],
  );
  t.match(made, { file: kept, tasks: ids.size, bytes: (await stat(kept)).size, store_id: await storeIdIn(database) });
  t.equal((await stat(kept)).mode & 0o777, 0o600, 'only its owner may read it');
  t.strictSame(await outside(kept, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);

  const folder = await emptyFolder(t);
  await mkdir(path.join(folder, 'data'), { mode: 0o700 });
  await copyFile(kept, path.join(folder, 'data', 'hub.db'));
  await chmod(path.join(folder, 'data', 'hub.db'), 0o600);
  await writeFile(
    path.join(folder, 'agentcom.config.ts'),
    `import { sqlite } from 'agentcom/storage'; import { ws } from 'agentcom/transport';
     export default { hub: { listen: { port: 0 }, storage: sqlite({ file: 'hub.db' }), transport: ws(), dataDir: 'data' } };`,
  );
  t.strictSame(JSON.parse((await run(['--json', 'doctor', '--fsck'], { cwd: folder })).out).findings, [], 'according to the doctor');
});

t.test('a backup overwrites an existing file only with --force; a failed backup leaves nothing behind', async (t) => {
  const whole = await readFile(kept);
  t.match((await agentcom('backup', 'kept.db')).err, /AC_TARGET_EXISTS/);
  t.ok((await readFile(kept)).equals(whole));
  await writeFile(path.join(world.dir, 'old.db'), 'something older');
  t.match(await answer('backup', 'old.db', '--force'), { store_id: await storeIdIn(database) });
  const nowhere = await agentcom('backup', 'no-folder/new.db');
  t.match(nowhere, { code: 2, err: /no-folder does not exist\. Create the folder, or name another file/ });
  t.match((await agentcom('backup', 'kept.db/new.db')).err, /kept\.db is not a folder/);
  t.strictSame(
    (await readdir(world.dir)).filter((name) => name.includes('.part')),
    [],
  );
});

// Before, the running hub continued in an unlinked file, and the old write-ahead log was read into the copy: the store
// was lost.
t.test('a backup never replaces a store, even with --force', async (t) => {
  const link = path.join(world.dir, 'way-to-hub');
  await symlink(path.dirname(database), link);
  for (const file of [database, path.join(link, 'hub.db')]) {
    const { code, err } = await agentcom('backup', file, '--force');
    t.equal(code, 4);
    t.match(JSON.parse(err), {
      error: 'AC_TARGET_EXISTS',
      message: /it is a file of the store that is to be backed up\. Name another file\.$/,
    });
  }
  const others = path.join(world.dir, 'others.db');
  await Promise.all([writeFile(others, ''), writeFile(`${others}-wal`, '')]);
  t.match(await agentcom('backup', others, '--force'), {
    code: 4,
    err: /it may be a store in use: .*others\.db-wal exists\. Name another file, or remove both/,
  });
  await Promise.all([rm(others), rm(`${others}-wal`)]);
  t.equal(await storeIdIn(database), await storeIdIn(kept));
});

t.test('on a terminal a backup shows its progress on a line that it clears', async (t) => {
  const { code, out, err } = await run(['backup', 'shown.db', ...config], { cwd: world.dir, tty: true, env: { NO_COLOR: '1' } });
  t.strictSame([code, out.startsWith(path.join(world.dir, 'shown.db'))], [0, true]);
  t.match(err, /\rChecking the copy …\u001b\[K\r\u001b\[K$/);
});

t.test('restore is refused while a hub runs, over a store, and from anything but a backup', async (t) => {
  after = await atWork('given after the backup');
  t.match((await agentcom('restore', 'kept.db', '--force')).err, /AC_STORAGE_LOCKED/);
  t.match((await agentcom('restore')).err, /AC_STORAGE_LOCKED/);
  t.equal(await hub.kill('SIGTERM'), 0);
  const [storeId, was] = [await storeIdIn(database), await outside(database, 'SELECT count(*) AS n FROM tasks')];
  t.match((await agentcom('restore', 'kept.db')).err, /AC_TARGET_EXISTS.*--force/);
  t.match((await agentcom('restore', 'nowhere.db', '--force')).err, /AC_STORAGE_OPEN/);
  const [other, torn, newer] = ['other.db', 'torn.db', 'newer.db'].map((name) => path.join(world.dir, name)) as [string, string, string];
  await writeFile(other, 'not a database, but longer than nothing');
  t.match((await agentcom('restore', other, '--force')).err, /AC_STORAGE_OPEN/);
  await copyFile(kept, torn);
  await truncate(torn, Math.floor((await stat(kept)).size / 8_192) * 4_096);
  const refused = await agentcom('restore', torn, '--force');
  t.match(refused, { code: 4, err: /torn\.db.* The backup is damaged, and nothing was changed\. Restore another one/ });
  t.notMatch(refused.err, /doctor --fsck/, 'the store is not damaged');
  await copyFile(kept, newer);
  await outside(newer, "INSERT INTO migrations (name, batch) VALUES ('9999-from-the-future', 2)");
  t.match((await agentcom('restore', newer, '--force')).err, /AC_SCHEMA_UNKNOWN/);
  t.equal(await storeIdIn(database), storeId, 'the store was not touched');
  t.strictSame(await outside(database, 'SELECT count(*) AS n FROM tasks'), was);
});

t.test('a restored store has a new id, the old store stays, and newer work on a sidecar raises an alarm on both sides', async (t) => {
  const storeId = await storeIdIn(database);
  const done = await answer('restore', 'kept.db', '--force');
  t.not(done['store_id'], storeId);
  t.equal(await storeIdIn(database), done['store_id']);
  t.equal(await storeIdIn(String(done['kept'])), storeId, 'the old store is intact next to it');
  t.equal((await outside(String(done['kept']), `SELECT id FROM tasks WHERE id = '${after}'`)).length, 1);

  hub = await world.startHub();
  while ((await api.agents.list()).agents.every(({ agent_id: id, connected }) => id !== 'a1' || connected !== true));
  // Logs arrive in their own time; if they never do, this test does not end.
  while (!/a sidecar holds tasks of another store/.test(hub.log())) await new Promise(setImmediate);
  while (!/holds assignments from another store/.test(sidecar.log())) await new Promise(setImmediate);
  t.match(await api.tasks.stats(), { refused: { frames: { of_another_store: 2 } } });
  await t.rejects(api.tasks.get(after), /unknown_task/);

  world.release(before);
  await world.event(before, ['completed', 'dead_lettered']);
  t.match(await api.tasks.get(before), { status: 'completed', generation: 1, retry_count: 0 }, 'a task known to both continued');
  t.strictSame(JSON.parse((await agentcom('doctor', '--fsck')).out).findings, [], 'according to the doctor');
});

t.test('a store restored by other tools gets its new id by restore without a file', async (t) => {
  t.equal(await hub.kill('SIGTERM'), 0);
  const storeId = await storeIdIn(database);
  const done = await answer('restore');
  t.not(done['store_id'], storeId);
  t.equal(await storeIdIn(database), done['store_id']);
  t.equal(done['kept'], null);
});

t.test('before sidecars connect, a restored task that must not run twice can be cancelled, as docs/moving.md says', async (t) => {
  await sidecar.kill('SIGTERM');
  hub = await world.startHub();
  const { task_id: id } = await api.tasks.submit({ description: 'has run since the backup', needed_capabilities: ['code'] });
  t.equal(await hub.kill('SIGTERM'), 0);
  const { code, out } = await run(['restore', ...config], { cwd: world.dir });
  t.equal(code, 0);
  t.match(out, /Keep the sidecars stopped until .*\(docs\/moving\.md, "Before sidecars connect"\)\.\nStart the hub\./);

  hub = await world.startHub();
  t.match((await agentcom('list', '--status', 'queued', '--oldest-first', '--needs', 'code')).out, new RegExp(id));
  t.equal((await agentcom('cancel', id)).code, 0);
  sidecar = await world.startSidecar('a1');
  const other = await atWork('continues after the review');
  world.release(other);
  await world.event(other, ['completed', 'dead_lettered']);
  t.match(await api.tasks.get(id), { status: 'cancelled' });
  t.notOk(
    world.ledger().some(({ task }) => task === id),
    'it never ran again',
  );
});
