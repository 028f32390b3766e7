/** `agentcom service` with a systemctl that records its arguments. */
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { homeOfUser, install, isUser, otherUnit, uninstall, unitFor } from '../../../apps/service/manager.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { run, type Ran } from '../cli/cli-world.ts';

interface Machine {
  readonly unit: string;
  run(...argv: readonly string[]): Promise<Ran>;
  /** The calls of systemctl since the last call. */
  calls(): Promise<readonly string[]>;
  /** What systemctl does from now on, as a shell script. */
  answers(script: string): Promise<void>;
}

async function machine(t: Test): Promise<Machine> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-service-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const [bin, cwd, log] = [join(dir, 'bin'), join(dir, 'my app'), join(dir, 'log')];
  await Promise.all([mkdir(bin), mkdir(cwd), writeFile(log, '')]);
  // Like npx: missing folders, and some twice.
  const env = { HOME: join(dir, 'home'), PATH: `${bin}:${dir}/node_modules/.bin:/usr/bin:node_modules/.bin:${bin}:/bin` };
  t.match(await run(['init', '--yes'], { cwd }), { code: 0 });
  const made: Machine = {
    unit: join(env.HOME, '.config/systemd/user/agentcom-sidecar-worker-1.service'),
    run: (...argv) => run(argv, { cwd, env }),
    async calls() {
      const text = await readFile(log, 'utf8');
      await writeFile(log, '');
      return text.split('\n').slice(0, -1);
    },
    async answers(script) {
      await writeFile(join(bin, 'systemctl'), `#!/bin/sh\necho "$@" >> '${log}'\n${script}\n`);
      await chmod(join(bin, 'systemctl'), 0o755);
    },
  };
  await made.answers('exit 0');
  return made;
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

t.test('install, status, install again, uninstall', { skip: process.platform !== 'linux' }, async (t) => {
  const { unit, run, calls, answers } = await machine(t);
  const name = 'agentcom-sidecar-worker-1.service';
  t.match(await run('service', 'install', 'sidecar'), { code: 0, out: `Installed and started: ${unit}\n` });
  t.same(await calls(), ['--user daemon-reload', `--user enable ${name}`, `--user restart ${name}`]);
  t.match(await readFile(unit, 'utf8'), /ExecStart="[^"]+" "[^"]+bin\.mjs" "sidecar" "--config" "[^"]+\/my app\/agentcom\.config\.ts"/);
  t.match(await readFile(unit, 'utf8'), /^Environment="PATH=[^:"]+\/bin:\/usr\/bin:\/bin"$/m);
  t.match(await run('service', 'install', 'sidecar'), { code: 0 }, 'over its own unit');
  await answers('echo "Active: failed"; exit 3');
  t.match(await run('service', 'status', 'sidecar'), { code: 3, out: 'Active: failed\n' });
  t.match(JSON.parse((await run('service', 'status', 'sidecar', '--json')).out), { code: 3, status: 'Active: failed\n' });
  await calls();
  await answers('exit 0');
  t.match(await run('service', 'uninstall', 'sidecar'), { code: 0, out: `Stopped and removed: ${unit}\n` });
  t.same(await calls(), [`--user disable --now ${name}`, '--user daemon-reload']);
  t.notOk(await isThere(unit));
  t.match(await run('service', 'uninstall', 'sidecar'), { code: 0, out: /^Not installed/ });
});

t.test('a service of the other kind under the same name is named', { skip: process.platform !== 'linux' }, async (t) => {
  const { unit, run, calls } = await machine(t);
  t.match(await run('service', 'install', 'sidecar'), { code: 0, err: /^(?!.*too:)/s });
  t.match(await run('service', 'status', 'sidecar'), { err: '' });
  const systems = ['--name', 'agentcom-sidecar-worker-1', '--run-as', 'someone'];
  for (const command of ['status', 'uninstall']) {
    t.match(await run('service', command, 'sidecar', ...systems), {
      code: 0,
      err: `A service of your user is installed under this name, too: ${unit}. For that one, run: agentcom service ${command} sidecar --name agentcom-sidecar-worker-1\n`,
    });
    t.match(JSON.parse((await run('service', command, 'sidecar', ...systems, '--json')).out), { other_file: unit });
  }
  t.ok(await isThere(unit));
  await calls();
  t.match(await run('service', 'install', 'sidecar', ...systems), {
    code: 1,
    err: `A service of your user is already installed under this name: ${unit}. Remove it first, or choose another --name. To remove it, run: agentcom service uninstall sidecar --name agentcom-sidecar-worker-1 (AC_SERVICE)\n`,
  });
  t.same(await calls(), [], 'before anything is changed');
  t.notOk(await isThere('/etc/systemd/system/agentcom-sidecar-worker-1.service'));
});

const planIn = (dir: string) =>
  ({ part: 'hub', name: 'x', description: 'x', argv: ['/x'], folder: dir, dataDir: dir, archiveDir: null, environment: {} }) as const;

t.test('one of the system is found beside that of a user, with its user', async (t) => {
  const dir = t.testdir();
  const plan = planIn(dir);
  const me = { home: dir, uid: 1000, userName: 'me' };
  t.equal(await otherUnit('linux', { ...plan, name: 'agentcom-test-of-no-unit', runAs: null }, me), null);
  for (const platform of ['linux', 'darwin']) {
    const { file, text } = unitFor(platform, { ...plan, runAs: null }, me);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    t.same(await otherUnit(platform, { ...plan, runAs: 'agentcom' }, me), { file, runAs: null });
    // As the unit of the system says it.
    await writeFile(file, unitFor(platform, { ...plan, runAs: 'agentcom' }, me).text);
    t.same(await otherUnit(platform, { ...plan, runAs: 'agentcom' }, me), { file, runAs: 'agentcom' });
    await writeFile(file, 'of another program');
    t.equal(await otherUnit(platform, { ...plan, runAs: 'agentcom' }, me), null);
  }
});

t.test('root finds one of the user that --run-as names, in the home of that user', async (t) => {
  const dir = t.testdir();
  const me = { home: join(dir, 'me'), uid: 1000, userName: 'me' };
  const root = { home: join(dir, 'root'), uid: 0, userName: 'root' };
  const plan = planIn(dir);
  const homeOf = async (user: string): Promise<string | null> => (user === 'me' ? me.home : null);
  for (const platform of ['linux', 'darwin']) {
    const { file, text } = unitFor(platform, { ...plan, runAs: null }, me);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    t.same(await otherUnit(platform, { ...plan, runAs: 'me' }, root, homeOf), { file, runAs: null, owner: 'me' });
    t.equal(await otherUnit(platform, { ...plan, runAs: 'someone' }, root, homeOf), null);
    t.equal(await otherUnit(platform, { ...plan, runAs: 'me' }, { ...root, uid: 1001 }, homeOf), null, 'others may not read it');
  }
});

t.test('the home of a user is found, and none of a user who does not exist', { skip: process.platform === 'win32' }, async (t) => {
  const { username, homedir } = userInfo();
  t.equal(await homeOfUser(username), homedir);
  t.equal(await homeOfUser('no-such-user.of-agentcom'), null);
});

t.test('errors are reported, and units of others are left alone', { skip: process.platform !== 'linux' }, async (t) => {
  const { unit, run, calls, answers } = await machine(t);
  await mkdir(dirname(unit), { recursive: true });
  await writeFile(unit, '[Service]\nExecStart=/bin/true\n');
  for (const what of ['install', 'uninstall'])
    t.match(await run('service', what, 'sidecar'), { code: 1, err: /was not written by this command, and was not changed/ });
  t.same(await calls(), []);
  t.match(await readFile(unit, 'utf8'), 'ExecStart=/bin/true');
  await answers('echo "Failed to connect to bus" >&2; exit 1');
  t.match(await run('service', 'install', 'sidecar', '--name', 'other'), {
    code: 1,
    err: /daemon-reload" failed with 1: Failed to connect to bus/,
  });
  for (const [argv, err] of [
    [['--name', '../x'], /Expected a name of letters/],
    [['--name', 'x', '--run-as', 'a b'], /Expected the name of a user/],
    [['--variables', 'none'], /There is no .*none.* Correct --variables\./],
    [['--variables', '.'], /Cannot read .*: EISDIR.* Correct --variables\./],
  ] as const)
    t.match(await run('service', 'print', 'sidecar', ...argv), { code: 2, err });
  t.match(await run('service', 'print', 'queue'), { code: 2, err: /hub, sidecar/ });
});

t.test('a data directory with a line break adds no line to a unit', { skip: process.platform !== 'linux' }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-service-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(
    join(dir, 'agentcom.config.mjs'),
    `import { defineConfig } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({ hub: { storage: sqlite({ file: 'h.db' }), transport: ws(), dataDir: 'data\\nExecStartPre=/bin/true' } });
`,
  );
  const printed = await run(['service', 'print', 'hub', '--run-as', 'agentcom'], { cwd: dir });
  t.match(printed, { code: 2, err: /Expected the data directory without control characters/ });
});

t.test(
  'a system hub is not installed while a folder that it may not create is missing',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'agentcom-service-'));
    t.teardown(() => rm(dir, { recursive: true }));
    const away = join(dir, 'archive');
    await mkdir(join(dir, 'app'));
    await writeFile(
      join(dir, 'app', 'agentcom.config.mjs'),
      `import { defineConfig } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({ hub: { storage: sqlite({ file: 'h.db' }), transport: ws(), dataDir: 'hub', archiveDir: '../archive' } });
`,
    );
    t.match(await run(['service', 'install', 'hub', '--run-as', 'agentcom'], { cwd: join(dir, 'app') }), {
      code: 1,
      err: `There is no ${away}, and the service cannot create it. Create it first: install -d -m 700 -o agentcom "${away}"`,
    });
    t.match(await run(['service', 'print', 'hub', '--run-as', 'agentcom'], { cwd: join(dir, 'app') }), {
      code: 0,
      out: `ReadWritePaths="${join(dir, 'app')}" "-${join(dir, 'app', 'hub')}" "-${away}"`,
    });
  },
);

t.test('a service of the system is not installed for a user who does not exist', { skip: process.platform !== 'linux' }, async (t) => {
  const { run, calls } = await machine(t);
  const user = 'no-such-user.of-agentcom';
  t.match(await run('service', 'install', 'sidecar', '--run-as', user), {
    code: 1,
    err: `There is no user "${user}". Create it first, or correct --run-as. (AC_SERVICE)\n`,
  });
  t.same(await calls(), [], 'before anything is changed');
  t.notOk(await isThere('/etc/systemd/system/agentcom-sidecar-worker-1.service'));
  t.equal(await isUser(userInfo().username), true);
});

t.test('print changes nothing and passes the env file on', { skip: process.platform !== 'linux' }, async (t) => {
  const { unit, run, calls } = await machine(t);
  const printed = await run('service', 'print', 'hub', '--variables', 'agentcom.config.ts', '--run-as', 'agentcom');
  t.match(printed, { code: 0, out: /"--env-file=[^"]+\/agentcom\.config\.ts"/, err: '/etc/systemd/system/agentcom-hub.service:\n' });
  t.same(await calls(), []);
  t.notOk(await isThere(unit));
});

const OPEN_HUB = `import { defineConfig, env } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
const listen = { host: '0.0.0.0', port: env.integer('SERVICE_TEST_PORT'), insecure: true };
export default defineConfig({ hub: { storage: sqlite({ file: 'h.db' }), transport: ws(), listen } });
`;

// Before, a hub for other machines could not be installed: its config was checked without the variables of its env file.
t.test('the config is checked with the variables of the service', { skip: process.platform !== 'linux' }, async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'agentcom-service-'));
  t.teardown(async () => {
    for (const name of ['SERVICE_TEST_PORT', 'AGENTCOM_ADMIN_TOKEN']) delete process.env[name];
    await rm(cwd, { recursive: true });
  });
  await writeFile(join(cwd, 'agentcom.config.mjs'), OPEN_HUB);
  const print = (...argv: readonly string[]) => run(['service', 'print', 'hub', ...argv], { cwd });
  t.match(await print(), { code: 2, err: /SERVICE_TEST_PORT is not set/ });
  // Also for an existing hub.
  t.match(await run(['service', 'uninstall', 'hub', '--name', 'not-there'], { cwd, env: { HOME: cwd } }), {
    code: 0,
    out: /^Not installed/,
  });
  await writeFile(join(cwd, 'hub.env'), `SERVICE_TEST_PORT=4000\n`);
  process.env['AGENTCOM_ADMIN_TOKEN'] = 'a'.repeat(40);
  const half = await print('--variables', 'hub.env');
  t.match(half, {
    code: 0,
    err: /^The service does not get these variables of your shell, .*: AGENTCOM_ADMIN_TOKEN\. .*--variables FILE\.\n/,
  });
  t.notMatch(half.err, /aaaa|SERVICE_TEST_PORT/);
  await writeFile(join(cwd, 'hub.env'), `SERVICE_TEST_PORT=4000\nAGENTCOM_ADMIN_TOKEN=${'b'.repeat(40)}\n`);
  delete process.env['AGENTCOM_ADMIN_TOKEN'];
  // Its former name.
  t.match(await print('--env-file', 'hub.env'), { code: 0, err: /^\S+agentcom-hub\.service:\n$/ });
});

t.test('variables that are set but empty do not move the unit', { skip: process.platform !== 'linux' }, async (t) => {
  const cwd = t.testdir();
  t.match(await run(['init', '--yes'], { cwd }), { code: 0 });
  const placeIn = async (env: Readonly<Record<string, string>>): Promise<string> =>
    (JSON.parse((await run(['service', 'print', 'hub', '--json'], { cwd, env })).out) as { readonly file: string }).file;
  const end = 'systemd/user/agentcom-hub.service';
  t.equal(await placeIn({ HOME: '/h', XDG_CONFIG_HOME: '/cfg' }), `/cfg/${end}`);
  t.equal(await placeIn({ HOME: '/h', XDG_CONFIG_HOME: '' }), `/h/.config/${end}`);
  t.equal(await placeIn({ HOME: '', XDG_CONFIG_HOME: 'relative' }), `${userInfo().homedir}/.config/${end}`);
});

t.test('the command itself gets a file that does not exist, not Node', async (t) => {
  const argv = [builtTree().bin, 'service', 'print', 'hub', '--variables', 'nofile'];
  await t.rejects(promisify(execFile)(process.execPath, argv, { cwd: t.testdir() }), { code: 2, stderr: /There is no .*nofile/ });
});

/** Stands in for launchd: a loaded service cannot be bootstrapped, and is still listed for a while after it was booted out. */
const LAUNCHCTL = `#!/bin/sh
echo "$1" >> log
case $1 in
  bootstrap) if [ -e loaded ]; then echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5; fi; echo 2 > loaded;;
  bootout) [ -e loaded ] || exit 3;;
  print) [ -e loaded ] || exit 113; read left < loaded; if [ "$left" = 0 ]; then rm loaded; else echo $((left - 1)) > loaded; fi;;
esac
`;

t.test('launchd: a reinstall stops the service first', { skip: process.platform === 'win32' }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-service-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(
    join(dir, 'launchctl'),
    LAUNCHCTL.replaceAll(/\b(log|loaded)\b/g, (name) => join(dir, name)),
    { mode: 0o755 },
  );
  const env = { PATH: `${dir}:/usr/bin:/bin` };
  const unitOf = (argv: readonly string[]) =>
    unitFor(
      'darwin',
      {
        part: 'hub',
        name: 'agentcom-hub',
        description: 'hub',
        argv,
        folder: dir,
        dataDir: join(dir, 'data', 'hub'),
        archiveDir: null,
        environment: {},
        runAs: null,
      },
      { home: dir, uid: 1000, userName: 'me' },
    );
  const calls = async (): Promise<string> => (await readFile(join(dir, 'log'), 'utf8')).replaceAll('\n', ' ').trim();
  await install(unitOf(['/bin/one']), env);
  t.equal(await calls(), 'bootstrap');
  t.ok((await stat(join(dir, 'data', 'hub'))).isDirectory(), 'launchd opens its log there');
  const second = unitOf(['/bin/two']);
  await install(second, env);
  t.equal(await calls(), 'bootstrap bootout print print print print bootstrap');
  t.match(await readFile(second.file, 'utf8'), '/bin/two');
  t.equal(await uninstall(second, env), true);
  t.notOk(await isThere(second.file));
  t.equal(await uninstall(second, env), false);
});
