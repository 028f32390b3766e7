/** A hub that is told to stop while its Postgres is silent: an unreachable network, not a server that refuses. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { postgresUnderTest } from '../apps/adapters-under-test.ts';
import { tcpProxy } from '../durability/tcp-proxy.ts';
import { makeWorld } from '../apps/app-world.ts';

/** How long a program that was told to stop may take. */
const STOPPED_WITHIN_MS = 10_000;
/** Until the requests wait for an answer. */
const ASKED_MS = 500;

const server = await postgresServer();
t.teardown(() => server.end());

t.test('R1, R2: a hub stopped while Postgres is unresponsive ends in time and in order, and loses no acknowledged task', async (t) => {
  const url = new URL(server.url);
  const network = await tcpProxy(t, Number(url.port));
  url.port = String(network.port);
  const world = await makeWorld(t, { storage: postgresUnderTest(url.href) });
  const { api } = world;
  const hub = await world.startHub();
  await world.startSidecar('a1', { extra: 'slots: 4' });
  const { task_id: id } = await api.tasks.submit({ description: 'told before' });
  await world.event(id, ['woken']);
  network.fallSilent();
  const keys = ['k1', 'k2', 'k3'];
  const requested = keys.map((key) => api.tasks.submit({ description: 'asked meanwhile' }, key).then(() => 'told', () => 'not told')); // prettier-ignore
  await sleep(ASKED_MS);
  const beganMs = performance.now();
  const end = await Promise.race([hub.kill('SIGTERM'), sleep(STOPPED_WITHIN_MS)]);
  t.comment(`${Math.round(performance.now() - beganMs)} ms`);
  t.equal(end, 0, hub.log().slice(-1_500));
  if (end === undefined) await hub.kill('SIGKILL');
  t.strictSame(await Promise.all(requested), keys.map(() => 'not told')); // prettier-ignore
  network.cut();
  await network.restore();
  await world.startHub();
  world.release(id);
  await world.event(id, ['completed']);
  for (const key of keys) {
    const { task_id: id } = await api.tasks.submit({ description: 'asked meanwhile' }, key);
    world.release(id);
    await world.event(id, ['completed']);
  }
  t.match(await api.tasks.stats(), { completed: 1 + keys.length }, 'each once');
});
