/** Hub, sidecar and commands as users start them, over TLS and without a proxy. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeWorld } from '../app-world.ts';
import { run } from '../cli/cli-world.ts';
import { tlsPair } from '../../rig/tls-pair.ts';

t.test('a hub with a certificate listens to other machines without insecure, and is identified by its key', async (t) => {
  const tlsDir = await mkdtemp(join(tmpdir(), 'agentcom-tls-'));
  t.teardown(() => rm(tlsDir, { recursive: true, force: true }));
  const pair = tlsPair({ hosts: ['hub.example.org'] });
  const [certFile, keyFile] = [join(tlsDir, 'cert.pem'), join(tlsDir, 'key.pem')];
  writeFileSync(certFile, pair.cert);
  writeFileSync(keyFile, pair.key);
  const world = await makeWorld(t, { hubListen: `host: '0.0.0.0'`, hubTls: { certFile, keyFile, fingerprint: pair.fingerprint } });
  const url = `https://127.0.0.1:${world.port}`;
  const hub = await world.startHub();
  t.equal(hub.ready, `agentcom hub ready ${url}`);
  const fingerprints = [pair.fingerprint];
  const { token } = await world.api.tokens.create({ agent_id: 'a1' });

  const address = `wss://127.0.0.1:${world.port}/ws`;
  await world.startSidecar('a2', { hubUrl: address, extra: `tls: ${JSON.stringify({ fingerprints })}` });
  const { task_id: id } = await world.api.tasks.submit({ description: 'say hello', assign_to: 'a2' });
  await world.ledgerLine(id, 'start');
  world.release();
  t.equal(await world.event(id, ['completed', 'failed']), 'completed');

  const dir = join(world.dir, 'commands');
  mkdirSync(dir);
  const config = join(world.dir, 'hub.config.mjs');
  const listed = await run(['tokens', 'list', '--config', config], { cwd: dir });
  t.equal(listed.code, 0, listed.err);
  t.match(listed.out, /a1/, 'commands on its machine take the key from its certificate');
  const env = { AGENTCOM_API_URL: url, AGENTCOM_ADMIN_TOKEN: world.adminToken };
  t.match(await run(['tokens', 'list'], { cwd: dir, env }), { code: 7, err: /DEPTH_ZERO_SELF_SIGNED_CERT.*AGENTCOM_HUB_FINGERPRINT/ });
  t.equal((await run(['tokens', 'list'], { cwd: dir, env: { ...env, AGENTCOM_HUB_FINGERPRINT: pair.fingerprint } })).code, 0);
  const wrong = await run(['tokens', 'list'], { cwd: dir, env: { ...env, AGENTCOM_HUB_FINGERPRINT: tlsPair().fingerprint } });
  t.match(wrong, { code: 7, err: /Expected the hub at 127\.0\.0\.1 to have the key[\s\S]*Nothing was sent/ });
  const mistyped = await run(['tokens', 'list'], { cwd: dir, env: { ...env, AGENTCOM_HUB_FINGERPRINT: 'sha256/x' } });
  t.match(mistyped, { code: 2, err: /AGENTCOM_HUB_FINGERPRINT: expected a fingerprint/ });

  const sidecar = join(dir, 'agentcom.config.ts');
  writeFileSync(
    sidecar,
    `export default ${JSON.stringify({ sidecar: { hubs: [address], agentId: 'a1', token, tls: { fingerprints } } })};\n`,
  );
  const doctor = await run(['doctor'], { cwd: dir });
  t.equal(doctor.code, 0, doctor.out);
  writeFileSync(sidecar, `export default ${JSON.stringify({ sidecar: { hubs: [address], agentId: 'a1', token } })};\n`);
  t.match(await run(['doctor'], { cwd: dir }), { code: 8, out: /hub_certificate: error[\s\S]*agentcom tls fingerprint/ });
  t.match(await run(['doctor', '--config', config], { cwd: dir }), { out: /certificate and port/ });
});

t.test('a hub with an expired certificate does not start, and names the certificate', async (t) => {
  const tlsDir = await mkdtemp(join(tmpdir(), 'agentcom-tls-'));
  t.teardown(() => rm(tlsDir, { recursive: true, force: true }));
  const pair = tlsPair({ validForMs: -1_000 });
  const [certFile, keyFile] = [join(tlsDir, 'cert.pem'), join(tlsDir, 'key.pem')];
  writeFileSync(certFile, pair.cert);
  writeFileSync(keyFile, pair.key);
  const world = await makeWorld(t, { hubTls: { certFile, keyFile, fingerprint: pair.fingerprint } });
  await t.rejects(world.startHub(), { message: /expired on[\s\S]*AC_TLS/ });
  const doctor = await run(['doctor', '--config', join(world.dir, 'hub.config.mjs')], { cwd: world.dir });
  t.match(doctor.out, /certificate: error[\s\S]*expired on/);
  const soon = tlsPair({ validForMs: 86_400_000 });
  writeFileSync(certFile, soon.cert);
  writeFileSync(keyFile, soon.key);
  const later = await run(['doctor', '--config', join(world.dir, 'hub.config.mjs')], { cwd: world.dir });
  t.match(later.out, /certificate_expires: notice[\s\S]*cert\.pem expires on/);
});
