/** The order of waiting tasks, also where some of them should avoid an agent: a whole hub and a virtual clock. */
import t from 'tap';
import type { AgentId, Generation } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { aTask, aTaskId, inserting } from '../../product/contracts/fixtures.ts';
import { hubRig } from './hub-rig.ts';

t.test('I13: behind tasks that avoid an agent, the next task of the lane goes before any of a lower lane', async (t) => {
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
  t.match(a.newFrames(), [{ type: 'task_assign', task_id: next.id }]);
  t.match(b.newFrames(), [{ type: 'task_assign', task_id: avoiding[0]?.id }]);
  await rig.stop();
});

t.test('I13: behind expired tasks, the next task of the lane goes before any of a lower lane', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const waiting = (n: number, over: Partial<Task>): Task => aTask({ id: aTaskId(n), eligibleAtMs: rig.clock.nowMs() - 1_000 + n, ...over });
  const over = [1, 2, 3, 4, 5].map((n) => waiting(n, { priority: 'urgent', expiresAtMs: rig.clock.nowMs() + 1_000 }));
  const next = waiting(6, { priority: 'urgent' });
  const low = waiting(0, { priority: 'low' });
  await rig.storage.tasks.transact('batch-of-the-test', (unit) => unit.save(inserting(low, ...over, next)));
  // Behind a flood of other work, so that the task's end is committed before the sweep for expired tasks.
  const from = { agentId: 'a1' as AgentId, session: (await rig.storage.agents.getAgent('a1' as AgentId))?.agent.sessionNumber ?? 0 };
  const flood = { kind: 'report', from, taskId: aTaskId(9), generation: null, body: { report: 'accepted' } } as const;
  for (let n = 0; n < 200; n += 1) rig.queue.post(flood, () => undefined, true);
  rig.clock.advance(2_000);
  const body = { report: 'complete', result: '1', details: null, tokensUsed: null, costUsd: null } as const;
  await rig.queue.do({ kind: 'report', from, taskId: first, generation: 1 as Generation, body });
  await rig.pass(0);
  t.match(peer.newFrames().at(-1), { type: 'task_assign', task_id: next.id });
  await rig.stop();
});
