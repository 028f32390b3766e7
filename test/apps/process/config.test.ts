/** The config file: searched for, evaluated and checked for real. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { findConfigFile } from '../../../apps/config/find-file.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { builtTree } from '../../rig/built-tree.ts';

const ROOT = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');

/** A folder outside this package, where no `node_modules` is found. */
async function foreignFolder(t: Test, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'agentcom-config-')));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

function withVariables(t: Test, variables: Readonly<Record<string, string | undefined>>): void {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  const set = (values: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(variables);
  t.teardown(() => set(before));
}

const NONE = Object.fromEntries(
  ['HOST', 'PORT', 'DATA_DIR', 'ADMIN_TOKEN', 'HUB_URL', 'AGENT_ID', 'TOKEN', 'SIDECAR_DIR'].map((name) => [`AGENTCOM_${name}`, undefined]),
);

const GOOD = `
import { defineConfig, env, AgentcomError } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
import { command } from 'agentcom/runners';

interface Words { readonly agentId: string }
const words = { agentId: env('AGENTCOM_AGENT_ID', 'far-1') } satisfies Words;

export default defineConfig({
  hub: { storage: sqlite({ file: 'x.db' }), transport: ws(), listen: { port: 0 } },
  sidecar: { hubs: ['ws://127.0.0.1:4000/ws'], ...words, wake: command({ argv: ['node', 'agent.mjs'] }) },
});
`;

t.test("the repository's own config loads unchanged", async (t) => {
  withVariables(t, NONE);
  const { file, config } = await loadConfigFile({ cwd: ROOT });
  t.equal(file, join(ROOT, 'agentcom.config.ts'));
  t.equal(config.baseDir, ROOT);
  t.equal(config.hub?.storage.name, 'sqlite');
  t.equal(config.hub?.transport.name, 'ws');
  t.equal(config.hub?.dataDir, join(ROOT, 'data/hub'));
  t.equal(config.sidecar?.wake?.name, 'command');
  t.equal(config.sidecar?.dataDir, join(ROOT, 'data/worker-1'));
});

t.test('the same config works in another folder, with the modules of this program', async (t) => {
  withVariables(t, NONE);
  const folder = await foreignFolder(t, { 'agentcom.config.ts': GOOD });
  const found = await loadConfigFile({ cwd: folder });
  t.equal(found.file, join(folder, 'agentcom.config.ts'));
  t.equal(found.config.hub?.dataDir, join(folder, 'data/hub'));
  t.equal(found.config.sidecar?.agentId, 'far-1');
  const named = await loadConfigFile({ cwd: ROOT, configFile: join(folder, 'agentcom.config.ts') });
  t.equal(named.config.baseDir, folder, 'the folder of the file counts, not the current one');
  const { sqlite } = await import('../../../adapters/storages.ts');
  const probe = await foreignFolder(t, {
    'agentcom.config.mjs': `import { sqlite } from 'agentcom/storage'; globalThis.agentcomProbe = sqlite; export default {};`,
  });
  await t.rejects(loadConfigFile({ cwd: probe }), { code: 'AC_CONFIG_INVALID' });
  const globals = globalThis as { agentcomProbe?: unknown };
  t.equal(globals.agentcomProbe, sqlite, 'one instance, not a second copy');
  delete globals.agentcomProbe;
});

t.test('the environment reaches the config', async (t) => {
  withVariables(t, { ...NONE, AGENTCOM_AGENT_ID: 'from-env', AGENTCOM_ADMIN_TOKEN: 'a'.repeat(32) });
  const folder = await foreignFolder(t, { 'agentcom.config.ts': GOOD });
  const { config } = await loadConfigFile({ cwd: folder });
  t.equal(config.sidecar?.agentId, 'from-env');
  t.equal(config.hub?.adminToken, 'a'.repeat(32), 'also if the config does not name it');
});

t.test('a bad variable is an error of its own', async (t) => {
  withVariables(t, { ...NONE, AGENTCOM_PORT: 'four thousand' });
  await t.rejects(loadConfigFile({ cwd: ROOT }), { code: 'AC_ENV_INVALID', message: /AGENTCOM_PORT .*found "four thousand"/ });
});

t.test('a missing config: the error names which files were searched for and where', async (t) => {
  const folder = await foreignFolder(t, { 'other.ts': '' });
  await t.rejects(loadConfigFile({ cwd: folder }), {
    code: 'AC_CONFIG_NOT_FOUND',
    message: `There is no agentcom.config.ts, agentcom.config.js or agentcom.config.mjs in ${folder}. Change to the folder that has one, pass --config FILE, or write one with "agentcom init".`,
  });
  await t.rejects(loadConfigFile({ cwd: folder, configFile: 'nope.ts' }), {
    code: 'AC_CONFIG_NOT_FOUND',
    message: `The config file ${join(folder, 'nope.ts')} does not exist. Correct --config.`,
  });
  await t.rejects(loadConfigFile({ cwd: folder, configFile: '.' }), {
    code: 'AC_CONFIG_NOT_FOUND',
    message: `Expected a config file, found the folder ${folder}. Pass a file to --config.`,
  });
});

t.test('all mistakes of a file, each on a line', async (t) => {
  withVariables(t, NONE);
  const folder = await foreignFolder(t, {
    'agentcom.config.js': `
      import { sqlite } from 'agentcom/storage';
      import { ws } from 'agentcom/transport';
      export default {
        hub: { storage: sqlite({ file: 'x.db' }), transport: ws({ idleMs: 0 }), listen: { port: '1' }, adminToken: 'hunter2', timng: {} },
        sidecar: { hubs: [], agentId: 'A' },
      };`,
  });
  const error: unknown = await loadConfigFile({ cwd: folder }).catch((thrown: unknown) => thrown);
  t.ok(AgentcomError.is(error, 'AC_CONFIG_INVALID'), String(error));
  if (!AgentcomError.is(error)) return;
  const [head, ...lines] = error.message.split('\n');
  t.equal(head, `The config ${join(folder, 'agentcom.config.js')} has 6 mistakes:`);
  t.strictSame(
    lines.map((line) => line.trim().split(': ')[0]),
    ['hub.timng', 'hub.transport.idleMs', 'hub.listen.port', 'hub.adminToken', 'sidecar.hubs', 'sidecar.agentId'],
  );
  for (const line of lines) t.match(line, /^ {2}\S.*([^.?]\.|\?)$/);
  t.notMatch(JSON.stringify([error.message, error.details]), /hunter2/);
});

t.test('unsafe listening beyond loopback has its own error code', async (t) => {
  withVariables(t, NONE);
  const listening = (host: string, more = ''): Readonly<Record<string, string>> => ({
    'agentcom.config.ts': GOOD.replace('listen: { port: 0 }', `listen: { host: '${host}', port: 0 } ${more}`),
  });
  const open = await foreignFolder(t, listening('0.0.0.0'));
  await t.rejects(loadConfigFile({ cwd: open }), {
    code: 'AC_LISTEN_INSECURE',
    message: /has 2 mistakes:\n {2}hub\.adminToken: .*\n {2}hub\.listen\.host: /,
  });
  const wrongToo = await foreignFolder(t, listening('0.0.0.0', ', agentMessages: 1'));
  await t.rejects(loadConfigFile({ cwd: wrongToo }), { code: 'AC_CONFIG_INVALID', message: /has 3 mistakes/ });
});

t.test('a file that fails to evaluate is reported with file and line, without a stack', async (t) => {
  const cases: readonly (readonly [name: string, content: string, message: RegExp])[] = [
    [
      'agentcom.config.ts',
      "import { defineConfig } from 'agentcom';\nexport default defineConfig({\n  hub: {\n    listen: { host: 'a' port: 3 },\n",
      /agentcom\.config\.ts:4:\d+ cannot be loaded: syntax error: Unexpected token, expected ","\.$/,
    ],
    [
      'agentcom.config.mjs',
      'export default {\n  a: }\n',
      /agentcom\.config\.mjs:2:\d+ cannot be loaded: syntax error: Unexpected token\.$/,
    ],
    [
      'agentcom.config.ts',
      '\n\nconst a: unknown = 3;\nexport default { x: (a as { b: { c: 1 } }).b.c };\n',
      /agentcom\.config\.ts:4 cannot be loaded: it threw: Cannot read properties of undefined \(reading 'c'\)\.$/,
    ],
    [
      'agentcom.config.ts',
      "import x from 'nowhere-pkg';\nexport default x;\n",
      /cannot be loaded: Cannot find module 'nowhere-pkg'\. Install it, or correct the import in/,
    ],
    [
      'agentcom.config.ts',
      "import { sqlite } from 'agentcom/stroage';\nexport default sqlite;\n",
      /cannot be loaded: Cannot find module 'agentcom\/stroage'\./,
    ],
    [
      'agentcom.config.ts',
      'export default null;\n',
      /cannot be loaded: its default export is null\. Write: export default defineConfig\(\{ … \}\)$/,
    ],
    ['agentcom.config.mjs', 'throw null;\n', /cannot be loaded: it threw null\.$/],
    [
      'agentcom.config.ts',
      'export default 5;\n',
      /^The config .* has a mistake:\n {2}\(the whole config\): expected an object with hub, sidecar or both, found 5\.$/,
    ],
    ['agentcom.config.ts', 'export const hub = {};\n', /hub\.storage: is missing/],
    [
      'agentcom.config.ts',
      'export const config = { hub: {} };\n',
      /has its hub or sidecar one level too deep, in "config"\. Write: export default defineConfig\(\{ … \}\)$/,
    ],
    [
      'agentcom.config.ts',
      "import { comand } from 'agentcom/runners';\n\nexport default comand({});\n",
      /agentcom\.config\.ts:3 cannot be loaded: it threw: comand is not a function\.$/,
    ],
  ];
  for (const [name, content, message] of cases) {
    const folder = await foreignFolder(t, { [name]: content });
    const error: unknown = await loadConfigFile({ cwd: folder }).catch((thrown: unknown) => thrown);
    t.ok(AgentcomError.is(error, 'AC_CONFIG_INVALID'), `${content}\n${String(error)}`);
    if (!AgentcomError.is(error)) continue;
    t.match(error.message, message, content);
    t.notMatch(error.message, /\n\s+at |node_modules/, 'no stack');
  }
});

t.test('a file that throws something unreadable is an error of the config', async (t) => {
  for (const thrown of [
    "Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('msg'); } })",
    "Object.defineProperty({}, 'code', { get() { throw new Error('msg'); } })",
    "new Proxy(new Error('x'), { get() { throw new Error('msg'); }, has() { throw new Error('msg'); }, getPrototypeOf() { throw new Error('msg'); } })",
  ]) {
    const folder = await foreignFolder(t, { 'agentcom.config.mjs': `throw ${thrown};\n` });
    const run = promisify(execFile)(process.execPath, [builtTree().bin, 'hub'], { cwd: folder });
    await t.rejects(run, { code: 2, stderr: /agentcom\.config\.mjs.* cannot be loaded: .*\(AC_CONFIG_INVALID\)/ }, thrown);
  }
});

t.test('a mistake in an imported file is reported with that file and its line', async (t) => {
  for (const [text, found] of [
    ['\nexport const mine = { a b };\n', ':2:24: syntax error: Unexpected token, expected ","'],
    ['\n\nexport const mine: string = (null as never as { x: string }).x;\n', ":3: it threw: Cannot read properties of null (reading 'x')"],
  ] as const) {
    const folder = await foreignFolder(t, {
      'agentcom.config.ts': "import { mine } from './my runner (1).ts';\nexport default mine;\n",
      'my runner (1).ts': text,
    });
    await t.rejects(loadConfigFile({ cwd: folder }), {
      code: 'AC_CONFIG_INVALID',
      message: `The config ${join(folder, 'agentcom.config.ts')} cannot be loaded: ${join(folder, 'my runner (1).ts')}${found}.`,
    });
  }
});

t.test('nothing else is read or merged: no rc file, no extends, no environment part', async (t) => {
  withVariables(t, NONE);
  const folder = await foreignFolder(t, {
    'agentcom.config.ts': GOOD.replace('hub: {', "extends: 'gh:nobody/nothing', $test: { hub: {} }, hub: {").replace(
      'defineConfig({',
      '({',
    ),
    '.configrc': 'hub.listen.port=1',
    '.env': 'AGENTCOM_AGENT_ID=from-dotenv',
    'package.json': '{"config":{"sidecar":{"slots":7}}}',
  });
  await t.rejects(loadConfigFile({ cwd: folder }), {
    code: 'AC_CONFIG_INVALID',
    message: /has 2 mistakes:\n {2}extends: .*\n {2}\$test: /,
  });
  await writeFile(join(folder, 'agentcom.config.ts'), GOOD);
  const { config } = await loadConfigFile({ cwd: folder });
  t.equal(config.hub?.port, 0);
  t.equal(config.sidecar?.slots, 1);
  t.equal(config.sidecar?.agentId, 'far-1');
});

t.test('a misspelt key does not compile', { timeout: 60_000 }, async (t) => {
  // Only the entry's own types, so that the compiler has little to read.
  const typed = (hub: string): string => `
    import { defineConfig, type StorageChoice, type TransportChoice } from 'agentcom';
    declare const storage: StorageChoice;
    declare const transport: TransportChoice;
    export default defineConfig({ hub: ${hub} });
  `;
  const folder = t.testdir({
    'good.ts': typed('{ storage, transport, listen: { port: 0 }, adminToken: undefined }'),
    'misspelt.ts': typed('{ storage, transport, listen: { prot: 0 } }'),
    'wrong-port.ts': typed('{ storage, transport: true ? storage : transport }'),
    'tsconfig.json': JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), include: ['./*.ts'], exclude: [] }),
  });
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const output = await promisify(execFile)(process.execPath, [tsc, '-p', folder, '--noEmit', '--pretty', 'false'])
    .then(() => 'it compiled')
    .catch((thrown: unknown) => (thrown as { stdout: string }).stdout);
  const own = output.split('\n').filter((line) => /(good|misspelt|wrong-port)\.ts/.test(line));
  t.match(
    own.filter((line) => line.includes('misspelt.ts')),
    [/error TS2353: .*'prot' does not exist in type/],
  );
  t.match(
    own.filter((line) => line.includes('wrong-port.ts')),
    [/error TS2322/],
  );
  t.strictSame(
    own.filter((line) => line.includes('good.ts')),
    [],
  );
});

t.test('a config that never settles is an error of the config', async (t) => {
  const folder = await foreignFolder(t, { 'agentcom.config.mjs': 'export default new Promise(() => {});\n' });
  await t.rejects(promisify(execFile)(process.execPath, [builtTree().bin, 'hub'], { cwd: folder }), {
    code: 2,
    stderr: /it awaits a promise that never settles\..*\(AC_CONFIG_INVALID\)/,
  });
});

t.test('a config file that this user may not read is reported as such, by hub and commands', async (t) => {
  const folder = await foreignFolder(t, { 'agentcom.config.ts': GOOD });
  const file = join(folder, 'agentcom.config.ts');
  await chmod(folder, 0o755);
  await chmod(file, 0);
  // Root may read any file.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.('nobody');
  try {
    for (const named of [undefined, file]) {
      t.throws(() => findConfigFile(named, folder), {
        code: 'AC_CONFIG_INVALID',
        message: `This user may not read the config file ${file}.`,
      });
    }
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

t.test('a folder with the name of a config is reported as a folder', async (t) => {
  const folder = await foreignFolder(t, {});
  await mkdir(join(folder, 'agentcom.config.ts'));
  t.throws(() => findConfigFile(undefined, folder), { code: 'AC_CONFIG_NOT_FOUND', message: /found the folder .*agentcom\.config\.ts/ });
});
