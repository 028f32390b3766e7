import t from 'tap';
import type { WakeEvent } from '../../../../core/ports/wake-runner.ts';
import {
  assignFrame,
  exited,
  named,
  online,
  only,
  OTHER,
  sent,
  pathsOf,
  SPAWNED,
  stage,
  START_MS,
  startedFor,
  TASK,
  waking,
  WOKEN,
  words,
  working,
  writtenBody,
} from '../rig/stage.ts';

const REFUSED: WakeEvent = { type: 'failed', phase: 'spawn', message: 'no such program', retryable: true };

t.test('the run id is journaled before the wake, the process right after it', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  const woken = sidecar.prepared();
  t.same(words(woken), ['persist', 'watch', 'wake']);
  const slot = only(woken, 'persist')[0]?.journal.slots[0];
  t.match(slot, { status: 'waking', wakes: 1, expectedSinceMs: START_MS, run: { runId: 'run-1', process: null } });
  t.match(only(woken, 'wake')[0]?.request, {
    runId: 'run-1',
    agentId: 'worker-1',
    taskId: TASK,
    generation: 1,
    resultsDir: `/results/${TASK}.g1`,
  });
  const spawned = sidecar.wake(SPAWNED);
  t.same(words(spawned), ['persist']);
  t.match(only(spawned, 'persist')[0]?.journal.slots[0]?.run, { process: { pid: 4242 } });
});

t.test('one attempt and three retries, then wake_failed', async (t) => {
  const sidecar = waking();
  for (const delayMs of [5_000, 15_000, 30_000]) {
    const effects = sidecar.wake(REFUSED);
    t.same(words(effects), ['persist', 'send wake_result']);
    t.match(sent(effects), [{ status: 'failed', error: 'no such program' }]);
    t.equal(startedFor(effects, 'retry'), delayMs);
    t.match(sidecar.slot(), { status: 'waking', run: null });
    t.same(words(sidecar.timer('retry')), ['prepare']);
    t.same(words(sidecar.prepared()), ['persist', 'wake'], 'watched since the first attempt');
  }
  const last = sidecar.wake(REFUSED);
  t.same(words(last), ['writeReport', 'unwatch', 'persist', 'send wake_result', 'send task_failed']);
  t.match(writtenBody(last), {
    type: 'task_failed',
    kind: 'wake_failed',
    error: 'all 4 attempts to wake the agent failed: no such program',
    details: { attempts: 4, last_message: 'no such program' },
  });
  t.same(sidecar.state.journal.slots, [], 'the slot is free');
  t.equal(new Set(only(sidecar.all, 'wake').map((wake) => wake.request.runId)).size, 4, 'each attempt is a run of its own');
});

t.test('a failure that is not retryable is not retried', async (t) => {
  const sidecar = waking();
  const effects = sidecar.wake({ ...REFUSED, retryable: false, message: 'not installed' } as WakeEvent);
  t.match(writtenBody(effects), { kind: 'wake_failed', error: 'not installed' });
});

t.test('R12: a task that exceeds the limits of its program counts against the task, not the machine', async (t) => {
  const sidecar = waking();
  const effects = sidecar.wake({ ...REFUSED, kind: 'limit', retryable: false, message: 'argv[1] has 200000 bytes' } as WakeEvent);
  t.match(writtenBody(effects), { kind: 'agent_failed', cause: 'limit', retryable: false, error: 'argv[1] has 200000 bytes' });
  t.same(sidecar.state.journal.slots, [], 'the slot is free');
});

t.test('folders that cannot be created count as a failed spawn', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  const effects = sidecar.take({ type: 'prepare_failed', assignment: named(), paths: pathsOf(named()), message: 'disk full' });
  t.equal(startedFor(effects, 'retry'), 5_000);
  t.match(sidecar.slot(), { status: 'waking', wakes: 1, run: null });
});

t.test('an exit before .started', async (t) => {
  t.test('within its time is retried, after a last scan', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.nowMs += 29_000;
    t.same(words(sidecar.wake(exited(0))), ['scan'], 'nothing is decided yet');
    t.equal(startedFor(sidecar.scanned(), 'retry'), 5_000);
  });
  t.test('R10: an early exit with a non-zero code is one start of one attempt, reported once, and a strike', async (t) => {
    // Before, it was started four times for each attempt, and each start was reported twice.
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake(WOKEN);
    sidecar.wake(exited(3));
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined);
    t.match(writtenBody(effects), { kind: 'wake_failed', retryable: true, error: 'the agent exited with code 3 without a result' });
    t.same(
      sent(effects).map(({ type }) => type),
      ['task_failed'],
    );
    t.equal(only(sidecar.all, 'wake').length, 1);
  });
  t.test('R10: an early exit by a signal is also one start of one attempt', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake(exited(null, 'SIGSEGV'));
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined);
    t.match(writtenBody(effects), { kind: 'wake_failed', error: 'the agent was ended by SIGSEGV without a result' });
  });
  t.test('an agent whose session is gone is woken once more in the same attempt, without the session', async (t) => {
    const gone = { ...exited(1), sessionGone: true } as WakeEvent;
    const sidecar = online();
    sidecar.frame(assignFrame(named(), { session_id: 'ses-1' }));
    t.equal(only(sidecar.prepared(), 'wake')[0]?.request.session, 'ses-1');
    sidecar.wake(SPAWNED);
    sidecar.wake(gone);
    t.equal(startedFor(sidecar.scanned(), 'retry'), 5_000);
    sidecar.timer('retry');
    t.equal(only(sidecar.prepared(), 'wake')[0]?.request.session, undefined);
    sidecar.wake(SPAWNED);
    sidecar.wake(gone);
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined, 'there is no session that could be gone');
    t.match(writtenBody(effects), { kind: 'wake_failed', error: 'the agent exited with code 1 without a result' });
  });
  t.test('J4: an agent whose session is gone is not woken again next to surviving processes', async (t) => {
    const sidecar = online();
    sidecar.frame(assignFrame(named(), { session_id: 'ses-1' }));
    sidecar.prepared();
    sidecar.wake(SPAWNED);
    sidecar.wake({ ...exited(1), sessionGone: true, survivors: [4243] } as WakeEvent);
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined);
    t.match(writtenBody(effects), { kind: 'agent_failed', details: { survivors: [4243] } });
  });
  t.test('R10: an early exit with survivors is not retried', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake({ type: 'exited', exitCode: 1, signal: null, stderrTail: '', survivors: [4243] });
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined);
    t.match(writtenBody(effects), { type: 'task_failed', kind: 'agent_failed', details: { survivors: [4243] } });
  });
  t.test('after its time is a failure of the agent', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.nowMs += 31_000;
    sidecar.wake(exited(1));
    t.match(writtenBody(sidecar.scanned()), { kind: 'agent_failed' });
  });
  t.test('R10: is not retried if the clock was set back, since it may have run for hours', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.nowMs -= 1;
    sidecar.wake(exited(0));
    const effects = sidecar.scanned();
    t.equal(startedFor(effects, 'retry'), undefined);
    t.match(writtenBody(effects), { kind: 'agent_failed', error: /exited with code 0 without a result/ });
  });
  t.test('with a result counts as that result', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake(exited(0));
    t.match(writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success', output: 1 }, replaced: false })), {
      type: 'task_complete',
    });
    t.same(sidecar.scanned(), [], 'the scan comes too late to matter');
  });
  t.test('after .started is never retried', async (t) => {
    const sidecar = working();
    sidecar.wake(exited(3));
    t.match(writtenBody(sidecar.scanned()), { kind: 'agent_failed', error: 'the agent exited with code 3 without a result' });
  });
});

t.test('a woken agent must give a sign of life', async (t) => {
  t.test('within 30 s, or it is stopped, scanned once more, and failed', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    t.equal(startedFor(sidecar.wake(WOKEN), 'confirm'), 30_000);
    t.equal(sidecar.slot()?.status, 'waking_confirmation');
    const late = sidecar.timer('confirm');
    t.same(words(late), ['withdraw', 'persist', 'send wake_result', 'kill']);
    t.match(sent(late), [{ status: 'timeout', attempt: 1 }]);
    t.same(words(sidecar.wake({ type: 'stopped', survivors: [7] })), ['scan']);
    t.match(writtenBody(sidecar.scanned()), {
      kind: 'confirmation_timeout',
      error: /did not start within 30000 ms.* raise timing\.confirmWithinMs/,
      details: { survivors: [7] },
    });
  });
  for (const sighting of ['started', 'progress', 'result'] as const) {
    t.test(`${sighting} counts`, async (t) => {
      const sidecar = waking();
      sidecar.wake(SPAWNED);
      sidecar.wake(WOKEN);
      if (sighting === 'started') sidecar.sight({ kind: 'started' });
      if (sighting === 'progress') sidecar.sight({ kind: 'progress', percent: 1, message: null, tokensUsed: null });
      if (sighting === 'result') sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
      t.same(sidecar.timer('confirm'), []);
    });
  }
  t.test('a result that appears while it is stopped wins', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake(WOKEN);
    sidecar.timer('confirm');
    sidecar.wake({ type: 'stopped', survivors: [] });
    t.match(writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false })), { type: 'task_complete' });
  });
  t.test('an attached agent has no such limit', async (t) => {
    const sidecar = waking();
    t.equal(startedFor(sidecar.wake(SPAWNED), 'confirm'), undefined);
    sidecar.wake({ type: 'started' });
    t.equal(sidecar.slot()?.status, 'working');
  });
});

t.test('an agent that has started although its wake failed', async (t) => {
  const LOST: WakeEvent = { type: 'failed', phase: 'spawn', kind: 'model_unavailable', message: 'no answer', retryable: true };
  const later = () => {
    const sidecar = waking();
    t.equal(startedFor(sidecar.wake(LOST), 'retry'), 5_000);
    return { sidecar, started: sidecar.sight({ kind: 'started' }) };
  };
  t.test('J4: is not woken again, and must not be silent for too long', async (t) => {
    const { sidecar, started } = later();
    t.equal(startedFor(started, 'silence'), 1_800_000);
    t.same(words(sidecar.timer('retry')), []);
    t.match(sidecar.slot(), { status: 'working', run: null });
    const next = stage({}, sidecar.state.journal);
    t.equal(startedFor(next.take({ type: 'start' }), 'silence'), 1_800_000, 'nor after a restart');
    t.same(words(sidecar.timer('silence')), ['withdraw', 'persist', 'scan']);
    t.match(writtenBody(sidecar.scanned()), { kind: 'silent' });
    t.equal(only(sidecar.all, 'wake').length, 1);
  });
  t.test('J4: is not woken again, even if its folders are being prepared for that', async (t) => {
    for (const isPrepared of [true, false]) {
      const sidecar = waking();
      sidecar.wake(LOST);
      t.same(words(sidecar.timer('retry')), ['prepare']);
      sidecar.sight({ kind: 'started' });
      const failed = { type: 'prepare_failed', assignment: named(), paths: pathsOf(named()), message: 'disk full' } as const;
      t.same(words(isPrepared ? sidecar.prepared() : sidecar.take(failed), { timers: true }), []);
      t.match(sidecar.slot(), { status: 'working', wakes: 1, run: null });
      t.equal(only(sidecar.all, 'wake').length, 1);
    }
  });
  t.test('J4: during the call counts as woken, whatever became of the call', async (t) => {
    const sidecar = waking();
    sidecar.sight({ kind: 'started' });
    t.equal(startedFor(sidecar.wake(LOST), 'retry'), undefined);
    const ended = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null });
    t.equal(startedFor(ended, 'silence'), 1_800_000);
    t.match(sidecar.slot(), { status: 'working', run: { woken: true, detached: true } });
  });
  t.test('R4: has its result reported', async (t) => {
    const { sidecar } = later();
    t.match(writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false })), { type: 'task_complete' });
  });
  t.test('may run on after a cancel, which says so', async (t) => {
    const { sidecar } = later();
    t.same(words(sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 })), ['withdraw', 'persist', 'scan']);
    t.match(sent(sidecar.scanned()), [{ type: 'task_cancel_ack', outcome: 'not_stoppable' }]);
  });
});

t.test('the outcome of a wake is reported once, and never journaled', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  t.match(sent(sidecar.wake(WOKEN)), [{ type: 'wake_result', status: 'success', attempt: 1 }]);
  t.same(sent(sidecar.sight({ kind: 'started' })), []);
  t.same(sidecar.state.journal.outbox, []);
});

t.test('never more runs than slots: a task waits for a free slot, also behind one that waits to retry', async (t) => {
  const sidecar = waking({ slots: 1 });
  sidecar.wake(REFUSED);
  sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  const full = waking({ slots: 1 }, named(1, OTHER));
  full.wake(REFUSED, named(1, OTHER));
  t.match(sent(full.frame(assignFrame())), [{ type: 'task_rejected', reason: 'busy' }]);
  t.same(words(sidecar.frame(assignFrame(named(1, OTHER)))), ['persist', 'send task_accepted', 'prepare']);
});

t.test('events of a run that no longer has the slot are dropped', async (t) => {
  const sidecar = waking();
  sidecar.wake(REFUSED);
  sidecar.timer('retry');
  sidecar.prepared();
  const events: readonly WakeEvent[] = [SPAWNED, WOKEN, { type: 'started' }, exited(0), { type: 'completed', output: 1 }, REFUSED];
  for (const event of events) t.same(sidecar.take({ type: 'wake_event', assignment: named(), runId: 'run-1', event }), [], event.type);
  t.same(sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null }), []);
  t.same(sidecar.take({ type: 'wake_event', assignment: named(9), runId: 'run-2', event: SPAWNED }), []);
});
