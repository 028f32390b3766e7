/** The data directory of a running sidecar is removed: it cannot keep its promises any more, so it must not hold tasks. */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeWorld } from '../apps/app-world.ts';

// Whole programs start here, on a machine that is busy with other tests.
t.setTimeout(120_000);

t.test('R10, R22: a sidecar whose data directory was removed stops its agents and exits, and its tasks run again', async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const sidecar = await world.startSidecar('a1', { extra: 'slots: 2' });
  const exited = once(sidecar.process, 'exit');
  const { task_id: held } = await world.api.tasks.submit({ description: 'held' });
  const { pid } = await world.ledgerLine(held, 'start');
  rmSync(join(world.dir, 'a1'), { recursive: true });
  const { task_id: refused } = await world.api.tasks.submit({ description: 'refused' });
  t.equal(await world.event(refused, ['rejected', 'accepted']), 'rejected');
  t.same(await exited, [4, null], 'a supervisor starts it again');
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'its agent is stopped');
  t.match(sidecar.log(), /data directory .* was removed/);

  await world.event(held, ['lost']);
  await world.startSidecar('a1');
  world.release();
  for (const task of [held, refused]) t.equal(await world.event(task, ['completed']), 'completed');
});
