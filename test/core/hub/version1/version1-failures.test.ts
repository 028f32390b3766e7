/**
 * Failures that version 1 describes only in words have a kind: a machine that cannot run anything is distinguished
 * from a task that cannot be done.
 */
import t from 'tap';
import { failureFromText } from '../../../../core/application/hub/sessions/v1-failures.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import { hubRig, type Peer } from '../hub-rig.ts';
import { freePeer } from './v1-peer.ts';

interface Given {
  readonly task_id: TaskId;
  readonly generation: number;
}
const assigned = (peer: Peer): readonly Given[] =>
  peer.newFrames().flatMap((frame) => (frame.type === 'task_assign' ? [frame as unknown as Given] : []));

/** A machine that fails each task at once with these words, as deployed sidecars do: first the failure, then the wake result. */
async function failAll(peer: Peer, reason: string): Promise<number> {
  const tasks = assigned(peer);
  for (const { task_id, generation } of tasks) {
    await peer.send({ type: 'task_accepted', task_id });
    await peer.send({ type: 'task_failed', task_id, generation, reason });
    await peer.send({ type: 'wake_result', task_id, status: 'failed', attempt: 0, error: reason });
  }
  return tasks.length;
}

async function completeAll(peer: Peer): Promise<void> {
  for (const { task_id, generation } of assigned(peer)) {
    await peer.send({ type: 'task_accepted', task_id });
    await peer.send({ type: 'task_complete', task_id, generation, result: { status: 'success' } });
  }
}

t.test('R13: a version 1 machine that cannot wake its agent is paused after three tasks, and none of twenty is lost', async (t) => {
  for (const reason of ['no_wake_command_configured', 'wake_failed_after_3_attempts', 'confirmation_timeout']) {
    const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 } });
    const [broken, good] = [await freePeer(rig, 'broken'), await freePeer(rig, 'good')];
    const ids = await Promise.all(Array.from({ length: 20 }, () => rig.submit({ maxRetries: 3 })));
    let failed = 0;
    // The good one takes three seconds per task, the broken one none.
    for (let second = 0; second < 90; second += 1) {
      for (let turn = 0; turn < 20; turn += 1) {
        const more = await failAll(broken, reason);
        if (more === 0) break;
        failed += more;
      }
      if (second % 3 === 2) await completeAll(good);
      await rig.pass(1_000);
    }
    const ends = await Promise.all(ids.map(async (id) => (await rig.record(id)).task.status));
    t.same(
      ends.filter((status) => status !== 'completed'),
      [],
      `${reason}: all were done`,
    );
    t.ok(failed >= 3 && failed <= 6, `${reason}: three before each pause, ${failed} in all`);
    const agent = (await rig.storage.agents.getAgent('broken' as AgentId))?.agent;
    t.ok((agent?.brokenUntilMs ?? 0) > 0, `${reason}: paused`);
    t.match(agent?.brokenReason, new RegExp(reason), 'and says why');
  }
});

t.test('known version 1 error texts map to their failure kinds, similar texts do not', async (t) => {
  const kinds: readonly (readonly [string, string])[] = [
    ['no_wake_command_configured', 'wake_failed'],
    ['wake_failed_after_3_attempts', 'wake_failed'],
    ['wake_failed_after_12_attempts', 'wake_failed'],
    ['Workspace setup failed for https://example.org/a.git: no space left', 'wake_failed'],
    ['confirmation_timeout', 'confirmation_timeout'],
    ['result_parse_error: Unexpected token } in JSON', 'result_invalid'],
    ['execution_timeout', 'execution_timeout'],
    ['execution_timeout_1800000ms', 'execution_timeout'],
    ['', 'agent_failed'],
    ['the test suite is red', 'agent_failed'],
    ['wake_failed_after_3_attempts of mine', 'agent_failed'],
    ['I saw confirmation_timeout in the log', 'agent_failed'],
    [`no_wake_command_configured${'x'.repeat(100_000)}`, 'agent_failed'],
    [`wake_failed_after_${'9'.repeat(100_000)}_attempts`, 'agent_failed'],
  ];
  for (const [output, kind] of kinds) t.equal(failureFromText(output), kind, output.slice(0, 60));
});

t.test('only version 1 error texts are interpreted: version 2 has a field for the kind', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 100_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.send({ type: 'task_failed', task_id: id, generation: 1, error: 'confirmation_timeout' });
  t.match((await rig.record(id)).events.find(({ event }) => event === 'failed')?.details, { kind: 'agent_failed' });
});
