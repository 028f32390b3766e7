import t from 'tap';
import { badFrameOf } from '../../../core/application/sidecar/link/bad-frame.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas } from '../../../core/protocol/hub-frames.ts';
import {
  assignFrame,
  exited,
  named,
  NONCE,
  online,
  only,
  OTHER,
  sent,
  stage,
  type Stage,
  START_MS,
  startedFor,
  stoppedRun,
  TASK,
  words,
  working,
} from './rig/stage.ts';

const RESULT = { kind: 'result', value: { status: 'success' }, replaced: false } as const;
const policy = {
  heartbeat_ms: 1_000,
  pong_wait_ms: 300,
  reconnect_max_ms: 4_000,
  lease_ms: 9_000,
  max_frame_bytes: 100_000,
  reconnect_grace_ms: 8_000,
};

t.test('identify describes the sidecar and everything it holds', async (t) => {
  const sidecar = stage();
  const start = sidecar.take({ type: 'start' });
  t.match(only(start, 'connect'), [{ url: 'ws://one/ws', connectionId: 1 }]);
  t.same(sent(sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 })), [
    {
      type: 'identify',
      agent_id: 'worker-1',
      token: 'secret-token',
      name: 'Worker 1',
      status: 'idle',
      capabilities: ['code'],
      client_type: 'sidecar',
      protocol_version: 2,
      instance_id: 'instance-1',
      process_id: 'process-1',
      slots: 1,
      held: [],
      checks: { ok: true, failed: [], passed: [] },
    },
  ]);
});

t.test('R15: identify lists every held assignment with its status, on every reconnect', async (t) => {
  const sidecar = working({ slots: 2 });
  sidecar.frame(assignFrame(named(4, OTHER)));
  t.match(heldAfterReconnect(sidecar), [
    { task_id: TASK, generation: 1, status: 'working', store_id: 'store-1' },
    { task_id: OTHER, generation: 4, status: 'accepted', store_id: 'store-1' },
  ]);
  sidecar.sight(RESULT);
  t.match(heldAfterReconnect(sidecar), [{ task_id: TASK, status: 'reporting' }, { task_id: OTHER }]);
  sidecar.wake(exited(0));
  t.match(heldAfterReconnect(sidecar), [{ task_id: OTHER }, { task_id: TASK, status: 'reporting' }], 'also when only its report is left');
  sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
  t.equal(heldAfterReconnect(sidecar).length, 1);
});

t.test('work assigned by another store is logged when the hub reconnects with a new one', async (t) => {
  const sidecar = working();
  const warned = (storeId: string): readonly unknown[] =>
    offline(sidecar)
      .identify({ store_id: storeId })
      .filter((effect) => effect.type === 'log' && /another store/.test(effect.message));
  t.same(warned('store-1'), []);
  t.match(warned('store-2'), [{ level: 'warn', fields: { store_id: 'store-2', tasks: [TASK], count: 1 } }]);
});

t.test("the hub's answers to the inventory", async (t) => {
  const held = (action: 'continue' | 'abort' | 'report', reason?: string) => [
    { task_id: TASK, generation: 1, action, ...(reason ? { reason } : {}) },
  ];
  t.test('continue: its lease is renewed at once, nothing else', async (t) => {
    const sidecar = offline(working());
    t.match(sent(sidecar.identify({ held: held('continue') })), [{ type: 'identify' }, { type: 'task_progress', task_id: TASK }]);
    t.equal(sidecar.slot()?.status, 'working');
  });
  t.test('R11: abort stops the run', async (t) => {
    const sidecar = offline(working());
    const effects = sidecar.identify({ held: held('abort', 'stale_generation') });
    t.same(words(effects), ['send identify', 'withdraw', 'persist', 'kill']);
    sidecar.wake(stoppedRun());
    t.same(words(sidecar.scanned()), ['unwatch', 'removeFiles', 'persist']);
  });
  t.test('R4: abort never ends a report', async (t) => {
    const sidecar = working();
    sidecar.sight(RESULT);
    offline(sidecar);
    const effects = sidecar.identify({ held: held('abort', 'stale_generation') });
    t.same(words(effects), ['send identify', 'readReport']);
    t.equal(sidecar.state.journal.outbox.length, 1);
  });
  t.test('abort of an assignment that was not woken', async (t) => {
    const sidecar = online();
    sidecar.frame(assignFrame());
    offline(sidecar);
    t.same(words(sidecar.identify({ held: held('abort') })), ['send identify', 'removeFiles', 'persist'], 'its accept is not resent');
  });
  t.test('report: it is sent', async (t) => {
    const sidecar = working();
    sidecar.sight(RESULT);
    offline(sidecar);
    t.same(words(sidecar.identify({ held: held('report') })), ['send identify', 'readReport']);
  });
  t.test('abort of an unknown assignment', async (t) => {
    t.same(words(offline(online()).identify({ held: held('abort') })), ['send identify']);
  });
});

t.test('several hubs: start at a random one, another on 1012, the next after a failure, one backoff for all', async (t) => {
  const hubs = ['ws://one/ws', 'ws://two/ws', 'ws://three/ws'];
  const next = (sidecar: Stage, random: number, code: number): string | undefined => {
    sidecar.random = random;
    sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code, reason: '' });
    return only(sidecar.timer('reconnect'), 'connect')[0]?.url;
  };
  for (const [random, first, others] of [
    [0, 0, [1, 2]],
    [0.4, 1, [2, 0]],
    [0.999, 2, [0, 1]],
  ] as const) {
    const sidecar = stage({ hubs });
    sidecar.random = random;
    t.match(only(sidecar.take({ type: 'start' }), 'connect'), [{ url: hubs[first] }]);
    sidecar.identify();
    t.equal(next(sidecar, 0, 1012), hubs[others[0]]);
    t.equal(next(sidecar, 0.5, 1012), hubs[first], 'that one closes with 1012 too');
    sidecar.identify();
    t.equal(next(sidecar, 0.6, 1012), hubs[others[1]]);
    sidecar.identify();
    t.equal(next(sidecar, 0.6, 1006), hubs[others[1]], 'a broken connection does not mean that the hub is down');
    t.equal(next(sidecar, 0.6, 1006), hubs[first]);
    t.equal(next(sidecar, 0, 1006), hubs[others[0]]);
    t.equal(startedFor(down(sidecar), 'reconnect'), 8_000, 'three unreachable hubs are three failures');
  }
  const alone = online({ hubs: ['ws://one/ws'] });
  t.equal(next(alone, 0.999, 1012), 'ws://one/ws');
});

t.test('reconnect: 1 s doubling to the policy, jitter only shortens it, another hub after each failure', async (t) => {
  const sidecar = online();
  sidecar.identify({ policy });
  const delays: (number | undefined)[] = [];
  const urls: (string | undefined)[] = [];
  for (let failure = 0; failure < 25; failure += 1) {
    delays.push(startedFor(down(sidecar), 'reconnect'));
    urls.push(only(sidecar.timer('reconnect'), 'connect')[0]?.url);
  }
  t.same(delays.slice(0, 6), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  t.same(delays.slice(22), [15_000, 60_000, 60_000], 'an outage of 5 minutes counts as long');
  t.equal(
    delays.slice(0, 23).reduce<number>((sum, each) => sum + (each ?? 0), 0),
    300_000,
  );
  t.same(urls.slice(0, 4), ['ws://one/ws', 'ws://two/ws', 'ws://one/ws', 'ws://two/ws'], 'the hub it was connected to is tried first');
  sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: sidecar.state.link.connectionId });
  t.equal(startedFor(down(sidecar), 'reconnect'), 60_000, 'an open socket resets nothing');
  sidecar.timer('reconnect');
  sidecar.identify({ policy });
  t.equal(startedFor(down(sidecar), 'reconnect'), 1_000, 'identified does');
  for (let failure = 0; failure < 5; failure += 1) {
    sidecar.timer('reconnect');
    down(sidecar);
  }
  sidecar.timer('reconnect');
  sidecar.random = 0.999;
  const short = startedFor(down(sidecar), 'reconnect') ?? 0;
  t.ok(short >= 2_000 && short < 2_100, `jitter takes at most half off the longest delay, which is the policy's: ${short}`);
});

t.test('a hub that is silent after a ping counts as gone', async (t) => {
  const sidecar = online();
  const ping = sidecar.timer('ping');
  t.same(words(ping, { timers: true }), ['send ping', 'start pong 10000', 'start ping 30000']);
  t.same(words(sidecar.frame({ type: 'pong', timestamp: START_MS }), { timers: true }), ['cancel pong']);
  t.same(sidecar.timer('pong'), [], 'too late');
  sidecar.timer('ping');
  t.same(words(sidecar.frame({ type: 'probe', nonce: 'n' }), { timers: true }), ['cancel pong', 'send probe_ack'], 'any frame counts');
  sidecar.timer('ping');
  t.same(words(sidecar.timer('pong')), ['disconnect']);
  t.equal(sidecar.state.link.phase, 'down');
});

t.test('R15: pings sent faster than the pong timeout do not extend the timeout', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  sidecar.identify({ policy: { ...policy, heartbeat_ms: 200, pong_wait_ms: 300 } });
  t.same(words(sidecar.timer('ping'), { timers: true }), ['send ping', 'start pong 300', 'start ping 200']);
  t.same(words(sidecar.timer('ping'), { timers: true }), ['send ping', 'start ping 200'], 'the first ping is still unanswered');
  t.same(words(sidecar.timer('pong')), ['disconnect']);
});

t.test('a hub that does not answer identify is disconnected', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 });
  t.same(words(sidecar.timer('identify')), ['disconnect']);
});

t.test('events of an older connection are dropped', async (t) => {
  const sidecar = online();
  down(sidecar);
  sidecar.timer('reconnect');
  t.same(sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 }), []);
  t.same(sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' }), []);
  t.same(sidecar.take({ type: 'bad_frame', connectionId: 1, logFields: {} }), []);
  t.equal(sidecar.state.link.phase, 'connecting');
  t.same(sidecar.timer('reconnect'), [], 'one connection at a time');
});

t.test('errors about a frame and unknown frames change nothing', async (t) => {
  const sidecar = working();
  t.same(words(sidecar.frame({ type: 'error', error: 'rate_limited' })), []);
  t.same(words(sidecar.take({ type: 'bad_frame', connectionId: 1, logFields: { reason: 'unknown_message_type' } })), []);
  t.same(words(sidecar.frame({ type: 'restart_sidecar' })), []);
  t.same(words(sidecar.frame({ type: 'identified', agent_id: 'worker-1' })), [], 'a second one');
  t.equal(sidecar.state.link.phase, 'identified');
});

t.test('R20: text from the hub is logged within a bound', async (t) => {
  const long = 'x'.repeat(500_000);
  for (const frame of [
    { type: 'restart_sidecar', reason: long },
    { type: 'error', error: long },
  ] as const) {
    const logged = working()
      .frame(frame)
      .find((effect) => effect.type === 'log');
    t.ok(JSON.stringify(logged).length < 5_000, frame.type);
    t.match(JSON.stringify(logged), /500000 characters/);
  }
  const sidecar = offline(online());
  const effects = sidecar.identify({ policy: { ...policy, lease_ms: 0, long } as typeof policy });
  t.match(only(effects, 'log'), [{ fields: { requested: { lease_ms: 0 } } }]);
  t.ok(JSON.stringify(only(effects, 'log')).length < 5_000, 'an out-of-bounds policy with a field that we do not know');
});

t.test('R20: a frame whose ID, status or reason is too long is refused in few words; version 1 frames pass', async (t) => {
  const parse = frameParser(hubSchemas);
  const long = 'x'.repeat(500_000);
  const task = { task_id: TASK, generation: 1 };
  for (const frame of [
    { type: 'identified', agent_id: 'worker-1', store_id: long },
    { type: 'identified', agent_id: 'worker-1', hub_id: long },
    { type: 'probe', nonce: long },
    { type: 'task_ack', ...task, status: long },
    { type: 'task_cancelled', ...task, reason: long },
    { ...assignFrame(), submitted_by: long },
  ]) {
    const parsed = parse(JSON.stringify(frame));
    t.equal(parsed.kind, 'validation_failed', frame.type);
    if (parsed.kind !== 'frame') t.ok(JSON.stringify(badFrameOf(parsed)).length < 500);
  }
  for (const frame of [
    { type: 'identified', agent_id: 'worker-1' },
    { type: 'task_ack', task_id: TASK, status: 'accepted' },
    { type: 'task_cancelled', ...task, timestamp: START_MS },
    { type: 'error', error: `task_complete_failed: ${long}` },
  ])
    t.equal(parse(JSON.stringify(frame)).kind, 'frame', frame.type);
});

t.test('a probe is acknowledged', async (t) => {
  t.same(sent(online().frame({ type: 'probe', nonce: 'abc' })), [{ type: 'probe_ack', nonce: 'abc' }]);
});

t.test('ready is emitted once', async (t) => {
  const sidecar = online();
  offline(sidecar).identify();
  t.equal(only(sidecar.all, 'ready').length, 1);
});

function down(sidecar: Stage) {
  return sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
}
function offline(sidecar: Stage): Stage {
  down(sidecar);
  sidecar.timer('reconnect');
  return sidecar;
}
function heldAfterReconnect(sidecar: Stage): readonly unknown[] {
  const effects = offline(sidecar).identify();
  const [identify] = sent(effects);
  return identify?.['held'] as readonly unknown[];
}

t.test('R20: a policy of zeros or of a thousand years is clamped to its bounds', async (t) => {
  const sidecar = online();
  const all = (value: number) => ({
    ...{ heartbeat_ms: value, pong_wait_ms: value, reconnect_max_ms: value, lease_ms: value },
    ...{ max_frame_bytes: value, reconnect_grace_ms: value },
  });
  for (const [value, heartbeatMs] of [
    [0, 50],
    [Number.MAX_SAFE_INTEGER, 86_400_000],
  ] as const) {
    sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
    const connecting = sidecar.timer('reconnect');
    t.ok(only(connecting, 'connect').every(({ frameBytesMax }) => frameBytesMax > 0));
    const effects = sidecar.identify({ policy: all(value) });
    t.equal(startedFor(effects, 'ping'), heartbeatMs);
    t.match(only(effects, 'log'), [{ level: 'warn', message: /out of bounds/ }]);
    t.ok(sidecar.state.link.policy.max_frame_bytes >= 4_096);
  }
});
