/** The version 2 dialogue with a whole hub: the answer to each frame, and what becomes of the task. */
import t from 'tap';
import type { AgentId, Generation } from '../../../core/domain/ids.ts';
import { SETTLE_MS } from '../../../core/domain/agent/busy-agents.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas } from '../../../core/protocol/hub-frames.ts';
import { aBody } from '../../product/contracts/fixtures.ts';
import { hubRig, type Peer } from './hub-rig.ts';

const types = (frames: readonly { readonly type: string }[]): string => frames.map((frame) => frame.type).join(' ');

t.test('R6 R9: identify, assign, accept, progress, complete; repeats are marked and change nothing', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  const [identified] = await peer.identify({ capabilities: ['code'] });
  t.match(identified, {
    type: 'identified',
    agent_id: 'a1',
    protocol_version: 2,
    hub_id: 'hub-1',
    store_id: 'memory',
    held: [],
    policy: { heartbeat_ms: 30_000, lease_ms: 300_000 },
  });

  const id = await rig.submit({ neededCapabilities: ['code'] });
  const [assign] = peer.newFrames();
  t.match(assign, { type: 'task_assign', task_id: id, generation: 1, run_max_ms: 86_400_000, complete_by: null });

  const name = { task_id: id, generation: 1 };
  await peer.send({ type: 'task_accepted', ...name });
  t.same(peer.newFrames(), [{ type: 'task_ack', ...name, status: 'accepted' }]);
  await peer.send({ type: 'task_accepted', ...name });
  t.same(peer.newFrames(), [{ type: 'task_ack', ...name, status: 'accepted', duplicate: true }]);
  await peer.send({ type: 'task_progress', ...name, percent: 50, message: 'half' });
  t.same(peer.newFrames(), [], 'progress is not answered');
  const complete = { type: 'task_complete', ...name, result: { status: 'success', output: 'x' }, tokens_used: 7 };
  await peer.send(complete);
  t.same(peer.newFrames(), [{ type: 'task_ack', ...name, status: 'complete' }]);
  await peer.send(complete);
  t.same(peer.newFrames(), [{ type: 'task_ack', ...name, status: 'complete', duplicate: true }]);
  t.equal(await rig.summary(id), 'completed 1: submitted eligible assigned accepted progress completed');
  t.match(await rig.record(id), {
    task: { usage: { attempts: [{ generation: 1, agentId: 'a1', tokensUsed: 7 }] } },
    result: '{"status":"success","output":"x"}',
  });
});

t.test('R7: fenced reports get a nack with the current generation, and change nothing', async (t) => {
  const rig = await hubRig();
  const one = await rig.peer('a1');
  const two = await rig.peer('a2');
  await one.identify();
  const id = await rig.submit();
  await two.identify();
  one.newFrames();
  two.newFrames();
  const before = await rig.record(id);
  const cases: readonly [Peer, Readonly<Record<string, unknown>>, object][] = [
    [one, { task_id: id, generation: 0 }, { reason: 'stale_generation', current_generation: 1 }],
    [one, { task_id: id, generation: 9 }, { reason: 'stale_generation', current_generation: 1 }],
    [two, { task_id: id, generation: 1 }, { reason: 'not_assignee', current_generation: 1 }],
    [one, { task_id: 'task-ffffffffffffffff', generation: 1 }, { reason: 'unknown_task' }],
    [one, { task_id: id, generation: 1, agent_id: 'a2' }, { reason: 'not_assignee' }],
  ];
  for (const type of ['task_accepted', 'task_complete', 'task_failed', 'task_released', 'task_rejected', 'task_progress']) {
    for (const [peer, name, wanted] of cases) {
      await peer.send({ type, ...name, result: 1, reason: 'r' });
      await rig.pass(1_000);
      t.match(
        peer.newFrames(),
        [{ type: 'task_nack', task_id: name['task_id'], generation: name['generation'], ...wanted }],
        `${type} ${JSON.stringify(wanted)}`,
      );
    }
  }
  t.same(await rig.record(id), before);
});

t.test('acknowledgements are sent before the assignments made by the same commit', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const second = await rig.submit();
  peer.newFrames();
  await peer.send({ type: 'task_complete', task_id: first, generation: 1, result: null });
  t.match(peer.newFrames(), [
    { type: 'task_ack', task_id: first, status: 'complete' },
    { type: 'task_assign', task_id: second },
  ]);
});

t.test('a returning sidecar reports what it holds, and gets an answer for each task', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 4 });
  const running = await rig.submit();
  const unseen = await rig.submit();
  const lost = await rig.submit();
  const forgotten = await rig.submit();
  for (const id of [running, lost, forgotten]) await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.cut();
  await rig.pass(60_000);
  const back = await peer.reconnect();
  const held = [
    { task_id: running, generation: 1, status: 'working' },
    { task_id: lost, generation: 1, status: 'unknown' },
    { task_id: 'task-eeeeeeeeeeeeeeee', generation: 3, status: 'reporting' },
    { task_id: 'task-dddddddddddddddd', generation: 3, status: 'working' },
  ];
  const frames = await back.identify({ slots: 4, held });
  t.match(frames[0], {
    type: 'identified',
    held: [
      { task_id: running, generation: 1, action: 'continue' },
      { task_id: lost, generation: 1, action: 'abort', reason: 'lost' },
      { task_id: 'task-eeeeeeeeeeeeeeee', generation: 3, action: 'report' },
      { task_id: 'task-dddddddddddddddd', generation: 3, action: 'abort', reason: 'unknown_task' },
    ],
  });
  t.match(frames.slice(1), [{ type: 'task_assign', task_id: unseen, generation: 1 }], 'pushed again under the same generation');
  t.equal(await rig.summary(running), 'assigned 1: submitted eligible assigned accepted');
  t.match(await rig.summary(lost), /^queued 2: .* lost$/);
  t.match(await rig.summary(forgotten), /^queued 2: .* lost$/, 'accepted, but missing from the inventory');
});

t.test('a generation above the stored one raises it, aborts the run, and is logged as a warning', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  const frames = await peer.identify({ held: [{ task_id: id, generation: 8, status: 'working' }] });
  t.match(frames[0], { held: [{ action: 'abort', reason: 'stale_generation' }] });
  t.ok((await rig.record(id)).task.generation > 8);
  t.ok(rig.log.lines.some((line) => line.level === 'warn' && /store was rolled back/.test(line.message)));
});

t.test('R11 R19: a cancel reaches the sidecar, is resent until confirmed, and holds the slot until then', async (t) => {
  const rig = await hubRig({ timing: { stopResendMs: 30_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const next = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  peer.newFrames();
  t.match(await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' }), { kind: 'done', status: 'cancelled' });
  await rig.pass(0);
  const order = { type: 'task_cancelled', task_id: id, generation: 1, reason: 'cancelled', grace_ms: 5_000 };
  t.match(peer.newFrames(), [order]);
  await rig.pass(31_000);
  t.match(peer.newFrames(), [order], 'sent again, and the waiting task is not assigned');
  t.equal((await rig.record(next)).task.status, 'queued');
});

t.test('cancel: the confirmation frees the slot', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const next = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
  await rig.pass(0);
  t.match(peer.newFrames().at(-1), { type: 'task_cancelled' });
  await peer.send({ type: 'task_cancel_ack', task_id: id, generation: 1, outcome: 'killed', survivors: [4711] });
  t.match(peer.newFrames(), [{ type: 'task_assign', task_id: next }]);
  t.match((await rig.record(id)).events.at(-1), { event: 'stop_confirmed', details: { outcome: 'killed', survivors: [4711] } });
  t.match(await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' }), { kind: 'refused', code: 'invalid_state' }, 'it has ended');
});

t.test('a machine replaces its own connection; another machine with the same identity is refused while it lives', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const first = await rig.peer('a1');
  await first.identify();
  const second = await first.reconnect();
  t.equal(types(await second.identify()), 'identified');
  t.equal(first.closed(), 4001);
  const foreign = await first.reconnect();
  t.match(await foreign.identify({ instance_id: 'machine-2' }), [{ type: 'error', error: 'agent_id_in_use' }]);
  t.equal(foreign.closed(), 4001);
  await second.cut();
  await rig.pass(10_000);
  t.match(
    await (await first.reconnect()).identify({ instance_id: 'machine-2' }),
    [
      {
        error: 'agent_id_in_use',
        retry_after_ms: 170_000,
        detail: /may return with its work: this one is let in when retry_after_ms have passed/,
      },
    ],
    'within the grace period, and until when',
  );
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'takeover' });
  t.equal(types(await (await first.reconnect()).identify({ instance_id: 'machine-2' })), 'identified', 'allowed by an operator');
});

t.test('another machine with the same identity is let in when the time is over that the hub told it', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const first = await rig.peer('a1');
  await first.identify();
  await first.cut();
  const [refused] = await (await first.reconnect()).identify({ instance_id: 'machine-2' });
  t.match(refused, { error: 'agent_id_in_use', retry_after_ms: 180_000 });
  await rig.pass(179_999);
  t.match(await (await first.reconnect()).identify({ instance_id: 'machine-2' }), [{ retry_after_ms: 1 }]);
  await rig.pass(1);
  t.equal(types(await (await first.reconnect()).identify({ instance_id: 'machine-2' })), 'identified');
});

t.test('R7: reports of a replaced session change nothing', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const first = await rig.peer('a1');
  await first.identify();
  const id = await rig.submit();
  await first.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const second = await first.reconnect();
  await second.identify({ held: [{ task_id: id, generation: 1, status: 'working' }] });
  const from = { agentId: 'a1' as AgentId, session: 1 };
  const body = {
    report: 'failed',
    error: 'late',
    failure: 'agent_failed',
    retryable: true,
    tokensUsed: null,
    costUsd: null,
    details: null,
  } as const;
  // As if the frame had been read from the older socket just before it was closed.
  t.same(await rig.queue.do({ kind: 'report', from, taskId: id, generation: 1 as Generation, body }), { kind: 'replaced' });
  t.equal(await rig.summary(id), 'assigned 1: submitted eligible assigned accepted');
  t.equal(
    (await rig.queue.do({ kind: 'report', from: { ...from, session: 2 }, taskId: id, generation: 1 as Generation, body })).kind,
    'acknowledged',
  );
});

t.test('each malformed frame is answered, and the tenth within a minute closes the connection', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.send({ type: 'ping' });
  t.same(peer.newFrames(), [{ type: 'error', error: 'not_identified' }]);
  await peer.identify();
  const cases: readonly [string, object][] = [
    ['{', { type: 'error', error: 'invalid_json' }],
    ['[]', { type: 'error', error: 'invalid_json' }],
    ['{"type":"nonsense"}', { type: 'error', error: 'unknown_message_type' }],
    [
      '{"type":"task_accepted","task_id":"task-0000000000000001"}',
      { type: 'error', error: 'validation_failed', message_type: 'task_accepted', errors: [{ field: 'generation' }] },
    ],
    [
      '{"type":"task_complete","task_id":"task-0000000000000001","generation":1}',
      { type: 'task_nack', task_id: 'task-0000000000000001', generation: 1, reason: 'validation_failed' },
    ],
    [
      `{"type":"status","status":${'['.repeat(40)}${']'.repeat(40)}}`,
      { type: 'error', error: 'validation_failed', message_type: 'status', errors: [{ field: '', error: 'depth' }] },
    ],
  ];
  for (const [text, wanted] of cases) {
    await peer.send(text);
    t.match(peer.newFrames(), [wanted], text.slice(0, 60));
  }
  for (let n = cases.length; n < 10; n += 1) await peer.send('{');
  t.equal(peer.closed(), 1008);
  t.match(await (await peer.reconnect()).identify(), [{ type: 'error', error: 'rate_limited' }], 'blocked for a while');
  await rig.pass(31_000);
  t.equal(types(await (await peer.reconnect()).identify()), 'identified');
});

t.test('a wrong token and the token of another agent are refused', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await rig.peer('a2');
  t.match(await peer.identify({ token: 'guess' }), [{ type: 'error', error: 'invalid_token' }]);
  t.match(await peer.identify({ token: 'token of a2' }), [{ type: 'error', error: 'token_agent_mismatch' }]);
  t.equal(types(await peer.identify()), 'identified');
});

t.test('a silent peer is probed, and closed if it does not answer', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  await rig.pass(50_000);
  const [probe] = peer.newFrames();
  t.match(probe, { type: 'probe' });
  await peer.send({ type: 'probe_ack', nonce: probe?.['nonce'] });
  await rig.pass(20_000);
  t.equal(peer.closed(), null);
  await rig.pass(60_000);
  t.equal(peer.closed(), 1001);
});

t.test('progress is stored at most once a second per task; the newest is retained', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  for (let percent = 1; percent <= 20; percent += 1) await peer.send({ type: 'task_progress', task_id: id, generation: 1, percent });
  await rig.pass(1_000);
  const stored = (await rig.record(id)).events.filter((event) => event.event === 'progress').map((event) => event.details?.['percent']);
  t.same(stored, [1, 20]);
});

t.test('the trace of a submit is in the version 2 assignment, and not in the version 1 one', async (t) => {
  const rig = await hubRig();
  const [now, old] = [await rig.peer('a1'), await rig.peer('a2')];
  await now.identify();
  await old.identify({ protocol_version: 1 });
  const trace = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1' };
  const body = aBody(trace);
  await rig.submit({ assignTo: 'a1' as AgentId, body });
  await rig.submit({ assignTo: 'a2' as AgentId, body });
  await rig.pass(SETTLE_MS);
  const [ofNow, ofOld] = [now.newFrames(), old.newFrames()].map((frames) => frames.find(({ type }) => type === 'task_assign'));
  t.match(ofNow, trace);
  t.ok(ofOld !== undefined && !('traceparent' in ofOld) && !('tracestate' in ofOld), 'version 1');
  const later = JSON.stringify({ ...ofNow, what_a_later_hub_adds: 1 });
  t.equal(frameParser(hubSchemas)(later).kind, 'frame', 'a sidecar ignores unknown fields');
  await rig.stop();
});
