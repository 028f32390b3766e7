/** A hub on a real Postgres, as people run it: started, killed, and with its server down for a while. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { postgresUnderTest } from '../apps/adapters-under-test.ts';
import { makeWorld } from '../apps/app-world.ts';

/** How long the server is down. */
const GONE_MS = 20_000;

const server = await postgresServer();
const world = await makeWorld(t, {
  storage: postgresUnderTest(server.url),
  // A restart on a busy machine takes longer than the grace period of other tests; here no agent stays away.
  hubTiming: { reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, leaseMs: 60_000 },
});
t.teardown(() => server.end());
const { api } = world;
let hub = await world.startHub();
await world.startSidecar('a1', { extra: 'slots: 4' });

async function atWork(description: string): Promise<string> {
  const { task_id: id } = await api.tasks.submit({ description });
  await world.event(id, ['woken']);
  await world.ledgerLine(id, 'start');
  return id;
}

async function endsOnce(id: string): Promise<void> {
  await world.event(id, ['completed', 'dead_lettered']);
  t.match(await api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0 });
  t.strictSame(await world.history(id), ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'completed']);
}

t.test('a task completes, and /health names the storage', async (t) => {
  t.match(await api.health(), { status: 'ok', storage: 'postgres' });
  const id = await atWork('the first one');
  world.release(id);
  await endsOnce(id);
  t.match(await api.tasks.stats(), { completed: 1 });
});

t.test('when the hub is killed, acknowledged tasks survive, and the agent keeps working', async () => {
  const id = await atWork('continues while the hub is down');
  await hub.kill('SIGKILL');
  hub = await world.startHub();
  world.release(id);
  await endsOnce(id);
});

t.test(
  'while Postgres is down, submits are refused with 503, agents keep working, and their reports arrive later',
  { skip: server.power === null && 'the server is not ours to stop' },
  async (t) => {
    const { power } = server;
    if (power === null) return;
    const [continuing, ends] = [await atWork('continues while Postgres is down'), await atWork('ends while Postgres is down')];
    await power.stop();
    const goneAtMs = performance.now();
    const answer = await fetch(`http://127.0.0.1:${world.port}/api/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${world.adminToken}`, 'idempotency-key': 'while-away' },
      body: JSON.stringify({ description: 'comes while Postgres is down' }),
    });
    t.equal(answer.status, 503);
    t.match(answer.headers.get('retry-after'), /^\d+$/);
    t.match(await answer.json(), { error: 'storage_unavailable' });
    // The answer of /health may be a second old.
    while ((await api.health())['status'] !== 'degraded');
    world.release(ends);
    await world.ledgerLine(ends, 'end');
    // Longer than a hub's lease, so that it has disconnected its sidecars when the server is back.
    await sleep(Math.max(0, goneAtMs + GONE_MS - performance.now()));
    await power.start();
    await endsOnce(ends);
    world.release(continuing);
    await endsOnce(continuing);
    const { task_id: id } = await api.tasks.submit({ description: 'comes while Postgres is down' }, 'while-away');
    world.release(id);
    await endsOnce(id);
  },
);

t.test('the password is never logged', async (t) => {
  t.equal(await hub.kill('SIGTERM'), 0);
  t.notMatch(hub.log(), decodeURIComponent(new URL(server.url).password));
  t.notMatch(hub.log(), new URL(server.url).password);
});
