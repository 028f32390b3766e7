/** An agent bound to the key of its machine: a token alone is not enough. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import t, { type Test } from 'tap';
import { systemDigest } from '../../../../adapters/ids-system/system-digest.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { agentJson } from '../../../../core/protocol/agent-json.ts';
import { deviceText, sealedToken, TOKEN_HINT_DIGITS, type Handshake } from '../../../../core/protocol/proof.ts';
import { hubRig, type AnyFrame, type HubRig, type Peer } from '../hub-rig.ts';

const { sha256, hmac } = systemDigest();
const TOKEN = 'token of a1';
const NONCE = 'cd'.repeat(32);

interface Device {
  readonly publicKey: string;
  readonly key: KeyObject;
}
function device(): Device {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { publicKey: String(publicKey.export({ format: 'jwk' }).x), key: privateKey };
}
const MINE = device();
const THIEFS = device();

const signed = (text: string, { key }: Device): string => sign(null, Buffer.from(text), key).toString('base64url');
const deviceFields = (handshake: Handshake, from: Device) => ({
  device_key: from.publicKey,
  device_proof: signed(deviceText(handshake), from),
});

/** Sends hello; returns the handshake of both sides. */
async function greet(peer: Peer): Promise<Handshake> {
  peer.newFrames();
  await peer.send({ type: 'hello', agent_id: 'a1', token_hint: sha256(TOKEN).slice(0, TOKEN_HINT_DIGITS), nonce: NONCE });
  const [challenge] = peer.newFrames();
  return { agentId: 'a1', tokenHint: sha256(TOKEN).slice(0, TOKEN_HINT_DIGITS), nonce: NONCE, hubNonce: String(challenge?.['nonce']) };
}

/** Identifies with the token's proof, and the fields of `more`. */
async function identify(peer: Peer, more: (handshake: Handshake) => object = () => ({})): Promise<readonly AnyFrame[]> {
  const handshake = await greet(peer);
  return peer.identify({
    token: undefined,
    proof: sealedToken(TOKEN, sha256(TOKEN), handshake, hmac),
    instance_id: 'machine-1',
    ...more(handshake),
  });
}

async function rigOf(t: Test): Promise<HubRig> {
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  return rig;
}
const isBound = async (rig: HubRig): Promise<unknown> => {
  const row = await rig.storage.agents.getAgent('a1' as AgentId);
  return row === undefined ? undefined : agentJson(row, rig.clock.nowMs())['device_key_bound'];
};
const IN = [{ type: 'identified' }];
const OUT = [{ type: 'error', error: 'invalid_device_key', detail: /bound to the device key of another machine/ }];

t.test('the first key binds the agent: from then on no connection identifies without it', async (t) => {
  const rig = await rigOf(t);
  const first = await rig.peer('a1');
  t.match(await identify(first), IN, 'without a key, as before');
  t.equal(await isBound(rig), false);
  await first.cut();
  const second = await first.reconnect();
  t.match(await identify(second, (handshake) => deviceFields(handshake, MINE)), IN);
  t.equal(await isBound(rig), true);
  await second.cut();
  const attempts: readonly ((handshake: Handshake) => object)[] = [
    () => ({}),
    (handshake) => deviceFields(handshake, THIEFS),
    (handshake) => ({ ...deviceFields(handshake, THIEFS), device_key: MINE.publicKey }),
    (handshake) => deviceFields({ ...handshake, hubNonce: 'ef'.repeat(32) }, MINE),
    () => ({ device_key: MINE.publicKey }),
  ];
  for (const [n, attempt] of attempts.entries()) {
    const thief = await second.reconnect(`10.0.0.${n + 1}`);
    t.match(await identify(thief, attempt), OUT, `attempt ${n}`);
  }
  const plain = await second.reconnect('10.0.0.9');
  t.match(await plain.identify({ instance_id: 'machine-1' }), OUT, 'with the token in plain text');
  const old = await second.reconnect('10.0.0.10');
  t.match(await old.identify({ protocol_version: 1 }), [{ type: 'error', error: 'invalid_device_key' }], 'as version 1');
  const again = await second.reconnect();
  t.match(await identify(again, (handshake) => deviceFields(handshake, MINE)), IN, 'the machine itself is admitted again');
});

t.test('identify_check says whether the agent is bound to another key, and binds it to none', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  const check = async (asking: Peer, more: (handshake: Handshake) => object = () => ({})): Promise<readonly AnyFrame[]> => {
    const handshake = await greet(asking);
    const proof = sealedToken(TOKEN, sha256(TOKEN), handshake, hmac);
    await asking.send({ type: 'identify_check', agent_id: 'a1', proof, instance_id: 'machine-1', ...more(handshake) });
    return asking.newFrames();
  };
  const fine = [{ type: 'identify_checked', agent_id: 'a1', in_use: false }];
  const wrong = [{ ...fine[0], wrong_device: true }];
  t.strictSame(await check(peer, (handshake) => deviceFields(handshake, THIEFS)), fine);
  t.not(await isBound(rig), true);
  await identify(await peer.reconnect(), (handshake) => deviceFields(handshake, MINE));
  t.strictSame(await check(await peer.reconnect(), (handshake) => deviceFields(handshake, MINE)), fine);
  t.strictSame(await check(await peer.reconnect()), wrong, 'no key');
  t.strictSame(await check(await peer.reconnect(), (handshake) => deviceFields(handshake, THIEFS)), wrong);
  const forged = await check(await peer.reconnect('10.0.0.1'), (handshake) => ({
    ...deviceFields(handshake, THIEFS),
    device_key: MINE.publicKey,
  }));
  t.match(forged, OUT);
});

t.test('a refused identify does not affect the open session', async (t) => {
  const rig = await rigOf(t);
  const mine = await rig.peer('a1');
  await identify(mine, (handshake) => deviceFields(handshake, MINE));
  const thief = await mine.reconnect('10.0.0.1');
  t.match(await identify(thief, (handshake) => deviceFields(handshake, THIEFS)), OUT);
  t.equal(mine.closed(), null);
  const id = await rig.submit();
  t.match(mine.newFrames().at(-1), { type: 'task_assign', task_id: id });
});

t.test('a takeover lets another machine bind the agent', async (t) => {
  const rig = await rigOf(t);
  const mine = await rig.peer('a1');
  await identify(mine, (handshake) => deviceFields(handshake, MINE));
  await mine.cut();
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'takeover' });
  t.equal(await isBound(rig), false);
  const next = await mine.reconnect();
  t.match(await identify(next, (handshake) => deviceFields(handshake, THIEFS)), IN);
  await next.cut();
  t.match(
    await identify(await next.reconnect('10.0.0.1'), (handshake) => deviceFields(handshake, MINE)),
    OUT,
    'the old machine is refused',
  );
});
