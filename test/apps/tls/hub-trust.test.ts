/** How a sidecar recognizes its hub: which setting takes precedence, and which authorities it trusts. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exchangeTrusting } from '../../../apps/client/exchange/http-exchange.ts';
import { fingerprintFile, hubTrust, isVouchedFor, sidecarTrust } from '../../../apps/tls/hub-trust.ts';
import type { ResolvedSidecarConfig } from '../../../core/config/config.ts';
import type { CertificatePair } from '../../../core/ports/hub-transport.ts';
import { resolveConfig } from '../../../core/config/resolve.ts';
import { tlsPair } from '../../rig/tls-pair.ts';
import { runningHub } from '../running-hub.ts';

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-trust-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const fingerprint = (): string => tlsPair().fingerprint;

function sidecarOf(dataDir: string, tls?: object): ResolvedSidecarConfig {
  const sidecar = { hubs: ['wss://hub.example.org/ws'], agentId: 'w1', dataDir, tls };
  const answer = resolveConfig({ sidecar }, { baseDir: dataDir, absolute: (path) => path });
  if (answer.kind !== 'resolved' || answer.config.sidecar === undefined) throw new Error(JSON.stringify(answer));
  return answer.config.sidecar;
}

t.test('the config overrides the variable, that the code, and that the stored fingerprint', async (t) => {
  const dir = await folder(t);
  const [written, variable, coded, kept] = [fingerprint(), fingerprint(), fingerprint(), fingerprint()];
  await writeFile(fingerprintFile({ dataDir: dir }), `${kept}\n`, { mode: 0o600 });
  const env = { AGENTCOM_HUB_FINGERPRINT: ` ${variable},${kept} ` };
  const code = { secret: 'a-secret', fingerprint: coded };
  const configured = sidecarOf(dir, { fingerprints: [written] });
  t.same(await sidecarTrust(configured, env, { code, hub: null }), { fingerprints: [written] });
  const bare = sidecarOf(dir);
  t.same(await sidecarTrust(bare, env, { code, hub: null }), { fingerprints: [variable, kept] });
  t.same(await sidecarTrust(bare, {}, { code, hub: null }), { fingerprints: [coded] });
  t.same(await sidecarTrust(bare, {}, { hub: null }), { fingerprints: [kept] });
});

t.test('an invalid fingerprint is refused from any source, with no fallback', async (t) => {
  const dir = await folder(t);
  const bare = sidecarOf(dir);
  const wrong = { AGENTCOM_HUB_FINGERPRINT: 'AB:CD' };
  await t.rejects(sidecarTrust(bare, wrong, { hub: null }), {
    code: 'AC_ENV_INVALID',
    message: /AGENTCOM_HUB_FINGERPRINT: expected.*AB:CD/,
  });
  await writeFile(fingerprintFile({ dataDir: dir }), 'AB:CD', { mode: 0o600 });
  await t.rejects(sidecarTrust(bare, {}, { hub: null }), { code: 'AC_DATA_DIR', message: /hub-fingerprint, found something else/ });
  await rm(fingerprintFile({ dataDir: dir }));
  t.same(await sidecarTrust(bare, {}, { hub: null }), { fingerprints: [] });
});

t.test('a private CA is trusted in addition to the public ones and NODE_EXTRA_CA_CERTS', async (t) => {
  const dir = await folder(t);
  const pair = tlsPair();
  const [certFile, keyFile, extraFile] = ['cert.pem', 'key.pem', 'extra.pem'].map((name) => join(dir, name)) as [string, string, string];
  await writeFile(certFile, pair.cert);
  await writeFile(keyFile, pair.key);
  await writeFile(extraFile, tlsPair().cert);
  const hub = await runningHub({ tls: { certFile, keyFile } });
  t.teardown(() => hub.stop());
  const before = process.env['NODE_EXTRA_CA_CERTS'];
  process.env['NODE_EXTRA_CA_CERTS'] = extraFile;
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_EXTRA_CA_CERTS'];
    else process.env['NODE_EXTRA_CA_CERTS'] = before;
  });
  const trust = await hubTrust(sidecarOf(dir, { caFile: certFile }).tls);
  t.ok((trust.ca ?? []).length > 100, 'the public ones');
  const ask = (path: string) =>
    exchangeTrusting(trust)(new URL(hub.url), { method: 'GET', path, headers: {}, body: undefined, signal: AbortSignal.timeout(5_000) });
  t.equal((await ask('/health')).status, 200);
  await t.rejects(hubTrust({ fingerprints: [], caFile: join(dir, 'missing.pem') }), { code: 'AC_TLS', message: /missing\.pem/ });
  await t.rejects(hubTrust({ fingerprints: [], caFile: keyFile }), { code: 'AC_TLS', message: /key\.pem, found none/ });
});

t.test('whether a CA vouches for a hub is found out without the CA of NODE_EXTRA_CA_CERTS', async (t) => {
  const dir = await folder(t);
  const [pair, elsewhere] = [tlsPair(), tlsPair({ hosts: ['elsewhere.example'] })];
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const hubWith = async ({ cert, key }: CertificatePair) => {
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    return await runningHub({ tls: { certFile, keyFile } });
  };
  const hub = await hubWith(pair);
  const url = new URL(hub.url);
  t.equal(await isVouchedFor(url, [pair.cert]), true);
  t.equal(await isVouchedFor(url), false, 'Node does not know this CA');
  await hub.stop();
  t.equal(await isVouchedFor(url, [pair.cert]), false, 'nothing listens');
  const other = await hubWith(elsewhere);
  t.equal(await isVouchedFor(new URL(other.url), [elsewhere.cert]), false, 'it is for another name');
  await other.stop();
});
