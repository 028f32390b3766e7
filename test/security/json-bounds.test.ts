/** How deep JSON may be and how many values it may hold, at the entry points of the hub. */
import t from 'tap';
import { hasTooManyMembers, JSON_DEPTH_MAX, JSON_VALUES_MAX, VALUES_PER_MEMBER } from '../../core/protocol/json-bounds.ts';
import { hubBench } from '../adapters/http/hub-bench.ts';
import { hubRig } from '../core/hub/hub-rig.ts';

t.test('R20: JSON nested 32 deep is accepted and 33 deep is refused, in a frame and in a body', async (t) => {
  /** An object of this depth, itself included. */
  const deep = (levels: number): unknown => (levels === 1 ? {} : { a: deep(levels - 1) });
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  await peer.send({ type: 'resource_report', inner: deep(JSON_DEPTH_MAX - 1) });
  t.strictSame(peer.newFrames(), []);
  await peer.send({ type: 'resource_report', inner: deep(JSON_DEPTH_MAX) });
  t.match(peer.newFrames(), [{ type: 'error', error: 'validation_failed', message_type: 'resource_report', errors: [{ error: 'depth' }] }]);
  await peer.send(`{"type":"status","status":${'['.repeat(300_000)}${']'.repeat(300_000)}}`);
  t.match(peer.newFrames(), [{ type: 'error', error: 'validation_failed', errors: [{ error: 'depth' }] }], 'without a stack overflow');
  await rig.stop();
  const bench = await hubBench();
  const submit = async (levels: number): Promise<number> =>
    (await bench.send('/api/tasks', { json: { description: 'x', metadata: deep(levels) } })).status;
  t.strictSame([await submit(JSON_DEPTH_MAX - 1), await submit(JSON_DEPTH_MAX)], [201, 400]);
  await bench.close();
});

t.test('R20: a frame or body with more than 100,000 values is refused, and the sender of a report gets an answer', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const task_id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id, generation: 1 });
  peer.newFrames();
  const zeros = (count: number): readonly number[] => Array.from({ length: count }, () => 0);
  const report = { type: 'task_complete', task_id, generation: 1 };
  for (const result of [zeros(JSON_VALUES_MAX), { a: zeros(60_000), b: zeros(60_000) }, JSON.parse('['.repeat(33) + ']'.repeat(33))]) {
    await peer.send({ ...report, result });
    t.match(peer.newFrames(), [{ type: 'task_nack', task_id, generation: 1, reason: 'validation_failed' }]);
  }
  await peer.send({ ...report, result: zeros(JSON_VALUES_MAX - 100) });
  t.match(peer.newFrames(), [{ type: 'task_ack', task_id, status: 'complete' }]);
  await rig.stop();
  const bench = await hubBench({ limits: { submitBytes: 1_048_576 } });
  const submit = async (count: number): Promise<number> =>
    (await bench.send('/api/tasks', { json: { description: 'x', metadata: { zeros: zeros(count) } } })).status;
  t.strictSame([await submit(JSON_VALUES_MAX - 100), await submit(JSON_VALUES_MAX)], [201, 400]);
  await bench.close();
});

t.test('R20: an object with a hundred thousand keys is refused before it is parsed, and its sender gets an answer', async (t) => {
  const membersMax = JSON_VALUES_MAX / VALUES_PER_MEMBER;
  const named = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, n) => [`n${n}`, n]));
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const task_id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id, generation: 1 });
  peer.newFrames();
  const report = { type: 'task_complete', task_id, generation: 1 };
  const text = JSON.stringify({ ...report, result: named(70_000) });
  t.ok(hasTooManyMembers(text));
  t.notOk(hasTooManyMembers(JSON.stringify({ ...report, result: `{"a\\":1,"b":2}`.repeat(40_000) })), 'colons in strings do not count');
  t.notOk(hasTooManyMembers(JSON.stringify(named(membersMax))));
  t.ok(hasTooManyMembers(JSON.stringify({ quoted: '\\"', more: named(membersMax) }, null, 1)));
  for (const count of [70_000, membersMax]) {
    await peer.send({ ...report, result: named(count) });
    t.match(peer.newFrames(), [{ type: 'task_nack', task_id, generation: 1, reason: 'validation_failed' }]);
  }
  await peer.send({ ...report, result: named(membersMax - 10) });
  t.match(peer.newFrames(), [{ type: 'task_ack', task_id, status: 'complete' }]);
  await rig.stop();
});
