/** `GET /metrics`: who may read it, what it costs the store, and that a hostile client cannot create labels. */
import t from 'tap';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { scrapeOf } from '../../apps/monitoring/scrape.ts';
import { ADMIN_TOKEN, hubBench, type HubBench } from './hub-bench.ts';

const scrape = async (bench: HubBench) => scrapeOf((await bench.send('/metrics', { token: 'viewer' })).text);

t.test('the store is read at most once a second, one read at a time, regardless of the number of requests', async (t) => {
  const inner = await hubBench();
  t.teardown(() => inner.close());
  let [reads, running, most] = [0, 0, 0];
  let release = (): void => undefined;
  const tasks = {
    ...inner.storage.tasks,
    async stats() {
      reads += 1;
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => (release = resolve));
      running -= 1;
      return inner.storage.tasks.stats();
    },
  };
  const bench = await hubBench({ deps: { tasks } });
  t.teardown(() => bench.close());
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const requested = ['viewer', 'operator', 'admin'].map((token) => bench.send('/metrics', { token }));
  while (running === 0) await turn();
  bench.clock.advance(2_999);
  requested.push(bench.send('/metrics', { token: 'viewer' }));
  for (let n = 0; n < 10; n += 1) await turn();
  release();
  for (const { status } of await Promise.all(requested)) t.equal(status, 200);
  t.strictSame([reads, most], [1, 1], 'a slow read is waited for, not repeated');
  bench.clock.advance(1_000);
  const again = bench.send('/metrics');
  while (running === 0) await turn();
  release();
  await again;
  t.equal((await bench.send('/metrics')).status, 200);
  t.equal(reads, 2, 'read again after a second');

  bench.clock.advance(1_000);
  for (let n = 0; n < 3; n += 1) {
    const scraped = bench.send('/metrics');
    while (running === 0) await turn();
    for (let m = 0; m < 10; m += 1) await turn();
    bench.clock.advance(3_000);
    t.match((await scraped).text, /^agentcom_store_up 0$/m, 'a store that does not answer is waited for 3 s');
  }
  t.equal(reads, 3, 'and not read again meanwhile');
  release();
});

t.test('while the store cannot be read, a token that was valid within the last hour is enough, unless this hub revoked it', async (t) => {
  const inner = await hubBench();
  t.teardown(() => inner.close());
  const { agents } = inner.storage;
  let store: 'up' | 'down' | 'stuck' = 'up';
  const gone = () => new AgentcomError('AC_STORE_UNAVAILABLE', 'The disk is gone.');
  const findToken = (hash: string): ReturnType<typeof agents.findToken> => {
    if (store === 'up') return agents.findToken(hash);
    return store === 'down' ? Promise.reject(gone()) : new Promise(() => undefined);
  };
  const bench = await hubBench({ deps: { agents: { ...agents, findToken } } });
  t.teardown(() => bench.close());
  const { json: made } = await bench.send('/admin/tokens', { token: ADMIN_TOKEN, json: { name: 'prometheus', role: 'viewer' } });
  const viewer = String(made['token']);
  const statusOf = async (path = '/metrics', token = viewer): Promise<number> => (await bench.send(path, { token })).status;
  t.equal(await statusOf(), 200);
  store = 'down';
  bench.clock.advance(3_599_999);
  t.equal(await statusOf(), 200);
  t.equal(await statusOf('/metrics', 'operator'), 503, 'one that was not used before');
  t.equal(await statusOf('/api/tasks'), 503, 'other routes');
  bench.clock.advance(1);
  t.equal(await statusOf(), 503, 'an hour later');

  store = 'up';
  t.equal(await statusOf(), 200);
  store = 'stuck';
  bench.clock.advance(60_000);
  const scraped = bench.send('/metrics', { token: viewer });
  for (let n = 0; n < 10; n += 1) await new Promise((resolve) => setImmediate(resolve));
  bench.clock.advance(2_000);
  t.equal((await scraped).status, 200, 'a store that does not answer is waited for 2 s');

  store = 'down';
  t.equal((await bench.send(`/admin/tokens/${String(made['id'])}`, { method: 'DELETE', token: ADMIN_TOKEN })).status, 200);
  t.equal(await statusOf(), 503, 'revoked by this hub');
});

t.test('while the store cannot be read, the other metrics are still reported', async (t) => {
  const inner = await hubBench();
  t.teardown(() => inner.close());
  const stats = () => Promise.reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'The disk is gone.'));
  const bench = await hubBench({ deps: { tasks: { ...inner.storage.tasks, stats } } });
  t.teardown(() => bench.close());
  const figures = await scrape(bench);
  t.equal(figures.get('agentcom_store_up'), 0);
  t.equal(figures.has('agentcom_tasks{status="queued"}'), false);
  t.equal(figures.get('agentcom_slots{state="free"}'), 0);
});

t.test('text from a client never becomes a series', async (t) => {
  const bench = await hubBench();
  t.teardown(() => bench.close());
  for (let n = 0; n < 300; n += 1) {
    await bench.send(`/nowhere/${n}`, { token: null });
    await bench.send(`/api/tasks/task-${n}"}%0A`, {});
    await bench.send('/api/tasks', { method: `M${n}` });
  }
  const figures = await scrape(bench);
  const requests = [...figures].filter(([series]) => series.startsWith('agentcom_http_requests_total'));
  t.strictSame(Object.fromEntries(requests), {
    'agentcom_http_requests_total{method="other",route="other",status="404"}': 300,
    'agentcom_http_requests_total{method="other",route="other",status="405"}': 300,
    'agentcom_http_requests_total{method="GET",route="/api/tasks/:id",status="404"}': 300,
  });
});

t.test('agents, submitters and unauthenticated clients get no metrics', async (t) => {
  const bench = await hubBench();
  t.teardown(() => bench.close());
  for (const [token, status] of [
    [null, 401],
    ['agent', 403],
    ['submitter', 403],
    ['viewer', 200],
  ] as const)
    // prettier-ignore
    t.equal((await bench.send('/metrics', { token })).status, status, String(token));
});
