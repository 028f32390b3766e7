/** docs/storage-adapters.md: its storage does what the page says. Compiling it checks that it implements every port. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { temporaryFolder } from './newcomer.ts';
import { fileOf } from './page-blocks.ts';

const PAGE = 'docs/storage-adapters.md';
const CONFIG = `import { defineConfig } from 'agentcom';
import { ws } from 'agentcom/transport';
import { myStorage } from './my-storage.ts';
export default defineConfig({ hub: { storage: myStorage({ folder: '' }), transport: ws() } });
`;

t.test('the storage of the page opens and closes, and reports invalid options', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'my-storage.ts'), fileOf(PAGE, 'my-storage.ts'));
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG);
  await t.rejects(loadConfigFile({ cwd: folder }), { code: 'AC_CONFIG_INVALID', message: /hub\.storage\.folder: expected the name/ });
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG.replace("folder: ''", "folder: 'tasks'"));
  const { config } = await loadConfigFile({ cwd: folder });
  const storage = await config.hub?.storage.create({ dataDir: folder, clock: virtualClock(), log: silentLog });
  if (storage === undefined) throw new Error('the config has no storage');
  await t.rejects(storage.tasks.peek([]), { code: 'AC_STORE_CLOSED' });
  const [first, second] = await Promise.all([storage.open(), storage.open()]);
  t.equal(first.storeId, second.storeId, 'opened once');
  t.equal(await storage.healthy(), true);
  t.strictSame(await storage.tasks.peek([]), []);
  await t.rejects(storage.tasks.stats(), { code: 'AC_STORE_UNAVAILABLE', message: 'stats is not written yet.' });
  await Promise.all([storage.close(), storage.close()]);
  t.equal(await storage.healthy(), false);
  await t.rejects(
    storage.tasks.transact('b', async () => 1),
    { code: 'AC_STORE_CLOSED' },
  );
});
