/** What differs on Windows and macOS, tested by passing in that platform: nothing here was run on either. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { placeOf } from '../../adapters/journal-file/folder-place.ts';
import { isListening, listenAt } from '../../adapters/journal-file/lock-socket.ts';
import { isStillRunning, processMark } from '../../adapters/journal-file/process-mark.ts';
import { makeFolders, modeOfOthers, retriedWhileHeld, syncFolder } from '../../adapters/kit/platform-files.ts';
import { refuseIfShared } from '../../adapters/storage-knex/sqlite/files.ts';
import { listenerCommand } from '../../apps/cli/doctor/examine-hub.ts';
import { examineFolder } from '../../apps/cli/doctor/examine-folder.ts';
import { stateFolder } from '../../apps/cli/state/state-folder.ts';
import { makeDataDir, readSecretFile } from '../../apps/data-dir.ts';
import { DEVICE_KEY_FILE, deviceKeyIn } from '../../apps/signing/device-key-file.ts';
import { hideEnvironment } from '../../apps/sidecar/hidden-environment.ts';
import { silentLog } from '../../core/ports/log.ts';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import { assertCanStartPrograms, programRunner, systemProcessTable } from '../../plugins/plugin.ts';

/** A file that every user may read, as every file appears to be on Windows. */
function openFile(t: Test, name: string, text: string): string {
  const file = join(t.testdir({}), name);
  writeFileSync(file, text);
  chmodSync(file, 0o666);
  return file;
}

t.test('a folder is created with its parents, and what is in its way is an error', async (t) => {
  const at = (...names: string[]): string => join(root, ...names);
  const root = t.testdir({ file: '' });
  t.equal(await makeFolders(at('a', 'b', 'c'), 0o700), at('a'), 'the first that was missing');
  t.equal(statSync(at('a', 'b')).mode & 0o777, 0o700);
  t.equal(await makeFolders(at('a', 'b', 'd'), 0o700), at('a', 'b', 'd'));
  t.equal(await makeFolders(at('a', 'b'), 0o700), undefined, 'none was missing');
  await t.resolves(Promise.all([makeFolders(at('x', 'y'), 0o700), makeFolders(at('x', 'y'), 0o700)]), 'by two at once');
  symlinkSync(at('nowhere'), at('link'));
  await t.rejects(makeFolders(at('file'), 0o700), { code: 'EEXIST' });
  await t.rejects(makeFolders(at('file', 'a'), 0o700), { code: 'ENOTDIR' });
  await t.rejects(makeFolders(at('link'), 0o700), { code: 'EEXIST' });
  // Where there is such a folder, it can hold no others.
  if (existsSync('/proc/self')) await t.rejects(makeDataDir('/proc/agentcom/data', 'set it'), { code: 'AC_DATA_DIR', message: /ENOENT/ });
});

t.test('files readable by others are refused, except on Windows, which has no modes', async (t) => {
  t.equal(modeOfOthers(0o100644, 'linux'), 0o044);
  t.equal(modeOfOthers(0o100666, 'win32'), 0);

  const folder = join(t.testdir({}), 'data');
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  await t.rejects(makeDataDir(folder, 'set it', 'darwin'), { code: 'AC_DATA_DIR' });
  await t.resolves(makeDataDir(folder, 'set it', 'win32'));
  const examined = (platform: string) => examineFolder({ dataDir: folder, setting: 'it', freeBytesMin: 0, more: {}, platform });
  t.match((await examined('linux')).findings, [{ check: 'open_to_others' }]);
  t.same((await examined('win32')).findings, [], 'the doctor does not complain');
  chmodSync(folder, 0o700);
  await t.rejects(readSecretFile(folder), { code: 'AC_DATA_DIR', message: /Expected a regular file at .*, found a folder\. Move it away/ });

  const secret = openFile(t, 'secret', 'token\n');
  const below = readSecretFile(join(secret, 'token'));
  await t.rejects(below, { code: 'AC_DATA_DIR', message: /Cannot read .*Run this as the user that the file belongs to/ });
  await t.rejects(readSecretFile(secret, 'linux'), { code: 'AC_DATA_DIR' });
  t.equal(await readSecretFile(secret, 'win32'), 'token');

  const keys = t.testdir({});
  const made = await deviceKeyIn(keys);
  chmodSync(join(keys, DEVICE_KEY_FILE), 0o666);
  await t.rejects(deviceKeyIn(keys, 'linux'), { code: 'AC_DATA_DIR' });
  t.equal((await deviceKeyIn(keys, 'win32')).publicKey, made.publicKey);

  const database = openFile(t, 'hub.db', '');
  await t.rejects(refuseIfShared(database, 'linux'), { code: 'AC_DATA_DIR' });
  await t.resolves(refuseIfShared(database, 'win32'));

  const state = openFile(t, 'last.json', '{"task":1}');
  const env = { AGENTCOM_STATE_DIR: dirname(state) };
  t.equal(await stateFolder(env, 'linux')?.read('last.json'), null);
  t.same(await stateFolder(env, 'win32')?.read('last.json'), { task: 1 });
});

t.test('folders are synced, except on Windows, which cannot', async (t) => {
  const missing = join(t.testdir({}), 'missing');
  await t.rejects(syncFolder(missing, 'linux'), { code: 'ENOENT' });
  await t.resolves(syncFolder(missing, 'win32'));
});

t.test('on Windows a rename is repeated while a file is in use, for a limited time', async (t) => {
  const attempts = async (platform: string, code: string, failures: number) => {
    const waits: number[] = [];
    let calls = 0;
    const outcome = await retriedWhileHeld(
      async () => {
        calls += 1;
        if (calls <= failures) throw Object.assign(new Error(code), { code });
      },
      { platform, wait: async (ms) => waits.push(ms) },
    ).then(
      () => 'done',
      (error: Error) => error.message,
    );
    return { outcome, calls, waited: waits.reduce((sum, ms) => sum + ms, 0) };
  };
  for (const code of ['EPERM', 'EACCES', 'EBUSY']) t.same(await attempts('win32', code, 2), { outcome: 'done', calls: 3, waited: 30 });
  t.same(await attempts('win32', 'EPERM', Infinity), { outcome: 'EPERM', calls: 8, waited: 1_270 });
  t.same(await attempts('win32', 'ENOENT', Infinity), { outcome: 'ENOENT', calls: 1, waited: 0 }, 'another error is thrown at once');
  t.same(await attempts('linux', 'EPERM', 2), { outcome: 'EPERM', calls: 1, waited: 0 });
});

t.test('the lock of a data directory identifies its process by what the platform provides', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const mark = await processMark(process.pid, 'win32');
  t.same(mark, { pid: process.pid, startTime: null, bootId: null }, 'Windows has no ps');
  t.equal(mark !== null && (await isStillRunning(mark, 'win32')), true);
  t.match(await processMark(process.pid, 'darwin'), { startTime: / \d\d:\d\d:\d\d \d{4}$/, bootId: null }, 'from ps');

  t.equal(await listenAt(folder, 'lock.sock', 'win32'), null, 'Windows has no sockets in folders');
  t.equal(await isListening(folder, 'lock.sock', 'win32'), false);
  const long = join(folder, 'x'.repeat(100));
  mkdirSync(long);
  t.equal(await listenAt(long, 'lock.sock', 'darwin'), null, 'a path that is too long for a socket');
  const socket = await listenAt(folder, 's', 'darwin');
  t.equal(await isListening(folder, 's', 'darwin'), true);
  await socket?.close();
});

t.test('a wake runner starts no program on Windows, where it could not stop it', (t) => {
  const deps = { baseDir: t.testdir({}), clock: systemClock(), log: silentLog };
  const make = (platform: string) => programRunner({ ...deps, platform }, { start: () => ({ argv: ['node'] }) });
  t.throws(() => make('win32'), { code: 'AC_PLUGIN_INVALID', message: /WSL/ });
  t.throws(() => assertCanStartPrograms('win32'), { code: 'AC_PLUGIN_INVALID' });
  t.equal(make('darwin').adoptable, true);
  t.equal(systemProcessTable('darwin').seesRunIds, false, 'ps shows no environments');
  t.end();
});

t.test('the machine of a folder is known only on Linux', (t) => {
  const folder = t.testdir({});
  for (const platform of ['darwin', 'win32']) t.match(placeOf(folder, platform), { machine: null, inode: /^[0-9]+$/ });
  t.end();
});

t.test('if a token in the environment cannot be hidden from agents, a warning is logged', (t) => {
  process.env['AGENTCOM_TOKEN'] = 'a-token-that-nobody-else-has';
  t.teardown(() => Reflect.deleteProperty(process.env, 'AGENTCOM_TOKEN'));
  for (const platform of ['darwin', 'win32']) {
    const log = memoryLog();
    hideEnvironment(log, [], platform);
    t.match(log.lines, [{ level: 'warn', fields: { variables: ['AGENTCOM_TOKEN'], error: `not possible on ${platform}` } }]);
  }
  t.end();
});

t.test('the doctor shows how to find the process that listens', (t) => {
  t.match(listenerCommand(4000, 'linux'), /^ss .*:4000/);
  t.match(listenerCommand(4000, 'darwin'), /^lsof .*TCP:4000/);
  t.match(listenerCommand(4000, 'win32'), /^netstat .*:4000$/);
  t.end();
});
