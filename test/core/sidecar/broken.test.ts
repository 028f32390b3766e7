/** A broken runner, agent or internal rule ends its own run with the reason: the sidecar and its other slots continue. */
import t from 'tap';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import {
  assignFrame,
  keyOf,
  named,
  online,
  only,
  OTHER,
  sent,
  SPAWNED,
  stage,
  startedFor,
  TASK,
  waking,
  words,
  working,
  writtenBody,
} from './rig/stage.ts';
import { obliging, offer, openRoom, worker } from './rig/sidecar-room.ts';

const deep = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);

/** Plugin events that each used to end the whole process, or to produce a journal that no later process could read. */
const BAD: readonly (readonly [string, unknown, string, RegExp])[] = [
  ['a process without its start time', { type: 'spawned', process: { pid: 4242 } }, 'agent_failed', /process.startTime is required/],
  ['a failure without a message', { type: 'failed', phase: 'agent', retryable: true }, 'agent_failed', /message is required/],
  ['an unknown event', { type: 'done' }, 'agent_failed', /found done/],
  ['a result that is nested too deep', { type: 'completed', output: deep(100_000) }, 'result_invalid', /nested more than 30 deep/],
  ['a result that cannot be serialized', { type: 'completed', output: 5n }, 'result_invalid', /BigInt/],
];

for (const [what, event, kind, error] of BAD) {
  t.test(`R16: ${what} ends only its own run, and does not crash later starts`, async (t) => {
    const here = await openRoom({
      slots: 2,
      hub: obliging,
      script: (request, room) =>
        request.taskId === TASK
          ? { steps: [{ afterMs: 10, event: event as never }] }
          : worker({ status: 'success', output: 'other' }, 20_000)(request, room),
    });
    here.say(offer());
    here.say({ ...offer(), task_id: OTHER } as never);
    await here.pass(6_000);
    t.match(
      here.messages.filter((frame) => frame['type'] === 'task_failed'),
      [{ task_id: TASK, kind, error }],
    );
    t.same(here.runner.living().length, 1, 'its process is stopped, the other one lives');
    here.crash();
    await here.sidecar.start();
    await here.pass(30_000);
    t.match(
      here.messages.findLast((frame) => frame['type'] === 'task_complete'),
      { task_id: OTHER, generation: 1 },
    );
    t.equal(here.runner.started.length, 2, 'nothing is woken again');
    await here.sidecar.stop();
    await here.sidecar.finished;
  });
}

t.test('R16: an agent that locks its folder does not stop others from being reported or accepted', async (t) => {
  // Before, its .stop could not be written, which counted as a journal that cannot be written.
  const here = await openRoom({ slots: 2, hub: obliging, script: worker({ status: 'success' }, 20_000) });
  here.say(offer());
  here.say({ ...offer(), task_id: OTHER } as never);
  await here.pass(5_000);
  here.results.withdraw = () => Promise.reject(new Error('EACCES: permission denied, planted'));
  let removals = 0;
  const remove = here.results.remove.bind(here.results);
  here.results.remove = (name) => ((removals += 1) > 2 ? remove(name) : Promise.reject(new Error('EACCES: permission denied, planted')));
  here.say({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  await here.pass(30_000);
  t.match(
    here.messages.find((frame) => frame['type'] === 'task_cancel_ack'),
    { task_id: TASK, outcome: 'killed' },
  );
  t.match(
    here.messages.find((frame) => frame['type'] === 'task_complete'),
    { task_id: OTHER },
  );
  t.notOk(here.types().includes('draining'), 'its journal is intact');
  t.not(here.results.paths().length, 0);
  await here.pass(600_000);
  t.same(here.results.paths(), [], 'files that could not be removed are removed later');
  await here.sidecar.stop();
  await here.pass(1);
  t.equal(here.clock.pending, 0);
});

t.test('R20: files left by a kill during removal are removed by the next process, and nothing else is', async (t) => {
  const here = await openRoom({ hub: obliging, script: worker({ status: 'success', output: 'done' }) });
  const mine = [`results/${keyOf(named(1, OTHER))}/${OTHER}.json`, `results/${OTHER}.txt`, 'results/notes/a.txt'];
  for (const path of mine) here.results.write(path, '{}');
  here.results.remove = () => new Promise(() => undefined);
  here.say(offer());
  await here.pass(30_000);
  const left = here.results.paths().filter((path) => !mine.includes(path));
  t.ok(left.length > 1, 'its end is acknowledged');
  here.crash();
  await here.sidecar.start();
  await here.pass(1_000);
  t.same(here.results.paths(), [...mine].sort(), 'a folder unknown to the journal may hold an unread result');
  await here.sidecar.stop();
});

t.test('R20: a start removes folders of ended and forgotten assignments, and none that must be kept', async (t) => {
  const WEEK_MS = 7 * 24 * 3_600_000;
  const sidecar = working();
  const { journal } = sidecar.state;
  const ended = [`${OTHER.slice(5)} 3 c+ 490000`, 'cccccccccccccccc 2 f 490000'];
  const reported = {
    ...named(4, 'task-00000000000000d4' as never),
    report: 'complete',
    reason: null,
    storeId: null,
    assignedAtMs: 0,
  } as const;
  sidecar.state = { ...sidecar.state, journal: { ...journal, ended, outbox: [{ ...reported, keepFiles: false }] } };
  const isRemoved = (assignment: AssignmentId, changedAtMs: number | null = sidecar.nowMs - 1): boolean =>
    words(sidecar.take({ type: 'folders_found', assignment, changedAtMs })).includes('removeFiles');
  t.notOk(isRemoved(named(), 0), 'held');
  t.notOk(isRemoved(reported, 0), 'its report is unacknowledged');
  t.notOk(isRemoved(named(3, OTHER), 0), 'its files are kept');
  t.ok(isRemoved(named(2, OTHER)), 'an earlier assignment of the same task');
  t.ok(isRemoved(named(2, 'task-cccccccccccccccc' as never), null));
  for (const name of [named(3, 'task-cccccccccccccccc' as never), named(1, 'task-dddddddddddddddd' as never)]) {
    t.notOk(isRemoved(name), 'unknown to the journal');
    t.notOk(isRemoved(name, null));
    t.ok(isRemoved(name, sidecar.nowMs - WEEK_MS - 1), 'older than the journal would remember');
  }
  t.same(words(stage().take({ type: 'start' })), ['withdrawAllExcept', 'connect'], 'an empty journal removes nothing');
});

t.test('R16: unreadable usage is ignored', async (t) => {
  const sidecar = working();
  for (const byModel of [{ m: null }, 'words', null, { m: 5 }]) {
    t.doesNotThrow(() => sidecar.wake({ type: 'usage', tokensUsed: 5, byModel } as unknown as WakeEvent));
  }
  t.match(
    sent(sidecar.all).findLast((frame) => frame['type'] === 'task_progress'),
    { tokens_used: 5 },
  );
});

t.test('R10: an agent whose runner fails before it reports a process is not woken again next to it', async (t) => {
  const sidecar = waking();
  const effects = sidecar.take({
    type: 'invalid_wake_event',
    assignment: named(),
    runId: 'run-1',
    reason: 'invalid_event',
    message: 'no text',
  });
  t.same(words(effects), ['scan', 'kill']);
  t.same(
    words(sidecar.take({ type: 'invalid_wake_event', assignment: named(), runId: 'run-1', reason: 'invalid_event', message: 'again' })),
    [],
  );
  sidecar.wake({ type: 'stopped', survivors: [] });
  t.match(writtenBody(sidecar.scanned()), { kind: 'wake_failed', error: 'the wake runner failed: no text' });
  t.equal(sidecar.slot(), undefined);
});

t.test('R16: a rule that throws ends only the run it was handling', async (t) => {
  const sidecar = working();
  const input = { type: 'wake_event', assignment: named(), runId: 'run-1', event: SPAWNED } as const;
  const effects = sidecar.take({ type: 'step_failed', input, message: 'a bug' });
  t.match(writtenBody(effects), { type: 'task_failed', kind: 'agent_failed', error: /a bug/, retryable: true });
  t.equal(only(effects, 'kill').length, 1);
  const offered = online();
  const frame = { type: 'frame', connectionId: offered.state.link.connectionId, frame: assignFrame(named(1, OTHER)) } as const;
  t.match(sent(offered.take({ type: 'step_failed', input: frame, message: 'a bug' })), [{ type: 'task_rejected', task_id: OTHER }]);
  const ping = offered.take({ type: 'step_failed', input: { type: 'timer', timer: { purpose: 'ping' } }, message: 'a bug' });
  t.equal(startedFor(ping, 'ping'), 5_000, 'the heartbeat continues');
});

t.test('R16: an input that throws during journal recovery does not block the deferred inputs behind it', async (t) => {
  const sidecar = working();
  const before = sidecar.state;
  const looked = { type: 'scanned', assignment: named(), scan: 0 } as const;
  const poison = { type: 'file_event', event: null } as never;
  sidecar.state = { ...before, fault: { deferred: [poison, looked] } };
  t.doesNotThrow(() => sidecar.timer('journal'));
  t.same(sidecar.state.fault?.deferred, [looked]);
});
