/** When an agent was last heard, as stored after it disconnects. */
import t from 'tap';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { hubRig } from '../hub-rig.ts';

t.test('the last heard time of a lost agent is its last frame, not its connect', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  await rig.pass(20_000);
  await peer.send({ type: 'ping' });
  await rig.pass(20_000);
  await peer.send({ type: 'ping' });
  const heardAtMs = rig.clock.nowMs();
  await rig.pass(5_000);
  t.equal(rig.sessions.lastHeardAtMs('a1' as AgentId), heardAtMs);
  await peer.cut();
  const agent = (await rig.storage.agents.getAgent('a1' as AgentId))?.agent;
  t.equal(agent?.lastHeardAtMs, heardAtMs);
  t.equal(agent?.disconnectedAtMs, heardAtMs + 5_000);
});
