import t from 'tap';
import {
  named,
  only,
  sent,
  SPAWNED,
  startedFor,
  stoppedRun,
  TASK,
  waking,
  WOKEN,
  words,
  working,
  writtenBody,
  online,
  assignFrame,
} from '../rig/stage.ts';

const renewal = { type: 'task_progress', task_id: TASK, generation: 1 };

t.test('the lease is renewed every third of its length, from acceptance to the report', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  const steps = [
    () => undefined,
    () => sidecar.prepared(),
    () => sidecar.wake(SPAWNED),
    () => sidecar.wake(WOKEN),
    () => sidecar.sight({ kind: 'started' }),
  ];
  for (const next of steps) {
    next();
    const effects = sidecar.timer('lease');
    t.same(sent(effects), [renewal], sidecar.slot()?.status ?? 'gone');
    t.equal(startedFor(effects, 'lease'), 100_000);
  }
  sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
  t.same(sidecar.timer('lease'), [], 'the report is resent instead');
  const stopping = working();
  stopping.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  t.same(stopping.timer('lease'), []);
});

t.test('the renewal interval follows the policy of the connected hub', async (t) => {
  const sidecar = working();
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  t.same(words(sidecar.timer('lease'), { timers: true }), ['start lease 100000'], 'offline: nothing is sent, the timer continues');
  sidecar.timer('reconnect');
  const policy = {
    heartbeat_ms: 500,
    pong_wait_ms: 300,
    reconnect_max_ms: 4_000,
    lease_ms: 900,
    max_frame_bytes: 100_000,
    reconnect_grace_ms: 8_000,
  };
  t.equal(startedFor(sidecar.identify({ policy }), 'lease'), 300);
});

t.test('R16: signs of life', async (t) => {
  t.test('an attached agent must send something within idleMs', async (t) => {
    const sidecar = waking();
    t.equal(startedFor(sidecar.wake(SPAWNED), 'silence'), 600_000);
    for (const event of [
      { type: 'output', stream: 'stdout', text: 'x' },
      { type: 'usage', tokensUsed: 1 },
      { type: 'progress' },
      { type: 'started' },
    ] as const) {
      t.equal(startedFor(sidecar.wake(event), 'silence'), 600_000, event.type);
    }
    t.same(words(sidecar.timer('silence')), ['withdraw', 'persist', 'kill']);
    sidecar.wake(stoppedRun());
    t.match(writtenBody(sidecar.scanned()), { kind: 'silent', error: /no sign of life.* raise timing\.idleMs/ });
  });
  t.test('a woken agent whose process lives needs no sign of life', async (t) => {
    const sidecar = working();
    t.equal(startedFor(sidecar.sight({ kind: 'changed' }), 'silence'), undefined);
  });
});

t.test('R16: a run that exceeds its time limit is stopped, even if it is active', async (t) => {
  const sidecar = working();
  t.same(words(sidecar.timer('run_max')), ['withdraw', 'persist', 'kill']);
  sidecar.wake(stoppedRun());
  t.match(writtenBody(sidecar.scanned()), {
    kind: 'execution_timeout',
    error: /not finished within 3600000 ms.* larger run_max_ms/,
    details: { reason: /3600000 ms/ },
  });
  const unwoken = online();
  unwoken.frame(assignFrame());
  t.match(writtenBody(unwoken.timer('run_max')), { kind: 'execution_timeout' });
  const unlimited = online();
  t.equal(startedFor(unlimited.frame(assignFrame(named(), { run_max_ms: null })), 'run_max'), undefined);
});

t.test('progress: at most one a second, the newest value of each field wins', async (t) => {
  const sidecar = working();
  const say = (percent: number | null, message: string | null, tokensUsed: number | null = null) =>
    sidecar.sight({ kind: 'progress', percent, message, tokensUsed });
  t.same(sent(say(10, 'a')), [{ ...renewal, percent: 10, message: 'a' }]);
  t.same(sent(say(20, null)), []);
  t.same(sent(say(30, 'c', 99)), []);
  const next = sidecar.timer('progress');
  t.same(sent(next), [{ ...renewal, percent: 30, message: 'c', tokens_used: 99 }]);
  t.equal(startedFor(next, 'progress'), 1_000);
  t.same(sent(sidecar.timer('progress')), []);
  t.same(sent(say(250, null)), [{ ...renewal, percent: 100 }], 'sent at once again, and clamped');
  t.match(writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false })), { tokens_used: 99 });
  t.same(sidecar.timer('progress'), []);
});

t.test('progress fits any frame limit', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  const [frame] = sent(sidecar.wake({ type: 'progress', message: `\u0000${'é'.repeat(50_000)}`, percent: Number.NaN })).filter(
    (each) => each['type'] === 'task_progress',
  );
  t.ok(JSON.stringify(frame).length < 16_384);
  t.notMatch(JSON.stringify(frame), /u0000|percent/);
  t.equal(only(sidecar.all, 'wake').length, 1);
});

t.test('timers of an assignment that is gone do nothing', async (t) => {
  const sidecar = online();
  for (const timer of ['retry', 'confirm', 'pickup', 'linger', 'lease', 'silence', 'run_max', 'progress', 'repeat'] as const) {
    t.same(sidecar.timer(timer), [], timer);
  }
});

t.test('the wake of an agent is reported to the hub once', async (t) => {
  const received = { type: 'wake_result', task_id: TASK, generation: 1, status: 'success', attempt: 1 };
  const ofWakes = (effects: Parameters<typeof sent>[0]) => sent(effects).filter((frame) => frame['type'] === 'wake_result');
  t.test('not again after a reconnect or for the first sign of life', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    t.same(ofWakes(sidecar.wake(WOKEN)), [received]);
    t.same(ofWakes(sidecar.sight({ kind: 'started' })), []);
    t.same(ofWakes(reconnected(sidecar)), []);
  });
  t.test('after the next identified, if the hub was away', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
    t.same(ofWakes(sidecar.wake(WOKEN)), []);
    sidecar.timer('reconnect');
    t.same(ofWakes(sidecar.identify()), [received]);
    t.same(ofWakes(sidecar.sight({ kind: 'started' })), []);
  });
  t.test('not by the sidecar that adopts its run', async (t) => {
    const { journal } = working().state;
    const next = online({}, journal);
    t.same(ofWakes(next.all), []);
    next.prepared();
    t.same(ofWakes(next.sight({ kind: 'started' })), []);
    t.same(ofWakes(next.sight({ kind: 'result', value: { status: 'success' }, replaced: false })), []);
  });
});

const reconnected = (sidecar: ReturnType<typeof waking>) => {
  sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  return sidecar.identify();
};
