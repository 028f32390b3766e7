/** docs/storage-adapters.md: its storage implements every port with the entry of the package alone, and does what the page says. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { ROOT } from '../../architecture/cruise.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { temporaryFolder } from './newcomer.ts';
import { blocksOf, fileOf } from './page-blocks.ts';

const PAGE = 'docs/storage-adapters.md';
const CONFIG = `import { defineConfig } from 'agentcom';
import { ws } from 'agentcom/transport';
import { myStorage } from './my-storage.ts';
export default defineConfig({ hub: { storage: myStorage({ folder: '' }), transport: ws() } });
`;

/** The TypeScript of the page, each block a file beside the page. */
const files = new Map(
  blocksOf(PAGE).flatMap(({ language, file, text }) => (language === 'ts' ? [[join(ROOT, 'docs', file ?? 'unnamed.ts'), text]] : [])),
);

t.test('its code compiles, as strict as this tree, and imports only the package', async (t) => {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile, readFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const text = files.get(file);
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  };
  const program = ts.createProgram({ rootNames: [...files.keys()], options, host });
  t.strictSame([...files.keys()].map((file) => file.replace(/.*\//, '')).sort(), ['my-storage.test.ts', 'my-storage.ts']);
  for (const [file, text] of files) {
    const found = [...text.matchAll(/from '([^']+)'/g)].map(([, from = '']) => from);
    t.strictSame(
      found.filter((from) => !/^(node:|agentcom\/|\.\/my-storage\.ts$)/.test(from)),
      [],
      `${file} imports only the package`,
    );
    const complaints = ts.getPreEmitDiagnostics(program, program.getSourceFile(file));
    t.strictSame(
      complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      [],
      `${file} compiles`,
    );
  }
});

t.test('its storage opens and closes, and says what is wrong with its options', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'my-storage.ts'), fileOf(PAGE, 'my-storage.ts'));
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG);
  await t.rejects(loadConfigFile({ cwd: folder }), { code: 'AC_CONFIG_INVALID', message: /hub\.storage\.folder: wanted the name/ });
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
