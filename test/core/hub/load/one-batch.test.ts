/** How several commands about the same task or agent interact when one transaction carries them all. */
import t from 'tap';
import { anAgentId, anEvent, aTaskId } from '../../../product/contracts/fixtures.ts';
import { groupedByTask } from '../../../../core/application/hub/batch/events-by-task.ts';
import type { Command } from '../../../../core/application/hub/batch/commands.ts';
import type { AgentId, Generation, TaskId } from '../../../../core/domain/ids.ts';
import { seededIds } from '../../../product/twins/ids-seeded/seeded-ids.ts';
import { aDraft, hubRig, type HubRig } from '../hub-rig.ts';
import { gate, type Gate } from '../../../rig/gate.ts';

const ids = seededIds({ seed: 'one-batch' });

/** Puts all of them into the inbox at once: one batch. Advances no time afterwards, but lets everything settle. */
async function together(rig: HubRig, commands: readonly Command[]): Promise<readonly unknown[]> {
  const answers = await Promise.all(commands.map((command) => rig.queue.do(command)));
  await rig.pass(0);
  return answers;
}

const complete = (taskId: TaskId, generation: number, session = 1, agentId = 'a1'): Command => ({
  kind: 'report',
  from: { agentId: agentId as AgentId, session },
  taskId,
  generation: generation as Generation,
  body: { report: 'complete', result: '1', tokensUsed: null, costUsd: null, details: null },
});

const submit = (over: Parameters<typeof aDraft>[1]): Command & { readonly drafts: readonly { readonly id: TaskId }[] } => ({
  kind: 'submit',
  drafts: [aDraft(ids.task(), over)],
  submittedBy: 'tok-1',
  idempotency: null,
});

t.test('a task submitted in the batch that completes its dependency is not left blocked', async (t) => {
  // Before, dependents of a completed task were looked for in the store alone, where this one was not yet.
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const dependent = submit({ dependsOn: [first] });
  await together(rig, [dependent, complete(first, 1)]);
  t.equal(await rig.summary(dependent.drafts[0]?.id as TaskId), 'assigned 1: submitted blocked eligible assigned');
});

t.test('a task retried in the batch that completes its dependency is not left blocked', async (t) => {
  const rig = await hubRig();
  const nowMs = rig.clock.nowMs();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const dependent = await rig.submit({ dependsOn: [first], completeByMs: nowMs + 1_000 });
  await rig.pass(2_000);
  t.equal((await rig.record(dependent)).task.status, 'dead_letter');
  await together(rig, [{ kind: 'retry', taskId: dependent, by: 'op' }, complete(first, 1)]);
  t.equal(await rig.summary(dependent), 'assigned 2: submitted blocked dead_lettered retried blocked eligible assigned');
});

t.test('R19: an unconfirmed stop holds its slot, even if the batch adds another stop for that agent', async (t) => {
  // Before, the stops of an agent were read from the store only if the batch did not know of any yet.
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  const one = await rig.submit();
  const two = await rig.submit();
  for (const id of [one, two]) await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const waiting = [await rig.submit(), await rig.submit()];
  await together(rig, [{ kind: 'cancel', taskId: one, by: 'op' }]);
  await together(rig, [{ kind: 'cancel', taskId: two, by: 'op' }]);
  for (const id of waiting) t.equal((await rig.record(id)).task.status, 'queued', 'both slots wait for their stops');
  await peer.send({ type: 'task_cancel_ack', task_id: one, generation: 1, outcome: 'killed' });
  const statuses = await Promise.all(waiting.map(async (id) => (await rig.record(id)).task.status));
  t.same(statuses, ['assigned', 'queued']);
});

t.test('R14: of cancel and complete, the first in the inbox wins and the other is refused', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  const one = await rig.submit();
  const two = await rig.submit();
  const answers = await together(rig, [
    { kind: 'cancel', taskId: one, by: 'op' },
    complete(one, 1),
    complete(two, 1),
    { kind: 'cancel', taskId: two, by: 'op' },
  ]);
  t.match(answers, [
    { kind: 'done', status: 'cancelled' },
    { kind: 'refused', code: 'stale_generation' },
    { kind: 'acknowledged', status: 'complete' },
    { kind: 'refused', code: 'invalid_state' },
  ]);
});

t.test('R9: of a report and its repeat in one batch, one counts and the other is marked as a duplicate', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  t.match(await together(rig, [complete(id, 1), complete(id, 1)]), [
    { kind: 'acknowledged', status: 'complete', duplicate: false },
    { kind: 'acknowledged', status: 'complete', duplicate: true },
  ]);
});

t.test('a task submitted and cancelled in one batch is never assigned', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const one = submit({});
  const id = one.drafts[0]?.id as TaskId;
  await together(rig, [one, { kind: 'cancel', taskId: id, by: 'op' }]);
  t.equal(await rig.summary(id), 'cancelled 1: submitted eligible cancelled');
  t.notOk(peer.newFrames().some((frame) => frame.type === 'task_assign'));
});

t.test('a report of a session replaced in the same batch changes nothing', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const answers = await together(rig, [anIdentify('a1'), complete(id, 1)]);
  t.match(answers, [{ kind: 'identified', session: 2 }, { kind: 'replaced' }]);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
});

t.test('a sweep does not undo an identify of the same batch', async (t) => {
  // Before, the sweep judged agents as they were before the batch and wrote that row back: the older session number
  // returned, and every message of the new session was attributed to a replaced session, forever.
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const from = { agentId: 'a1' as AgentId, session: 1 };
  rig.sessions.isHere = () => false;
  await together(rig, [{ kind: 'disconnect', from }, anIdentify('a1'), { kind: 'sweep' }]);
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { sessionNumber: 2, connected: true });
});

t.test('frames received before a sweep are processed before it, even in the same batch', async (t) => {
  const rig = await hubRig({ timing: { leaseMs: 10_000, heartbeatMs: 1_000_000, sweepMs: 1_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  rig.clock.advance(9_999);
  // The store is busy: the sweep and the renewal wait together, and the lease expires meanwhile.
  const progress: Command = {
    kind: 'report',
    from: { agentId: 'a1' as AgentId, session: 1 },
    taskId: id,
    generation: 1 as Generation,
    body: { report: 'progress', details: null, tokensUsed: null, costUsd: null },
  };
  const both = Promise.all([rig.queue.do({ kind: 'sweep' }), rig.queue.do(progress)]);
  rig.clock.jumpWall(2);
  await both;
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
});

t.test('R6: an assignment pushed again and ended in the same batch is not sent', async (t) => {
  // Before, it was sent with the generation created by the end, which was never assigned to any agent.
  let held: Gate | null = null;
  const rig = await hubRig({ store: { onStep: (step) => (step === 'begin' ? held?.opened : undefined) } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const back = await peer.reconnect();
  held = gate();
  rig.queue.post({ kind: 'sweep' }, () => undefined);
  await back.identify();
  const cancelled = rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
  held.open();
  t.match(await cancelled, { kind: 'done', status: 'cancelled' });
  await rig.pass(0);
  t.equal(await rig.summary(id), 'cancelled 2: submitted eligible assigned cancelled stop_requested');
  t.same(
    back.newFrames().map((frame) => frame.type),
    ['identified', 'task_cancelled'],
  );
});

const anIdentify = (agentId: string): Command => ({
  kind: 'identify',
  agentId: agentId as AgentId,
  name: agentId,
  protocolVersion: 2,
  instanceId: 'machine-1',
  capabilities: [],
  slots: 1,
  reportedStatus: null,
  held: [],
  hubId: 'hub-1',
});

t.test('an event without an agent moves to the next event of its task, all others keep their order', (t) => {
  const none = { agentId: null, session: null };
  const event = (task: number, seq: number, over = {}) => anEvent({ taskId: aTaskId(task), seq, ...none, ...over });
  const ofAgent = { agentId: anAgentId('a1') };
  const placesOf = (events: Parameters<typeof groupedByTask>[0]) => groupedByTask(events).map((one) => events.indexOf(one));
  const submits = [event(1, 1), event(1, 2), event(2, 1), event(2, 2), event(3, 1), event(1, 3, ofAgent), event(2, 3, ofAgent)];
  t.strictSame(placesOf(submits), [4, 0, 1, 5, 2, 3, 6]);
  const reports = [
    event(1, 3, { ...ofAgent, session: 1 }),
    event(2, 3, { ...ofAgent, session: 2 }),
    event(1, 4, { ...ofAgent, session: 2 }),
  ];
  t.strictSame(placesOf(reports), [0, 1, 2], 'what agents do');
  t.strictSame(placesOf([event(1, 1), event(1, 2)]), [0, 1]);
  t.strictSame(groupedByTask([]), []);
  t.end();
});
