import t from 'tap';
import {
  assignFrame,
  exited,
  named,
  online,
  only,
  pathsOf,
  sent,
  SPAWNED,
  stoppedRun,
  TASK,
  waking,
  WOKEN,
  words,
  working,
} from './rig/stage.ts';

const cancel = { type: 'task_cancelled', task_id: TASK, generation: 1, reason: 'cancelled', grace_ms: 2_000 } as const;
const RESULT = { kind: 'result', value: { status: 'success' }, replaced: false } as const;
const ackOf = (outcome: string, more = {}) => ({ type: 'task_cancel_ack', task_id: TASK, generation: 1, outcome, ...more });

t.test('R11: cancelling a running assignment is journaled, stops it, scans its folder once more, and is confirmed', async (t) => {
  const sidecar = working();
  const effects = sidecar.frame(cancel);
  t.same(words(effects), ['withdraw', 'persist', 'kill']);
  t.match(only(effects, 'kill'), [{ reason: { reason: 'cancelled', graceMs: 2_000 } }]);
  t.match(sidecar.slot()?.stop, { cause: 'cancelled' });
  t.same(sidecar.frame(cancel), [], 'a repeated cancel before it is done: the confirmation follows');
  t.same(words(sidecar.wake(stoppedRun(11, 12))), ['scan']);
  const confirmed = sidecar.scanned();
  t.same(words(confirmed), ['unwatch', 'removeFiles', 'persist', 'send task_cancel_ack']);
  t.same(sent(confirmed), [ackOf('killed', { survivors: [11, 12] })]);
  t.same(sent(sidecar.frame(cancel)), [ackOf('killed')], 'a repeated cancel gets the same answer, from memory');
});

t.test('a cancel is confirmed with the outcome that fits the state of the assignment', async (t) => {
  const cases = [
    {
      name: 'accepted, not woken',
      make: () => {
        const sidecar = online();
        sidecar.frame(assignFrame());
        return sidecar;
      },
      effects: ['removeFiles', 'persist', 'send task_cancel_ack'],
      outcome: 'not_running',
    },
    {
      name: 'between two attempts',
      make: () => {
        const sidecar = waking();
        sidecar.wake({ type: 'failed', phase: 'spawn', message: 'no', retryable: true });
        return sidecar;
      },
      effects: ['withdraw', 'unwatch', 'removeFiles', 'persist', 'send task_cancel_ack'],
      outcome: 'not_running',
    },
    { name: 'never seen', make: () => online(), effects: ['persist', 'send task_cancel_ack'], outcome: 'not_running' },
    {
      name: 'reported, run gone',
      make: () => {
        const sidecar = working();
        sidecar.sight(RESULT);
        sidecar.wake(exited(0));
        return sidecar;
      },
      effects: ['send task_cancel_ack'],
      outcome: 'already_reported',
    },
    {
      name: 'answered',
      make: () => {
        const sidecar = working();
        sidecar.sight(RESULT);
        sidecar.wake(exited(0));
        sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
        return sidecar;
      },
      effects: ['send task_cancel_ack'],
      outcome: 'already_reported',
    },
  ];
  for (const { name, make, effects, outcome } of cases) {
    const sidecar = make();
    const done = sidecar.frame(cancel);
    t.same(words(done), effects, name);
    t.same(sent(done), [ackOf(outcome)], name);
    t.same(sent(sidecar.frame(cancel)), [ackOf(outcome)], `${name}, repeated`);
  }
});

t.test('a cancel of a reported assignment is confirmed once its run is gone; its report is kept', async (t) => {
  const sidecar = working();
  sidecar.sight(RESULT);
  t.same(words(sidecar.frame(cancel)), ['persist', 'kill']);
  t.same(sent(sidecar.wake(stoppedRun())), [ackOf('already_reported')]);
  t.equal(sidecar.state.journal.outbox[0]?.report, 'complete');
});

t.test('J2: a result found while the run is stopped is reported, and the cancel is confirmed as already reported', async (t) => {
  const sidecar = working();
  sidecar.frame(cancel);
  t.same(words(sidecar.sight(RESULT)), ['writeReport', 'persist', 'send task_complete']);
  t.same(sent(sidecar.wake(stoppedRun())), [ackOf('already_reported')]);
});

t.test('R4: a result that the runner reports while it stops the run is reported, whatever the run is stopped for', async (t) => {
  const completed = { type: 'completed', output: 'done' } as const;
  for (const stop of ['cancel', 'run_max', 'silence'] as const) {
    const sidecar = working();
    t.ok(words(stop === 'cancel' ? sidecar.frame(cancel) : sidecar.timer(stop)).includes('kill'), stop);
    t.same(words(sidecar.wake(completed)), ['writeReport', 'persist', 'send task_complete']);
    t.same(sent(sidecar.wake(stoppedRun())), stop === 'cancel' ? [ackOf('already_reported')] : []);
    t.equal(sidecar.state.journal.outbox[0]?.report, 'complete');
  }
});

t.test('a cancel supersedes a stop by the sidecar, and also stops a wake in progress', async (t) => {
  const silent = working();
  silent.timer('run_max');
  t.same(words(silent.frame(cancel)), ['persist'], 'the signal was already sent');
  silent.wake(stoppedRun());
  t.same(sent(silent.scanned()), [ackOf('killed')], 'no execution_timeout is reported');
  const early = waking();
  t.same(words(early.frame(cancel)), ['withdraw', 'persist', 'kill'], 'before spawned');
  early.wake(SPAWNED);
  early.wake(WOKEN);
  t.same(words(early.timer('confirm')), [], 'nothing else is decided for it');
});

t.test('a detached agent that cannot be found is not confirmed as killed', async (t) => {
  const sidecar = working();
  sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: sidecar.slot()?.run?.runId ?? '', error: null });
  t.same(words(sidecar.frame(cancel)), ['withdraw', 'persist', 'prepare']);
  t.equal(only(sidecar.prepared(), 'attach').length, 1);
  sidecar.wake(exited(null));
  t.same(sent(sidecar.scanned()), [ackOf('not_stoppable')]);
});

t.test('folders that were being created when the task was cancelled have no effect', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  sidecar.frame(cancel);
  t.same(sidecar.prepared(), []);
  t.same(sidecar.take({ type: 'prepare_failed', assignment: named(), paths: pathsOf(named()), message: '' }), []);
});

t.test('a confirmation that could not be sent is sent when the hub asks again', async (t) => {
  const sidecar = working();
  sidecar.frame(cancel);
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.wake(stoppedRun());
  t.same(words(sidecar.scanned()), ['unwatch', 'removeFiles', 'persist']);
  sidecar.timer('reconnect');
  sidecar.identify();
  t.same(sent(sidecar.frame(cancel)), [ackOf('killed')]);
});
