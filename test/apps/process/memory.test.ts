/** A hub that stores nothing says so: at its start, and on request. */
import t from 'tap';
import { makeWorld } from '../app-world.ts';

t.test('a hub on memory() works, warns that it stores nothing permanently, and stores nothing', async (t) => {
  const world = await makeWorld(t, { storage: { name: 'memory', text: 'memory()' } });
  const { api } = world;
  const hub = await world.startHub();
  t.match(await api.health(), { status: 'ok', storage: 'memory', durable: false });
  const warning = hub.log().split('\n').find((line) => line.includes('keeps nothing')); // prettier-ignore
  t.match(JSON.parse(warning ?? '{}'), { level: 'warn', storage: 'memory', durable: false });
  await api.tasks.submit({ description: 'waits for an agent, in vain' });
  t.match(await api.tasks.stats(), { queued: 1 });
  t.equal(await hub.kill('SIGTERM'), 0);
  await world.startHub();
  t.match(await api.tasks.stats(), { queued: 0 });
});
