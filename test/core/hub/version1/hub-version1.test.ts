/** How time and order affect version 1 sidecars, which send little: a whole hub and a virtual clock. */
import t from 'tap';
import type { AgentId, Generation, TaskId } from '../../../../core/domain/ids.ts';
import { agentJson } from '../../../../core/protocol/agent-json.ts';
import { aBody } from '../../../product/contracts/fixtures.ts';
import { hubRig, type AnyFrame, type HubRig, type Peer, type RigOptions } from '../hub-rig.ts';
import { freePeer, UNKNOWN, V1 } from './v1-peer.ts';

/** A rig with a free version 1 agent that has accepted a task. */
async function atWork(options: RigOptions = {}): Promise<{ rig: HubRig; peer: Peer; id: TaskId }> {
  const rig = await hubRig({ ...options, timing: { heartbeatMs: 100_000_000, reconnectGraceMs: 180_000, ...options.timing } });
  const peer = await freePeer(rig, 'a1');
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id });
  peer.newFrames();
  return { rig, peer, id };
}

const agent = async (rig: HubRig, id = 'a1') => (await rig.storage.agents.getAgent(id as AgentId))?.agent;
const types = (frames: readonly AnyFrame[]): readonly string[] => frames.map((frame) => frame.type);

t.test('an idle version 1 agent counts as working until it reports what it holds, or for 5 s after identify', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit();
  const silent = await rig.peer('a1');
  t.same(types(await silent.identify(V1)), ['identified']);
  await rig.pass(4_900);
  t.same(silent.newFrames(), [], 'it may be working');
  await rig.pass(200);
  t.match(silent.newFrames(), [{ type: 'task_assign', task_id: id, generation: 1 }]);

  for (const word of [
    { type: 'state_report', task_id: UNKNOWN, generation: 3, status: 'working', assigned_at: 1 },
    { type: 'task_recovering', task_id: UNKNOWN, last_status: 'working' },
  ]) {
    const waiting = await rig.submit();
    const peer = await rig.peer(`says-${word.type}`.replaceAll('_', '-'));
    await peer.identify(V1);
    await peer.send(word);
    const [answer, assign] = peer.newFrames();
    t.match(answer, word.type === 'state_report' ? { type: 'state_report_ack', action: 'abort' } : { type: 'task_reassign' });
    t.match(assign, { type: 'task_assign', task_id: waiting }, `${word.type}: answered, and free`);
  }
});

t.test('an unaccepted task is pushed again at once; an accepted one without any sign of it is lost after 5 s', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await freePeer(rig, 'a1');
  const id = await rig.submit();
  const [assign] = peer.newFrames();
  await peer.cut();
  const second = await peer.reconnect();
  t.same((await second.identify(V1)).slice(1), [assign], 'pushed again, the same');
  await second.send({ type: 'task_accepted', task_id: id });
  await second.cut();
  const third = await second.reconnect();
  t.same(types(await third.identify(V1)), ['identified'], 'it may have the task');
  for (const word of [
    { type: 'task_progress', task_id: id, progress: 1 },
    { type: 'wake_result', task_id: id, status: 'success' },
    { type: 'state_report', task_id: id, generation: 1, status: 'working', assigned_at: 1 },
    { type: 'task_recovering', task_id: id, last_status: 'working' },
  ]) {
    const back = await third.reconnect();
    await back.identify(V1);
    await back.send(word);
    back.newFrames();
    await rig.pass(20_000);
    t.same(back.newFrames(), [], `${word.type} shows that it has it`);
    await back.cut();
  }
  t.match((await rig.record(id)).task, { generation: 1, status: 'assigned', retryCount: 0 });
  const silent = await third.reconnect();
  await silent.identify(V1);
  await rig.pass(5_000);
  t.match((await rig.record(id)).task, { generation: 2, status: 'queued', retryCount: 1 }, 'it did not mention the task');
  await rig.pass(2_000);
  t.match(silent.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3 }], 'a new run has a new generation');
});

t.test('after a crash, task_recovering covers only what the agent held before, not what was assigned since', async (t) => {
  const rig = await hubRig();
  const peer = await freePeer(rig, 'a1');
  const id = await rig.submit();
  peer.newFrames();
  await peer.send({ type: 'task_recovering', task_id: id, last_status: 'working' });
  t.same(peer.newFrames(), [{ type: 'task_reassign', task_id: id }]);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, 'nothing changed');
  await peer.cut();
  await rig.pass(1);
  const back = await peer.reconnect();
  await back.identify(V1);
  await back.send({ type: 'task_recovering', task_id: id, last_status: 'waking_confirmation' });
  t.same(back.newFrames(), [{ type: 'task_continue', task_id: id, generation: 1 }]);
  t.match(await rig.summary(id), /assigned accepted$/, 'an agent that continues a task has accepted it');
  await back.send({ type: 'task_recovering', task_id: id, generation: 7, last_status: 'working' });
  t.same(back.newFrames(), [{ type: 'task_reassign', task_id: id }], 'a stated generation is compared');
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
});

t.test('pings renew only the leases of accepted tasks, up to v1RunMaxMs after acceptance', async (t) => {
  const { rig, peer, id } = await atWork({ timing: { leaseMs: 300_000, v1RunMaxMs: 3_600_000 } });
  for (let minutes = 0; minutes < 59; minutes += 1) {
    await rig.pass(60_000);
    await peer.send({ type: 'ping' });
  }
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, 'an hour on a lease of five minutes');
  for (let minutes = 0; minutes < 7; minutes += 1) {
    await rig.pass(60_000);
    await peer.send({ type: 'ping' });
  }
  t.match((await rig.record(id)).events.find((event) => event.event === 'lost')?.details, { reason: 'lease_expired' });

  const unaccepted = await hubRig({ timing: { acceptMs: 60_000 } });
  const other = await freePeer(unaccepted, 'a1');
  const never = await unaccepted.submit();
  for (let n = 0; n < 7; n += 1) {
    await unaccepted.pass(10_000);
    await other.send({ type: 'ping' });
  }
  t.match(await unaccepted.summary(never), /reclaimed/);
});

t.test('an agent that rejects a task counts as busy until its next task frame, or for 60 s, doubling up to 10 min', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 } });
  const peer = await freePeer(rig, 'a1');
  const id = await rig.submit({ maxRetries: 0 });
  for (const waitMs of [60_000, 120_000]) {
    peer.newFrames();
    await peer.send({ type: 'task_rejected', task_id: id, reason: 'busy' });
    t.same(peer.newFrames(), [{ type: 'task_ack', task_id: id, status: 'rejected' }]);
    t.match(await agent(rig), { busyUntilMs: rig.clock.nowMs() + waitMs, busyReason: 'it rejected a task: busy', pausedUntilMs: null });
    await rig.pass(waitMs - 100);
    t.same(peer.newFrames(), []);
    await rig.pass(200);
    t.match(peer.newFrames(), [{ type: 'task_assign', task_id: id }]);
  }
  await peer.send({ type: 'task_rejected', task_id: id, reason: 'busy' });
  await rig.pass(10_000);
  peer.newFrames();
  await peer.send({ type: 'task_complete', task_id: UNKNOWN, generation: 1, result: 1 });
  t.match(
    peer.newFrames(),
    [{ error: 'task_complete_failed: unknown_task' }, { type: 'task_assign', task_id: id }],
    'it has finished something',
  );
  await peer.send({ type: 'task_accepted', task_id: id });
  t.match(await agent(rig), { rejections: 0, busyUntilMs: null });
  t.match((await rig.record(id)).task, { retryCount: 0 }, 'no retry was spent');
});

t.test('rejecting a task after accepting it changes nothing', async (t) => {
  const { rig, peer, id } = await atWork();
  const before = await rig.record(id);
  await peer.send({ type: 'task_rejected', task_id: id, reason: 'busy' });
  t.same(peer.newFrames(), [{ type: 'task_ack', task_id: id, status: 'rejected' }]);
  t.same(await rig.record(id), before);
  t.match(await agent(rig), { busyUntilMs: null, rejections: 0 });
});

t.test('a stop is confirmed by the next sign of being free, at the latest killGraceMs + v1StopMs after the request', async (t) => {
  const words = {
    'status idle': { type: 'status', status: 'idle' },
    'complete of it': { type: 'task_complete', generation: 1, result: 1 },
    'fail of it': { type: 'task_failed', generation: 1, error: 'stopped' },
    'accept of another': { type: 'task_accepted', task_id: UNKNOWN },
  };
  const noWords = { 'status working': { type: 'status', status: 'working' }, 'accept of it': { type: 'task_accepted' } };
  for (const [name, word] of Object.entries({ ...words, ...noWords })) {
    const { rig, peer, id } = await atWork();
    await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
    await rig.pass(0);
    t.same(peer.newFrames(), [{ type: 'task_cancelled', task_id: id, timestamp: rig.clock.nowMs() }]);
    await peer.send({ task_id: id, ...word });
    const confirms = name in words;
    const isConfirmed = async (): Promise<boolean> => (await rig.record(id)).events.some((one) => one.event === 'stop_confirmed');
    t.equal(await isConfirmed(), confirms, name);
    await rig.pass(14_000);
    t.equal(await isConfirmed(), confirms, `${name}, 14 s later`);
    await rig.pass(31_000);
    t.match((await rig.record(id)).events.at(-1), confirms ? {} : { event: 'stop_confirmed', details: { outcome: 'unconfirmed' } });
  }
});

t.test('without an instance id the newest connection wins; the fourth replacement in a minute is refused for 5 min', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 } });
  let open = await rig.peer('a1');
  await open.identify(V1);
  for (let n = 1; n <= 3; n += 1) {
    const next = await open.reconnect();
    t.same(types(await next.identify(V1)), ['identified']);
    t.equal(open.closed(), 4001);
    open = next;
  }
  const refused = async (): Promise<boolean> => {
    const next = await open.reconnect();
    const frames = await next.identify(V1);
    if (frames[0]?.type === 'identified') return false;
    t.same(frames, [{ type: 'error', error: 'agent_id_in_use' }]);
    t.equal(next.closed(), null, 'if closed at once it would reconnect every second');
    await rig.pass(10_000);
    t.equal(next.closed(), 4001);
    return true;
  };
  t.ok(await refused());
  t.equal(open.closed(), null, 'the first connection stays');
  t.match(await agent(rig), { conflictUntilMs: rig.clock.nowMs() + 290_000 });
  await rig.pass(279_000);
  t.ok(await refused());
  await rig.pass(1_000);
  t.notOk(await refused(), 'five minutes later the newest wins again');
  t.equal(open.closed(), 4001);
});

t.test('in a conflict the identity is free once its connection is gone', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 } });
  let open = await rig.peer('a1');
  await open.identify(V1);
  for (let n = 1; n <= 3; n += 1) {
    open = await open.reconnect();
    await open.identify(V1);
  }
  t.same(types(await (await open.reconnect()).identify(V1)), ['error']);
  await open.cut();
  t.same(types(await (await open.reconnect()).identify(V1)), ['identified']);
});

t.test('a version 1 agent has one slot whatever it asks for, since its reports carry no generation', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify({ ...V1, slots: 4 });
  t.match(await agent(rig), { slots: 1 });
});

t.test('a refused result is stored in full, even if invalid or sent for another agent, since its sender deletes it', async (t) => {
  const result = { status: 'success', output: 'x'.repeat(5_000) };
  const cases = [
    { more: {}, error: 'validation_failed', reason: 'validation_failed', generation: null },
    { more: { generation: 1, tokens_used: 'many' }, error: 'validation_failed', reason: 'validation_failed', generation: 1 },
    { more: { generation: 1, agent_id: 'a2' }, error: 'task_complete_failed: not_assignee', reason: 'not_assignee', generation: 1 },
    { more: { generation: 4 }, error: 'task_complete_failed: stale_generation', reason: 'stale_generation', generation: 4 },
  ];
  for (const { more, error, reason, generation } of cases) {
    const { rig, peer, id } = await atWork();
    await peer.send({ type: 'task_complete', task_id: id, result, ...more });
    t.match(peer.newFrames(), [{ type: 'error', error }]);
    const { task, events } = await rig.record(id);
    t.match(events.at(-1), { event: 'report_refused', agentId: 'a1', generation, details: { reason, result_kept: true } });
    const kept = await rig.storage.tasks.keptResult({
      taskId: id,
      generation: (generation ?? 1) as Generation,
      agentId: 'a1' as AgentId,
    });
    t.match(kept, { reason, result: JSON.stringify(result) });
    t.match(task, { status: 'assigned', generation: 1 });
  }
});

t.test('other agents see joins, leaves and status changes; an agent with work is never shown as idle', async (t) => {
  const { rig, peer, id } = await atWork();
  const other = await freePeer(rig, 'b2');
  const card = { agent_id: 'b2', name: 'b2', capabilities: [], connected_at: rig.clock.nowMs() };
  t.same(peer.newFrames(), [{ type: 'agent_joined', agent: { ...card, status: 'idle' } }], 'nothing shows that it is working');
  await other.send({ type: 'status', status: 'resting' });
  t.same(peer.newFrames(), [{ type: 'status_changed', agent: { ...card, status: 'resting' } }]);
  await peer.send({ type: 'status', status: 'idle' });
  other.newFrames();
  await other.send({ type: 'list_agents' });
  t.match(other.newFrames(), [
    {
      type: 'agents',
      agents: [
        { agent_id: 'a1', status: 'working' },
        { agent_id: 'b2', status: 'resting' },
      ],
    },
  ]);
  await other.cut();
  t.same(peer.newFrames().slice(1), [{ type: 'agent_left', agent_id: 'b2' }]);
  t.ok(id);
});

t.test('forwarded messages and stored reports are bounded', async (t) => {
  const rig = await hubRig();
  const [peer, other] = [await freePeer(rig, 'a1'), await freePeer(rig, 'a2')];
  peer.newFrames();
  await peer.send({ type: 'message', payload: 'x'.repeat(1_048_576 - 60) });
  t.same(
    peer.newFrames(),
    [{ type: 'error', error: 'message_failed: too_large' }],
    'with its envelope it would close the receiver’s connection',
  );
  t.same(other.newFrames(), []);
  await peer.send({ type: 'resource_report', cpu_percent: 3, notes: 'x'.repeat(20_000) });
  t.match(peer.newFrames(), [{ error: 'validation_failed', message_type: 'resource_report', errors: [{ error: 'size' }] }]);
  await peer.send({ type: 'resource_report', cpu_percent: 3 });
  await peer.send({ type: 'agent_restarting', reason: 'update' });
  t.match(await agent(rig), { resources: { cpu_percent: 3 }, reportedStatus: 'restarting: update' });
});

t.test('v1StopMs sets how long an unconfirmed stop holds its slot; the agent shows as stopping until then', async (t) => {
  for (const v1StopMs of [0, 40_000]) {
    const { rig, peer, id } = await atWork({ timing: { v1StopMs, killGraceMs: 5_000, sweepMs: 1_000 } });
    const shown = async () => {
      const row = await rig.storage.agents.getAgent('a1' as AgentId);
      return row === undefined ? {} : agentJson(row, rig.clock.nowMs());
    };
    await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
    t.match(await shown(), { status: 'stopping', pending_stops: 1 });
    const next = await rig.submit();
    await rig.pass(4_000 + v1StopMs);
    t.match(await shown(), { status: 'stopping' }, 'not free yet');
    peer.newFrames();
    await rig.pass(2_500);
    t.match(peer.newFrames(), [{ type: 'task_assign', task_id: next }], `free ${v1StopMs} ms after the grace`);
  }
});

t.test('object steps and hints are passed on in full; a plain sentence is not sent as a version 1 step', async (t) => {
  const rig = await hubRig();
  const peer = await freePeer(rig, 'a1');
  const step = { type: 'file_exists', target: 'a.txt', options: { deep: [1, null] } };
  const hint = { path: 'src/a.ts', reason: 'it is there' };
  const body = aBody({ fileHints: [hint, 'b.ts'], successCriteria: ['it counts'], verificationSteps: [step, 'run the tests'] });
  const id = await rig.submit({ body });
  t.match(peer.newFrames(), [
    {
      type: 'task_assign',
      task_id: id,
      metadata: {},
      file_hints: [hint, 'b.ts'],
      success_criteria: ['it counts', 'run the tests'],
      verification_steps: [step],
    },
  ]);
  const newer = await rig.peer('b2');
  await newer.identify();
  const other = await rig.submit({ body });
  t.same(
    newer.newFrames().map(({ metadata, file_hints, success_criteria, verification_steps }) => ({
      metadata,
      file_hints,
      success_criteria,
      verification_steps,
    })),
    [{ metadata: {}, file_hints: [hint, 'b.ts'], success_criteria: ['it counts'], verification_steps: [step, 'run the tests'] }],
    other,
  );
});

t.test('R4: the accept rule of a task is sent with its assignment, but not to version 1, which cannot apply it', async (t) => {
  const rig = await hubRig();
  const peer = await freePeer(rig, 'a1');
  const accept = { empty: true } as const;
  await rig.submit({ body: aBody({ accept }) });
  t.notOk('accept' in (peer.newFrames()[0] ?? {}));
  const newer = await rig.peer('b2');
  await newer.identify({ slots: 2 });
  await rig.submit({ body: aBody({ accept }) });
  await rig.submit({ body: aBody() });
  t.same(
    newer.newFrames().map((frame) => frame['accept']),
    [accept, undefined],
  );
});

t.test('a task lost by its machine goes to another free machine', async (t) => {
  const { rig, peer, id } = await atWork();
  const other = await freePeer(rig, 'b2');
  await peer.cut();
  const back = await peer.reconnect();
  await back.identify(V1);
  await back.send({ type: 'task_recovering', task_id: id, last_status: 'waking' });
  t.match(back.newFrames(), [{ type: 'task_reassign', task_id: id }]);
  other.newFrames();
  await rig.pass(2_000);
  t.match(other.newFrames(), [{ type: 'task_assign', task_id: id }]);
  t.same(types(back.newFrames()), [], 'although the agent that lost it is free too');
});
