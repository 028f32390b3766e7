/** What a sidecar sends to a hub that has not proved itself: hello, and nothing else. */
import t from 'tap';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { HubFrameOf } from '../../../core/protocol/hub-frames.ts';
import { deviceText, hubProof, unsealedToken, type Handshake } from '../../../core/protocol/proof.ts';
import { assignFrame, NONCE, only, sent, stage, startedFor, words, type SentFrame, type Stage } from './rig/stage.ts';
import { openRoom, room, ROOM_TOKEN, type Frame } from './rig/sidecar-room.ts';

const digest = systemDigest();
const TOKEN = 'secret-token';
const KEY = digest.sha256(TOKEN);
const HUB_NONCE = 'ef'.repeat(32);
const SAID: Handshake = { agentId: 'worker-1', tokenHint: KEY.slice(0, 16), nonce: NONCE, hubNonce: HUB_NONCE };

const challenge = (key = KEY, handshake = SAID): HubFrameOf<'challenge'> => ({
  type: 'challenge',
  nonce: HUB_NONCE,
  proof: hubProof(key, handshake, digest.hmac),
});

function greeting(): Stage {
  const sidecar = stage({ plainToken: false });
  sidecar.take({ type: 'start' });
  t.same(sent(sidecar.take({ type: 'link_up', connectionId: 1, nonce: NONCE })), [
    { type: 'hello', agent_id: 'worker-1', token_hint: KEY.slice(0, 16), nonce: NONCE },
  ]);
  return sidecar;
}

t.test('a hub that proves itself receives identify with a proof instead of the token', async (t) => {
  const sidecar = greeting();
  const [identify] = sent(sidecar.frame(challenge())) as Frame[];
  t.match(identify, { type: 'identify', agent_id: 'worker-1', held: [] });
  t.notOk('token' in (identify ?? {}));
  t.equal(unsealedToken(String(identify?.['proof']), KEY, SAID, digest), TOKEN);
  t.notMatch(JSON.stringify(sidecar.all), TOKEN);
  sidecar.frame({ type: 'identified', agent_id: 'worker-1' });
  t.equal(sidecar.state.link.phase, 'identified');
});

t.test('a connection identifies with the token read for it, and so do later connections', async (t) => {
  const NEW = 'token-after-rotation';
  const key = digest.sha256(NEW);
  const handshake = { ...SAID, tokenHint: key.slice(0, 16) };
  const sidecar = greeting();
  for (const [connectionId, token] of [
    [2, NEW],
    [3, undefined],
  ] as const) {
    sidecar.take({ type: 'link_down', connectionId: connectionId - 1, code: 1008, reason: 'the token has expired' });
    sidecar.take({ type: 'timer', timer: { purpose: 'reconnect' } });
    t.match(sent(sidecar.take({ type: 'link_up', connectionId, nonce: NONCE, token })), [
      { type: 'hello', token_hint: handshake.tokenHint },
    ]);
    const [identify] = sent(sidecar.frame(challenge(key, handshake))) as Frame[];
    t.equal(unsealedToken(String(identify?.['proof']), key, handshake, digest), NEW);
  }
});

t.test('the token is read for each connection; if that fails or finds none, the previous one is used', async (t) => {
  const answers = ['second', new Error('cannot be read'), null, 'third'];
  const here = await openRoom({
    async readToken() {
      const answer = answers.shift() ?? null;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  for (let times = 0; times < 3; times += 1) {
    here.cut();
    await here.pass(5_000);
  }
  t.strictSame(
    here.messages.filter(({ type }) => type === 'identify').map(({ token }) => token),
    ['second', 'second', 'second', 'third'],
  );
  t.match(
    here.log.lines.filter(({ level }) => level === 'warn'),
    [{ message: /could not reread the token/ }],
  );
});

t.test('the device key is proved over the handshake, and only to a hub that has proved itself', async (t) => {
  const deviceKey = { publicKey: 'p'.repeat(43), sign: (text: string) => `signed ${text}` };
  const sidecar = stage({ plainToken: false, deviceKey });
  sidecar.take({ type: 'start' });
  t.notMatch(JSON.stringify(sent(sidecar.take({ type: 'link_up', connectionId: 1, nonce: NONCE }))), /device/);
  const [identify] = sent(sidecar.frame(challenge())) as Frame[];
  t.match(identify, { device_key: deviceKey.publicKey, device_proof: `signed ${deviceText(SAID)}` });
  sidecar.frame({ type: 'error', error: 'invalid_device_key' });
  t.match(sidecar.all.filter(({ type }) => type === 'log').at(-1), { level: 'error', message: /agentcom takeover worker-1/ });
});

t.test('R22: a proof by another key, for another connection or another agent is refused, and nothing more is sent', async (t) => {
  const wrong = [
    challenge(digest.sha256('other')),
    challenge(KEY, { ...SAID, nonce: '00'.repeat(32) }),
    challenge(KEY, { ...SAID, agentId: 'worker-2' }),
    challenge(KEY, { ...SAID, hubNonce: NONCE }),
  ];
  for (const frame of wrong) {
    const sidecar = greeting();
    const effects = sidecar.frame(frame);
    t.same(words(effects), ['disconnect']);
    t.match(only(effects, 'log'), [{ level: 'error', message: /hub at ws:\/\/one\/ws did not prove .*worker-1.*sidecar\.hubs/s }]);
    t.equal(startedFor(effects, 'reconnect'), 60_000);
    t.equal(sidecar.state.link.hubIndex, 1, 'the next hub of the list is tried');
  }
});

t.test('a hub that answers hello with anything but its proof gets no answer', async (t) => {
  const messages: readonly SentFrame[] = [
    { type: 'identified', agent_id: 'worker-1' },
    assignFrame(),
    { type: 'probe', nonce: 'x' },
    { type: 'check' },
  ];
  const sidecar = greeting();
  for (const frame of messages) t.same(sent(sidecar.frame(frame)), [], frame.type);
  t.equal(sidecar.state.link.phase, 'greeting');
  t.same(words(sidecar.timer('identify')), ['disconnect'], 'the wait is bounded');
});

t.test('a hub that does not know hello is logged as an error, and the token is not sent', async (t) => {
  for (const error of ['not_identified', 'unknown_message_type']) {
    const effects = greeting().frame({ type: 'error', error });
    t.same(words(effects), ['disconnect']);
    t.match(only(effects, 'log'), [{ level: 'error', message: /does not know "hello".*plainToken: true/s }]);
    t.equal(startedFor(effects, 'reconnect'), 60_000);
  }
  t.equal(startedFor(greeting().frame({ type: 'error', error: 'rate_limited', retry_after_ms: 45_000 }), 'reconnect'), 45_000);
});

t.test('R22: a hub that cannot prove itself receives only hello for a whole day, and nothing of the token', async (t) => {
  const impostor = (frame: Frame, say: (frame: SentFrame) => void): void => {
    if (frame['type'] === 'hello') say(challenge());
    say({ type: 'identified', agent_id: 'worker-1', protocol_version: 2 });
    say(assignFrame());
  };
  const here = await room({ plainToken: false, hub: impostor });
  await here.sidecar.start();
  await here.pass(86_400_000);
  t.ok(here.messages.length > 1_000);
  t.same([...new Set(here.types())], ['hello']);
  t.equal(new Set(here.messages.map((frame) => frame['nonce'])).size, here.messages.length, 'each with its own nonce');
  t.notMatch(JSON.stringify(here.messages), new RegExp(`"${ROOM_TOKEN}"|${digest.sha256(ROOM_TOKEN)}`));
  t.same(here.runner.started, []);
  await here.sidecar.stop();
});

t.test('plainToken: the token is sent in plain text, without hello', async (t) => {
  const here = await openRoom({ plainToken: true });
  t.match(here.messages, [{ type: 'identify', token: ROOM_TOKEN }]);
  await here.sidecar.stop();
});
