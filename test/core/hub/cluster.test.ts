/** Several hubs on one store: decisions of one reach the agents of another, and the death of a hub costs no more than a disconnect. */
import t, { type Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import type { TransactionStep } from '../../../adapters/storage-memory/memory-task-store.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { aMail, changes } from '../../product/contracts/fixtures.ts';
import { clusterOf } from '../../product/contracts/storage/cluster-of.ts';
import { hubRig, settle, type HubRig } from './hub-rig.ts';
import { requests } from './watched-units.ts';

const TIMING: Partial<HubTiming> = { reconnectGraceMs: 180_000, quietAfterStartMs: 0, heartbeatMs: 1e9, pongWaitMs: 1e9 };
const { pollMs, hubLeaseMs } = HUB_TIMING;
/** Longer than any quiet period: silence counts. */
const LATER_MS = 200_000;
const A1 = 'a1' as AgentId;

interface Several {
  readonly one: HubRig;
  readonly two: HubRig;
  /** The store, opened by something other than a hub. */
  readonly store: Storage;
  /** One more hub. */
  start(n: number): Promise<HubRig>;
  pass(ms: number): Promise<void>;
}

interface SeveralOptions {
  /** Their notifications never arrive. */
  readonly isDeaf?: boolean;
  readonly offsetMs?: number;
  /** Awaited at each step of a transaction of hub `n`. */
  readonly onStep?: (n: number, step: TransactionStep) => Promise<void> | void;
}

/** Two hubs on one store. */
async function twoHubs(t: Test, over: SeveralOptions = {}): Promise<Several> {
  const clock = virtualClock();
  const database = memoryDatabase('store-1');
  const wire = memoryWire({ clock });
  const start = async (n: number): Promise<HubRig> => {
    const storage: Storage = memoryStorage({ clock, database, shared: true, onStep: (step) => over.onStep?.(n, step) });
    const deaf: Storage = { ...storage, notifier: { ...storage.notifier, notify: () => undefined } };
    const rig = await hubRig({
      clock,
      wire,
      timing: TIMING,
      storage: over.isDeaf === true ? deaf : storage,
      hubId: `hub-${n}`,
      host: `host-${n}`,
      offsetMs: n === 1 ? 0 : (over.offsetMs ?? 0),
    });
    t.teardown(() => rig.stop());
    return rig;
  };
  const one = await start(1);
  const two = await start(2);
  const pass = async (ms: number): Promise<void> => {
    await clock.walk(ms, () => settle(clock));
    await settle(clock);
  };
  await pass(LATER_MS);
  return { one, two, store: memoryStorage({ clock, database, shared: true }), start, pass };
}

t.test('a batch next to other hubs waits for the store as rarely as it can', async (t) => {
  const { one } = await twoHubs(t);
  const peer = await one.peer('a1');
  await peer.identify();
  const asked = requests(one.storage);
  const first = await one.submit();
  await settle(one.clock);
  t.strictSame(asked.splice(0), ['load waitingRequirements', 'takeAgents heldCounts', 'save'], 'a task for a free agent');
  await one.submit();
  await settle(one.clock);
  t.strictSame(asked.splice(0), ['load', 'save'], 'a task for an agent without room');
  await peer.send({ type: 'task_accepted', task_id: first, generation: 1 });
  t.strictSame(asked.splice(0), ['load', 'save'], 'an acceptance');
  await peer.send({ type: 'task_complete', task_id: first, generation: 1, result: 'done' });
  const completion = ['load dependentsOf waitingRequirements heldCounts', 'claimable', 'bodies', 'save'];
  t.strictSame(asked.splice(0), completion, 'a completion, after which the next task is assigned');
});

for (const isDeaf of [false, true]) {
  const how = isDeaf ? 'at the next poll, when notifications are lost' : 'at once';

  t.test(`R16: a task submitted to one hub runs on an agent of the other, ${how}`, async (t) => {
    const { one, two, pass } = await twoHubs(t, { isDeaf });
    const peer = await two.peer('a1');
    await peer.identify();
    const id = await one.submit();
    await settle(one.clock);
    if (isDeaf) {
      t.equal(await one.summary(id), 'queued 0: submitted eligible', 'the other hub does not know about it yet');
      await pass(pollMs);
    }
    t.match(peer.newFrames(), [{ type: 'task_assign', task_id: id, generation: 1 }]);
  });

  t.test(`R11: a task cancelled at one hub is stopped at the other, ${how}`, async (t) => {
    const { one, two, pass } = await twoHubs(t, { isDeaf });
    const peer = await two.peer('a1');
    await peer.identify();
    const id = await two.submit();
    await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
    peer.newFrames();
    await one.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' });
    await settle(one.clock);
    if (isDeaf) {
      t.strictSame(peer.newFrames(), []);
      await pass(pollMs);
    }
    t.match(peer.newFrames(), [{ type: 'task_cancelled', task_id: id, generation: 1 }]);
    await pass(pollMs * 2);
    t.strictSame(peer.newFrames(), [], 'once');
    await peer.send({ type: 'task_cancel_ack', task_id: id, generation: 1, outcome: 'killed' });
    t.match(await one.summary(id), /stop_confirmed$/);
  });

  t.test(`an operator's drain, resume and check at one hub reach an agent of the other, ${how}`, async (t) => {
    const { one, two, pass } = await twoHubs(t, { isDeaf });
    const peer = await two.peer('a1');
    await peer.identify();
    for (const change of ['drain', 'resume', 'check'] as const) {
      await one.queue.do({ kind: 'agent_control', agentId: A1, change });
      await settle(one.clock);
      if (isDeaf) await pass(pollMs);
      t.match(peer.newFrames(), [{ type: change }]);
      await pass(pollMs * 2);
      t.strictSame(peer.newFrames(), [], 'once');
    }
  });

  t.test(`R7: an agent that identifies at another hub is taken over there, and its older socket is closed, ${how}`, async (t) => {
    const { one, two, pass } = await twoHubs(t, { isDeaf });
    const older = await one.peer('a1');
    await older.identify();
    const id = await one.submit();
    await older.send({ type: 'task_accepted', task_id: id, generation: 1 });
    const newer = await two.peer('a1');
    t.match(await newer.identify({ held: [{ task_id: id, generation: 1, status: 'working' }] }), [
      { type: 'identified', held: [{ action: 'continue' }] },
    ]);
    older.newFrames();
    await older.send({ type: 'task_complete', task_id: id, generation: 1, result: 'of the older' });
    t.equal((await one.record(id)).task.status, 'assigned', 'a report over the older socket changes nothing');
    if (isDeaf) await pass(pollMs);
    t.equal(older.closed(), 4001);
    t.match((await two.storage.agents.getAgent(A1))?.agent, { connected: true, hubId: 'hub-2', sessionNumber: 2 }, 'nor does its closing');
    await newer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'of the newer' });
    t.match(newer.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
  });

  t.test(`a message reaches an agent of another hub, and so does a broadcast, ${how}`, async (t) => {
    const { one, two, pass } = await twoHubs(t, { isDeaf });
    const [sender, receiver] = [await one.peer('a1'), await two.peer('a2')];
    await sender.identify();
    await receiver.identify();
    await sender.send({ type: 'message', to: 'a2', payload: { n: 1 } });
    await sender.send({ type: 'message', payload: { n: 2 } });
    await sender.send({ type: 'message', to: 'a3', payload: { n: 3 } });
    t.match(sender.newFrames(), [
      { type: 'message_sent' },
      { type: 'message_sent' },
      { type: 'error', error: 'message_failed: agent_not_connected' },
    ]);
    if (isDeaf) await pass(pollMs);
    t.match(receiver.newFrames(), [
      { type: 'message', from: 'a1', payload: { n: 1 } },
      { type: 'message', from: 'a1', payload: { n: 2 } },
    ]);
  });
}

t.test('mail beyond what one batch takes is taken at once', async (t) => {
  const { one, two, pass } = await twoHubs(t);
  const peer = await two.peer('a1');
  await peer.identify();
  const mail = Array.from({ length: 600 }, (_, n) => aMail({ id: `${n}`, hubId: 'hub-2', to: A1 }));
  await one.storage.tasks.transact('mail', (unit) => unit.save(changes({ mail })));
  await pass(pollMs);
  t.equal(peer.newFrames().length, mail.length);
});

t.test('a token revoked at one hub closes its socket at the other within a poll', async (t) => {
  const { one, two, pass } = await twoHubs(t);
  const peer = await two.peer('a1');
  await peer.identify();
  await one.storage.agents.revokeTokens({ agentId: A1 }, one.clock.nowMs());
  await pass(pollMs);
  t.equal(peer.closed(), 1008);
});

t.test('a token rotated at one hub closes its socket at the other once it has expired', async (t) => {
  const { one, two, pass } = await twoHubs(t);
  const peer = await two.peer('a1');
  await peer.identify();
  const [token] = await one.storage.agents.listTokens({ limit: 1 });
  const nowMs = one.clock.nowMs();
  if (token === undefined) throw new Error('no token');
  await one.storage.agents.rotateToken(token.id, { ...token, id: 'tok-new', hash: 'f'.repeat(64), createdAtMs: nowMs }, nowMs + 2 * pollMs);
  await pass(pollMs);
  t.equal(peer.closed(), null, 'it still works');
  await pass(2 * pollMs);
  t.equal(peer.closed(), 1008);
});

t.test('readers of the history are woken by commits of the other hub', async (t) => {
  const { one, two } = await twoHubs(t);
  const before = two.notifications.events;
  await one.submit();
  await settle(one.clock);
  t.ok(two.notifications.events > before);
});

t.test(
  'R15 M17: agents of a dead hub count as disconnected once its lease ends; their tasks move elsewhere after the grace period',
  async (t) => {
    const { one, two, pass } = await twoHubs(t);
    const [gone, moved] = [await one.peer('a1'), await one.peer('a2')];
    await gone.identify({ instance_id: 'machine-1' });
    await moved.identify({ instance_id: 'machine-2' });
    const ids = [await one.submit(), await one.submit()];
    for (const peer of [gone, moved])
      for (const frame of peer.newFrames()) await peer.send({ type: 'task_accepted', task_id: frame['task_id'], generation: 1 });
    const leaseEndMs = one.clock.nowMs() + hubLeaseMs;
    await one.kill();
    const taskOf = async (agent: string) => {
      const rows = await Promise.all(ids.map((id) => two.record(id)));
      return rows.find(({ task }) => task.assignedTo === agent)?.task;
    };
    const task = await taskOf('a2');
    const again = await two.peer('a2');
    await again.identify({ instance_id: 'machine-2', held: [{ task_id: task?.id, generation: 1, status: 'working' }] });
    await pass(hubLeaseMs + HUB_TIMING.sweepMs);
    const away = (await two.storage.agents.getAgent(A1))?.agent;
    t.equal(away?.connected, false, 'disconnected, although no disconnect was reported');
    t.ok((away?.disconnectedAtMs ?? Infinity) <= leaseEndMs, 'from the end of the lease');
    const here = await two.peer('a3');
    await here.identify({ instance_id: 'machine-3' });
    await pass(180_000);
    t.match(here.newFrames(), [{ type: 'task_assign', generation: 3 }], 'the task of the absent agent runs elsewhere');
    t.match(await taskOf('a2'), { generation: 1, acceptedAtMs: Number }, 'the task of the agent that moved to the other hub continues');
  },
);

/** Where transactions wait, as `hub step` or by any other name. */
class Gates {
  readonly #shut = new Map<string, Promise<void>>();

  at = (place: string): Promise<void> | undefined => this.#shut.get(place);

  /** Transactions wait there until the returned function is called. */
  shut(place: string): () => void {
    let go = (): void => undefined;
    this.#shut.set(place, new Promise<void>((resolve) => (go = resolve)));
    return () => {
      this.#shut.delete(place);
      go();
    };
  }
}

t.test(
  'R15: a sweep that waited for an agent while it moved to another hub leaves it there, regardless of which hub is on duty',
  async (t) => {
    const gates = new Gates();
    const { one, two, store } = await twoHubs(t, { onStep: (n, step) => gates.at(`${n} ${step}`) });
    const older = await one.peer('a1');
    await older.identify();
    await store.open();
    const endDuty = gates.shut('duty');
    const other = store.tasks.transact('a third hub sweeps', async (unit) => {
      t.ok(await clusterOf(unit).tryTakeDuty('sweep'));
      await gates.at('duty');
    });
    const commit = gates.shut('2 commit');
    const newer = await two.peer('a1');
    await newer.identify();
    const begin = gates.shut('1 begin');
    const submitted = one.submit();
    await older.cut();
    const swept = one.queue.do({ kind: 'sweep' });
    begin();
    await settle(one.clock);
    commit();
    await Promise.all([submitted, swept]);
    t.match((await store.agents.getAgent(A1))?.agent, { connected: true, hubId: 'hub-2', sessionNumber: 2 });
    endDuty();
    await other;
  },
);

t.test('R15: a sweep that waited for agents while one of them moved to a newly started hub leaves it there', async (t) => {
  const gates = new Gates();
  const { one, store, start, pass } = await twoHubs(t, { onStep: (n, step) => gates.at(`${n} ${step}`) });
  const [first, older] = [await one.peer('a0'), await one.peer('a1')];
  await first.identify({ instance_id: 'machine-0' });
  await older.identify();
  await store.open();
  const open = gates.shut('row');
  const other = store.tasks.transact('another transaction locks the row of a0', async (unit) => {
    await unit.load({ agents: ['a0' as AgentId] });
    await gates.at('row');
  });
  const begin = gates.shut('1 begin');
  const submitted = one.submit();
  await first.cut();
  await older.cut();
  const swept = one.queue.do({ kind: 'sweep' });
  begin();
  await settle(one.clock);
  await pass(10);
  const three = await start(3);
  const newer = await three.peer('a1');
  await newer.identify();
  open();
  await Promise.all([submitted, swept, other]);
  t.match((await store.agents.getAgent(A1))?.agent, { connected: true, hubId: 'hub-3', sessionNumber: 2 });
  t.match((await store.agents.getAgent('a0' as AgentId))?.agent, { connected: false });
});

t.test('R15: a hub that stalls past its lease disconnects its sidecars, and they lose nothing', async (t) => {
  const { one, two, pass } = await twoHubs(t);
  const peer = await one.peer('a1');
  await peer.identify();
  const id = await one.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  // What another hub's sweep does to it meanwhile.
  await two.storage.tasks.transact('expiry', async (unit) => {
    const cluster = clusterOf(unit);
    await cluster.renewLease('hub-1', 0);
    t.strictSame(
      (await cluster.expireHubs()).expired.map(({ hubId }) => hubId),
      ['hub-1'],
    );
  });
  await two.queue.do({ kind: 'sweep' });
  t.equal((await two.storage.agents.getAgent(A1))?.agent.connected, false);
  await pass(pollMs);
  t.equal(peer.closed(), 1012, 'it is asked to reconnect');
  const back = await peer.reconnect();
  t.match(await back.identify({ held: [{ task_id: id, generation: 1, status: 'working' }] }), [{ held: [{ action: 'continue' }] }]);
  await pass(pollMs * 2);
  t.equal(back.closed(), null, 'and stays');
  t.match(await one.summary(id), 'assigned 1: submitted eligible assigned accepted');
});

t.test('R15: a hub whose store is unavailable past its lease closes its sockets', async (t) => {
  const clock = virtualClock();
  let isAway = false;
  const storage = memoryStorage({
    clock,
    shared: true,
    onStep: () => {
      if (isAway) throw new Error('away');
    },
  });
  const rig = await hubRig({ clock, storage, timing: TIMING });
  t.teardown(() => rig.stop());
  const peer = await rig.peer('a1');
  await peer.identify();
  isAway = true;
  await rig.pass(hubLeaseMs - pollMs - 1);
  t.equal(peer.closed(), null, 'not before');
  await rig.pass(pollMs + 1);
  t.equal(peer.closed(), 1012);
  isAway = false;
});

t.test("hub clocks an hour apart change no lease decision: every stored time is the store's", async (t) => {
  for (const offsetMs of [3_600_000, -3_600_000]) {
    const { one, two, pass } = await twoHubs(t, { offsetMs });
    const peer = await two.peer('a1');
    await peer.identify();
    const id = await one.submit();
    await settle(one.clock);
    const { task } = await one.record(id);
    t.equal(task.deadlineAtMs, one.clock.nowMs() + HUB_TIMING.acceptMs, 'a deadline set by the hub whose clock is off');
    await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
    t.equal((await one.record(id)).task.deadlineAtMs, one.clock.nowMs() + HUB_TIMING.leaseMs);
    for (const hub of [one, two]) await hub.queue.do({ kind: 'sweep' });
    t.equal(await one.summary(id), 'assigned 1: submitted eligible assigned accepted', 'it is not reclaimed too early');
    await pass(HUB_TIMING.leaseMs + HUB_TIMING.sweepMs);
    t.match(await one.summary(id), /lost/, 'nor too late');
  }
});

t.test('one hub sweeps for all', async (t) => {
  const { one, two } = await twoHubs(t);
  t.strictSame(await one.queue.do({ kind: 'sweep' }), { kind: 'swept', hadDuty: true, more: false });
  t.strictSame(await two.queue.do({ kind: 'sweep' }), { kind: 'swept', hadDuty: true, more: false }, 'one after the other, both may sweep');
});
