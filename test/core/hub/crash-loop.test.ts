/** Sidecars killed by their assignments before they accept them: a whole hub and a virtual clock. */
import t from 'tap';
import type { AgentId } from '../../../core/domain/ids.ts';
import { hubRig, type HubRig, type Peer } from './hub-rig.ts';

/** A hub for which silence counts. */
async function settledRig(): Promise<HubRig> {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  await rig.pass(181_000);
  return rig;
}

/** Dies on each task and returns after `awayMs`; returns how often it was assigned one. */
async function crashLoop(rig: HubRig, peer: Peer, { turns, awayMs }: { readonly turns: number; readonly awayMs: number }): Promise<number> {
  let given = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    given += peer.newFrames().filter(({ type }) => type === 'task_assign').length;
    await peer.cut();
    await rig.pass(awayMs);
    peer = await peer.reconnect();
    await peer.send({ type: 'identify', agent_id: 'a1', token: 'token of a1', protocol_version: 2, instance_id: 'machine-1', held: [] });
  }
  return given;
}

t.test('R12, R13: a sidecar killed by its assignment gets it twice; then it runs elsewhere and counts as a strike', async (t) => {
  const rig = await settledRig();
  const a1 = await rig.peer('a1');
  await a1.identify();
  const id = await rig.submit();
  await crashLoop(rig, a1, { turns: 2, awayMs: 20_000 });
  const { task, events } = await rig.record(id);
  t.match(task, { status: 'queued', handBacks: 1, retryCount: 0, avoid: 'a1' });
  t.match(events.at(-1), { event: 'reclaimed', details: { reason: 'not_accepted', sent: 2 } });
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.strikes, [id]);
  const b1 = await rig.peer('b1');
  await b1.identify({ instance_id: 'machine-b' });
  await rig.pass(2_000);
  t.match(b1.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3 }]);
});

t.test('R13: a crash loop is paused after three tasks, and does not drain the queue', async (t) => {
  const rig = await settledRig();
  const a1 = await rig.peer('a1');
  await a1.identify({ slots: 4 });
  const ids = [await rig.submit(), await rig.submit(), await rig.submit(), await rig.submit()];
  const given = await crashLoop(rig, a1, { turns: 60, awayMs: 20_000 });
  t.ok(given < 40, `20 minutes of it are ${given} assignments`);
  const agent = (await rig.storage.agents.getAgent('a1' as AgentId))?.agent;
  t.ok((agent?.breakerTrips ?? 0) > 0, 'its breaker tripped');
  for (const id of ids) t.match((await rig.record(id)).task, { status: 'queued', retryCount: 0 });
  const b1 = await rig.peer('b1');
  await b1.identify({ instance_id: 'machine-b', slots: 4 });
  for (let turn = 0; turn < 10; turn += 1) {
    await rig.pass(20_000);
    await b1.send({ type: 'ping' });
  }
  t.equal(b1.frames.filter(({ type }) => type === 'task_assign').length, 4, 'all of it runs elsewhere');
});

t.test('R12: a held task counts as accepted: a sidecar that dies after each reconnect has it for one run at most', async (t) => {
  for (const status of ['waking', 'reporting']) {
    const rig = await hubRig({ timing: { reconnectGraceMs: 60_000, runMaxMs: 300_000 } });
    let peer = await rig.peer('a1');
    await peer.identify();
    const id = await rig.submit();
    const comeBack = async (): Promise<void> => {
      await peer.cut();
      await rig.pass(20_000);
      peer = await peer.reconnect();
      await peer.identify({ held: [{ task_id: id, generation: 1, status }] });
    };
    await comeBack();
    t.equal(await rig.summary(id), 'assigned 1: submitted eligible assigned accepted', status);
    for (let turn = 0; turn < 30; turn += 1) await comeBack();
    const { task, events } = await rig.record(id);
    t.match(
      events.find(({ event }) => event === 'lost'),
      { generation: 1, details: { reason: 'run_limit' } },
    );
    t.equal(task.retryCount, 1);
    await rig.stop();
  }
});

t.test('R12: the count of crashes survives a hub restart', async (t) => {
  const first = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let peer = await first.peer('a1');
  await peer.identify();
  const id = await first.submit();
  await peer.cut();
  peer = await peer.reconnect();
  await peer.identify();
  const stored = (await first.record(id)).task;
  t.match(stored, { status: 'assigned', generation: 1, resent: 1 }, 'the stored row counts them');
  await first.kill();
});

t.test('R15: reconnects after lost connections are counted, but reclaim nothing while silence does not count', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  for (let turn = 0; turn < 4; turn += 1) {
    await peer.cut();
    await rig.pass(20_000);
    peer = await peer.reconnect();
    t.match(await peer.identify(), [{ type: 'identified' }, { type: 'task_assign', task_id: id, generation: 1 }]);
  }
  await peer.cut();
  await rig.pass(110_000);
  await (await peer.reconnect()).identify();
  t.match((await rig.record(id)).events.at(-1), { event: 'reclaimed', details: { reason: 'not_accepted', sent: 5 } });
});

t.test('R12, R13: a new process means the old one died: its reconnects count even while silence does not', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let peer = await rig.peer('a1');
  await peer.identify({ process_id: 'process-1' });
  const id = await rig.submit();
  const comeBack = async (processId: string): Promise<void> => {
    await peer.cut();
    await rig.pass(8_000);
    peer = await peer.reconnect();
    await peer.identify({ process_id: processId });
  };
  await comeBack('process-2');
  t.match((await rig.record(id)).task, { status: 'assigned', resent: 1 });
  await comeBack('process-2');
  t.match((await rig.record(id)).task, { status: 'assigned', resent: 2 }, 'the same process is still running');
  await comeBack('process-3');
  t.match((await rig.record(id)).events.at(-1), { event: 'reclaimed', details: { reason: 'sidecar_restarted', sent: 3 } });
});

t.test('R12: a task that a previous process may have started unaccepted gets a new generation if the journal is gone', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let peer = await rig.peer('a1');
  await peer.identify({ process_id: 'process-1', volatile: true });
  const id = await rig.submit();
  peer = await peer.reconnect();
  await peer.identify({ process_id: 'process-1', volatile: true });
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1, resent: 1 }, 'the same process never got it');
  await peer.cut();
  await rig.pass(8_000);
  const [, ...frames] = await (await peer.reconnect()).identify({ process_id: 'process-2', volatile: true });
  t.notOk(frames.some((frame) => (frame as { generation?: unknown }).generation === 1));
  const { events, task } = await rig.record(id);
  t.ok(events.some(({ event, details }) => event === 'reclaimed' && (details as { reason?: unknown }).reason === 'not_held'));
  t.ok(task.generation > 1);
  t.equal(task.retryCount, 0, 'there is no sign that it was started');
});

t.test('R15: an absence before the accept, shorter than the grace period, costs nothing and leaves time to accept', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000, acceptMs: 60_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.cut();
  await rig.pass(150_000);
  const back = await peer.reconnect();
  await back.identify();
  await rig.pass(30_000);
  await back.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.match(back.newFrames().at(-1), { type: 'task_ack', status: 'accepted' });
  t.match((await rig.record(id)).task, { resent: 0, handBacks: 0 }, 'an accept ends the count');
});

t.test('R13: tasks that a process no longer holds because the store has gone back are no strikes; a new process gets them', async (t) => {
  for (const process_id of ['process-1', 'process-2']) {
    const rig = await settledRig();
    const a1 = await rig.peer('a1');
    await a1.identify({ slots: 3, process_id: 'process-1' });
    const ids = [await rig.submit(), await rig.submit(), await rig.submit()];
    for (const task_id of ids) await a1.send({ type: 'task_accepted', task_id, generation: 1 });
    await a1.cut();
    const again = await a1.reconnect();
    // As after a failover: the end of these tasks was answered, and is missing from the store.
    await again.identify({ slots: 3, process_id });
    for (const id of ids)
      t.match(
        (await rig.record(id)).events.find(({ event }) => event === 'lost'),
        { details: { reason: 'not_held' } },
      );
    const agent = (await rig.storage.agents.getAgent('a1' as AgentId))?.agent;
    t.equal(agent?.breakerTrips, process_id === 'process-1' ? 0 : 1, process_id);
  }
});
