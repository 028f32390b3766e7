/** A hub with a self-made certificate, and a machine that joins it with a code. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { sidecarIdentity } from '../../../apps/sidecar/enrolment.ts';
import { eventInbox } from '../../product/contracts/files/event-inbox.ts';
import { worker, type WorkerLog } from '../../../apps/worker/index.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { run } from '../cli/cli-world.ts';
import { runningHub, type RunningHub } from '../running-hub.ts';
import { tlsPair } from '../../rig/tls-pair.ts';

interface Machine {
  readonly dir: string;
  /** Runs a command in its folder, as an admin of the hub. */
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<typeof run>;
}

async function machine(t: Test): Promise<Machine> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-joining-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return { dir, run: (argv, env = {}) => run(argv, { cwd: dir, env }) };
}

const TLS = { certFile: 'hub/tls/cert.pem', keyFile: 'hub/tls/key.pem' };
const configOf = (listen: object): string => `import { defineConfig } from 'agentcom';
import { memory } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({ hub: { listen: ${JSON.stringify(listen)}, storage: memory(), transport: ws(), dataDir: 'hub' } });
`;

interface TlsHub extends Machine {
  readonly hub: RunningHub;
  readonly fingerprint: string;
  /** What `agentcom invite` prints. */
  invite(): Promise<string>;
}

/** Created by commands, as a user would. */
async function tlsHub(t: Test): Promise<TlsHub> {
  const here = await machine(t);
  await writeFile(join(here.dir, 'agentcom.config.ts'), configOf({ tls: TLS }));
  const made = await here.run(['tls', 'init', 'hub.example.org']);
  t.equal(made.code, 0, made.err);
  const [certFile, keyFile] = [join(here.dir, TLS.certFile), join(here.dir, TLS.keyFile)];
  const hub = await runningHub({ tls: { certFile, keyFile }, names: ['hub.example.org'] });
  t.teardown(() => hub.stop());
  const fingerprint = made.out.trim().split('\n').at(-1) ?? '';
  const invite = async (): Promise<string> => {
    const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken, AGENTCOM_HUB_FINGERPRINT: fingerprint };
    const invited = await here.run(['invite'], env);
    t.equal(invited.code, 0, invited.err);
    return invited.out.trim();
  };
  return { ...here, hub, fingerprint, invite };
}

t.test('tls init creates a hub certificate, never overwriting one, and tls fingerprint prints its key', async (t) => {
  const { dir, run } = await machine(t);
  await writeFile(join(dir, 'agentcom.config.ts'), configOf({ names: ['hub.example.org'] }));
  t.match(await run(['tls', 'fingerprint']), { code: 2, err: /hub\.listen\.tls is not set.*agentcom tls init HOST/ });
  t.match(await run(['tls', 'init', 'https://x']), { code: 2, err: /host names and addresses.*https/ });
  const made = await run(['tls', 'init', '192.0.2.7', '--json']);
  t.equal(made.code, 0, made.err);
  const found = JSON.parse(made.out) as Record<string, string>;
  const certFile = join(dir, 'hub/tls/cert.pem');
  const hosts = ['192.0.2.7', 'hub.example.org', '127.0.0.1', 'localhost', '::1'];
  t.match(found, { cert_file: certFile, key_file: join(dir, 'hub/tls/key.pem'), hosts, fingerprint: /^sha256\/.{43}=$/ });
  for (const file of [found['cert_file'], found['key_file']]) t.equal((await stat(file ?? '')).mode & 0o777, 0o600);
  t.match(await run(['tls', 'init']), { code: 2, err: /key\.pem already exists and was not changed/ });
  await writeFile(join(dir, 'agentcom.config.ts'), configOf({ tls: TLS }));
  t.same(await run(['tls', 'fingerprint']), { code: 0, out: `${found['fingerprint']}\n`, err: '' });
  t.match(await readFile(certFile, 'utf8'), /BEGIN CERTIFICATE/);
});

t.test('a machine joins a hub with a certificate of an own CA, and its sidecar needs no variable for it', async (t) => {
  const { hub, dir, invite } = await tlsHub(t);
  const there = await machine(t);
  const [secret = ''] = (await invite()).split('.');
  const argv = ['join', hub.url, secret, '--agent', 'w-1'];
  const refused = await there.run(argv);
  t.match(refused, { code: 7, err: /is not accepted.*pass the whole code that "agentcom invite" prints.*NODE_EXTRA_CA_CERTS/ });
  const stale = await there.run(argv, { NODE_EXTRA_CA_CERTS: 'gone.pem' });
  t.match(stale, { code: 2, err: /Cannot read CA certificates from \S+gone\.pem.* NODE_EXTRA_CA_CERTS names this file: correct/ });
  const caFile = join(dir, TLS.certFile);
  const joined = await there.run(argv, { NODE_EXTRA_CA_CERTS: relative(there.dir, caFile) });
  t.equal(joined.code, 0, joined.err);
  const { config } = await loadConfigFile({ configFile: join(there.dir, 'agentcom.config.ts'), cwd: there.dir });
  t.equal(config.sidecar?.tls.caFile, caFile);
  t.match(await there.run(['doctor']), { code: 0, out: /No errors found/ });
});

t.test('R22: a machine joins with a code that names the key of the hub, and its sidecar stores token and key', async (t) => {
  const { hub, fingerprint, invite } = await tlsHub(t);
  const there = await machine(t);
  const code = await invite();
  t.ok(code.endsWith(`.${fingerprint}`));
  const joined = await there.run(['join', hub.url, code, '--agent', 'w1']);
  t.equal(joined.code, 0, joined.err);
  t.match(joined.err, /agentcom sidecar/);
  const { config } = await loadConfigFile({ configFile: join(there.dir, 'agentcom.config.ts'), cwd: there.dir });
  const { sidecar } = config;
  if (sidecar === undefined) throw new Error('no sidecar');
  t.same(sidecar.hubs, [`${hub.url.replace('https', 'wss')}/ws`]);
  for (const name of ['token', 'hub-fingerprint']) t.equal((await stat(join(sidecar.dataDir, name))).mode & 0o777, 0o600, name);
  const identity = await sidecarIdentity({ config: sidecar, hub: null, log: silentLog, signal: AbortSignal.timeout(5_000) });
  t.same(identity.trust, { fingerprints: [fingerprint] });
  t.match(await hub.api.tokens.list(), { tokens: [{ agent_id: 'w1' }] });
  const again = await machine(t);
  t.match(await again.run(['join', hub.url, code, '--agent', 'w2']), { code: 2, err: /wrong, used or over 15 minutes old/ });
});

t.test('R22: a code is never sent to a hub with another key or over plain HTTP, and stays valid', async (t) => {
  const { hub, invite } = await tlsHub(t);
  const there = await machine(t);
  const code = await invite();
  const forged = `${code.slice(0, code.indexOf('.'))}.${tlsPair().fingerprint}`;
  t.match(await there.run(['join', hub.url, forged, '--agent', 'w1']), { code: 7, err: /Nothing was sent to it/ });
  t.match(await there.run(['join', hub.url.replace('https', 'http'), code, '--agent', 'w1']), { code: 2, err: /Expected https:\/\// });
  t.match(await there.run(['join', hub.url, code.slice(0, -1), '--agent', 'w1']), { code: 2, err: /incomplete or mistyped/ });
  t.match(await there.run(['join', hub.url, code, '--agent', 'w1', '--version-1']), { code: 2, err: /cannot check a hub's fingerprint/ });
  const joined = await there.run(['join', hub.url, code, '--agent', 'w1']);
  t.equal(joined.code, 0, joined.err);
});

t.test('R22: a sidecar enrolls with the code in AGENTCOM_ENROL_SECRET, and trusts only that key from then on', async (t) => {
  const { hub, fingerprint, invite } = await tlsHub(t);
  const { dir } = await machine(t);
  const file = join(dir, 'agentcom.config.ts');
  const address = `${hub.url.replace('https', 'wss')}/ws`;
  await writeFile(file, `export default { sidecar: { hubs: [${JSON.stringify(address)}], agentId: 'w1' } };\n`);
  const { config } = await loadConfigFile({ configFile: file, cwd: dir });
  const { sidecar } = config;
  if (sidecar === undefined) throw new Error('no sidecar');
  const { makeDataDir } = await import('../../../apps/data-dir.ts');
  await makeDataDir(sidecar.dataDir, '');
  const identity = () => sidecarIdentity({ config: sidecar, hub: null, log: silentLog, signal: AbortSignal.timeout(5_000) });
  process.env['AGENTCOM_ENROL_SECRET'] = await invite();
  t.teardown(() => delete process.env['AGENTCOM_ENROL_SECRET']);
  const first = await identity();
  t.same(first.trust, { fingerprints: [fingerprint] });
  delete process.env['AGENTCOM_ENROL_SECRET'];
  t.same(await identity(), first);
});

t.test('a sidecar with its hub in the same config takes the key from the current certificate', async (t) => {
  const { dir } = await machine(t);
  const file = join(dir, 'agentcom.config.ts');
  const sidecarText = `sidecar: { hubs: ['wss://127.0.0.1:4000/ws'], agentId: 'w1', token: 'a-token' }`;
  await writeFile(file, configOf({ tls: TLS }).replace(' } });', ` }, ${sidecarText} });`));
  const { config } = await loadConfigFile({ configFile: file, cwd: dir });
  const { sidecar, hub = null } = config;
  if (sidecar === undefined) throw new Error('no sidecar');
  await mkdir(join(dir, 'hub/tls'), { recursive: true });
  const { trust } = await sidecarIdentity({ config: sidecar, hub, log: silentLog, signal: AbortSignal.timeout(5_000) });
  for (const pair of [tlsPair(), tlsPair()]) {
    await writeFile(join(dir, TLS.certFile), pair.cert);
    t.same(trust.fingerprints, [pair.fingerprint]);
  }
});

/** Connects by the name of the hub, like a browser. */
const askAs = (hub: RunningHub, host: string, path: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, headers: { host } };
    request(`${hub.url}${path}`, options, (response) => resolve(response.resume()))
      .on('error', reject)
      .end();
  });

t.test('over HTTPS the hub sends HSTS, except on loopback', async (t) => {
  const { hub } = await tlsHub(t);
  for (const path of ['/health', '/dashboard', '/nowhere']) {
    t.match(
      (await askAs(hub, 'hub.example.org', path)).headers,
      { 'strict-transport-security': 'max-age=31536000', 'x-content-type-options': 'nosniff' },
      path,
    );
  }
  t.notOk('strict-transport-security' in (await askAs(hub, 'localhost:4000', '/health')).headers);
});

t.test('agents, events and metrics work over TLS', async (t) => {
  const { hub } = await tlsHub(t);
  const agent = await hub.agent('w1');
  const { task_id: id } = await hub.api.tasks.submit({ description: 'over TLS', assign_to: 'w1' });
  t.match(await agent.frame('task_assign'), { task_id: id });
  const seconds = Number(/^agentcom_tls_certificate_expires_seconds (\S+)$/m.exec(await hub.api.metrics())?.[1]);
  t.ok(seconds > 3_649 * 86_400 && seconds <= 3_650 * 86_400, `${seconds}`);
  for await (const { event } of hub.api.events({ lastEventId: '0', signal: AbortSignal.timeout(10_000) })) if (event === 'assigned') break;
});

t.test('a worker connects only to the configured key', async (t) => {
  const { hub, fingerprint } = await tlsHub(t);
  const token = await hub.token('agent', 'w1');
  const started = (fingerprints: readonly string[], log: WorkerLog = {}) =>
    worker({ hub: hub.url, token, agentId: 'w1', tls: { fingerprints }, handle: () => 'done', log });
  const warned = eventInbox<unknown>();
  const wrong = started([tlsPair().fingerprint], { warn: (message, fields) => warned.put({ message, ...fields }) });
  t.match(JSON.stringify(await warned.next('a warning')), /Nothing was sent to it/);
  await wrong.stop();
  const right = started([fingerprint]);
  t.teardown(() => right.stop());
  const { task_id: id } = await hub.api.tasks.submit({ description: 'over TLS', assign_to: 'w1' });
  t.match(await hub.api.tasks.wait(id), { status: 'completed' });
});

t.test('without TLS there is no certificate metric, since 0 would raise an alert', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  t.notMatch(await hub.api.metrics(), /^agentcom_tls/m);
});
