/** The data directory of a running sidecar is removed: it cannot keep its promises any more, so it must not hold tasks. */
import { once } from 'node:events';
import { renameSync, rmSync } from 'node:fs';
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
  // At once: the sidecar may still be writing files there, and a directory that has a new file is not removed.
  const removed = join(world.dir, 'a1-removed');
  renameSync(join(world.dir, 'a1'), removed);
  rmSync(removed, { recursive: true, maxRetries: 10 });
  // It notices with the next task, or before, with a save of its own.
  const { task_id: next } = await world.api.tasks.submit({ description: 'next' });
  t.same(await exited, [4, null], 'a supervisor starts it again');
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'its agent is stopped');
  t.match(sidecar.log(), /data directory .* was removed/);

  await world.event(held, ['lost']);
  const { history } = await world.api.tasks.get(next);
  t.notOk(
    history.some(({ event }) => event === 'accepted'),
    'it accepts nothing that it cannot save',
  );
  await world.startSidecar('a1');
  world.release();
  for (const task of [held, next]) t.equal(await world.event(task, ['completed']), 'completed');
});
