/** How long a sidecar waits after a hub has refused it, and what it logs. */
import t from 'tap';
import { frameParser } from '../../../../core/protocol/frame-parser.ts';
import { hubSchemas } from '../../../../core/protocol/hub-frames.ts';
import { NONCE, online, only, stage, START_MS, startedFor } from '../rig/stage.ts';

t.test('another sidecar with the same identity: backoff of 60 s doubling to 10 min', async (t) => {
  const sidecar = online();
  const delays: (number | undefined)[] = [
    startedFor(sidecar.take({ type: 'link_down', connectionId: 1, code: 4001, reason: 'replaced' }), 'reconnect'),
  ];
  for (let refusal = 0; refusal < 5; refusal += 1) {
    sidecar.timer('reconnect');
    sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: sidecar.state.link.connectionId });
    delays.push(startedFor(sidecar.frame({ type: 'error', error: 'agent_id_in_use' }), 'reconnect'));
  }
  t.same(delays, [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
});

t.test('R22: an agent ID kept for another data directory is requested again after that time, or after a minute', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  for (const [askedMs, waitedMs] of [
    [50_000, 50_500],
    [1, 2_000],
    [170_000, 60_500],
    [Number.MAX_SAFE_INTEGER, 60_500],
  ] as const) {
    sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: sidecar.state.link.connectionId });
    const effects = sidecar.frame({ type: 'error', error: 'agent_id_in_use', retry_after_ms: askedMs });
    t.equal(startedFor(effects, 'reconnect'), waitedMs);
    t.match(only(effects, 'log'), [
      {
        level: 'warn',
        message: /may return .* tries again until the hub lets it in; .* agentcom takeover/,
        fields: { retry_ms: waitedMs },
      },
    ]);
    sidecar.timer('reconnect');
  }
});

t.test(
  'R22: however short a wait the hub asks for, a sidecar whose ID is kept comes back ever more rarely, and not at fixed times',
  async (t) => {
    for (const [random, share] of [
      [0, 1],
      [0.5, 0.75],
    ] as const) {
      const sidecar = stage();
      sidecar.random = random;
      sidecar.take({ type: 'start' });
      const waits: number[] = [];
      for (const endMs = START_MS + 3_600_000; sidecar.nowMs < endMs; sidecar.timer('reconnect')) {
        sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: sidecar.state.link.connectionId });
        const effects = sidecar.frame({ type: 'error', error: 'agent_id_in_use', retry_after_ms: 1 });
        const waitMs = startedFor(effects, 'reconnect') ?? 0;
        waits.push(waitMs);
        sidecar.nowMs += waitMs;
      }
      t.same(
        waits.slice(0, 6),
        [1_000, 2_000, 4_000, 8_000, 15_000, 15_000].map((fullMs) => fullMs * share),
      );
      t.equal(waits.at(-1), 60_000 * share);
      t.ok(waits.length < 100, `${waits.length} attempts in an hour`);
      sidecar.identify();
      sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
      t.equal(sidecar.state.link.failures, 1, 'once it is identified, it begins anew');
    }
  },
);

t.test('R20: a refusal whose retry_after_ms is no whole number is no frame: the sidecar waits as without an answer', async (t) => {
  const parse = frameParser(hubSchemas);
  const refusal = (retryAfterMs: string): string => `{"type":"error","error":"agent_id_in_use","retry_after_ms":${retryAfterMs}}`;
  for (const wrong of ['-1', '0.5', '1e999', '-1e999', '1e300', '"60000"', 'null'])
    t.equal(parse(refusal(wrong)).kind, 'validation_failed', wrong);
  t.equal(parse(refusal('NaN')).kind, 'invalid_json');
  t.equal(parse(refusal(String(Number.MAX_SAFE_INTEGER))).kind, 'frame');
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  const { connectionId } = sidecar.state.link;
  sidecar.take({ type: 'link_up', nonce: NONCE, connectionId });
  t.equal(startedFor(sidecar.take({ type: 'bad_frame', connectionId, logFields: {} }), 'reconnect'), undefined);
  t.ok((startedFor(sidecar.timer('identify'), 'reconnect') ?? Infinity) <= 1_000);
});

t.test('a refused token is retried slowly, and the log states the remedy', async (t) => {
  for (const error of ['invalid_token', 'token_agent_mismatch']) {
    const sidecar = stage();
    sidecar.take({ type: 'start' });
    sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 });
    const effects = sidecar.frame({ type: 'error', error });
    t.equal(startedFor(effects, 'reconnect'), 60_000);
    t.match(only(effects, 'log'), [{ level: 'error', message: /AGENTCOM_TOKEN/ }]);
    t.notMatch(JSON.stringify(effects), /secret-token/);
  }
});

t.test('R22: other refusals wait as long as the hub requests, but at most a minute, and then for the next hub', async (t) => {
  for (const plainToken of [true, false]) {
    for (const [askedMs, waitedMs] of [
      [45_000, 45_000],
      [Number.MAX_SAFE_INTEGER, 60_000],
    ] as const) {
      const sidecar = stage({ plainToken });
      sidecar.take({ type: 'start' });
      sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 });
      const effects = sidecar.frame({ type: 'error', error: 'rate_limited', retry_after_ms: askedMs });
      t.equal(startedFor(effects, 'reconnect'), waitedMs);
      t.match(only(effects, 'log'), [{ fields: { error: 'rate_limited', retry_ms: waitedMs } }]);
      t.equal(sidecar.state.link.hubIndex, 1);
    }
  }
});

t.test('a hub that cannot be reached is a warning with its address and the reason; a connection that it closes is not', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  const reason = 'connect ECONNREFUSED 127.0.0.1:4000';
  t.match(only(sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason }), 'log'), [
    { level: 'warn', message: 'could not connect to the hub', fields: { hub: 'ws://one/ws', code: 1006, reason } },
  ]);
  t.match(only(online().take({ type: 'link_down', connectionId: 1, code: 1001, reason: '' }), 'log'), [{ level: 'info' }]);
});

t.test('an agent ID that another machine uses: the log names the command with which this one can take it over', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 });
  const effects = sidecar.frame({ type: 'error', error: 'agent_id_in_use' });
  t.match(only(effects, 'log'), [{ level: 'error', message: /an operator can run agentcom takeover \S+$/ }]);
});
