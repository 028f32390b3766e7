/** A closed terminal (SIGHUP) stops a hub or a sidecar as SIGTERM does: it ends by itself, with 0, and running agents continue. */
import t from 'tap';
import { makeWorld } from '../app-world.ts';

t.test('SIGHUP stops hub and sidecar in order, and a running agent is found again', async (t) => {
  const world = await makeWorld(t, { hubTiming: { reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, leaseMs: 60_000 } });
  let hub = await world.startHub();
  let sidecar = await world.startSidecar('a1');
  const { task_id: id } = await world.api.tasks.submit({ description: 'continues across a stop', needed_capabilities: ['code'] });
  await world.event(id, ['woken']);
  await world.ledgerLine(id, 'start');
  t.equal(await sidecar.kill('SIGHUP'), 0, 'the sidecar');
  t.equal(await hub.kill('SIGHUP'), 0, 'the hub');
  hub = await world.startHub();
  sidecar = await world.startSidecar('a1');
  world.release(id);
  await world.event(id, ['completed', 'dead_lettered']);
  t.match(await world.api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0 });
  await sidecar.kill('SIGTERM');
  await hub.kill('SIGTERM');
});
