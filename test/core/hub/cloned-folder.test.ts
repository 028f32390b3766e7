/** Two processes with one data directory, and so with one instance id and one token: a copied folder, or two containers on one volume. */
import t from 'tap';
import type { AgentId } from '../../../core/domain/ids.ts';
import { hubRig } from './hub-rig.ts';

t.test('R12, R13: of two processes claiming to be one machine, the one at work stays, and its task ends once', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const first = await rig.peer('a1');
  await first.identify();
  const id = await rig.submit({ maxRetries: 0 });
  await first.send({ type: 'task_accepted', task_id: id, generation: 1 });
  first.newFrames();
  for (let n = 0; n < 20; n += 1) {
    const clone = await first.reconnect();
    const [answer] = await clone.identify({ held: [] });
    t.match(answer, { type: 'error', error: 'agent_id_in_use', detail: /data directory/ });
    t.equal(clone.closed(), 4001);
    await rig.pass(3_000);
    await first.send({ type: 'ping' });
  }
  t.equal(first.closed(), null);
  t.match(await rig.summary(id), /^assigned 1: submitted eligible assigned accepted$/);
  await first.send({ type: 'task_complete', task_id: id, generation: 1, result: 1 });
  t.match((await rig.record(id)).task, { status: 'completed', retryCount: 0 });
});

t.test('R13: two clones, idle or holding the same task, do not replace each other forever, even a minute apart', async (t) => {
  for (const everyMs of [1_000, 61_000]) {
    const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
    let open = await rig.peer('a1');
    await open.identify();
    let [taken, refused] = [0, 0];
    for (let n = 0; n < 12; n += 1) {
      for (let passed = 0; passed < everyMs; passed += 20_000) {
        await rig.pass(Math.min(20_000, everyMs - passed));
        await open.send({ type: 'ping' });
      }
      const next = await open.reconnect();
      const [answer] = await next.identify();
      if (answer?.type === 'identified') {
        taken += 1;
        open = next;
      } else refused += 1;
    }
    t.ok(taken <= 6, `every ${everyMs} ms: taken over ${taken} times`);
    t.ok(refused >= 6);
    t.ok(rig.log.lines.some(({ level, message }) => level === 'warn' && message.includes('same data directory')));
    const agent = (await rig.storage.agents.getAgent('a1' as AgentId))?.agent;
    t.ok((agent?.conflictUntilMs ?? 0) > 0, 'the conflict is visible to operators');
    await rig.stop();
  }
});

t.test('R15: a process that reconnects with the same identity is always admitted, however often it does', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let open = await rig.peer('a1');
  await open.identify({ process_id: 'process-1' });
  for (let n = 0; n < 20; n += 1) {
    await rig.pass(5_000);
    const again = await open.reconnect();
    t.match((await again.identify({ process_id: 'process-1' }))[0], { type: 'identified' }, `after ${n} times`);
    open = again;
  }
  await rig.stop();
});

t.test('J4, R15: an identify sent over an earlier connection revokes nothing when it arrives after a newer one', async (t) => {
  // A slow connection, a reset, a fast connection: before, the late inventory replaced the newer one, and an assignment
  // accepted since then was given to another agent.
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const slow = await rig.peer('a1');
  const open = await slow.reconnect();
  await open.identify({ process_id: 'process-1' });
  const id = await rig.submit({ maxRetries: 1 });
  await open.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.pass(1_500);
  t.match(await slow.identify({ process_id: 'process-1', held: [] }), [{ type: 'error', error: 'agent_id_in_use' }]);
  t.equal(open.closed(), null);
  t.match(await rig.summary(id), /^assigned 1: submitted eligible assigned accepted$/);
  t.ok(rig.log.lines.some(({ level, message }) => level === 'warn' && message.includes('earlier connection')));
  const held = [{ task_id: id, generation: 1, status: 'working' }];
  t.match(
    (await (await open.reconnect()).identify({ process_id: 'process-1', held }))[0],
    { type: 'identified' },
    'it reconnects with its task',
  );
  await rig.stop();
});

t.test('R15: a machine whose connection died unnoticed is admitted once the old socket misses a heartbeat', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let open = await rig.peer('a1');
  await open.identify();
  const id = await rig.submit();
  await open.send({ type: 'task_accepted', task_id: id, generation: 1 });
  for (let n = 0; n < 8; n += 1) {
    await rig.pass(31_000);
    const next = await open.reconnect();
    t.match(await next.identify({ held: [{ task_id: id, generation: 1, status: 'working' }] }), [{ type: 'identified' }], `return ${n}`);
    open = next;
  }
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
});

t.test('a machine that lost its journal is admitted once its old connection is silent', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const first = await rig.peer('a1');
  await first.identify();
  const id = await rig.submit();
  await first.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const back = await first.reconnect();
  t.match(await back.identify({ held: [] }), [{ error: 'agent_id_in_use' }]);
  await rig.pass(31_000);
  t.match(await (await first.reconnect()).identify({ held: [] }), [{ type: 'identified' }]);
  t.match(await rig.summary(id), /lost$/);
});
