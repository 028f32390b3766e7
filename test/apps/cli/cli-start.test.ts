/** What a command loads before it does its work, and what it caches so that the config need not be evaluated again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import t, { type Test } from 'tap';
import { COMMAND_GROUPS } from '../../../apps/cli/command-groups.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { testHub, run } from './cli-world.ts';

/** Prints the URL of every loaded module on standard error. */
const HOOK = `import { writeSync } from 'node:fs'; export const load = (url, context, next) => (writeSync(2, url + '\\n'), next(url, context));`;
const REGISTER = `import { register } from 'node:module'; register('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(HOOK))});`;
/** The largest part of the hub's start. */
const HEAVY = /\/(typebox|jiti|knex|pino|ws|inversify|pg|sqlite3)\//;
/** Modules of AgentCom and of Node that a short command may load: each takes about a millisecond. */
const MODULES_MAX = 65;

async function loadedBy(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(REGISTER)}`, builtTree().binInParts, ...argv],
    {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const [loaded, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.equal(code, 0, argv.join(' '));
  return loaded.split('\n').filter((line) => /^(file|node):/.test(line));
}

t.test('a command loads only what it needs', async (t) => {
  const { url } = await testHub(t, (app) => app.get('/api/tasks/stats', (c) => c.json({})));
  const env = { AGENTCOM_API_URL: url, AGENTCOM_ADMIN_TOKEN: 'tok' };
  for (const loaded of await Promise.all([loadedBy(['--version']), loadedBy(['stats'], env)])) {
    t.strictSame(
      loaded.filter((module) => HEAVY.test(module)),
      [],
    );
    t.ok(loaded.length > 10 && loaded.length <= MODULES_MAX, `${loaded.length} modules`);
  }
  t.strictSame(
    (await loadedBy(['--help'])).filter((module) => HEAVY.test(module)),
    [],
  );
});

t.test('the table of groups names each command, where it is', async (t) => {
  for (const { commands, load } of COMMAND_GROUPS) {
    const program = new Command();
    (await load())(program, () => () => Promise.resolve());
    t.strictSame(program.commands.map((command) => command.name()).sort(), [...commands].sort());
  }
});

const CONFIG = `import { defineConfig, env } from 'agentcom';
import { memory } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({
  hub: { listen: { port: env.integer('HUB_PORT_OF_TEST', 4000) }, storage: memory(), transport: ws(), dataDir: 'data' },
});
`;

interface Place {
  readonly folder: string;
  readonly hubsFile: string;
  /** Runs \`stats\` in the folder. */
  stats(): ReturnType<typeof run>;
}

async function place(t: Test, config: string): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'agentcom.config.ts'), config);
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  await writeFile(join(folder, 'data', 'admin-token'), 'tok\n', { mode: 0o600 });
  return {
    folder,
    hubsFile: join(folder, 'state', 'hubs.json'),
    stats: () =>
      run(['stats'], { cwd: folder, env: { ...process.env, AGENTCOM_STATE_DIR: join(folder, 'state') } as Record<string, string> }),
  };
}

const portOf = (url: string): string => new URL(url).port;
const emptyHub = (t: Test) => testHub(t, (app) => app.get('/api/tasks/stats', (c) => c.json({ queued: 1 })));

t.test('the hub of a config is cached until the config or a variable that it reads changes', async (t) => {
  const [first, second, third] = await Promise.all([emptyHub(t), emptyHub(t), emptyHub(t)]);
  const { folder, hubsFile, stats } = await place(t, CONFIG);
  t.teardown(() => delete process.env['HUB_PORT_OF_TEST']);
  process.env['HUB_PORT_OF_TEST'] = portOf(first.url);
  t.match(await stats(), { code: 0, err: '' });
  t.equal(first.requests.length, 1);
  const kept = await readFile(hubsFile, 'utf8');
  t.equal((await stat(hubsFile)).mode & 0o777, 0o600);
  t.notMatch(kept, /tok\b/, 'no secret');

  // The cached value is used: the config says otherwise.
  await writeFile(hubsFile, kept.replace(`"port":${portOf(first.url)}`, `"port":${portOf(second.url)}`));
  await stats();
  t.strictSame([first.requests.length, second.requests.length], [1, 1]);
  // Another user could have written it.
  await chmod(hubsFile, 0o666);
  await stats();
  t.strictSame([first.requests.length, second.requests.length], [2, 1]);
  await writeFile(hubsFile, '{"hubs":[{"file":');
  t.match(await stats(), { code: 0 }, 'a truncated file counts as none');

  process.env['HUB_PORT_OF_TEST'] = portOf(second.url);
  await stats();
  t.equal(second.requests.length, 2, 'the variable has changed');
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG.replace("env.integer('HUB_PORT_OF_TEST', 4000)", portOf(third.url)));
  await stats();
  t.equal(third.requests.length, 1, 'the config has changed');
});

t.test('a config that depends on something else is evaluated each time', async (t) => {
  const { url, requests } = await emptyHub(t);
  const config = `import { port } from './port.ts';\n${CONFIG.replace("env.integer('HUB_PORT_OF_TEST', 4000)", 'port')}`;
  const { folder, hubsFile, stats } = await place(t, config);
  await writeFile(join(folder, 'port.ts'), `export const port = ${portOf(url)};`);
  t.match(await stats(), { code: 0 });
  t.equal(requests.length, 1);
  await t.rejects(stat(hubsFile), { code: 'ENOENT' });
});

t.test('with --url the config supplies only the token, and the hub refuses it', async (t) => {
  const refuses = await testHub(t, (app) =>
    app.get('/api/tasks/stats', (c) => c.json({ error: 'unauthorized', message: 'who are you?' }, 401)),
  );
  const { folder } = await place(t, CONFIG.replace("'data'", "env('NEVER_SET_IN_TEST')"));
  const unset = await run(['stats', '--url', refuses.url], { cwd: folder });
  t.match(unset, {
    code: 2,
    err: /No token for http:\/\/127.*Pass --token \(or set AGENTCOM_ADMIN_TOKEN\)\..*NEVER_SET_IN_TEST is not set/,
  });
  t.match(await run(['stats', '--url', refuses.url, '--token', 'x'], { cwd: folder }), { code: 7, err: /was taken from --token\./ });
  const fromVariable = await run(['stats', '--url', refuses.url], { cwd: folder, env: { AGENTCOM_ADMIN_TOKEN: 'x' } });
  t.match(fromVariable, { code: 7, err: /who are you\? The token was taken from AGENTCOM_ADMIN_TOKEN\./ });
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG);
  const fromFile = await run(['stats', '--url', refuses.url], { cwd: folder });
  t.match(fromFile, { code: 7, err: new RegExp(`taken from ${folder}/data/admin-token`) });
});
