/** The order of what waits, also where some of it would rather go elsewhere: a whole hub and a virtual clock. */
import t from 'tap';
import type { AgentId } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task.ts';
import { aTask, aTaskId, inserting } from '../../contracts/fixtures.ts';
import { hubRig } from './hub-rig.ts';

t.test('I13: behind tasks that avoid an agent the next one of their lane goes before any of a lower lane', async (t) => {
  const rig = await hubRig();
  const [a, b] = [await rig.peer('a1'), await rig.peer('b1')];
  await a.identify({ instance_id: 'machine-a' });
  await b.identify({ instance_id: 'machine-b' });
  const waiting = (n: number, over: Partial<Task>): Task => aTask({ id: aTaskId(n), eligibleAtMs: rig.clock.nowMs() - 1_000 + n, ...over });
  const avoiding = [1, 2, 3, 4, 5].map((n) => waiting(n, { priority: 'urgent', avoid: 'a1' as AgentId }));
  const next = waiting(6, { priority: 'urgent' });
  const low = waiting(0, { priority: 'low' });
  await rig.storage.tasks.transact('batch-of-the-test', (unit) => unit.save(inserting(low, ...avoiding, next)));
  await rig.submit();
  t.match(a.news(), [{ type: 'task_assign', task_id: next.id }]);
  t.match(b.news(), [{ type: 'task_assign', task_id: avoiding[0]?.id }]);
  await rig.stop();
});
