/** A sweep reads only what is due. Its cost does not grow with the number of agents and their assignments. */
import t from 'tap';
import { hubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

t.test('R20: a due task does not scan all agents; a regular sweep reads only agents that may need something', async (t) => {
  const rig = await hubRig({ timing: { sweepMs: 30_000 } });
  const peers = await Promise.all(Array.from({ length: 20 }, (_, n) => rig.peer(`agent-${n}`)));
  for (const peer of peers) await peer.identify({ slots: 2 });
  for (let n = 0; n < 40; n += 1) {
    const id = await rig.submit();
    for (const [nth, peer] of peers.entries())
      for (const frame of peer.newFrames())
        if (frame.type === 'task_assign' && frame['task_id'] === id)
          await peer.send({ type: 'task_accepted', agent_id: `agent-${nth}`, task_id: id, generation: 1 });
  }
  await rig.pass(5_000);
  let looks = 0;
  let listed = 0;
  let loaded = 0;
  watchUnits(rig.storage, (unit) => {
    let isSweep = false;
    return {
      activeAgents: async (exceptOf, known) => {
        isSweep = true;
        looks += 1;
        const active = await unit.activeAgents(exceptOf, known);
        listed += active.length;
        return active;
      },
      load: (names) => {
        if (isSweep) loaded += names.holders?.length ?? 0;
        return unit.load(names);
      },
    };
  });
  for (let n = 1; n <= 20; n += 1) await rig.submit({ runAtMs: rig.clock.nowMs() + n * 500, neededCapabilities: ['nobody'] });
  await rig.pass(11_000);
  t.equal(looks, 0, 'scans of all agents, in 11 s with 20 due tasks');
  await rig.queue.do({ kind: 'sweep' });
  t.equal(looks, 1);
  t.equal(listed, 0, 'agents already known to the hub');
  t.equal(loaded, 0, 'agents connected here with nothing to stop');
  await rig.stop();
});

t.test('I13: an agent whose socket vanished silently is still found by a regular sweep', async (t) => {
  const rig = await hubRig({ timing: { sweepMs: 30_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const before = rig.context.isHere;
  Object.assign(rig.context, { isHere: () => false });
  await rig.pass(31_000);
  t.equal((await rig.storage.agents.getAgent('a1' as never))?.agent.connected, false);
  Object.assign(rig.context, { isHere: before });
  await rig.stop();
});
