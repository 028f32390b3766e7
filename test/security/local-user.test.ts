/** Another user of the same machine: folders and secret files are accessible to their owner only, and wider permissions are refused. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeDataDir, readSecretFile, writeSecretFile } from '../../apps/data-dir.ts';
import { run } from '../apps/cli/cli-world.ts';

const skip = process.platform === 'win32' && 'Windows has no modes';
const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-local-user-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

t.test('a data directory is created for its owner only, and one with wider permissions is refused unchanged', { skip }, async (t) => {
  const dir = await folder(t);
  const dataDir = join(dir, 'made', 'deep');
  await makeDataDir(dataDir, 'set hub.dataDir');
  t.equal(await modeOf(dataDir), '700');
  await makeDataDir(dataDir, 'set hub.dataDir');
  for (const mode of [0o750, 0o701, 0o777]) {
    await chmod(dataDir, mode);
    await t.rejects(makeDataDir(dataDir, 'set hub.dataDir'), { code: 'AC_DATA_DIR', message: /chmod 700/ });
    t.equal(await modeOf(dataDir), mode.toString(8));
  }
});

t.test('nothing is written through files that another user planted in a data directory', { skip }, async (t) => {
  const dir = await folder(t);
  const mine = join(dir, 'mine');
  await writeFile(mine, 'precious');
  for (const mode of [0o777, 0o700]) {
    const dataDir = join(dir, `data-${mode}`);
    await mkdir(dataDir);
    await symlink(mine, join(dataDir, '.writable'));
    await chmod(dataDir, mode);
    await t.rejects(makeDataDir(dataDir, 'set hub.dataDir'), { code: 'AC_DATA_DIR' });
    t.equal(await readFile(mine, 'utf8'), 'precious', mode.toString(8));
  }
});

t.test('a secret file is written for its owner only, and one that others may read is not trusted', { skip }, async (t) => {
  const dir = await folder(t);
  const file = join(dir, 'admin-token');
  t.equal(await readSecretFile(file), null);
  await writeSecretFile(file, 'a secret');
  t.strictSame([await modeOf(file), await readSecretFile(file)], ['600', 'a secret']);
  t.strictSame(await readdir(dir), ['admin-token'], 'nothing is left next to it');
  await chmod(file, 0o640);
  await t.rejects(readSecretFile(file), { code: 'AC_DATA_DIR', message: /mode 640.*chmod 600/ });
});

t.test('a command does not use an admin token that others may read', { skip }, async (t) => {
  const dir = await folder(t);
  await mkdir(join(dir, 'data'), { mode: 0o700 });
  await writeFile(join(dir, 'data', 'admin-token'), 'x'.repeat(64), { mode: 0o644 });
  await writeFile(
    join(dir, 'agentcom.config.mjs'),
    `import { defineConfig } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({ hub: { listen: { port: 1 }, storage: sqlite({ file: 'hub.db' }), transport: ws(), dataDir: 'data' } });
`,
  );
  const ran = await run(['stats', '--config', join(dir, 'agentcom.config.mjs')], { cwd: dir });
  t.not(ran.code, 0);
  t.match(ran.err, /admin-token contains a secret and is accessible to other users/);
});
