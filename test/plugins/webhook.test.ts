/** The webhook runner, against a server on loopback. */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createSocketServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import { isPrivateAddress, PrivateAddressError, publicLookup } from '../../plugins/webhook/addresses.ts';
import { openclawHook, webhook, type WebhookOptions } from '../../plugins/runners.ts';
import { isMachineFault } from '../../core/domain/agent/breaker.ts';
import { all, wakeRunnerContract } from '../product/contracts/runner/wake-runner.contract.ts';
import { only, waking, writtenBody } from '../core/sidecar/rig/stage.ts';
import { runWorld } from './run-world.ts';
import { webhookSubject } from './webhook-subject.ts';

wakeRunnerContract(
  'webhook',
  webhookSubject((url, deps) => webhook({ url, allowPrivate: true }).create(deps)),
  t,
);
wakeRunnerContract(
  'openclaw hook',
  webhookSubject((url, deps) => openclawHook({ url, token: 'a token of the gateway' }).create(deps)),
  t,
);

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that records requests and answers as told, and a runner that calls it. */
async function hooked(t: Test, options: Partial<WebhookOptions> = {}, answer: RequestListener = (_, response) => void response.end()) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (text) => (body += String(text)));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const world = await runWorld();
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    await world.close();
  });
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/wake`;
  const deps = { agentId: 'agent-1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  const runner = await webhook({ url, allowPrivate: true, ...options }).create(deps);
  const wake = async (request = world.request()) => all(runner.wake(await request, new AbortController().signal));
  return { world, runner, received, wake, url };
}

void t.test('it sends the signed task with a key that a retry reuses, and then leaves the agent alone', async (t) => {
  const secret = 'sixteen letters!';
  const { world, received, wake } = await hooked(t, { secret, headers: { Authorization: 'Bearer x' } });
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const request = await world.request({ description: 'count', n: 1, traceparent });
  t.strictSame(await wake(Promise.resolve(request)), [{ type: 'woken' }]);
  await wake(Promise.resolve(request));
  const [first, second] = received;
  const {
    'idempotency-key': key,
    'x-agentcom-timestamp': timestamp,
    'x-agentcom-signature': signature,
    authorization,
  } = first?.headers ?? {};
  t.equal(key, `${request.taskId}:1`);
  t.equal(second?.headers['idempotency-key'], key);
  t.equal(authorization, 'Bearer x');
  t.strictSame([first?.headers['traceparent'], first?.headers['tracestate']], [traceparent, undefined], 'within the trace of the task');
  t.equal(
    signature,
    `sha256=${createHmac('sha256', secret)
      .update(`${String(timestamp)}.${first?.body ?? ''}`)
      .digest('hex')}`,
  );
  t.match(JSON.parse(first?.body ?? ''), {
    type: 'task',
    task_id: request.taskId,
    generation: 1,
    run_id: request.runId,
    task: { description: 'count', n: 1 },
  });
});

void t.test('it sends the configured body, and placeholders in a task stay plain text', async (t) => {
  const body = { message: '${PROMPT}', name: 'AgentCom ${TASK_ID}', deliver: false, list: ['${RUN_ID}', 3] };
  const { world, received, wake } = await hooked(t, { body });
  const request = await world.request({ description: 'say ${RUN_ID} "aloud"' });
  await wake(Promise.resolve(request));
  const sent = JSON.parse(received[0]?.body ?? '') as { message: string };
  t.match(sent, { name: `AgentCom ${request.taskId}`, deliver: false, list: [request.runId, 3] });
  t.match(sent.message, 'say ${RUN_ID} "aloud"');
});

void t.test('what an answer means', async (t) => {
  const wanted = [
    [401, { kind: 'auth', retryable: false, message: /answered 401: no such hook\. Correct the token/ }],
    [403, { kind: 'auth', retryable: false }],
    [422, { kind: 'agent_failed', retryable: false, message: /answered 422: no such hook/ }],
    [404, { kind: 'config', retryable: false, message: /\. Correct url/ }],
    [429, { kind: 'rate_limited', retryable: true, retryAfterMs: 7_000 }],
    [503, { kind: 'model_unavailable', retryable: true, retryAfterMs: 7_000, message: /\. It is retried automatically/ }],
    [302, { kind: 'config', retryable: false, message: /Redirects are not followed/ }],
  ] as const;
  for (const [status, failure] of wanted) {
    const { received, wake } = await hooked(t, {}, (_, response) => {
      response.writeHead(status, { 'retry-after': '7', location: '/elsewhere' }).end('no such hook');
    });
    t.match(
      await wake(),
      [{ type: 'failed', phase: 'spawn', beforeWork: true, ...failure, details: { cause: failure.kind, status } }],
      String(status),
    );
    t.equal(received.length, 1, 'called once');
  }
});

void t.test('R12: a task that a webhook refuses costs one attempt and no strike against the machine', async (t) => {
  for (const status of [400, 413, 422]) {
    const { wake } = await hooked(t, {}, (_, response) => void response.writeHead(status).end('too much of it'));
    const [event] = await wake();
    const sidecar = waking();
    const body = writtenBody(event === undefined ? [] : sidecar.wake(event));
    t.match(body, { type: 'task_failed', cause: status === 413 ? 'limit' : 'agent_failed', retryable: false, error: /too much of it/ });
    t.notOk(isMachineFault(String(body['kind'])), `${String(status)} is told as ${String(body['kind'])}`);
    t.equal(only(sidecar.all, 'wake').length, 1, 'called once');
    t.same(sidecar.state.journal.slots, [], 'the slot is free');
  }
});

void t.test('no answer, an endless answer and no server are retryable failures', async (t) => {
  const silent = await hooked(t, { timeoutMs: 100 }, () => undefined);
  t.match(await silent.wake(), [
    { type: 'failed', phase: 'spawn', retryable: true, message: /call of .* failed: there was no answer within 100 ms/ },
  ]);
  const endless = await hooked(t, { timeoutMs: 5_000 }, (_, response) => {
    response.writeHead(500);
    const pour = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', pour);
    pour();
  });
  const [poured] = await endless.wake();
  t.match(poured, { type: 'failed', details: { status: 500 } });
  t.ok(poured?.type === 'failed' && poured.message.length < 1_000, 'it is not kept');
  const { runner, world } = await hooked(t, { url: 'http://127.0.0.1:9/' });
  t.match(await all(runner.wake(await world.request(), new AbortController().signal)), [
    { type: 'failed', retryable: true, message: /ECONNREFUSED/ },
  ]);
});

void t.test('an answer that switches to another protocol ends the call', async (t) => {
  const { wake } = await hooked(t, {}, (_, response) => {
    response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n');
  });
  t.match(await wake(), [{ type: 'failed', phase: 'spawn', kind: 'config', retryable: false, message: /answered 101\. Correct url/ }]);
});

void t.test('the status counts, even if the body never ends or breaks off', async (t) => {
  const cases: readonly (readonly [status: number, wanted: object])[] = [
    [200, { type: 'woken' }],
    [202, { type: 'woken' }],
    [400, { type: 'failed', retryable: false, message: /answered 400: working/ }],
    [503, { type: 'failed', retryable: true, details: { status: 503 } }],
  ];
  for (const [status, wanted] of cases) {
    const open = await hooked(t, { timeoutMs: 200 }, (_, response) => void response.writeHead(status).write('working'));
    t.match(await open.wake(), [wanted], `${status} without an end`);
    const broken = await hooked(t, {}, (_, response) => {
      response.writeHead(status).write('working', () => setTimeout(() => response.destroy(), 50));
    });
    t.match(await broken.wake(), [wanted], `${status} broken off`);
  }
});

void t.test('a stop before or during the call ends it', async (t) => {
  const { runner, world, received } = await hooked(t, {}, () => undefined);
  t.strictSame(await all(runner.wake(await world.request(), AbortSignal.abort())), [{ type: 'stopped', survivors: [] }]);
  t.equal(received.length, 0);
  const stop = new AbortController();
  // Without a handshake nothing of the call has been sent.
  const silent = createSocketServer(() => stop.abort());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const { runner: unsent, world: other } = await hooked(t, {
    url: `https://127.0.0.1:${String((silent.address() as AddressInfo).port)}/wake`,
  });
  t.strictSame(await all(unsent.wake(await other.request(), stop.signal)), [{ type: 'stopped', survivors: [] }]);
});

void t.test('R11: an agent that may have been woken when its call was stopped is not called stopped', async (t) => {
  const stop = new AbortController();
  const { runner, world } = await hooked(t, {}, () => stop.abort());
  const request = await world.request();
  t.strictSame(await all(runner.wake(request, stop.signal)), [{ type: 'woken' }]);
  const again = all(runner.attach({ ...request, process: null }, stop.signal));
  t.match(await again, [{ type: 'exited', exitCode: null, signal: null }], 'its end is unknown');
});

void t.test('R11: nor is one whose call a sidecar had begun that crashed before the stop', async (t) => {
  const { runner, world } = await hooked(t);
  const run = { ...(await world.request()), process: null };
  t.strictSame(await all(runner.attach(run, AbortSignal.abort())), [{ type: 'woken' }]);
  t.match(await all(runner.attach(run, AbortSignal.abort())), [{ type: 'exited', exitCode: null, signal: null }]);
});

void t.test('after a restart an unanswered call is repeated, and an agent that was woken is left alone', async (t) => {
  const { runner, world } = await hooked(t);
  const request = await world.request();
  const run = { ...request, process: null };
  t.match(await all(runner.attach(run, new AbortController().signal)), [{ type: 'failed', phase: 'spawn', retryable: true }]);
  await all(runner.wake(request, new AbortController().signal));
  const listener = runner.attach(run, new AbortController().signal)[Symbol.asyncIterator]();
  const silence = listener.next();
  await listener.return?.();
  t.match(await silence, { done: true });
  t.match(await all(runner.attach(run, AbortSignal.abort())), [{ type: 'exited', exitCode: null, signal: null }]);
});

void t.test('private addresses are not called unless the config says so', async (t) => {
  const { url } = await hooked(t);
  const world = await runWorld();
  t.teardown(() => world.close());
  const deps = { agentId: 'agent-1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  const port = new URL(url).port;
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', 'localhost', '0x7f.1']) {
    const runner = await webhook({ url: `https://${host}:${port}/` }).create(deps);
    const events = await all(runner.wake(await world.request(), new AbortController().signal));
    t.match(events, [{ type: 'failed', kind: 'config', retryable: false, message: /private address.*allowPrivate/ }], host);
  }
  const answers = await new Promise((resolve) => {
    publicLookup('localhost', { all: true }, (error) => {
      resolve(error);
    });
  });
  t.ok(answers instanceof PrivateAddressError);
});

void t.test('which addresses are private', (t) => {
  const inside = [
    '10.1.2.3',
    '172.31.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::',
    '::1',
    'fd00::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    'x',
  ];
  // Addresses that embed an IPv4 address are routed wherever a network sends them.
  inside.push('::a00:1', '::8.8.8.8', '::ffff:8.8.8.8', '::ffff:0:8.8.8.8', '2002:a00:1::', '64:ff9b:1::a00:1', 'fec0::1');
  const outside = ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2001:db9::1'];
  for (const address of inside) t.ok(isPrivateAddress(address), address);
  for (const address of outside) t.notOk(isPrivateAddress(address), address);
  t.end();
});

void t.test('mistakes in its options', (t) => {
  const paths = (options: Partial<WebhookOptions>) =>
    webhook({ url: 'https://a.example/', ...options })
      .problems()
      .map(({ path }) => path);
  t.strictSame(paths({}), []);
  t.strictSame(paths({ url: 'http://a.example/' }), ['url']);
  t.strictSame(paths({ url: 'http://a.example/', allowPrivate: true }), []);
  t.strictSame(paths({ url: 'ftp://a.example/' }), ['url']);
  t.strictSame(paths({ url: 'https://u:p@a.example/' }), ['url']);
  t.strictSame(paths({ secret: 'short' }), ['secret']);
  t.strictSame(paths({ body: { text: 'wake up' } }), ['body']);
  t.strictSame(paths({ prompt: '${TASK_JSON}' }), ['prompt']);
  t.strictSame(paths({ headers: { 'a b': 'x', ok: 'a\r\nb', team: 'Łódź', key: 'a\u007fb', fine: 'café\t1' } }), [
    'headers.a b',
    'headers.ok',
    'headers.team',
    'headers.key',
  ]);
  t.end();
});
