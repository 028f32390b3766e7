import t from 'tap';
import { KEPT_BYTES_MAX } from '../../../core/application/sidecar/state/constants.ts';
import {
  assignFrame,
  exited,
  keyOf,
  named,
  online,
  only,
  OTHER,
  sent,
  stage,
  START_MS,
  startedFor,
  stoppedRun,
  TASK,
  waking,
  words,
  working,
} from './rig/stage.ts';
import { obliging, openRoom, worker } from './rig/sidecar-room.ts';

const RESULT = { kind: 'result', value: { status: 'success' }, replaced: false } as const;

t.test('drain: new tasks are rejected, running ones continue, then drained is sent once', async (t) => {
  const sidecar = working({ slots: 2 });
  t.same(sent(sidecar.frame({ type: 'drain' })), [{ type: 'draining', reason: 'drained by an operator' }]);
  t.match(sent(sidecar.frame(assignFrame(named(1, OTHER)))), [{ type: 'task_rejected', reason: 'draining' }]);
  sidecar.sight(RESULT);
  sidecar.wake(exited(0));
  t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' })), [
    'removeReport',
    'removeFiles',
    'persist',
    'send drained',
  ]);
  t.same(sidecar.frame({ type: 'pong', timestamp: START_MS }), []);
  sidecar.frame({ type: 'resume' });
  t.match(sent(sidecar.frame(assignFrame(named(2, OTHER)))), [{ type: 'task_accepted' }]);
});

t.test('an idle sidecar drains at once', async (t) => {
  t.same(words(online().frame({ type: 'drain' })), ['send draining', 'send drained']);
});

t.test('at the drain deadline running tasks are stopped and handed back', async (t) => {
  const sidecar = working({ slots: 2 });
  sidecar.frame(assignFrame(named(1, OTHER)));
  t.equal(startedFor(sidecar.frame({ type: 'drain', deadline_ms: 9_000 }), 'drain'), 9_000);
  const due = sidecar.timer('drain');
  t.ok(words(due).includes('kill'));
  t.match(sent(due), [{ type: 'task_released', task_id: OTHER, generation: 1 }], 'a task that was not woken is handed back at once');
  sidecar.wake(stoppedRun());
  const released = sidecar.scanned();
  t.same(words(released), ['unwatch', 'persist', 'send task_released']);
  t.equal(startedFor(released, 'repeat'), 5_000);
  t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'released' })), ['removeFiles', 'persist']);
});

t.test('at the drain deadline a task whose agent cannot be stopped is not handed back as if it were', async (t) => {
  const sidecar = working();
  sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: sidecar.slot()?.run?.runId ?? '', error: null });
  t.equal(sidecar.slot()?.run?.detached, true);
  sidecar.frame({ type: 'drain', deadline_ms: 9_000 });
  t.same(words(sidecar.timer('drain')), ['withdraw', 'persist', 'prepare']);
  t.equal(only(sidecar.prepared(), 'attach').length, 1);
  sidecar.wake(exited(null));
  const [failed, ...others] = sent(sidecar.scanned());
  t.match(failed, { type: 'task_failed', kind: 'lost', error: /^drained by an operator; the agent cannot be stopped from here/ });
  t.same(others, []);
});

t.test('after a reconnect the hub sends drain again if an operator still drains', async (t) => {
  const sidecar = online();
  sidecar.frame({ type: 'drain' });
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  t.same(words(sidecar.identify()), ['send identify'], 'it may have been resumed meanwhile');
  t.same(words(sidecar.frame({ type: 'drain' })), ['send draining', 'send drained']);
  t.same(words(sidecar.frame({ type: 'resume' })), ['send resumed', 'send runner_checks']);
  t.same(sidecar.timer('drain'), []);
});

t.test('R20: with too much in refused/ tasks are rejected, the hub is notified, and the drain ends by itself', async (t) => {
  const sidecar = working({ slots: 2, refusedBytesMax: 1_000 });
  t.equal(startedFor(sidecar.all, 'disk'), 0, 'measured at start');
  const look = sidecar.timer('disk');
  t.same(words(look), ['measureDisk']);
  t.equal(startedFor(look, 'disk'), 60_000, 'and every minute');
  t.same(words(sidecar.take({ type: 'disk_measured', refusedBytes: 1_000, hasReserve: true })), [], 'exactly at the limit');
  t.same(sent(sidecar.take({ type: 'disk_measured', refusedBytes: 1_001, hasReserve: true })), [
    { type: 'draining', reason: 'refused_full' },
  ]);
  t.match(only(sidecar.all, 'log').at(-1), {
    level: 'error',
    message: /refused\/ and the kept files of failed assignments .* exceed their limit/,
  });
  t.same(words(sidecar.take({ type: 'disk_measured', refusedBytes: 2_000, hasReserve: true })), [], 'it is sent once');
  t.match(sent(sidecar.frame(assignFrame(named(1, OTHER)))), [{ type: 'task_rejected', reason: 'refused_full' }]);
  t.same(words(sidecar.frame({ type: 'resume' })), ['send draining', 'send runner_checks'], 'an operator cannot override it');
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  t.match(sent(sidecar.identify()).slice(0, 2), [{ type: 'identify' }, { type: 'draining', reason: 'refused_full' }]);
  t.same(words(sidecar.take({ type: 'disk_measured', refusedBytes: 10, hasReserve: true })), ['send resumed']);
  t.match(sent(sidecar.frame(assignFrame(named(2, OTHER)))), [{ type: 'task_accepted' }]);
});

t.test('R20: kept files of failed assignments count towards refused/, kept files of recorded ones are removable', async (t) => {
  const sidecar = working();
  const cut = { status: 'success', output: 'a'.repeat(300_000) };
  sidecar.sight({ kind: 'result', value: cut, replaced: false });
  sidecar.wake(stoppedRun());
  t.match(only(sidecar.timer('disk'), 'measureDisk'), [{ unread: [named()], read: [] }], 'no copy exists elsewhere yet');
  sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
  t.match(only(sidecar.timer('disk'), 'measureDisk'), [{ unread: [], read: [named()] }]);
  const other = working();
  other.sight({ kind: 'invalid', reason: 'result_invalid', message: 'The result is empty.' });
  other.wake(stoppedRun());
  other.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'retried' });
  t.match(only(other.timer('disk'), 'measureDisk'), [{ unread: [named()], read: [] }]);
});

t.test('R20: kept files of recorded results are removed oldest first once they exceed their limit', async (t) => {
  const results = [1, 2, 3].map((number) => `task-000000000000000${number}`);
  const here = await openRoom({ hub: obliging, script: worker({ status: 'success', output: 'x', notes: 'kept' }, 1_000) });
  for (const task of results) {
    here.say({ ...assignFrame(), task_id: task } as never);
    await here.pass(8_000);
  }
  const kept = (): readonly string[] => here.results.paths().filter((path) => path.startsWith('results/'));
  t.equal(kept().length, 3, 'each has its result file, and nothing else');
  t.same(
    here.results.paths().filter((path) => path.startsWith('runs/')),
    [],
  );
  here.results.keptBytes = () => Promise.resolve(KEPT_BYTES_MAX / 2);
  await here.pass(120_000);
  t.match(kept(), [/0002/, /0003/]);
  here.results.keptBytes = () => Promise.resolve(KEPT_BYTES_MAX + 1);
  await here.pass(60_000);
  t.match(kept(), [/0003/], 'the newest stays');
  await here.sidecar.stop();
});

t.test('stop', async (t) => {
  t.test('at once when no answer is pending', async (t) => {
    t.same(words(online().take({ type: 'stop' })), ['disconnect', 'stopped']);
  });
  t.test('leaves running agents alone', async (t) => {
    const sidecar = working();
    t.same(words(sidecar.take({ type: 'stop' })), ['disconnect', 'stopped']);
    t.equal(only(sidecar.all, 'kill').length, 0);
  });
  t.test('R10: waits until an agent that is being stopped is gone, but not without end', async (t) => {
    const cancelled = () => {
      const sidecar = working();
      sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1, reason: 'cancelled', grace_ms: 2_000 });
      t.same(words(sidecar.take({ type: 'stop' })), []);
      return sidecar;
    };
    const sidecar = cancelled();
    sidecar.wake(stoppedRun());
    t.same(words(sidecar.scanned()).slice(-3), ['send task_cancel_ack', 'disconnect', 'stopped']);
    t.same(words(cancelled().timer('stop')), ['disconnect', 'stopped']);
  });
  t.test('R11: stops an agent whose result is reported, and waits until it is gone', async (t) => {
    const reported = (adoptable: boolean) => {
      const sidecar = working({ runner: { adoptable, hasCheck: false } });
      sidecar.sight(RESULT);
      sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
      t.match(sidecar.slot(), { status: 'reporting', run: { process: { pid: 4242 } } }, 'it has a moment to exit');
      return sidecar;
    };
    for (const adoptable of [true, false]) {
      const sidecar = reported(adoptable);
      t.match(only(sidecar.take({ type: 'stop' }), 'kill'), [{ reason: { reason: 'its result is known' } }]);
      t.equal(sidecar.state.phase, 'stopping');
      t.same(words(sidecar.wake(stoppedRun())).slice(-2), ['disconnect', 'stopped']);
    }
    const unfollowed = reported(true);
    unfollowed.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null });
    t.same(words(unfollowed.take({ type: 'stop' })), ['prepare']);
    t.match(only(unfollowed.prepared(), 'attach'), [{ stop: { reason: 'its result is known' } }]);
    t.same(words(unfollowed.timer('stop')), ['disconnect', 'stopped'], 'but not without end');
  });
  t.test('R11: no agent outlives the sidecar by its last seconds', async (t) => {
    const here = await openRoom({
      hub: obliging,
      script: (_request, { results }) => ({
        steps: [
          { afterMs: 0, event: { type: 'woken' } },
          { afterMs: 10, act: (run) => results.write(`results/${keyOf(run)}/${run.taskId}.json`, JSON.stringify({ status: 'success' })) },
          { afterMs: 3_600_000, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } },
        ],
      }),
    });
    here.say(assignFrame());
    await here.pass(2_000);
    t.ok(here.types().includes('task_complete'));
    t.equal(here.runner.living().length, 1);
    const stopping = here.sidecar.stop();
    await here.pass(10_000);
    await stopping;
    t.same(here.runner.living(), []);
  });
  t.test('waits for its reports to be acknowledged', async (t) => {
    const sidecar = working();
    sidecar.sight(RESULT);
    sidecar.wake(exited(0));
    const effects = sidecar.take({ type: 'stop' });
    t.same(words(effects), []);
    t.equal(startedFor(effects, 'stop'), 8_000);
    t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' })), [
      'removeReport',
      'removeFiles',
      'persist',
      'disconnect',
      'stopped',
    ]);
  });
  t.test('waits a bounded time, and not at all without a hub', async (t) => {
    const slow = working();
    slow.sight(RESULT);
    slow.wake(exited(0));
    slow.take({ type: 'stop' });
    t.same(words(slow.timer('stop')), ['disconnect', 'stopped']);
    const alone = working();
    alone.sight(RESULT);
    alone.wake(exited(0));
    alone.take({ type: 'stop' });
    t.same(words(alone.take({ type: 'link_down', connectionId: 1, code: 1012, reason: '' })), ['disconnect', 'disconnect', 'stopped']);
    t.equal(startedFor(alone.all, 'reconnect'), undefined);
  });
  t.test('wakes no more agents', async (t) => {
    const sidecar = waking({ slots: 2 });
    sidecar.wake({ type: 'failed', phase: 'spawn', message: 'no', retryable: true });
    sidecar.frame(assignFrame(named(1, OTHER)));
    sidecar.take({ type: 'stop' });
    t.same(words(sidecar.timer('retry')), []);
  });
  t.test('wakes no agent whose folders are being prepared, and leaves its task to the next process', async (t) => {
    for (const runner of [{ adoptable: true, hasCheck: false }, { adoptable: false, hasCheck: false }, null]) {
      const sidecar = online({ runner });
      sidecar.frame(assignFrame());
      t.same(words(sidecar.take({ type: 'stop' })), [], 'the acceptance is not acknowledged yet');
      t.same(words(sidecar.prepared()), []);
      t.match(sidecar.slot(), { status: 'accepted', wakes: 0, run: null });
      t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'accepted' })).slice(-1), ['stopped']);
      const next = online({ runner }, sidecar.state.journal);
      t.same(words(next.prepared()).slice(-1), [runner === null ? 'publish' : 'wake']);
    }
  });
  t.test('ignores all later inputs', async (t) => {
    const sidecar = online();
    sidecar.take({ type: 'stop' });
    t.same(sidecar.take({ type: 'stop' }), []);
    t.same(sidecar.frame(assignFrame()), []);
    t.same(stage().take({ type: 'stop' }), []);
  });
});

t.test('R10, R22: a sidecar that has lost its journal stops its agents, renews no lease, disconnects and says why', async (t) => {
  const here = await openRoom({ slots: 2, hub: obliging, script: worker({ status: 'success' }, 3_600_000) });
  here.say(assignFrame());
  here.say(assignFrame(named(1, OTHER)));
  await here.pass(5_000);
  t.equal(here.runner.living().length, 2);
  here.journal.lose();
  await here.pass(20_000);
  await t.rejects(here.sidecar.finished, { code: 'AC_DATA_DIR' });
  t.same(here.runner.living(), []);
  const receivedCount = here.messages.length;
  await here.pass(600_000);
  t.equal(here.messages.length, receivedCount, 'the hub hears nothing more');
  await here.sidecar.stop();
  await here.pass(1);
  t.equal(here.clock.pending, 0);
});

t.test('R11: runs that nothing follows are stopped, too, when the journal is lost', async (t) => {
  for (const error of [null, 'EIO']) {
    const sidecar = working();
    if (error !== null) sidecar.state = online({}, sidecar.state.journal).state;
    if (error !== null) sidecar.prepared();
    sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error });
    t.match(sidecar.slot()?.run, { detached: error === null });
    const lost = sidecar.take({ type: 'journal_lost' });
    t.match(only(lost, 'attach'), [{ run: { runId: 'run-1', process: { pid: 4242 } }, stop: { reason: /data directory .* is lost/ } }]);
    t.same(words(lost), ['attach', 'disconnect', 'stopped']);
  }
  const restarted = online({}, working().state.journal);
  const [line] = only(restarted.take({ type: 'journal_lost' }), 'log').filter(({ level }) => level === 'error');
  t.match(line, { message: /cannot stop a run/, fields: { process: { pid: 4242 } } }, 'its folders are not known yet');
});

t.test('a sidecar that has lost its journal does not wait without end for an agent that cannot be stopped', async (t) => {
  const here = await openRoom({ hub: obliging, script: worker({ status: 'success' }, 3_600_000) });
  here.runner.wake = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) });
  here.say(assignFrame());
  await here.pass(5_000);
  here.journal.lose();
  await here.pass(9_500);
  await t.rejects(here.sidecar.finished, { code: 'AC_DATA_DIR' });
  t.match(here.log.lines.at(-1), { level: 'error', message: /still running/ });
  await here.sidecar.stop();
});
