/** Overlapping sessions, and stores that were rolled back: whose reports count, and what becomes of held assignments. */
import t from 'tap';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { agentJson } from '../../../core/protocol/agent-json.ts';
import { hubRig } from './hub-rig.ts';
import { gate, type Gate } from '../../rig/gate.ts';

const types = (frames: readonly { readonly type: string }[]): string => frames.map((frame) => frame.type).join(' ');

t.test('an older connection is closed even if its replacement is gone before it is registered', async (t) => {
  // Before, no session was registered in its place, so it was taken for the newest: open, alive, and never answered
  // again.
  let held: Gate | null = null;
  const rig = await hubRig({ store: { onStep: (step) => (step === 'begin' ? held?.opened : undefined) } });
  const first = await rig.peer('a1');
  await first.identify();
  const second = await first.reconnect();
  held = gate();
  await second.identify();
  await second.cut();
  held.open();
  held = null;
  await rig.pass(0);
  t.equal(first.closed(), 4001);
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { sessionNumber: 2, connected: false });
  t.equal(types(await (await first.reconnect()).identify()), 'identified');
});

t.test('R15: a sidecar is not closed for the time the hub needs to handle its identify', async (t) => {
  // Before, when ten thousand sidecars returned to a busy hub, those that it answered slowly were closed, reconnected,
  // and slowed it down further.
  let held: Gate | null = null;
  const rig = await hubRig({ store: { onStep: (step) => (step === 'begin' ? held?.opened : undefined) } });
  const peer = await rig.peer('a1');
  held = gate();
  await peer.identify();
  await rig.pass(HUB_LIMITS.identifyMs * 2);
  t.equal(peer.closed(), null);
  held.open();
  held = null;
  await rig.pass(0);
  t.equal(types(peer.newFrames()), 'identified');
});

t.test('R15: an identify received while the event loop was blocked counts, even if its time has passed by then', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  const answered = peer.identify();
  rig.clock.advance(HUB_LIMITS.identifyMs);
  t.equal(types(await answered), 'identified');
  t.equal(peer.closed(), null);
});

t.test('R20: a refused identify does not restart the timeout', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await rig.pass(HUB_LIMITS.identifyMs - 1_000);
  t.equal(types(await peer.identify({ token: 'not its own' })), 'error');
  t.equal(peer.closed(), null);
  await rig.pass(1_000);
  t.equal(peer.closed(), 1008);
});

t.test('R4: a version 1 result for a task that was to be stopped is stored in full', async (t) => {
  // Before, the confirmation of the stop and the refused result were written under the same number, and the second was
  // lost.
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify({ protocol_version: 1, held: undefined, instance_id: undefined });
  await rig.pass(6_000);
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id });
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: { work: 'done' } });
  t.equal(
    await rig.summary(id),
    'cancelled 2: submitted eligible assigned accepted cancelled stop_requested stop_confirmed report_refused',
  );
  t.match((await rig.record(id)).events.at(-1), { details: { result: '{"work":"done"}', reason: 'stale_generation' } });
});

t.test('R6: a generation above the stored one, for a task the agent itself has, first revokes that assignment', async (t) => {
  // Before, the generation changed under a live assignment, whose reports were then all refused.
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.cut();
  const back = await peer.reconnect();
  const frames = await back.identify({ held: [{ task_id: id, generation: 8, status: 'working' }] });
  t.match(frames[0], { type: 'identified', held: [{ action: 'abort', reason: 'stale_generation' }] });
  t.match(await rig.summary(id), /^queued 9: submitted eligible assigned accepted lost stop_requested report_refused/);
  t.match((await rig.record(id)).task, { retryCount: 1 }, 'it still counts as an attempt');
  await rig.pass(1_100);
  t.match(back.newFrames().at(-1), { type: 'task_assign', task_id: id, generation: 10 });
});

t.test('R6: a finished result of a generation above the stored one also raises it', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  const [identified] = await peer.identify({ held: [{ task_id: id, generation: 8, status: 'reporting' }] });
  t.match(identified, { held: [{ action: 'report' }] });
  t.equal(await rig.summary(id), 'assigned 10: submitted eligible report_refused assigned');
});

t.test('work assigned by another store is logged as a warning and counted, and otherwise judged as usual', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  await peer.identify();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.cut();
  const alarms = () => rig.log.lines.filter(({ level, message }) => level === 'warn' && /another store/.test(message));
  const same = await peer.reconnect();
  await same.identify({ held: [{ task_id: id, generation: 1, status: 'working', store_id: 'memory' }] });
  t.same(alarms(), []);
  await same.cut();
  const back = await same.reconnect();
  const gone = 'task-dddddddddddddddd';
  const frames = await back.identify({
    held: [
      { task_id: id, generation: 1, status: 'working', store_id: 'store-0' },
      { task_id: gone, generation: 3, status: 'working', store_id: 'store-0' },
    ],
  });
  t.match(frames[0], { held: [{ action: 'continue' }, { action: 'abort', reason: 'unknown_task' }] });
  t.match(alarms(), [{ fields: { agent_id: 'a1', store_id: 'memory', other_store_ids: ['store-0'], tasks: [id, gone], count: 2 } }]);
  t.match(rig.sessions.refusals(), { frames: { of_another_store: 2 } });
});

t.test('a finished result reported on reconnect holds its assignment until the result arrives', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 20_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.cut();
  await rig.pass(19_000);
  const back = await peer.reconnect();
  await back.identify({ held: [{ task_id: id, generation: 1, status: 'reporting' }] });
  await rig.pass(5_000);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, 'its grace period has passed, but it has reconnected');
});

t.test('a repeated accept changes nothing at all', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const before = await rig.record(id);
  await rig.pass(1_000);
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.same(await rig.record(id), before);
});

t.test('only the side that started a drain ends it: the sidecar its own, an operator an operator’s', async (t) => {
  // Before, a sidecar whose disk had been full for a minute took no task until an operator noticed and resumed it.
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const control = (change: 'drain' | 'resume') => rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change });
  const statusOf = async (id: TaskId) => (await rig.record(id)).task.status;
  let peer = await rig.peer('a1');
  await peer.identify({ slots: 9 });

  await peer.send({ type: 'draining', reason: 'journal_unwritable' });
  const first = await rig.submit();
  t.equal(await statusOf(first), 'queued', 'it gets no task');
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { draining: false, ownDrain: 'journal_unwritable' });
  await peer.send({ type: 'resumed' });
  t.equal(await statusOf(first), 'assigned', 'its own message ends it');

  await peer.send({ type: 'draining', reason: 'journal_unwritable' });
  const second = await rig.submit();
  await peer.cut();
  peer = await peer.reconnect();
  await peer.identify({ slots: 9 });
  t.equal(await statusOf(second), 'assigned', 'a new session without a drain ends it');

  await control('drain');
  await peer.send({ type: 'draining', reason: 'drained by an operator' });
  await peer.send({ type: 'drained' });
  const third = await rig.submit();
  await peer.send({ type: 'resumed' });
  t.equal(await statusOf(third), 'queued', 'an operator’s drain stays, whatever the sidecar reports');
  await peer.cut();
  peer = await peer.reconnect();
  t.match(types(await peer.identify({ slots: 9 })), /\bdrain\b/, 'and its next process gets the drain');
  t.equal(await statusOf(third), 'queued');
  await control('resume');
  t.equal(await statusOf(third), 'assigned');
  const { agent } = (await rig.storage.agents.getAgent('a1' as AgentId)) ?? {};
  t.match(agent, { draining: false, ownDrain: null, reportedStatus: null });
});

t.test('R16: what an agent had not accepted when it left for good goes to another agent at once', async (t) => {
  // Before, tasks that were on their way to a worker while it stopped waited for the reconnect grace.
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000, reconnectGraceMs: 180_000 } });
  const leaving = await rig.peer('a1');
  await leaving.identify({ slots: 9 });
  const [accepted, unanswered] = [await rig.submit(), await rig.submit()];
  await leaving.send({ type: 'task_accepted', task_id: accepted, generation: 1 });
  const other = await rig.peer('a2');
  await other.identify({ slots: 9 });
  await leaving.leave();
  await rig.pass(2_000);
  t.match((await rig.record(unanswered)).task, { status: 'assigned', assignedTo: 'a2', generation: 3, retryCount: 0 });
  t.match((await rig.record(accepted)).task, { status: 'assigned', assignedTo: 'a1', generation: 1 }, 'an accepted one may come back');
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { connected: false, strikes: [] }, 'the machine is not at fault');

  const cut = await rig.peer('a3');
  await cut.identify({ slots: 9 });
  await other.leave();
  await rig.pass(10_000);
  t.match((await rig.record(unanswered)).task, { assignedTo: 'a3' });
  await cut.cut();
  await rig.pass(10_000);
  t.match((await rig.record(unanswered)).task, { status: 'assigned', assignedTo: 'a3' }, 'a lost connection may come back with it');
});

t.test('the deadline of a drain is stored, and sent again with the time remaining', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  let peer = await rig.peer('a1');
  await peer.identify({ slots: 9 });
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'drain', deadlineMs: 60_000 });
  await rig.pass(0);
  t.match(peer.frames.at(-1), { type: 'drain', deadline_ms: 60_000 });
  await rig.pass(20_000);
  peer = await peer.reconnect();
  t.match(
    (await peer.identify({ slots: 9 })).find(({ type }) => type === 'drain'),
    { deadline_ms: 40_000 },
  );
  await rig.pass(50_000);
  peer = await peer.reconnect();
  t.match(
    (await peer.identify({ slots: 9 })).find(({ type }) => type === 'drain'),
    { deadline_ms: 0 },
    'deadline passed: at once',
  );
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'resume' });
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'drain' });
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { draining: true, drainUntilMs: null });
});

t.test('R13: a pause ends only by the cause that started it', async (t) => {
  // Before, passing checks, reported after each identify, ended the pause of a machine that had lost three tasks in a
  // row.
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 4 });
  for (let n = 0; n < 3; n += 1) {
    const id = await rig.submit({ maxRetries: 0 });
    await peer.send({ type: 'task_failed', task_id: id, generation: 1, kind: 'wake_failed', error: 'no such program' });
  }
  const waiting = await rig.submit();
  t.equal((await rig.record(waiting)).task.status, 'queued', 'paused');
  await peer.send({ type: 'runner_checks', ok: true });
  t.equal((await rig.record(waiting)).task.status, 'queued', 'its checks pass, but it is still broken');
  await peer.send({ type: 'runner_checks', ok: false, failed: [{ check: 'login', message: 'not logged in' }] });
  await rig.pass(61_000);
  t.equal((await rig.record(waiting)).task.status, 'queued', 'the breaker is closed again, but its checks fail');
  await peer.send({ type: 'runner_checks', ok: true });
  t.equal((await rig.record(waiting)).task.status, 'assigned');
});

t.test('R13: a ping next to a report of the checks does not erase which checks passed', async (t) => {
  // Before, `agentcom doctor --agent` named no check then, although all had just run.
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  const [program, login] = ['program', 'login'].map((check) => ({ check, message: check }));
  await peer.identify({ checks: { ok: false, failed: [login], passed: [program] } });
  const checks = async () => (await rig.storage.agents.getAgent('a1' as AgentId))?.agent.checks;
  await Promise.all([
    peer.send({ type: 'runner_checks', ok: true, failed: [], passed: [program, login] }),
    peer.send({ type: 'ping', checks: { ok: true } }),
  ]);
  t.match(await checks(), { failed: [], passed: [program, login] });
  await peer.send({ type: 'ping', checks: { ok: false, failed: [program] } });
  t.strictSame((await checks())?.passed, [login], 'what fails now has not passed');
});

t.test('R7: an assignment whose acceptance was lost does not go to another machine under the same generation', async (t) => {
  // Before, both finished it, and the second of two different results was answered as a repeat of the first.
  const rig = await hubRig();
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit();
  await one.cut();
  const two = await one.reconnect();
  await two.identify({ instance_id: 'machine-2' });
  t.equal(await rig.summary(id), 'queued 2: submitted eligible assigned reclaimed');
  await rig.pass(2_000);
  t.match(two.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3 }]);
  await two.send({ type: 'task_complete', task_id: id, generation: 3, result: 'of the second' });
  await two.cut();
  const back = await one.reconnect();
  await back.identify({ held: [{ task_id: id, generation: 1, status: 'reporting' }] });
  await back.send({ type: 'task_complete', task_id: id, generation: 1, result: 'of the first' });
  t.match(back.newFrames().at(-1), { type: 'task_nack', reason: 'stale_generation' }, 'so the result stays where its operator sees it');
});

t.test('R7: after a takeover, another machine does not get an assignment under the same generation either', async (t) => {
  for (const [who, returning, wanted] of [
    // The first machine may not be gone, and may have begun.
    ['another machine', { instance_id: 'machine-2', process_id: 'process-2' }, 'queued 2: submitted eligible assigned reclaimed'],
    ['the same process', { process_id: 'process-1' }, 'assigned 1: submitted eligible assigned'],
  ] as const) {
    const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
    const first = await rig.peer('a1');
    await first.identify({ process_id: 'process-1' });
    const id = await rig.submit();
    await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'takeover' });
    await (await first.reconnect()).identify(returning);
    t.equal(await rig.summary(id), wanted, who);
  }
});

t.test('an agent of version 2 is shown as working while it has a task, whatever it said when it connected', async (t) => {
  // Before, one that had connected in the middle of a task was shown as working from then on.
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000, reconnectGraceMs: 180_000 } });
  let peer = await rig.peer('a1');
  const shown = async () => {
    const row = await rig.storage.agents.getAgent('a1' as AgentId);
    const { status, reported_status: reports } = row === undefined ? {} : agentJson(row, rig.clock.nowMs());
    await peer.send({ type: 'list_agents' });
    return { status, reports, card: (peer.newFrames().at(-1)?.['agents'] as { readonly status: string }[])[0]?.status };
  };
  await peer.identify({ status: 'idle' });
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.match(await shown(), { status: 'working', reports: null, card: 'working' });
  await peer.cut();
  peer = await peer.reconnect();
  await peer.identify({ status: 'working', held: [{ task_id: id, generation: 1, status: 'working' }] });
  t.match(await shown(), { status: 'working', reports: null, card: 'working' });
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'x' });
  t.match(await shown(), { status: 'idle', reports: null, card: 'idle' });

  await peer.send({ type: 'status', status: 'resting' });
  t.match(await shown(), { status: 'idle', reports: 'resting', card: 'resting' }, 'a change that it reports itself is shown');
});
