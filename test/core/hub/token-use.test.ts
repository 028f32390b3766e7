/** Last uses of tokens are recorded in memory and written periodically; an expiring token closes its socket. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { TOKEN_USE_WRITE_MS, TOKENS_NOTED_MAX, TokenUse } from '../../../core/application/hub/upkeep/token-use.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { TokenUsed } from '../../../core/ports/agent-store.ts';
import { hubRig, settle } from './hub-rig.ts';

function stage() {
  const clock = virtualClock();
  const log = memoryLog();
  const writes: (readonly TokenUsed[])[] = [];
  const store = { isAway: false };
  const noteTokensUsed = async (used: readonly TokenUsed[]): Promise<void> => {
    writes.push(used);
    if (store.isAway) throw new Error('gone');
  };
  return { clock, log, writes, store, use: new TokenUse({ agents: { noteTokensUsed }, clock, log }) };
}

t.test('token uses are written once per interval, however frequent they are', async (t) => {
  const { clock, writes, use } = stage();
  const sockets: TokenUsed[] = [];
  use.start(() => sockets);
  const fromMs = clock.nowMs();
  for (let n = 0; n < 1_000; n += 1) use.note(`tok-${n % 2}`);
  clock.advance(7);
  use.note('tok-1');
  t.equal(use.lastUsedAtMs('tok-1'), fromMs + 7);
  t.equal(use.lastUsedAtMs('tok-9'), null);
  t.strictSame(writes, [], 'a use itself writes nothing');
  await clock.walk(TOKEN_USE_WRITE_MS - 7, () => settle(clock));
  t.strictSame(writes, [[{ id: 'tok-0', atMs: fromMs }, { id: 'tok-1', atMs: fromMs + 7 }]]); // prettier-ignore
  await clock.walk(TOKEN_USE_WRITE_MS, () => settle(clock));
  t.equal(writes.length, 1, 'nothing new, nothing written');
  sockets.push({ id: 'tok-2', atMs: clock.nowMs() });
  await clock.walk(TOKEN_USE_WRITE_MS, () => settle(clock));
  t.strictSame(writes[1], sockets, 'an open socket counts as a use');
  sockets.length = 0;
  use.note('tok-0');
  await use.stop();
  t.strictSame(writes[2]?.map(({ id }) => id), ['tok-0'], 'the rest is written on stop'); // prettier-ignore
  clock.advance(2 * TOKEN_USE_WRITE_MS);
  t.equal(writes.length, 3);
});

t.test('token uses that could not be written are written the next time, and later uses win', async (t) => {
  const { clock, log, writes, store, use } = stage();
  use.start(() => []);
  store.isAway = true;
  use.note('tok-1');
  await clock.walk(TOKEN_USE_WRITE_MS, () => settle(clock));
  t.match(log.lines, [{ level: 'warn', message: /last use of tokens could not be recorded/ }]);
  store.isAway = false;
  use.note('tok-1');
  const usedAtMs = clock.nowMs();
  await clock.walk(TOKEN_USE_WRITE_MS, () => settle(clock));
  t.strictSame(writes[1], [{ id: 'tok-1', atMs: usedAtMs }]);
  await use.stop();
});

t.test('an unresponsive store delays a stop by at most 1 s for the last write', async (t) => {
  const { clock, log } = stage();
  const use = new TokenUse({ agents: { noteTokensUsed: () => new Promise(() => undefined) }, clock, log });
  use.start(() => []);
  use.note('tok-1');
  let isStopped = false;
  void use.stop().then(() => (isStopped = true));
  await clock.walk(1_000, () => settle(clock));
  t.ok(isStopped);
  t.match(log.lines, [{ level: 'warn', message: /may not get recorded/ }]);
});

t.test('the number of tokens recorded is bounded', async (t) => {
  const { writes, use } = stage();
  for (let n = 0; n < TOKENS_NOTED_MAX + 10; n += 1) use.note(`tok-${n}`);
  await use.stop();
  t.equal(writes[0]?.length, TOKENS_NOTED_MAX);
});

t.test('an expired token closes its socket within half a heartbeat, and can no longer identify', async (t) => {
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  const peer = await rig.peer('a1', { expiresAtMs: rig.clock.nowMs() + 60_000 });
  const other = await rig.peer('a2');
  await peer.identify();
  await other.identify();
  // They send all the time, so it is not silence that closes the socket.
  const speakFor = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += 1_000) {
      await rig.pass(1_000);
      for (const one of [peer, other]) if (one.closed() === null) await one.send({ type: 'ping' });
    }
  };
  await speakFor(59_000);
  t.equal(peer.closed(), null);
  await speakFor(1_000 + HUB_TIMING.heartbeatMs / 2);
  t.equal(peer.closed(), 1008);
  t.equal(other.closed(), null);
  const again = await rig.peer('a1');
  t.match(await again.identify(), [{ type: 'error', error: 'invalid_token' }]);
});
