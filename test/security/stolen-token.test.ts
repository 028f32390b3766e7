/** What the holder of an agent's token can do: that agent's own work within what the token fixes, until it is revoked. */
import t from 'tap';
import type { AgentId } from '../../core/domain/ids.ts';
import type { AgentStore } from '../../core/ports/agent-store.ts';
import { hubBench } from '../adapters/http/hub-bench.ts';
import { hubRig, settle, type HubRig, type Peer } from '../core/hub/hub-rig.ts';
import { gate } from '../rig/gate.ts';

const types = (frames: readonly { readonly type: string }[]): string => frames.map((frame) => frame.type).join(' ');

/** A busy agent, and the thief of another agent's token. */
async function twoAgents(): Promise<{ readonly rig: HubRig; readonly owner: Peer; readonly thief: Peer; readonly id: string }> {
  const rig = await hubRig();
  const owner = await rig.peer('owner');
  await owner.identify({ capabilities: ['owned'] });
  const id = await rig.submit({ neededCapabilities: ['owned'] });
  await owner.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const thief = await rig.peer('thief', { capabilities: [], maxSlots: 16 });
  await thief.identify({ capabilities: ['owned'], slots: 128 });
  owner.newFrames();
  return { rig, owner, thief, id };
}

t.test("R7: every kind of report on another agent's task is refused and counted, and changes nothing", async (t) => {
  const { rig, owner, thief, id } = await twoAgents();
  const before = await rig.record(id as never);
  const words: readonly Readonly<Record<string, unknown>>[] = [
    { type: 'task_accepted' },
    { type: 'task_rejected', reason: 'x' },
    { type: 'task_released', reason: 'x' },
    { type: 'task_progress', percent: 99 },
    { type: 'task_complete', result: 'stolen' },
    { type: 'task_failed', error: 'x', retryable: false },
    { type: 'task_complete', result: 'stolen', agent_id: 'owner' },
    { type: 'task_complete', result: 'stolen', generation: 0 },
    { type: 'task_complete', result: 'stolen', generation: 2 },
  ];
  for (const word of words) {
    await thief.send({ task_id: id, generation: 1, ...word });
    t.equal(types(thief.newFrames()), 'task_nack', JSON.stringify(word));
  }
  for (const word of [
    { type: 'wake_result', status: 'failed' },
    { type: 'task_cancel_ack', outcome: 'killed' },
  ])
    await thief.send({ task_id: id, generation: 1, ...word });
  t.strictSame(await rig.record(id as never), before);
  t.strictSame(owner.newFrames(), [], 'the owner receives nothing about it');
  t.strictSame(rig.sessions.refusals().frames, { not_assignee: 8, stale_generation: 2 });
  await rig.stop();
});

t.test('R7: a frame of a replaced session changes nothing and is counted', async (t) => {
  const { rig, owner, id } = await twoAgents();
  const report = { type: 'task_complete', task_id: id, generation: 1, result: 'of the old connection' };
  const newer = await owner.reconnect();
  // The report arrives while the identify that replaces its session is being committed.
  const { tasks } = rig.storage;
  const transact = tasks.transact.bind(tasks);
  const { opened: disk, open: toDisk } = gate();
  Object.assign(tasks, { transact: async (...of: Parameters<typeof transact>) => (await disk, transact(...of)) });
  await newer.identify({ capabilities: ['owned'], held: [{ task_id: id, generation: 1, status: 'working' }] });
  await owner.send(report);
  toDisk();
  await settle(rig.clock);
  t.equal(owner.closed(), 4001);
  t.equal((await rig.record(id as never)).task.status, 'assigned');
  t.strictSame(rig.sessions.refusals().frames, { replaced_session: 1 });
  await newer.send({ ...report, result: 'of the new one' });
  t.equal((await rig.record(id as never)).task.status, 'completed');
  await rig.stop();
});

t.test('a task that the thief lists as held stays with its owner', async (t) => {
  const { rig, thief, id } = await twoAgents();
  for (const status of ['working', 'reporting', 'unknown']) {
    const again = await thief.reconnect();
    const [identified] = await again.identify({ held: [{ task_id: id, generation: 1, status }] });
    const action = status === 'reporting' ? 'report' : 'abort';
    t.match(identified, { type: 'identified', held: [{ task_id: id, action }] });
    if (status === 'reporting') {
      await again.send({ type: 'task_complete', task_id: id, generation: 1, result: 'stolen' });
      t.match(again.newFrames(), [{ type: 'task_nack', reason: 'not_assignee' }]);
    }
  }
  const { task } = await rig.record(id as never);
  t.match(task, { status: 'assigned', assignedTo: 'owner', generation: 1 });
  await rig.stop();
});

t.test('the token fixes capabilities and slots, whatever identify claims', async (t) => {
  const { rig, thief } = await twoAgents();
  const row = await rig.storage.agents.getAgent('thief' as AgentId);
  t.strictSame([row?.agent.capabilities, row?.agent.slots], [[], 16]);
  const claimed = await rig.submit({ neededCapabilities: ['owned'] });
  await Promise.all(Array.from({ length: 20 }, () => rig.submit()));
  t.equal((await rig.record(claimed)).task.status, 'queued', 'not the work that it claims to be capable of');
  t.equal(thief.newFrames().filter((frame) => frame.type === 'task_assign').length, 16, 'and not more than 16 tasks');
  await rig.stop();
});

t.test('an agent token has max_slots 16 by default', async (t) => {
  const bench = await hubBench();
  const { json } = await bench.send('/admin/tokens', { json: { agent_id: 'new-agent' } });
  t.equal(json['max_slots'], 16);
  await bench.close();
});

t.test('revoking a token closes its socket at once and refuses its next identify', async (t) => {
  const { rig, owner, thief } = await twoAgents();
  const [revoked] = await rig.storage.agents.revokeTokens({ agentId: 'thief' as AgentId }, rig.clock.nowMs());
  rig.sessions.endTokens(revoked === undefined ? [] : [revoked]);
  await settle(rig.clock);
  t.equal(thief.closed(), 1008);
  t.equal(owner.closed(), null, 'no other agent');
  const again = await thief.reconnect();
  t.match(await again.identify(), [{ type: 'error', error: 'invalid_token' }]);
  await rig.stop();
});

t.test('a token that is revoked while it is being looked up grants nothing', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('thief');
  const { agents } = rig.storage;
  const find = agents.findToken.bind(agents);
  let lookedUp: () => void = () => undefined;
  const slow: AgentStore['findToken'] = async (hash) => {
    const found = await find(hash);
    await new Promise<void>((resolve) => (lookedUp = resolve));
    return found;
  };
  Object.assign(agents, { findToken: slow });
  await peer.identify();
  const [revoked] = await agents.revokeTokens({ agentId: 'thief' as AgentId }, rig.clock.nowMs());
  rig.sessions.endTokens(revoked === undefined ? [] : [revoked]);
  lookedUp();
  await settle(rig.clock);
  t.equal(peer.closed(), 1013);
  t.notOk(peer.frames.some((frame) => frame.type === 'identified'));
  t.equal((await agents.getAgent('thief' as AgentId))?.agent.connected, false);
  await rig.stop();
});
