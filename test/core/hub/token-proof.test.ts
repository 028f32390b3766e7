/** How a hub answers hello, and whom it admits on a proof. */
import t, { type Test } from 'tap';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { hubProof, sealedToken, TOKEN_HINT_DIGITS, type Handshake } from '../../../core/protocol/proof.ts';
import { hubRig, type AnyFrame, type HubRig, type Peer } from './hub-rig.ts';

const { sha256, hmac } = systemDigest();
const NONCE = 'cd'.repeat(32);
const A1 = 'a1' as AgentId;
/** The rig's own. */
const tokenOf = (agentId: string): string => `token of ${agentId}`;

async function rigOf(t: Test): Promise<HubRig> {
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  return rig;
}

const helloOf = (agentId: string, token = tokenOf(agentId)) => ({
  type: 'hello',
  agent_id: agentId,
  token_hint: sha256(token).slice(0, TOKEN_HINT_DIGITS),
  nonce: NONCE,
});

/** Says hello; returns the challenge, and what both sides have sent then. */
async function greet(
  peer: Peer,
  hello: ReturnType<typeof helloOf>,
): Promise<{ readonly challenge: AnyFrame; readonly handshake: Handshake }> {
  peer.newFrames();
  await peer.send(hello);
  const [challenge] = peer.newFrames();
  if (challenge?.type !== 'challenge') throw new Error(`expected a challenge, found ${JSON.stringify(challenge)}`);
  const handshake = { agentId: hello.agent_id, tokenHint: hello.token_hint, nonce: hello.nonce, hubNonce: String(challenge['nonce']) };
  return { challenge, handshake };
}

const proofOf = (token: string, handshake: Handshake) => ({ token: undefined, proof: sealedToken(token, sha256(token), handshake, hmac) });

t.test('a hub proves that it knows the token, and accepts a proof from a peer that knows it too', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  const { challenge, handshake } = await greet(peer, helloOf('a1'));
  t.equal(challenge['proof'], hubProof(sha256(tokenOf('a1')), handshake, hmac));
  const proof = proofOf(tokenOf('a1'), handshake);
  t.match(await peer.identify(proof), [{ type: 'identified', agent_id: 'a1' }]);
  t.notMatch(JSON.stringify([challenge, proof]), tokenOf('a1'));
  t.match(await (await rig.peer('a2')).identify(), [{ type: 'identified' }], 'and a plain token without a hello');
});

t.test('a proof with a wrong token, a truncated proof, or one without a hello is an invalid token, and is counted', async (t) => {
  const rig = await rigOf(t);
  const a1 = await rig.peer('a1');
  await rig.peer('a2');
  const wrong: readonly ((handshake: Handshake) => Readonly<Record<string, unknown>>)[] = [
    (handshake) => proofOf(tokenOf('a2'), handshake),
    (handshake) => ({ token: undefined, proof: proofOf(tokenOf('a1'), handshake).proof.slice(0, -2) }),
    (handshake) => ({ token: undefined, proof: `${proofOf(tokenOf('a1'), handshake).proof}00` }),
    (handshake) => ({ token: undefined, proof: sealedToken(tokenOf('a1'), sha256('guess'), handshake, hmac) }),
  ];
  for (const proof of wrong) {
    const peer = await a1.reconnect();
    const { handshake } = await greet(peer, helloOf('a1'));
    t.match(await peer.identify(proof(handshake)), [{ type: 'error', error: 'invalid_token' }]);
    t.match(
      await peer.identify(proofOf(tokenOf('a1'), handshake)),
      [{ type: 'error', error: 'invalid_token' }],
      'a challenge is good for one proof',
    );
  }
  t.match(await a1.identify({ token: undefined, proof: 'ab' }), [{ type: 'error', error: 'invalid_token' }], 'without a hello');
  t.match(rig.sessions.refusals(), { frames: { invalid_token: 2 * wrong.length + 1 } });
  t.match(
    await a1.identify({ proof: 'ab' }),
    [{ error: 'validation_failed', errors: [{ field: 'proof' }] }],
    'a token and a proof together are refused',
  );
  t.equal(a1.closed(), 1008, 'like any ten invalid frames');
});

t.test('R7: an intercepted proof is useless on another connection', async (t) => {
  const rig = await rigOf(t);
  const owner = await rig.peer('a1');
  const { handshake } = await greet(owner, helloOf('a1'));
  const proof = proofOf(tokenOf('a1'), handshake);
  const thief = await owner.reconnect();
  const { challenge } = await greet(thief, helloOf('a1'));
  t.not(challenge['nonce'], handshake.hubNonce);
  t.match(await thief.identify(proof), [{ type: 'error', error: 'invalid_token' }]);
  t.match(await owner.identify(proof), [{ type: 'identified' }]);
});

t.test('unknown hints, hints of other agents and of revoked tokens get the same kind of answer as a valid hint', async (t) => {
  const rig = await rigOf(t);
  const peers = [await rig.peer('a1'), await rig.peer('a2')] as const;
  await rig.peer('a3');
  await rig.storage.agents.revokeTokens({ agentId: 'a3' as AgentId }, rig.clock.nowMs());
  const hellos = [helloOf('a1'), helloOf('a1', 'no token'), helloOf('a1', tokenOf('a2')), helloOf('a3')];
  const shapes = new Set<string>();
  const proofs = new Set<unknown>();
  for (const hello of hellos) {
    const { challenge, handshake } = await greet(await peers[0].reconnect(), hello);
    shapes.add(JSON.stringify(challenge).replaceAll(/[0-9a-f]{64}/g, 'digits'));
    proofs.add(challenge['proof']);
    const keys = ['a1', 'a2', 'a3'].map((agentId) => hubProof(sha256(tokenOf(agentId)), handshake, hmac));
    t.equal(keys.includes(String(challenge['proof'])), hello === hellos[0]);
  }
  t.equal(shapes.size, 1);
  t.equal(proofs.size, hellos.length);
  const again = await peers[0].reconnect();
  const { handshake } = await greet(again, helloOf('a3'));
  t.match(await again.identify({ ...proofOf(tokenOf('a3'), handshake), agent_id: 'a3' }), [{ type: 'error', error: 'invalid_token' }]);
});

t.test('identify_check reports whether an identify would be accepted, and starts no session', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  const ask = async (asking: Peer, instanceId: string, token = tokenOf('a1')): Promise<readonly AnyFrame[]> => {
    const { handshake } = await greet(asking, helloOf('a1'));
    const { proof } = proofOf(token, handshake);
    await asking.send({ type: 'identify_check', agent_id: 'a1', proof, instance_id: instanceId });
    return asking.newFrames();
  };
  const checked = (inUse: boolean) => [{ type: 'identify_checked', agent_id: 'a1', in_use: inUse }];
  const isConnected = async (): Promise<boolean | undefined> => (await rig.storage.agents.getAgent(A1))?.agent.connected;
  t.strictSame(await ask(peer, 'machine-1'), checked(false));
  t.not(await isConnected(), true, 'no session');
  t.match(await peer.identify({ instance_id: 'machine-1' }), [{ type: 'identified' }], 'the connection continues');
  t.strictSame(await ask(await peer.reconnect(), 'machine-1'), checked(false), 'the same machine');
  t.strictSame(await ask(await peer.reconnect(), 'machine-2'), checked(true));
  t.equal(await isConnected(), true);
  t.equal(peer.closed(), null, 'no session is replaced');
  t.match(await ask(await peer.reconnect(), 'machine-2', 'no token'), [{ type: 'error', error: 'invalid_token' }]);
  const silent = await peer.reconnect();
  await silent.send({ type: 'identify_check', agent_id: 'a1' });
  t.match(silent.newFrames(), [{ type: 'error', error: 'validation_failed', errors: [{ field: 'proof' }] }]);
});

t.test('each connection may send one hello, before identify', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  const { handshake } = await greet(peer, helloOf('a1'));
  await peer.send(helloOf('a1'));
  t.match(peer.newFrames(), [{ type: 'error', error: 'validation_failed', message_type: 'hello', errors: [{ error: 'repeated' }] }]);
  t.match(await peer.identify(proofOf(tokenOf('a1'), handshake)), [{ type: 'identified' }], 'the first one still counts');
  await peer.send(helloOf('a1'));
  t.match(peer.newFrames(), [{ type: 'error', error: 'validation_failed', message_type: 'hello' }]);
});

t.test('a sidecar that leaves because the hub does not know its token is logged and counted, another is not', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  await greet(peer, helloOf('a1'));
  await peer.cut();
  const left = () => rig.log.lines.filter(({ message }) => message === 'an agent left, because the hub does not know its token');
  t.strictSame(left(), [], 'it only looked whether this is its hub');
  const hello = helloOf('a1', 'a token that was revoked');
  const revoked = await peer.reconnect('203.0.113.7');
  await greet(revoked, hello);
  await revoked.cut();
  const fields = { error: 'invalid_token', agent_id: 'a1', token: `hint ${hello.token_hint}`, address: String };
  t.match(left(), [{ level: 'warn', fields }]);
  t.equal(left().length, 1);
  t.strictSame(rig.sessions.refusals().frames, { invalid_token: 1 });
});

t.test('R20: guessing with hello blocks the address, and a peer that is silent after hello is closed in time', async (t) => {
  const rig = await rigOf(t);
  const honest = await rig.peer('a1');
  for (let n = 0; n < 10; n += 1) {
    const peer = await honest.reconnect('203.0.113.1');
    await greet(peer, helloOf('a1', `guess ${n}`));
    await peer.cut();
  }
  t.equal((await honest.reconnect('203.0.113.1')).closed(), 1008, 'the address is blocked');
  for (let n = 0; n < 11; n += 1) {
    const cut = await honest.reconnect('203.0.113.2');
    await greet(cut, helloOf('a1'));
    await cut.cut();
  }
  const peer = await honest.reconnect('203.0.113.2');
  t.equal(peer.closed(), null, 'a peer with a token and a bad connection is not blocked');
  await rig.pass(5_000);
  await greet(peer, helloOf('a1'));
  await rig.pass(4_999);
  t.equal(peer.closed(), null);
  await rig.pass(1_000);
  t.equal(peer.closed(), 1008, '10 s for hello and identify together');
});

t.test('frames after a hello wait for its answer, and the lookup time does not count against the peer', async (t) => {
  const rig = await rigOf(t);
  const peer = await rig.peer('a1');
  const { agents } = rig.storage;
  const find = agents.findTokenByHint.bind(agents);
  let lookedUp: () => void = () => undefined;
  Object.assign(agents, {
    findTokenByHint: async (hint: string) => {
      await new Promise<void>((resolve) => (lookedUp = resolve));
      return await find(hint);
    },
  });
  await peer.send(helloOf('a1'));
  await peer.send({ type: 'identify', agent_id: A1, token: tokenOf('a1'), protocol_version: 2, instance_id: 'machine-1', held: [] });
  await rig.pass(60_000);
  t.same(peer.newFrames(), []);
  lookedUp();
  await rig.pass(0);
  t.match(peer.newFrames(), [{ type: 'challenge' }, { type: 'identified' }]);
});
