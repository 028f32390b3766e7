/** The key of a machine: its file, its proof, and a sidecar whose token was stolen. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { WebSocket } from 'ws';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { DEVICE_KEY_FILE, deviceKeyIn } from '../../../apps/signing/device-key-file.ts';
import { makeWorld } from '../app-world.ts';

const { isSignedBy } = systemDigest();

t.test('a device key is created once, readable by its owner only, and signs', async (t) => {
  const folder = t.testdir();
  const [one, other] = await Promise.all([deviceKeyIn(folder), deviceKeyIn(folder)]);
  t.equal(one.publicKey, other.publicKey, 'two concurrent starts share one key');
  t.equal((await deviceKeyIn(folder)).publicKey, one.publicKey);
  const file = join(folder, DEVICE_KEY_FILE);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.ok(isSignedBy(one.publicKey, 'text', one.sign('text')));
  t.notOk(isSignedBy(one.publicKey, 'other text', one.sign('text')));
  t.notOk(isSignedBy('A'.repeat(43), 'text', one.sign('text')));
  t.notOk(isSignedBy('no key', 'text', 'no signature'));
  await chmod(file, 0o644);
  await t.rejects(deviceKeyIn(folder), { code: 'AC_DATA_DIR', message: /other users may read it/ });
  await chmod(file, 0o600);
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, 20));
  await t.rejects(deviceKeyIn(folder), { code: 'AC_DATA_DIR', message: /agentcom takeover/ }, 'damaged: no new key replaces it');
});

t.test('with deviceKey, a stolen sidecar token is useless on another machine', async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const sidecar = await world.startSidecar('a1', { extra: 'deviceKey: true' });
  t.match(await world.api.agents.get('a1'), { connected: true, device_key_bound: true });
  await sidecar.kill('SIGTERM');
  const token = /token: "([^"]+)"/.exec(readFileSync(join(world.dir, 'a1.config.mjs'), 'utf8'))?.[1] ?? '';
  const thief = new WebSocket(`ws://127.0.0.1:${world.port}/ws`);
  await once(thief, 'open');
  thief.send(
    JSON.stringify({ type: 'identify', agent_id: 'a1', token, protocol_version: 2, instance_id: readInstance(world.dir), held: [] }),
  );
  const [answer] = (await once(thief, 'message')) as [Buffer];
  t.match(JSON.parse(String(answer)), { type: 'error', error: 'invalid_device_key' });
  thief.terminate();
  await world.startSidecar('a1');
  t.match(await world.api.agents.get('a1'), { connected: true }, 'the original machine can reconnect');
});

const readInstance = (dir: string): string => readFileSync(join(dir, 'a1', 'instance-id'), 'utf8').trim();
