/** Batched submits, against a real hub, an older one, and a scripted one. */
import t from 'tap';
import { hubClient, type SubmitRequest } from '../../../apps/client/index.ts';
import type { Call } from '../../../apps/client/api-request.ts';
import type { SignTask } from '../../../apps/signing/signing-options.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { submitBatcher } from '../../../apps/client/submit-batcher.ts';
import { runningHub } from '../running-hub.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { listening } from './scripted-hub.ts';
import { gate } from '../../rig/gate.ts';

t.setTimeout(60_000);

const task = (n: number) => ({ task_id: `task-${String(n).padStart(16, '0')}`, status: 'queued', priority: 'normal', created_at: 1 });
/** The lines of a batch that was sent. */
const linesOf = (text: string) => text.split('\n').map((line) => JSON.parse(line) as { key: string; task: SubmitRequest });

t.test('R8: each submit in a batch has its own key, its own answer in order, and its own refusal', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { tasks } = hub.api;
  let repeats = 0;
  const submits = [
    tasks.submit({ description: 'one' }, 'key-1'),
    tasks.submit({ description: 'two', priority: 'urgent' }, { idempotencyKey: 'key-2' }),
    tasks.submit({ description: '' }),
    tasks.submit({ description: 'nobody', assign_to: 'nobody' }),
    tasks.submit({ description: 'other' }, 'key-1'),
    tasks.submit({ description: 'one' }, { idempotencyKey: 'key-1', onRepeated: () => (repeats += 1) }),
  ];
  const [one, two, empty, unknown, mismatch, repeated] = await Promise.allSettled(submits);
  t.match(one, { status: 'fulfilled', value: { task_id: /^task-/, status: 'queued', priority: 'normal' } });
  t.match(two, { status: 'fulfilled', value: { priority: 'urgent' } });
  t.match(empty, { reason: { code: 'AC_API', message: /POST \/api\/tasks \(400 validation_failed\)/, details: { status: 400 } } });
  t.match(unknown, { reason: { code: 'AC_API', details: { status: 400, error: 'unknown_agent' } } });
  t.match(mismatch, { reason: { code: 'AC_API', details: { status: 409, error: 'idempotency_mismatch' } } });
  t.strictSame(repeated, one);
  t.equal(repeats, 1, 'a repeated submit is reported as such');
  const alone = await tasks.submit({ description: '' }).catch((thrown: unknown) => thrown);
  t.match(alone, { message: (empty as PromiseRejectedResult).reason.message }, 'a refusal is the same as for a single submit');
  t.equal(Number((await tasks.stats())['queued']), 2);
});

t.test('simultaneous submits are one request; later ones are another, which does not wait for its answer', async (t) => {
  const sent: string[][] = [];
  const { opened: held, open: release } = gate();
  const app = new ScriptedApp().post('/api/tasks/batch', async (c) => {
    const lines = linesOf(c.text);
    sent.push(lines.map((line) => String(line.task.description)));
    if (sent.length === 1) await held;
    return c.json({ answers: lines.map((_, n) => ({ status: 201, body: task(n) })) });
  });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const submit = (...names: string[]) => names.map((description) => tasks.submit({ description }));
  const first = submit('a', 'b', 'c');
  while (sent.length < 1) await new Promise((resolve) => setImmediate(resolve));
  const second = submit('d', 'e');
  await Promise.all(second);
  release();
  await Promise.all(first);
  t.strictSame(sent, [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
  const many = Array.from({ length: 600 }, (_, n) => `n${n}`);
  await Promise.all(submit(...many));
  const requests = sent.slice(2);
  t.ok(requests.every((batch) => batch.length <= 256));
  // Several connections may deliver them in any order.
  t.strictSame(requests.flat().sort(), many.toSorted());
  for (const batch of requests) t.strictSame(batch, many.slice(many.indexOf(batch[0] ?? ''), many.indexOf(batch[0] ?? '') + batch.length));
});

/** A batcher whose requests are answered when the test says so. */
function answeredByHand() {
  const sent: { readonly names: readonly unknown[]; readonly answer: () => void; readonly refuse: () => void }[] = [];
  const request = <T>({ path, text }: Call): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const content = text?.content ?? '';
      const isBatch = path === '/api/tasks/batch';
      const names = isBatch ? linesOf(content).map((line) => line.task.description) : [(JSON.parse(content) as SubmitRequest).description];
      const answer = isBatch ? { answers: names.map((_, n) => ({ status: 201, body: task(n) })) } : task(0);
      const refuse = () => reject(new AgentcomError('AC_API', 'refused', { details: { status: 413 } }));
      sent.push({ names, answer: () => resolve(answer as T), refuse });
    });
  const submitted = submitBatcher({ request });
  let keys = 0;
  const submit = (...names: string[]) => {
    for (const description of names) void submitted({ body: { description }, headers: { 'idempotency-key': `key-${(keys += 1)}` } });
  };
  return { sent, submit };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('64 simultaneous submits go in two requests, so that the hub can overlap their commits; fewer do not', async (t) => {
  const names = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`);
  for (const [count, requests] of [
    [63, [63]],
    [64, [32, 32]],
    [65, [33, 32]],
  ] as const) {
    const { sent, submit } = answeredByHand();
    submit(...names(count));
    await turn();
    t.strictSame(
      sent.map((one) => one.names.length),
      requests,
    );
    t.strictSame(
      sent.flatMap((one) => one.names),
      names(count),
    );
  }
  const { sent, submit } = answeredByHand();
  submit('first', 'second');
  await turn();
  submit(...names(64));
  sent[0]?.answer();
  await turn();
  await turn();
  t.equal(sent.length, 3, 'nothing was in flight');
  submit(...names(100));
  sent[1]?.answer();
  await turn();
  await turn();
  t.equal(sent.length, 4, 'one was in flight: one more');
});

t.test('with two requests in flight, submits wait for an answer or ten milliseconds', async (t) => {
  const timers: { readonly delayMs: number; readonly fire: () => void }[] = [];
  const { setTimeout: realTimeout } = globalThis;
  t.teardown(() => void (globalThis.setTimeout = realTimeout));
  globalThis.setTimeout = ((fire: () => void, delayMs: number) => timers.push({ delayMs, fire })) as unknown as typeof setTimeout;
  const { sent, submit } = answeredByHand();
  submit('a', 'b');
  await turn();
  submit('c', 'd');
  await turn();
  t.equal(sent.length, 2, 'one is in flight');
  t.strictSame(timers, []);
  submit('e', 'f');
  t.equal(timers.at(-1)?.delayMs, 10, 'two are');
  await turn();
  t.equal(sent.length, 2);
  submit('g');
  sent[0]?.answer();
  await turn();
  await turn();
  submit('h', 'i');
  timers.at(-1)?.fire();
  await turn();
  t.strictSame(
    sent.map(({ names }) => names),
    [
      ['a', 'b'],
      ['c', 'd'],
      ['e', 'f', 'g'],
      ['h', 'i'],
    ],
  );
});

t.test(
  'at most 16 requests are in flight; the others wait unsent and without a timer, in their order, and grow until it is their turn',
  async (t) => {
    const { setTimeout: realTimeout } = globalThis;
    t.teardown(() => void (globalThis.setTimeout = realTimeout));
    const large = (name: string) => name + 'x'.repeat(70_000);
    const names = Array.from({ length: 20 * 256 }, (_, n) => `n${n}`);
    const { sent, submit } = answeredByHand();
    submit(...names.slice(0, -1));
    await turn();
    globalThis.setTimeout = (() => t.fail('a timer')) as unknown as typeof setTimeout;
    submit(large('a'), names.at(-1) ?? '', large('b'), 'last');
    await turn();
    t.equal(sent.length, 16);
    for (let answered = 0; answered < sent.length; answered += 1) {
      sent[answered]?.answer();
      await turn();
      await turn();
      t.ok(sent.length <= answered + 17, `${sent.length} sent, ${answered + 1} answered`);
    }
    t.strictSame(
      sent.flatMap((one) => one.names),
      [...names, large('a'), large('b'), 'last'],
    );
    t.strictSame(
      sent.map((one) => one.names.length),
      [128, 128, ...Array.from({ length: 19 }, () => 256), 1, 1, 1],
    );
    submit('after', 'that');
    await turn();
    t.strictSame(sent.at(-1)?.names, ['after', 'that']);
  },
);

t.test('submits that are sent one by one are bounded, too, and precede later ones', async (t) => {
  const { sent, submit } = answeredByHand();
  const names = Array.from({ length: 40 }, (_, n) => `n${n}`);
  submit(...names);
  await turn();
  sent[0]?.refuse();
  await turn();
  await turn();
  submit('later', 'latest');
  for (let answered = 1; answered < sent.length; answered += 1) {
    await turn();
    t.ok(sent.length <= answered + 16, `${sent.length} sent, ${answered} answered`);
    sent[answered]?.answer();
    await turn();
  }
  t.strictSame(
    sent.slice(1).map((one) => one.names),
    [...names.map((name) => [name]), ['later', 'latest']],
  );
});

t.test('a large submit is sent alone', async (t) => {
  const sent: string[] = [];
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => (sent.push('alone'), c.json(task(1), 201)))
    .post('/api/tasks/batch', (c) => {
      const lines = linesOf(c.text);
      sent.push(`${lines.length} together`);
      return c.json({ answers: lines.map((_, n) => ({ status: 201, body: task(n) })) });
    });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const large = { description: 'x', metadata: { text: 'x'.repeat(70_000) } };
  await Promise.all([tasks.submit({ description: 'a' }), tasks.submit(large), tasks.submit({ description: 'b' })]);
  t.strictSame(sent.sort(), ['2 together', 'alone']);
});

t.test('R8: an unanswered batch is repeated with the same keys; a rate-limited submit is repeated alone', async (t) => {
  const keys: string[][] = [];
  let alone = 0;
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => ((alone += 1), c.json(task(9), 201)))
    .post('/api/tasks/batch', (c) => {
      const lines = linesOf(c.text);
      keys.push(lines.map(({ key }) => key));
      if (keys.length === 1) return c.json({ error: 'storage_unavailable', message: 'away' }, 503, { 'retry-after': '0' });
      const [first, second] = [
        { status: 201, body: task(1) },
        { status: 429, retry_after: 0, body: { error: 'rate_limited' } },
      ];
      return c.json({ answers: [first, second] });
    });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const [one, two] = await Promise.all([tasks.submit({ description: 'a' }), tasks.submit({ description: 'b' })]);
  t.strictSame([one.task_id, two.task_id], [task(1).task_id, task(9).task_id]);
  t.strictSame(keys[0], keys[1]);
  t.equal(alone, 1);
});

t.test('a hub without batch support gets single submits from then on', async (t) => {
  let [batches, singles] = [0, 0];
  const app = new ScriptedApp()
    .post('/api/tasks/batch', (c) => ((batches += 1), c.json({ error: 'method_not_allowed' }, 405)))
    .post('/api/tasks', (c) => c.json(task((singles += 1)), 201));
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const three = () => Promise.all(['a', 'b', 'c'].map((description) => tasks.submit({ description })));
  t.equal(new Set((await three()).map(({ task_id: id }) => id)).size, 3);
  await three();
  t.strictSame([batches, singles], [1, 6]);
});

t.test('a 404 of a proxy does not end batches', async (t) => {
  let [batches, singles] = [0, 0];
  const app = new ScriptedApp()
    .post('/api/tasks/batch', (c) => {
      batches += 1;
      if (batches === 1) return c.body('<h1>Not Found</h1>', 404, { 'content-type': 'text/html' });
      return c.json({ answers: linesOf(c.text).map((_, n) => ({ status: 201, body: task(n) })) });
    })
    .post('/api/tasks', (c) => c.json(task((singles += 1)), 201));
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const two = () => Promise.all(['a', 'b'].map((description) => tasks.submit({ description })));
  await two();
  await two();
  t.strictSame([batches, singles], [2, 2]);
});

t.test('a batch refused as a whole is sent one by one, so that no submit is refused for another', async (t) => {
  let singles = 0;
  const app = new ScriptedApp()
    .post('/api/tasks/batch', (c) => c.json({ error: 'body_too_large', message: 'Line 2 exceeds 10 bytes.' }, 413))
    .post('/api/tasks', (c) => c.json(task((singles += 1)), 201));
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  await Promise.all(['a', 'b'].map((description) => tasks.submit({ description })));
  t.equal(singles, 2);
});

t.test('R8: a submit with a long Retry-After fails alone, as if it had been sent alone', async (t) => {
  const quota = { error: 'rate_limited', message: 'too many lists' };
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => c.json(quota, 429, { 'retry-after': '3600' }))
    .post('/api/tasks/batch', (c) =>
      c.json({
        answers: [
          { status: 201, body: task(1) },
          { status: 429, retry_after: 3_600, body: quota },
        ],
      }),
    );
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const [one, two] = await Promise.allSettled([tasks.submit({ description: 'a' }), tasks.submit({ description: 'b' })]);
  t.match(one, { status: 'fulfilled', value: { task_id: task(1).task_id } });
  t.match(two, { status: 'rejected', reason: { code: 'AC_API', details: { status: 429, error: 'rate_limited' } } });
});

t.test('a task is sent as it was at submit, batched or alone', async (t) => {
  for (const knowsBatches of [true, false]) {
    const sent: unknown[] = [];
    const app = new ScriptedApp()
      .post('/api/tasks', (c) => (sent.push((JSON.parse(c.text) as SubmitRequest).description), c.json(task(1), 201)))
      .post('/api/tasks/batch', (c) => {
        if (!knowsBatches) return c.json({ error: 'unknown_route' }, 404);
        const lines = linesOf(c.text);
        sent.push(...lines.map((line) => line.task.description));
        return c.json({ answers: lines.map((_, n) => ({ status: 201, body: task(n) })) });
      });
    const { tasks } = hubClient({ url: (await listening(t, app)).url });
    const reused = { description: '' };
    const submits = [0, 1, 2].map((n) => ((reused.description = `task ${n}`), tasks.submit(reused)));
    reused.description = 'changed';
    await Promise.all(submits);
    const alone = tasks.submit(reused);
    reused.description = 'changed again';
    await alone;
    t.strictSame(sent, ['task 0', 'task 1', 'task 2', 'changed']);
  }
});

t.test('a task is signed and sent as it was at submit, whatever the caller changes while it is signed', async (t) => {
  const sent: SubmitRequest[] = [];
  const keys: unknown[] = [];
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => (sent.push(JSON.parse(c.text) as SubmitRequest), c.json(task(1), 201)))
    .post('/api/admin/push-task', (c) => (sent.push(JSON.parse(c.text) as SubmitRequest), c.json(task(1), 201)))
    .post('/api/tasks/bulk', (c) => {
      keys.push(c.headers['idempotency-key']);
      sent.push(...c.text.split('\n').map((line) => JSON.parse(line) as SubmitRequest));
      return c.json({ task_ids: [] });
    });
  const signWith: SignTask = async ({ description, metadata }) => {
    await turn();
    return JSON.stringify({ description, metadata });
  };
  const { tasks } = hubClient({ url: (await listening(t, app)).url, signWith });
  const reused = (): SubmitRequest & { description: string } => ({ description: 'before', metadata: { list: [1] } });
  const change = (body: SubmitRequest & { description: string }): void => {
    body.description = 'after';
    (body.metadata?.['list'] as number[]).push(2);
  };
  const body = reused();
  const submitted = tasks.submit(body);
  change(body);
  await submitted;

  const pushedBody = { agent_id: 'a', ...reused() };
  const pushed = tasks.push(pushedBody);
  change(pushedBody);
  await pushed;

  const many = [reused(), reused(), reused()];
  const options = { idempotencyKey: 'key-1' };
  const bulk = tasks.submitMany(many, options);
  many.forEach(change);
  many.length = 2;
  options.idempotencyKey = 'key-2';
  await bulk;

  const expected = { ...reused(), signature: JSON.stringify(reused()) };
  t.strictSame(sent, [expected, { agent_id: 'a', ...expected }, expected, expected, expected]);
  t.strictSame(keys, ['key-1']);
});

t.test('a caller’s callback that throws fails only its own submit', async (t) => {
  const app = new ScriptedApp().post('/api/tasks/batch', (c) =>
    c.json({ answers: linesOf(c.text).map((_, n) => ({ status: 200, body: task(n) })) }),
  );
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const onRepeated = (): never => {
    throw new Error('of the caller');
  };
  const submits = [
    tasks.submit({ description: 'a' }),
    tasks.submit({ description: 'b' }, { onRepeated }),
    tasks.submit({ description: 'c' }),
  ];
  t.match(await Promise.allSettled(submits), [
    { status: 'fulfilled' },
    { status: 'rejected', reason: { message: 'of the caller' } },
    { status: 'fulfilled' },
  ]);
});
