/** What a hub logs about agents and tasks for its operators: one line each, with the fields needed to find the rest. */
import t from 'tap';
import { refusalLog } from '../../../core/application/refusal-log.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog, type LogLine, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { hubRig } from './hub-rig.ts';

const linesOf = (log: MemoryLog, ...messages: readonly string[]): readonly LogLine[] =>
  log.lines.filter(({ message }) => messages.includes(message));

t.test('agent connects and disconnects are logged with identity, address, duration and reason', async (t) => {
  const rig = await hubRig({ trustedProxies: ['127.0.0.1'] });
  t.teardown(() => rig.stop());
  const first = await rig.peer('a1');
  const peer = await first.reconnect('203.0.113.7');
  await peer.identify();
  await rig.pass(5_000);
  await peer.cut();
  const [up, down] = linesOf(rig.log, 'an agent connected', 'an agent disconnected');
  const name = { agent_id: 'a1', session: 1, address: '203.0.113.7' };
  t.match(up, { level: 'info', message: 'an agent connected', fields: { ...name, protocol_version: 2, token_id: /^tok-/ } });
  t.match(down, { level: 'info', message: 'an agent disconnected', fields: { ...name, code: 1006, because: 'the connection was lost' } });
  const connectedMs = Number(down?.fields['connected_ms']);
  t.ok(connectedMs >= 5_000 && connectedMs < 60_000, `connected for ${connectedMs} ms`);

  const again = await peer.reconnect('203.0.113.7');
  await again.identify();
  const newer = await again.reconnect('203.0.113.8');
  await newer.identify();
  await rig.pass(1_000);
  const replaced = linesOf(rig.log, 'an agent disconnected').at(-1);
  t.match(replaced?.fields, { agent_id: 'a1', session: 2, because: 'replaced by a newer connection' });

  const stranger = await rig.peer('nobody');
  await stranger.cut();
  t.equal(linesOf(rig.log, 'an agent connected').length, 3, 'a peer that never identified is not an agent');
  t.equal(linesOf(rig.log, 'an agent disconnected').length, 2);
});

t.test('the end of a task is logged with its id, agent, outcome and duration', async (t) => {
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  const peer = await rig.peer('a1');
  await peer.identify();
  const done = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: done, generation: 1 });
  await rig.pass(2_000);
  const report = { type: 'task_complete', task_id: done, generation: 1, result: { text: 'a secret result' } };
  await peer.send(report);
  await peer.send(report);
  const failed = await rig.submit({ maxRetries: 0 });
  await peer.send({ type: 'task_accepted', task_id: failed, generation: 1 });
  await peer.send({ type: 'task_failed', task_id: failed, generation: 1, error: 'red', kind: 'agent_failed' });
  await peer.cut();
  const waiting = await rig.submit();
  await rig.queue.do({ kind: 'cancel', taskId: waiting, by: 'tok-1' });
  // Logged behind the answer.
  await rig.pass(0);
  const lines = linesOf(rig.log, 'a task ended');
  t.match(lines, [
    { level: 'info', fields: { task_id: done, outcome: 'completed', agent_id: 'a1', generation: 1 } },
    { level: 'info', fields: { task_id: failed, outcome: 'dead_letter', agent_id: 'a1', generation: 1 } },
    { level: 'info', fields: { task_id: waiting, outcome: 'cancelled', agent_id: null, generation: 0, ran_ms: null } },
  ]);
  t.equal(lines.length, 3, 'a repeated report ends nothing');
  const { ran_ms: ranMs, total_ms: totalMs } = lines[0]?.fields ?? {};
  t.ok(Number(ranMs) >= 2_000 && Number(ranMs) <= Number(totalMs), `ran for ${String(ranMs)} of ${String(totalMs)} ms`);
  t.notOk(JSON.stringify(rig.log.lines).includes('a secret result'));
});

t.test('a refused identify is logged with address and token id, never with the token itself', async (t) => {
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  const token = 'a-wrong-token-of-the-usual-length-0123456789';
  const guesser = await rig.peer('a1');
  await guesser.send({ type: 'identify', agent_id: 'a1', token, protocol_version: 2 });
  await (await guesser.reconnect('10.0.0.9')).send({ type: 'identify', agent_id: 'a1', token: 'short', protocol_version: 2 });
  const other = await rig.peer('a2');
  await other.identify({ agent_id: 'a1' });
  t.match(linesOf(rig.log, 'an identify was refused'), [
    { level: 'warn', fields: { error: 'invalid_token', agent_id: 'a1', token: 'a-wrong-…', address: String } },
    { level: 'warn', fields: { error: 'invalid_token', agent_id: 'a1', token: 'invalid', address: '10.0.0.9' } },
    { level: 'warn', fields: { error: 'token_agent_mismatch', agent_id: 'a1', token: /^tok-/, address: String } },
  ]);
  t.notOk(JSON.stringify(rig.log.lines).includes(token));
  t.notOk(JSON.stringify(rig.log.lines).includes('short'));
});

t.test('refusals: one log line per kind and address in 10 s, bounded per address and overall, and all are counted', (t) => {
  const [log, clock] = [memoryLog(), virtualClock()];
  const note = refusalLog({ log, clock });
  for (let n = 0; n < 100; n += 1) note('guess', 'refused', { address: '10.0.0.1' });
  note('guess', 'refused', { address: '10.0.0.2' });
  t.strictSame(log.lines.map(({ fields }) => fields['address']), ['10.0.0.1', '10.0.0.2'], 'a flood hides no other address'); // prettier-ignore
  clock.advance(10_000);
  note('guess', 'refused', { address: '10.0.0.1' });
  t.strictSame(log.lines.at(-1)?.fields, { address: '10.0.0.1', also_since_last_line: 99 });

  for (let n = 0; n < 1_000; n += 1) note(`kind ${n}`, 'refused', { address: '10.0.0.1' });
  t.ok(log.lines.length <= 60, `${log.lines.length} lines of an address with many kinds`);
  for (let n = 0; n < 5_000; n += 1) note('guess', 'refused', { address: `address ${n}` });
  t.ok(log.lines.length <= 220, `${log.lines.length} lines of 5,000 addresses`);
  clock.advance(60_000);
  note('guess', 'refused', { address: '10.0.0.3' });
  const counted = (name: string): number => log.lines.reduce((sum, { fields }) => sum + Number(fields[name] ?? 0), 0);
  const refused = 100 + 1 + 1 + 1_000 + 5_000 + 1;
  t.equal(log.lines.length + counted('also_since_last_line') + counted('not_logged'), refused);
  t.end();
});
