/** Submits of a batch that a hub refuses for now, and malformed answers to submits. */
import t, { type Test } from 'tap';
import { hubClient, type SubmitRequest } from '../../../apps/client/index.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { listening } from './scripted-hub.ts';

t.setTimeout(60_000);

interface Line {
  readonly key: string;
  readonly task: SubmitRequest;
}
type LineAnswer = Readonly<Record<string, unknown>>;

const task = (n: number) => ({ task_id: `task-${String(n).padStart(16, '0')}`, status: 'queued', priority: 'normal', created_at: 1 });
const created = { status: 201, body: task(1) };
const busy = (message = 'busy', more: LineAnswer = {}) => ({ status: 503, body: { error: 'hub_busy', message }, ...more });
const names = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`);

/** A hub that answers each line of each batch as the test says, and records when each request arrived. */
async function hub(t: Test, answer: (line: Line, round: number, place: number) => unknown) {
  const batches: { readonly lines: readonly Line[]; readonly atMs: number }[] = [];
  const alone: { readonly key: string; readonly atMs: number }[] = [];
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => {
      alone.push({ key: String(c.headers['idempotency-key']), atMs: performance.now() });
      return c.json(task(9), 201);
    })
    .post('/api/tasks/batch', (c) => {
      const lines = c.text.split('\n').map((line) => JSON.parse(line) as Line);
      batches.push({ lines, atMs: performance.now() });
      return c.json({ answers: lines.map((line, place) => answer(line, batches.length, place)) });
    });
  return { url: (await listening(t, app)).url, batches, alone };
}
const keysOf = ({ lines }: { readonly lines: readonly Line[] }) => lines.map(({ key }) => key);

t.test('refused submits are sent again together after retry_after, with their keys and in their order', async (t) => {
  const { url, batches, alone } = await hub(t, (_, round, place) =>
    round === 1 && place % 2 === 0 ? busy('busy', { retry_after: 1 }) : created,
  );
  const reasons: string[] = [];
  const { tasks } = hubClient({ url, onRetry: (reason) => reasons.push(reason) });
  const answers = await Promise.all(names(40).map((description) => tasks.submit({ description })));
  t.equal(answers.length, 40);
  t.strictSame([batches.length, alone.length], [2, 0]);
  const [first, second] = batches;
  if (first === undefined || second === undefined) return;
  t.strictSame(
    keysOf(second),
    keysOf(first).filter((_, place) => place % 2 === 0),
  );
  const waitedMs = second.atMs - first.atMs;
  t.ok(waitedMs > 980 && waitedMs < 3_000, `${waitedMs} ms`);
  t.match(reasons, [/503 hub_busy\): busy/], 'one retry, which is reported');
  t.equal(reasons.length, 1);
});

t.test('the accepted submits of a batch do not wait for the refused ones', async (t) => {
  const { url, batches } = await hub(t, (_, round, place) => (round === 1 && place > 0 ? busy('busy', { retry_after: 2 }) : created));
  const { tasks } = hubClient({ url });
  const [first, ...others] = names(3).map((description) => tasks.submit({ description }));
  await first;
  t.equal(batches.length, 1);
  await Promise.all(others);
  t.equal(batches.length, 2);
});

t.test('a single refused submit of a batch is sent again alone, after retry_after', async (t) => {
  const { url, batches, alone } = await hub(t, (_, __, place) => (place === 1 ? busy('busy', { retry_after: 1 }) : created));
  const { tasks } = hubClient({ url });
  await Promise.all(['key-1', 'key-2'].map((key) => tasks.submit({ description: 'x' }, key)));
  t.strictSame(
    alone.map(({ key }) => key),
    ['key-2'],
  );
  const waitedMs = (alone[0]?.atMs ?? 0) - (batches[0]?.atMs ?? 0);
  t.ok(waitedMs > 980 && waitedMs < 3_000, `${waitedMs} ms`);
});

t.test('without a retry_after the waits grow, and one of 0 does not flood the hub', async (t) => {
  for (const [more, leastMs] of [
    [{}, [195, 395]],
    [{ retry_after: 0 }, [45, 45]],
    [{ retry_after: 'soon' }, [195, 395]],
  ] as const) {
    const { url, batches, alone } = await hub(t, (_, round) => (round < 3 ? busy('busy', more) : created));
    const { tasks } = hubClient({ url });
    await Promise.all(names(3).map((description) => tasks.submit({ description })));
    t.strictSame([batches.length, alone.length], [3, 0]);
    const [first, second, third] = batches.map(({ atMs }) => atMs) as [number, number, number];
    const waitsMs = [second - first, third - second] as const;
    t.ok(waitsMs[0] > leastMs[0] && waitsMs[1] > leastMs[1], `${JSON.stringify(more)}: ${waitsMs.join(', ')} ms`);
  }
});

t.test('after the time for retries each submit rejects with its own last refusal', async (t) => {
  const { url, batches, alone } = await hub(t, ({ task: { description } }, round) => busy(`${description} in round ${round}`));
  const { tasks } = hubClient({ url, retryWithinMs: 1_000 });
  const startedMs = performance.now();
  const settled = await Promise.allSettled(names(3).map((description) => tasks.submit({ description })));
  const tookMs = performance.now() - startedMs;
  t.ok(tookMs < 1_500, `${tookMs} ms`);
  t.ok(batches.length > 1);
  t.equal(alone.length, 0);
  for (const [n, one] of settled.entries())
    t.match(one, {
      reason: { code: 'AC_API', details: { status: 503, error: 'hub_busy', answer: { message: `n${n} in round ${batches.length}` } } },
    });
});

t.test('with no retries, and with a retry_after beyond their time, a refused submit rejects at once', async (t) => {
  for (const [retryWithinMs, more] of [
    [0, {}],
    [0, { retry_after: 1 }],
    [undefined, { retry_after: 3_600 }],
  ] as const) {
    const { url, batches, alone } = await hub(t, (_, __, place) => (place === 0 ? created : busy('busy', more)));
    const { tasks } = hubClient({ url, retryWithinMs });
    const settled = await Promise.allSettled(names(3).map((description) => tasks.submit({ description })));
    t.match(settled, [{ status: 'fulfilled' }, { reason: { code: 'AC_API' } }, { reason: { code: 'AC_API' } }]);
    t.strictSame([batches.length, alone.length], [1, 0]);
  }
});

t.test('a request that repeats refused submits keeps to what is left of their time', async (t) => {
  let requests = 0;
  const app = new ScriptedApp().post('/api/tasks/batch', (c) => {
    requests += 1;
    if (requests > 1) return c.json({ error: 'storage_unavailable', message: 'away' }, 503);
    return c.json({ answers: c.text.split('\n').map(() => busy('busy', { retry_after: 1 })) });
  });
  const { tasks } = hubClient({ url: (await listening(t, app)).url, retryWithinMs: 1_500 });
  const startedMs = performance.now();
  const settled = await Promise.allSettled(names(2).map((description) => tasks.submit({ description })));
  const tookMs = performance.now() - startedMs;
  const refusal = { reason: { code: 'AC_API', details: { status: 503, error: 'storage_unavailable' } } };
  t.match(settled, [refusal, refusal]);
  t.ok(requests > 1 && tookMs < 2_000, `${requests} requests, ${tookMs} ms`);
});

t.test('an onRetry that throws fails the refused submits with its error', async (t) => {
  const { url } = await hub(t, (_, __, place) => (place === 0 ? created : busy()));
  const onRetry = (): never => {
    throw new Error('of the caller');
  };
  const { tasks } = hubClient({ url, onRetry });
  const failed = { reason: { message: 'of the caller' } };
  t.match(await Promise.allSettled(names(3).map((description) => tasks.submit({ description }))), [
    { status: 'fulfilled' },
    failed,
    failed,
  ]);
});

t.test('an invalid answer to a line fails only its own submit', async (t) => {
  const invalid: readonly unknown[] = [
    null,
    201,
    [],
    {},
    { status: '201', body: task(1) },
    { status: 0, body: task(1) },
    { status: 201 },
    { status: 201, body: null },
    { status: 201, body: [] },
    { status: 503, body: 'busy' },
  ];
  const { url } = await hub(t, (_, __, place) => (place === invalid.length ? created : invalid[place]));
  const { tasks } = hubClient({ url });
  const settled = await Promise.allSettled(names(invalid.length + 1).map((description) => tasks.submit({ description })));
  t.equal(settled.pop()?.status, 'fulfilled');
  for (const one of settled) t.match(one, { reason: { code: 'AC_API', message: /without a valid status and body/ } });
});

t.test('an answer to a batch that has no answers to its lines fails all its submits', async (t) => {
  for (const answer of [null, {}, [], { answers: null }, { answers: [created] }]) {
    const app = new ScriptedApp().post('/api/tasks/batch', (c) => c.json(answer));
    const { tasks } = hubClient({ url: (await listening(t, app)).url });
    const failed = { reason: { code: 'AC_API', message: /did not answer each of 2 submits/ } };
    t.match(await Promise.allSettled(names(2).map((description) => tasks.submit({ description }))), [failed, failed]);
  }
});

t.test('a caller’s callback that throws on a request of its own is not reported as an unreachable hub', async (t) => {
  let requests = 0;
  const app = new ScriptedApp()
    .post('/api/tasks', (c) => ((requests += 1), c.json(task(1))))
    .post('/api/tasks/bulk', (c) => ((requests += 1), c.json({ task_ids: [task(1).task_id] })));
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const thrown = Object.assign(new Error('of the caller'), { code: 'ECONNRESET' });
  const onRepeated = (): never => {
    throw thrown;
  };
  const errorOf = (submit: Promise<unknown>) => submit.catch((error: unknown) => error);
  t.equal(await errorOf(tasks.submit({ description: 'a' }, { onRepeated })), thrown);
  t.equal(await errorOf(tasks.submitMany([{ description: 'a' }], { onRepeated })), thrown);
  t.equal(requests, 2, 'nothing is repeated');
});
