/** The containers of the hub and the sidecar, with every shipped config: each token is bound and can be created. */
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container } from 'inversify';
import 'reflect-metadata';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { hubContainer } from '../../../apps/hub/main.ts';
import { hubServices } from '../../../apps/hub/services.ts';
import { configText, STORAGES, TRANSPORTS, type StorageName, type TransportName } from '../../../apps/quickstart/config-text.ts';
import { sidecarContainer } from '../../../apps/sidecar/main.ts';
import { TOKENS } from '../../../apps/container-tokens.ts';
import { Lifecycle, type Service } from '../../../apps/lifecycle.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { ROOT } from '../../architecture/cruise.ts';
import { withUws } from '../../adapters/wire/uws-native.ts';
import { aToken } from '../../product/contracts/fixtures.ts';
import { askHandler } from '../../product/contracts/wire/web-http.ts';
import { temporaryFolder } from '../pages/newcomer.ts';
import { fileOf } from '../pages/page-blocks.ts';

const DATABASE_URL = 'postgres://nobody@127.0.0.1:1/nowhere';

const SHIPPED: Record<string, () => Promise<string> | string> = {
  'agentcom.config.ts': () => readFile(join(ROOT, 'agentcom.config.ts'), 'utf8'),
  'agentcom.config.ts with DATABASE_URL': async () => {
    const text = await readFile(join(ROOT, 'agentcom.config.ts'), 'utf8');
    return text.replace(`env.optional('DATABASE_URL')`, `'${DATABASE_URL}'`);
  },
  'README.md': () => fileOf('README.md', 'agentcom.config.ts'),
};

const quickstartOn = (storage: StorageName, transport: TransportName): string =>
  configText({ port: 4000, storage, transport, databaseUrl: DATABASE_URL, packageRoot: ROOT });

for (const transport of Object.keys(TRANSPORTS) as TransportName[]) {
  const add = (): void => {
    for (const storage of Object.keys(STORAGES) as StorageName[])
      SHIPPED[`the quickstart on ${storage} and ${transport}`] = () => quickstartOn(storage, transport);
  };
  if (transport === 'uws') await withUws(t, 'the quickstart on uws', add);
  else add();
}

/** Both programs with this config, in their own folder. */
async function containersOf(
  t: Test,
  text: string,
): Promise<{ readonly hub: Container; readonly sidecar: Container; readonly folder: string }> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'agentcom.config.ts'), text);
  const { config } = await loadConfigFile({ cwd: folder });
  const { hub, sidecar } = config;
  if (hub === undefined || sidecar === undefined) throw new Error('A shipped config has both parts.');
  await mkdir(hub.dataDir, { recursive: true, mode: 0o700 });
  const ofSidecar = sidecarContainer(sidecar, { baseDir: config.baseDir, token: 'a-token', log: silentLog });
  return { hub: hubContainer(hub, silentLog), sidecar: ofSidecar, folder };
}

/** None of them serves TLS itself, archives tasks, requires signatures or has a device key. */
const OPTIONAL: ReadonlySet<unknown> = new Set([TOKENS.Certificate, TOKENS.Archive, TOKENS.TaskSignatures, TOKENS.DeviceKey]);

for (const [name, text] of Object.entries(SHIPPED)) {
  t.test(`${name}: every token is bound, and every binding can be created`, async (t) => {
    const { hub, sidecar } = await containersOf(t, await text());
    for (const [token, id] of Object.entries(TOKENS)) {
      const programs = Object.entries({ hub, sidecar }).filter(([, container]) => container.isBound(id));
      t.ok(programs.length > 0, `${token} is bound in the hub, the sidecar or both`);
      for (const [program, container] of programs) {
        const made: unknown = await container.getAsync<unknown>(id);
        t.ok(made !== undefined && (made !== null || OPTIONAL.has(id)), `${token} of the ${program}`);
        t.equal(await container.getAsync<unknown>(id), made, `${token} is there once`);
      }
    }
  });
}

t.test('the four combinations differ only in the line that chooses, and in its import', (t) => {
  const lines = (storage: StorageName, transport: TransportName): readonly string[] => quickstartOn(storage, transport).split('\n');
  const changed = (from: readonly string[], to: readonly string[]): readonly string[] => {
    t.equal(to.length, from.length);
    return to.filter((line, index) => line !== from[index]).map((line) => line.trim());
  };
  t.strictSame(changed(lines('sqlite', 'ws'), lines('postgres', 'ws')), [
    `import { postgres } from 'agentcom/storage';`,
    `storage: ${STORAGES.postgres(DATABASE_URL)},`,
  ]);
  t.strictSame(changed(lines('sqlite', 'ws'), lines('sqlite', 'uws')), [`import { uws } from 'agentcom/transport';`, `transport: uws(),`]);
  t.end();
});

t.test('/health names the running parts, not those that the config asked for', async (t) => {
  const folder = await temporaryFolder(t);
  const config = quickstartOn('sqlite', 'ws')
    .replace(STORAGES.sqlite(), `{ ...memory(), name: 'sqlite' }`)
    .replace('{ sqlite }', '{ memory }');
  await writeFile(join(folder, 'agentcom.config.ts'), config);
  const { hub } = (await loadConfigFile({ cwd: folder })).config;
  if (hub === undefined) throw new Error('The config has a hub.');
  t.equal(hub.storage.name, 'sqlite');
  await mkdir(hub.dataDir, { recursive: true, mode: 0o700 });
  const http = await hubContainer(hub, silentLog).getAsync(TOKENS.HttpApi);
  const answer = await askHandler(http.handle, new Request('http://127.0.0.1:4000/health', { headers: { host: '127.0.0.1:4000' } }));
  t.match(await answer.json(), { storage: 'memory', durable: false, transport: 'ws' });
});

t.test('the services of a hub have names, and creating them opens nothing', async (t) => {
  const { hub, folder } = await containersOf(t, (await SHIPPED['agentcom.config.ts']?.()) ?? '');
  const services = await hubServices(hub);
  t.strictSame(
    services.map(({ name }) => name),
    ['storage sqlite', 'queue', 'token use', 'output', 'audit log', 'enrolment', 'transport ws', 'gate'],
  );
  t.notOk(
    (await readdir(join(folder, 'data/hub'))).some((file) => file.startsWith('agentcom.db')),
    'no database yet',
  );
});

t.test('with DATABASE_URL the hub is on Postgres, and creating it connects nowhere', async (t) => {
  const { hub } = await containersOf(t, (await SHIPPED['agentcom.config.ts with DATABASE_URL']?.()) ?? '');
  t.equal((await hubServices(hub))[0]?.name, 'storage postgres');
});

t.test('without wake there is no runner, and the sidecar is still created', async (t) => {
  const text = fileOf('README.md', 'agentcom.config.ts').replace(/, wake: .*\) }/, ' }');
  t.notMatch(text, 'wake:');
  const { sidecar } = await containersOf(t, text);
  t.equal(await sidecar.getAsync(TOKENS.WakeRunner), null);
  t.ok(await sidecar.getAsync(TOKENS.Sidecar));
});

t.test('a hub does not start with an admin token that is a token of its store', async (t) => {
  const given = 'the-token-of-a-submitter'.padEnd(43, 'x');
  const text = quickstartOn('sqlite', 'ws')
    .replace(/port: \d+/, 'port: 0')
    .replace('hub: {', `hub: { adminToken: '${given}',`);
  /** Starts a hub whose store has these tokens. */
  const startedWith = async (...tokens: readonly Parameters<typeof aToken>[0][]): Promise<void> => {
    const { hub } = await containersOf(t, text);
    const { agents } = await hub.getAsync(TOKENS.Storage);
    const [storage, ...others] = await hubServices(hub);
    const add: Service = {
      name: 'tokens',
      async start() {
        for (const token of tokens) await agents.addToken(aToken(token));
      },
      stop: () => Promise.resolve(),
    };
    const lifecycle = new Lifecycle({ clock: systemClock(), log: silentLog });
    await lifecycle.start(storage === undefined ? [] : [storage, add, ...others]).finally(() => lifecycle.stop());
  };
  const theirs = { id: `tok-${'a'.repeat(32)}`, hash: systemDigest().sha256(given), role: 'submitter', agentId: null } as const;
  const refusal = { code: 'AC_CONFIG_INVALID', message: /AGENTCOM_ADMIN_TOKEN .* is the token tok-a{32} of role submitter; / };
  await t.rejects(startedWith(theirs), refusal);
  await t.rejects(startedWith({ ...theirs, expiresAtMs: 1 }), refusal, 'nor an expired one');
  await t.resolves(startedWith({ ...theirs, revokedAtMs: 1 }), 'a revoked one belongs to no one');
  await t.resolves(startedWith({ ...theirs, hash: systemDigest().sha256('another') }));
});

t.test('a hub does not start with a secret in its admin-token file that is too short to be one', async (t) => {
  for (const [text, isRefused] of [
    ['secret', true],
    ['a secret with spaces, long enough otherwise', true],
    ['x'.repeat(32), false],
  ] as const) {
    const { hub, folder } = await containersOf(t, quickstartOn('sqlite', 'ws'));
    await writeFile(join(folder, 'hub', 'admin-token'), `${text}\n`, { mode: 0o600 });
    const refusal = {
      code: 'AC_CONFIG_INVALID',
      message: /hub\/admin-token does not hold an admin token: expected at least 32 visible ASCII /,
    };
    if (isRefused) await t.rejects(hubServices(hub), refusal);
    else await t.resolves(hubServices(hub));
  }
});
