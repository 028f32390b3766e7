/** Each situation is created in a whole hub, by frames, commands and time. */
import t from 'tap';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import type { WaitingFor, WaitingKind } from '../../../../core/domain/waiting/waiting-for.ts';
import { hubRig, type HubRig, type Peer, type RigOptions } from '../hub-rig.ts';
import { whyAgent, whyTask } from './why-rig.ts';

interface Situation {
  readonly name: string;
  readonly options?: RigOptions;
  /** Creates the situation and returns the waiting task. */
  readonly make: (rig: HubRig) => Promise<TaskId>;
  readonly kind: WaitingKind | null;
  readonly want?: object;
}

const A1 = 'a1' as AgentId;
const agent = async (rig: HubRig, id: string, over: Readonly<Record<string, unknown>> = {}): Promise<Peer> => {
  const peer = await rig.peer(id);
  await peer.identify({ instance_id: `machine of ${id}`, ...over });
  return peer;
};
const control = (rig: HubRig, change: 'drain' | 'resume') => rig.queue.do({ kind: 'agent_control', agentId: A1, change });
/** The peer accepts its task. */
const accepts = (peer: Peer, task: TaskId, generation = 1) => peer.send({ type: 'task_accepted', task_id: task, generation });
/** Peers send no pings. */
const QUIET = { heartbeatMs: 86_400_000 };
const GRACE = { timing: { ...QUIET, reconnectGraceMs: 120_000 } };

const SITUATIONS: readonly Situation[] = [
  { name: 'no agent at all', make: (rig) => rig.submit(), kind: 'no_agent', want: { agentCount: 0 } },
  {
    name: 'no agent has the capability',
    async make(rig) {
      await agent(rig, 'a1', { capabilities: ['code'] });
      await agent(rig, 'a2', { capabilities: ['code'] });
      return rig.submit({ neededCapabilities: ['gpu'] });
    },
    kind: 'capability_missing',
    want: { message: 'No agent has "gpu": all 2 agents lack it.', agentCount: 2, capabilities: ['gpu'], nearest: undefined },
  },
  {
    name: 'the nearest agent lacks only one',
    async make(rig) {
      await agent(rig, 'a1', { capabilities: ['code', 'web'] });
      await agent(rig, 'a2', { capabilities: ['gpu'] });
      return rig.submit({ neededCapabilities: ['code', 'gpu', 'web'] });
    },
    kind: 'capabilities_apart',
    want: { nearest: { agentId: 'a1', lacks: ['gpu'] }, message: /nearest agent, a1, lacks only "gpu"/ },
  },
  {
    name: 'the only agent is busy, with which task and since when; a higher priority goes first',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      await accepts(peer, await rig.submit());
      await rig.pass(20_000);
      await rig.submit({ priority: 'urgent' });
      return rig.submit();
    },
    kind: 'slots_taken',
    want: {
      message: /a1 has 1 of 1 slots in use \(task-\w+ for 20 s\)\. Tasks of higher priority go first; 1 is queued\.$/,
      agents: [{ agentId: 'a1', tasks: { length: 1 } }],
      ahead: { higher: 1, same: 0 },
    },
  },
  {
    name: 'all capable agents are offline',
    async make(rig) {
      const peers = [await agent(rig, 'a1'), await agent(rig, 'a2')];
      for (const peer of peers) await peer.cut();
      await rig.pass(600_000);
      return rig.submit();
    },
    kind: 'offline',
    want: { agentCount: 2, message: /a1 has been offline for 10 min and a2 has been offline for 10 min/ },
  },
  {
    name: 'its own check fails',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      await peer.send({ type: 'runner_checks', ok: false, failed: [{ check: 'logged in', message: 'run claude login' }] });
      return rig.submit();
    },
    kind: 'checks_failed',
    want: { message: /logged in: run claude login/ },
  },
  {
    name: 'it reported that it can run nothing',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      const cause = { cause: 'rate_limited', retry_after_ms: 60_000, reason: 'slow down' };
      await peer.send({ type: 'task_released', task_id: id, generation: 1, ...cause });
      await rig.pass(10_000);
      return id;
    },
    kind: 'paused',
    want: { untilMs: Number },
  },
  {
    name: 'an operator drains it',
    async make(rig) {
      await agent(rig, 'a1');
      await control(rig, 'drain');
      return rig.submit();
    },
    kind: 'draining',
  },
  {
    name: 'it drains itself',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      await peer.send({ type: 'draining', reason: 'the disk is full' });
      return rig.submit();
    },
    kind: 'draining_itself',
    want: { message: /the disk is full/ },
  },
  {
    name: 'paused after failures',
    async make(rig) {
      const peer = await agent(rig, 'a1', { slots: 3 });
      const ids = [await rig.submit(), await rig.submit(), await rig.submit()];
      for (const id of ids) {
        await accepts(peer, id);
        const failure = { error: 'no such program', kind: 'wake_failed' };
        await peer.send({ type: 'task_failed', task_id: id, generation: 1, ...failure });
      }
      return rig.submit();
    },
    kind: 'broken',
    want: { untilMs: Number, message: /3 tasks in a row ended because of a fault of this machine/ },
  },
  {
    name: 'it rejected a task',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await peer.send({ type: 'task_rejected', task_id: id, generation: 1, reason: 'no room' });
      return rig.submit();
    },
    kind: 'busy',
    want: { untilMs: Number, message: /it rejected a task: no room/ },
  },
  {
    name: 'not due yet',
    make: (rig) => rig.submit({ runAtMs: rig.clock.nowMs() + 3_600_000 }),
    kind: 'not_due',
    want: { untilMs: Number },
  },
  {
    name: 'backoff after a failure, which is named',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      await peer.send({ type: 'task_failed', task_id: id, generation: 1, error: 'no network' });
      return id;
    },
    kind: 'backoff',
    want: { untilMs: Number, message: /The last attempt ended with: no network/ },
  },
  {
    name: 'blocked by a task',
    make: async (rig) => rig.submit({ dependsOn: [await rig.submit()] }),
    kind: 'blocked',
    want: { tasks: { length: 1 } },
  },
  {
    name: 'blocked by a dead-lettered task',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const first = await rig.submit({ maxRetries: 0 });
      await accepts(peer, first);
      const id = await rig.submit({ dependsOn: [first] });
      await peer.send({ type: 'task_failed', task_id: first, generation: 1, error: 'no' });
      return id;
    },
    kind: 'blocked_by_dead_letter',
  },
  {
    name: 'blocked by a cancelled task',
    async make(rig) {
      const first = await rig.submit();
      const id = await rig.submit({ dependsOn: [first] });
      await rig.queue.do({ kind: 'cancel', taskId: first, by: 'me' });
      return id;
    },
    kind: 'blocked_forever',
  },
  {
    name: 'parked after ten hand-backs',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      for (let cuts = 0; cuts < 10; cuts += 1) {
        for (let tries = 0; tries < 20 && (await rig.record(id)).task.status !== 'assigned'; tries += 1) await rig.pass(60_000);
        const { generation } = (await rig.record(id)).task;
        await accepts(peer, id, generation);
        await peer.send({ type: 'task_released', task_id: id, generation, reason: 'cut', cause: 'model_unavailable', after_work: true });
        await control(rig, 'resume');
      }
      return id;
    },
    kind: 'parked',
  },
  {
    name: 'for an agent that has never connected',
    async make(rig) {
      await rig.peer('a1');
      return rig.submit({ assignTo: A1 });
    },
    kind: 'never_connected',
  },
  {
    name: 'its token is revoked',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      await peer.cut();
      await rig.storage.agents.revokeTokens({ agentId: A1 }, rig.clock.nowMs());
      return rig.submit({ assignTo: A1 });
    },
    kind: 'token_revoked',
  },
  {
    name: 'its token has expired',
    async make(rig) {
      await rig.peer('a1', { expiresAtMs: rig.clock.nowMs() + 1_000 });
      await rig.pass(2_000);
      return rig.submit({ assignTo: A1 });
    },
    kind: 'token_expired',
  },
  {
    name: 'the agent it is for lacks the capability',
    async make(rig) {
      await agent(rig, 'a1', { capabilities: ['code'] });
      return rig.submit({ assignTo: A1, neededCapabilities: ['gpu'] });
    },
    kind: 'assignee_lacks_capability',
  },
  {
    name: 'all capable agents are unavailable, for different reasons',
    async make(rig) {
      await agent(rig, 'a1');
      await control(rig, 'drain');
      await (await agent(rig, 'a2')).cut();
      return rig.submit();
    },
    kind: 'agents_unavailable',
    want: { agents: [{ kind: 'draining' }, { kind: 'offline' }] },
  },
  {
    name: 'assigned, and its agent is away: when it is reclaimed',
    options: GRACE,
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      await rig.pass(200_000);
      await peer.cut();
      return id;
    },
    kind: 'agent_away',
    want: { untilMs: Number, message: /unless it reconnects, the task is reclaimed in 2 min/ },
  },
  {
    name: 'the hub has just started: no agent loses its task before the quiet period is over',
    options: { timing: { ...QUIET, quietAfterStartMs: 600_000 } },
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      await peer.cut();
      return id;
    },
    kind: 'agent_away',
    want: { message: /the task is reclaimed in 10 min/ },
  },
  {
    name: 'sent and not accepted yet',
    async make(rig) {
      await agent(rig, 'a1');
      return rig.submit();
    },
    kind: 'not_accepted',
    want: { untilMs: Number },
  },
  {
    name: 'accepted, and its program has not started yet',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      return id;
    },
    kind: 'not_woken',
  },
  {
    name: 'accepted by a function, which has started by then: it waits for nothing',
    async make(rig) {
      const peer = await agent(rig, 'a1', { in_process: true });
      const id = await rig.submit();
      await accepts(peer, id);
      return id;
    },
    kind: null,
  },
  {
    name: 'running: it waits for nothing',
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      await peer.send({ type: 'wake_result', task_id: id, generation: 1, status: 'success', attempt: 1 });
      return id;
    },
    kind: null,
  },
  ...(['connected', 'offline', 'stopped', 'away for longer than the grace'] as const).map((which): Situation => ({
    name: `cancelled while it runs, and its agent is ${which}`,
    options: GRACE,
    async make(rig) {
      const peer = await agent(rig, 'a1');
      const id = await rig.submit();
      await accepts(peer, id);
      if (which === 'offline') await peer.cut();
      await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
      await rig.pass(1);
      if (which === 'stopped') await peer.send({ type: 'task_cancel_ack', task_id: id, generation: 1, outcome: 'killed' });
      if (which === 'away for longer than the grace') await peer.cut();
      if (which !== 'stopped') await rig.pass(which === 'connected' || which === 'offline' ? 60_000 : 180_000);
      return id;
    },
    kind: which === 'connected' || which === 'offline' ? 'not_stopped' : null,
    want: {
      message:
        which === 'offline' ? 'a1 is offline, so its agent may still be running.' : 'a1 has yet to confirm that its agent has stopped.',
    },
  })),
];

t.test('why a task is not running: each situation has its kind', async (t) => {
  for (const { name, options = { timing: QUIET }, make, kind, want = {} } of SITUATIONS) {
    const rig = await hubRig(options);
    const id = await make(rig);
    const why: WaitingFor | null = await whyTask(rig, id);
    t.equal(why?.kind ?? null, kind, name);
    if (why !== null) t.match(why, want, name);
    await rig.stop();
  }
});

t.test('why an agent gets no tasks', async (t) => {
  const rig = await hubRig();
  const peer = await agent(rig, 'a1');
  t.match(await whyAgent(rig, 'a1'), { kind: 'free', message: 'has 1 free slot and gets the next task that it can run' });
  const id = await rig.submit();
  t.match(await whyAgent(rig, 'a1'), { kind: 'slots_taken', tasks: [id] });
  await control(rig, 'drain');
  t.match(await whyAgent(rig, 'a1'), { kind: 'draining' });
  await peer.cut();
  t.match(await whyAgent(rig, 'a1'), { kind: 'offline', sinceMs: Number });
  await rig.storage.agents.revokeTokens({ agentId: A1 }, rig.clock.nowMs());
  t.match(await whyAgent(rig, 'a1'), { kind: 'token_revoked' });
  await rig.stop();
});
