/**
 * Limits on what one agent can put into a task's history, and what becomes of results that are not accepted: a whole
 * hub and a virtual clock.
 */
import { createHash } from 'node:crypto';
import t from 'tap';
import { EVENT_DETAILS_BYTES_MAX } from '../../../../core/domain/task/event-details.ts';
import type { AgentId, Generation, TaskId } from '../../../../core/domain/ids.ts';
import {
  KEPT_BYTES_MAX,
  KEPT_RESULTS_MAX,
  REFUSED_EVENTS_MAX,
  REFUSED_KEPT_MAX,
  REFUSING_AGENTS_MAX,
} from '../../../../core/domain/task/kept-results.ts';
import { decideLate, decideRefused } from '../../../../core/domain/transitions/keeping-results.ts';
import { anAgentId, aGeneration, aTask } from '../../../product/contracts/fixtures.ts';
import { hubRig, type HubRig, type Peer } from '../hub-rig.ts';

const V1 = { protocol_version: 1, instance_id: undefined, held: undefined, status: 'idle' };
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

const v1Peer = async (rig: HubRig, agentId: string): Promise<Peer> => {
  const peer = await rig.peer(agentId);
  await peer.identify(V1);
  await peer.send({ type: 'task_recovering', task_id: 'task-ffffffffffffffff' });
  return peer;
};

/** A task that a2 works on, and a version 1 agent a1 that does not. */
async function foreignTask(): Promise<{ rig: HubRig; stranger: Peer; id: TaskId }> {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000, leaseMs: 100_000_000 } });
  const worker = await rig.peer('a2');
  await worker.identify();
  const id = await rig.submit();
  await worker.send({ type: 'task_accepted', task_id: id, generation: 1 });
  return { rig, stranger: await v1Peer(rig, 'a1'), id };
}

t.test('R4: a repeatedly refused result is stored once, recorded in a few events, and then only counted', async (t) => {
  const { rig, stranger, id } = await foreignTask();
  const result = { output: 'x'.repeat(20_000) };
  const FLOOD = 300;
  for (let n = 0; n < FLOOD; n += 1) await stranger.send({ type: 'task_complete', task_id: id, generation: 1, result });
  const { task, events } = await rig.record(id);
  const refused = events.filter(({ event }) => event === 'report_refused');
  t.equal(refused.length, REFUSED_EVENTS_MAX, 'events are bounded');
  t.ok(events.every(({ details }) => bytesOf(details) <= EVENT_DETAILS_BYTES_MAX));
  t.strictSame(
    task.kept.refused,
    [{ agentId: 'a1', told: REFUSED_EVENTS_MAX, counted: FLOOD - REFUSED_EVENTS_MAX }],
    'and the rest is counted',
  );
  t.match(task, { status: 'assigned', assignedTo: 'a2', generation: 1 });
  const text = JSON.stringify(result);
  const expected = { reason: 'not_assignee', result_bytes: text.length, result_sha256: sha256(text) };
  t.match(refused[0]?.details, { ...expected, result_kept: true });
  t.match(refused[1]?.details, { ...expected, result_kept: false }, 'it is stored already');
  t.notOk(refused.some(({ details }) => 'result' in (details ?? {})));
  t.match(task.kept.results, [{ agentId: 'a1', generation: 1, kind: 'refused', bytes: text.length, sha256: sha256(text) }]);
  const kept = await rig.storage.tasks.keptResult({ taskId: id, generation: 1 as Generation, agentId: 'a1' as AgentId });
  t.match(kept, { result: text, reason: 'not_assignee' }, 'stored in full');
});

t.test('R4: refused results of many generations are bounded in number', async (t) => {
  const { rig, stranger, id } = await foreignTask();
  for (let n = 1; n <= 40; n += 1)
    await stranger.send({
      type: 'task_complete',
      task_id: id,
      generation: n,
      result: { n },
      verification_report: { log: 'y'.repeat(50_000) },
    });
  const { task, events } = await rig.record(id);
  t.equal(task.kept.results.length, REFUSED_KEPT_MAX);
  t.ok(events.every(({ details }) => bytesOf(details) <= EVENT_DETAILS_BYTES_MAX));
  const kept = await rig.storage.tasks.keptResult({ taskId: id, generation: 1 as Generation, agentId: 'a1' as AgentId });
  t.equal(JSON.parse(kept?.details ?? '{}').verification_report.log.length, 50_000, 'with its details');
});

t.test('wake results and progress are bounded in number and bytes per attempt', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 }, limits: { progressPerAttempt: 20 } });
  const peer = await v1Peer(rig, 'a1');
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  for (let n = 0; n < 15; n += 1) await peer.send({ type: 'wake_result', task_id: id, generation: 1, status: 'success', attempt: n });
  for (let n = 0; n < 3; n += 1) {
    await peer.send({ type: 'task_progress', task_id: id, generation: 1, progress: { log: 'x'.repeat(500_000) }, message: 'at work' });
    await rig.pass(2_000);
  }
  for (let n = 0; n < 100; n += 1)
    await peer.send({ type: 'wake_result', task_id: id, generation: 1, status: 'success', error: 'e'.repeat(9_000) });
  const { events, task } = await rig.record(id);
  t.equal(events.filter(({ event }) => event === 'woken' || event === 'progress').length, 20);
  t.ok(events.every(({ details }) => bytesOf(details) <= EVENT_DETAILS_BYTES_MAX));
  const [progress] = events.filter(({ event }) => event === 'progress');
  t.match(progress?.details, {
    message: 'at work',
    truncated: { bytes: bytesOf({ message: 'at work', progress: { log: 'x'.repeat(500_000) } }), fields: ['progress'] },
  });
  t.match(task, { status: 'assigned' });
});

t.test('R4 J8: a late result is stored in full, however large, and an operator can adopt it', async (t) => {
  const rig = await hubRig({ timing: { leaseMs: 10_000, heartbeatMs: 1_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.pass(40_001);
  const result = { output: 'x'.repeat(200_000) };
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result });
  const { events, task } = await rig.record(id);
  t.match(events.at(-1), { event: 'late_result', details: { result_kept: true, result_sha256: sha256(JSON.stringify(result)) } });
  t.ok(bytesOf(events.at(-1)?.details) < 1_000);
  t.match(task.kept.results, [{ kind: 'late', generation: 1, agentId: 'a1' }]);
  t.match(await rig.queue.do({ kind: 'adopt', taskId: id, generation: 2 as Generation, by: 'tok-1' }), { kind: 'refused' });
  t.match(await rig.queue.do({ kind: 'adopt', taskId: id, generation: 1 as Generation, by: 'tok-1' }), {
    kind: 'done',
    status: 'completed',
  });
  t.equal((await rig.record(id)).result, JSON.stringify(result));
});

t.test('stored results of one task are bounded in number and bytes, regardless of sender', (t) => {
  const text = JSON.stringify('x'.repeat(600_000));
  let task = aTask({ generation: aGeneration(5) });
  for (let agent = 0; agent < 40; agent += 1)
    for (let n = 1; n <= 20; n += 1) {
      const reported = { result: text, details: null, generation: aGeneration(n), reason: 'not_assignee' };
      const made = decideRefused(task, { agentId: anAgentId(`a${agent}`), session: 1 }, reported, 1, sha256);
      task = made.task;
    }
  const bytes = (): number => task.kept.results.reduce((sum, one) => sum + one.bytes, 0);
  t.ok(bytes() <= KEPT_BYTES_MAX && task.kept.results.length <= KEPT_RESULTS_MAX, `${task.kept.results.length} of ${bytes()} bytes`);
  t.equal(task.kept.refused.length, REFUSING_AGENTS_MAX + 1, 'further agents are counted together');
  t.equal(task.eventSeq, 1 + REFUSING_AGENTS_MAX * REFUSED_EVENTS_MAX);
  t.equal(task.kept.refused.reduce((sum, { told, counted }) => sum + told + counted, 0), 40 * 20, 'and none is lost'); // prettier-ignore
  const dropped: unknown[] = [];
  for (let n = 100; n < 160; n += 1) {
    const reported = { result: text, details: null, generation: aGeneration(n), tokensUsed: null, costUsd: null };
    const made = decideLate(task, { agentId: anAgentId(), session: 1 }, reported, 1, sha256);
    dropped.push(...(made.keptResults?.dropped ?? []));
    task = made.task;
  }
  t.ok(bytes() <= KEPT_BYTES_MAX && task.kept.results.length <= KEPT_RESULTS_MAX);
  t.match(task.kept.results.at(-1), { kind: 'late', generation: 159 }, 'the newest late result is always stored');
  t.ok(dropped.length > 40, 'the oldest make room for it');
  t.end();
});

t.test('a refused result that is only counted does not keep an ended task from being removed', (t) => {
  let task = aTask({ status: 'completed', updatedAtMs: 1 });
  const reported = { result: '{}', details: null, generation: aGeneration(1), reason: 'invalid_state' };
  for (let n = 0; n < REFUSED_EVENTS_MAX; n += 1)
    task = decideRefused(task, { agentId: anAgentId(), session: 1 }, reported, 100, sha256).task;
  t.equal(task.updatedAtMs, 100);
  const counted = decideRefused(task, { agentId: anAgentId(), session: 1 }, reported, 200, sha256);
  t.match(counted, { events: [], keptResults: null, task: { updatedAtMs: 100, eventSeq: task.eventSeq } });
  t.end();
});
