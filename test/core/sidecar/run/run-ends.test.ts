import t from 'tap';
import type { WakeEvent } from '../../../../core/ports/wake-runner.ts';
import {
  named,
  only,
  sent,
  startedFor,
  TASK,
  waking,
  words,
  working,
  writtenBody,
  exited,
  SPAWNED,
  WOKEN,
  stoppedRun,
  type Stage,
} from '../rig/stage.ts';

t.test('a run without a result is reported with how it ended', async (t) => {
  const cases = [
    { event: exited(3), kind: 'agent_failed', error: 'the agent exited with code 3 without a result' },
    {
      event: exited(0),
      kind: 'agent_failed',
      error:
        'the agent exited with code 0 without a result: it wrote no $AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json, and its runner reported none',
    },
    { event: exited(null, 'SIGSEGV'), kind: 'agent_failed', error: 'the agent was ended by SIGSEGV without a result' },
    { event: exited(null), kind: 'lost', error: 'the agent process is gone and left no result' },
  ];
  for (const { event, kind, error } of cases) {
    const sidecar = working();
    t.same(words(sidecar.wake(event)), ['scan'], 'the folder is scanned once more');
    const effects = sidecar.scanned();
    t.same(words(effects), ['writeReport', 'unwatch', 'persist', 'send task_failed']);
    t.match(writtenBody(effects), { kind, error, retryable: true });
    if (kind === 'agent_failed') t.match(writtenBody(effects), { details: { stderr_tail: 'last words' } });
  }
});

// Before, the report blamed a restart of the sidecar.
t.test('a runner that ends without a result or an exit is reported as such', async (t) => {
  const sidecar = waking();
  sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: sidecar.slot()?.run?.runId ?? '', error: null });
  t.match(writtenBody(sidecar.scanned()), { kind: 'lost', error: 'its wake runner ended without a result or an `exited` event' });
});

t.test('the tail of a long standard error fits 16 KiB of JSON', async (t) => {
  const sidecar = working();
  sidecar.wake({ type: 'exited', exitCode: 1, signal: null, stderrTail: `${'\u0001'.repeat(100_000)}the end` });
  const body = writtenBody(sidecar.scanned());
  t.ok(JSON.stringify(body['details']).length <= 16_384);
  t.match((body['details'] as { stderr_tail: string }).stderr_tail, /the end$/);
});

t.test('R10: a failure reported by a runner carries the last output of the run, and the log has its reason', async (t) => {
  const failed: WakeEvent = { type: 'failed', phase: 'agent', message: 'turn failed', retryable: true, details: { turns: 3 } };
  const say = (sidecar: Stage): void => {
    sidecar.wake(SPAWNED);
    sidecar.wake({ type: 'progress', message: 'reading the files' });
    sidecar.wake({ type: 'output', stream: 'stdout', text: 'one moment' });
    sidecar.wake({ type: 'output', stream: 'stderr', text: 'no such module' });
    sidecar.wake(failed);
  };
  const logged = (sidecar: Stage) => only(sidecar.all, 'log').find(({ message }) => message === 'the assignment ended')?.fields;
  const sidecar = waking();
  say(sidecar);
  const details = { turns: 3, stderr_tail: 'no such module', last_output: 'reading the files\none moment' };
  t.match(writtenBody(sidecar.scanned()), { error: 'turn failed', details });
  t.match(logged(sidecar), { report: 'failed', kind: 'agent_failed', error: 'turn failed', stderr_tail: 'no such module' });
  const over = waking();
  say(over);
  over.wake(exited(1));
  t.match(writtenBody(over.scanned()), { details: { stderr_tail: 'last words' } }, 'the exit event has more of it');
  const silent = waking();
  silent.wake(SPAWNED);
  silent.wake({ type: 'output', stream: 'stderr', text: 'waiting for a lock' });
  silent.timer('silence');
  silent.wake(stoppedRun());
  t.match(writtenBody(silent.scanned()), { kind: 'silent', details: { stderr_tail: 'waiting for a lock' } });
  const again = waking();
  again.wake(SPAWNED);
  again.wake({ type: 'output', stream: 'stdout', text: 'the first run' });
  again.wake(exited(0));
  again.scanned();
  again.timer('retry');
  again.prepared();
  again.wake(SPAWNED);
  again.wake(failed);
  t.notMatch(JSON.stringify(writtenBody(again.scanned())), 'the first run', 'only of the current run');
});

t.test('R20: the last output of a run is bounded, and leaves room for the details of its runner', async (t) => {
  for (const own of [{}, { why: 'y'.repeat(15_000) }, { why: 'y'.repeat(16_370) }]) {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    for (let n = 0; n < 50; n += 1) {
      for (const stream of ['stdout', 'stderr'] as const) sidecar.wake({ type: 'output', stream, text: `${'\u0001'.repeat(2_000)}${n}` });
    }
    sidecar.wake({ type: 'failed', phase: 'agent', message: 'no', retryable: true, details: own });
    const { details } = writtenBody(sidecar.scanned()) as { details: Record<string, string> };
    t.match(details, own);
    t.notOk('truncated' in details);
    t.ok(JSON.stringify(details).length <= 16_384);
    if (!('why' in own)) t.match(details, { stderr_tail: /49$/, last_output: /49$/ });
    const line = only(sidecar.all, 'log').find(({ message }) => message === 'the assignment ended');
    t.ok(JSON.stringify(line).length < 4_096);
  }
});

t.test('only the newest scan counts', async (t) => {
  const sidecar = working();
  sidecar.wake(exited(0));
  t.same(sidecar.take({ type: 'scanned', assignment: named(), scan: 0 }), []);
  t.equal(sidecar.slot()?.status, 'working');
  t.same(words(sidecar.scanned()).slice(0, 1), ['writeReport']);
});

t.test('after its result a run has a moment to end, then its process tree is stopped', async (t) => {
  const sidecar = working();
  const settled = sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
  t.equal(startedFor(settled, 'linger'), 3_000);
  t.equal(sidecar.slot()?.status, 'reporting');
  t.match(only(sidecar.timer('linger'), 'kill'), [{ reason: { reason: 'its result is known' } }]);
  t.same(words(sidecar.wake(stoppedRun())), ['unwatch', 'persist'], 'the files stay until the hub acknowledges the report');
  t.same(sidecar.state.journal.slots, []);
  t.same(sidecar.timer('linger'), []);
});

t.test('an attached agent that reports its end', async (t) => {
  t.test('completed', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake({ type: 'started' });
    sidecar.wake({ type: 'usage', tokensUsed: 12, costUsd: 0.5 });
    const effects = sidecar.wake({ type: 'completed', output: 'done\u0000' });
    t.same(words(effects), ['writeReport', 'persist', 'send task_complete']);
    t.match(writtenBody(effects), {
      result: { status: 'success', output: 'done\uFFFD', output_replaced: true },
      tokens_used: 12,
      cost_usd: 0.5,
    });
  });
  t.test('failed, with whether a retry makes sense', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    const newEffects = sidecar.wake({ type: 'failed', phase: 'agent', message: 'refused', retryable: false, details: { turns: 3 } });
    t.same(words(newEffects), ['scan'], 'its agent may have written a result');
    t.match(writtenBody(sidecar.scanned()), { kind: 'agent_failed', error: 'refused', retryable: false, details: { turns: 3 } });
    t.same(words(sidecar.wake(exited(1))), ['unwatch', 'keepResult', 'persist'], 'the first end was reported');
  });
});

t.test('R4: a result written by the agent counts, whatever end its runner reports', async (t) => {
  const failed: WakeEvent = { type: 'failed', phase: 'agent', kind: 'no_result', message: 'no result', retryable: true };
  const refused = { type: 'invalid_wake_event', assignment: named(), runId: 'run-1', message: 'no text' } as const;
  const ways: readonly (readonly [string, (sidecar: Stage) => void])[] = [
    ['it failed', (sidecar) => sidecar.wake(failed)],
    ['it failed and exited', (sidecar) => [sidecar.wake(failed), sidecar.wake(exited(0))]],
    ['it threw', (sidecar) => sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: 'boom' })],
    ['an invalid event', (sidecar) => sidecar.take({ ...refused, reason: 'invalid_event' })],
    ['an invalid result', (sidecar) => sidecar.take({ ...refused, reason: 'result_invalid' })],
  ];
  for (const [what, end] of ways) {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    end(sidecar);
    t.same(only(sidecar.all, 'writeReport'), [], what);
    t.equal(startedFor(sidecar.timer('silence'), 'retry'), undefined);
    sidecar.timer('run_max');
    t.equal(sidecar.slot()?.stop, null, 'it is not ended for another reason meanwhile');
    const found = sidecar.sight({ kind: 'result', value: { status: 'success', output: 'all of it' }, replaced: false });
    t.match(writtenBody(found), { type: 'task_complete', result: { output: 'all of it' } }, what);
    const other = waking();
    other.wake(SPAWNED);
    end(other);
    t.match(writtenBody(other.sight({ kind: 'invalid', reason: 'result_invalid', message: 'The result is not JSON.' })), {
      type: 'task_failed',
      error: /no result|boom|no text/,
    });
    t.equal(other.state.journal.outbox.at(-1)?.keepFiles, true, `the file of an unreadable result is kept: ${what}`);
  }
});

t.test('R4: a result written after its runner reported a failure is kept', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  sidecar.wake({ type: 'failed', phase: 'agent', message: 'no result', retryable: true });
  t.match(writtenBody(sidecar.scanned()), { error: 'no result' });
  sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'retried' });
  t.same(words(sidecar.wake(exited(0))), ['unwatch', 'keepResult', 'persist'], 'nothing else of its folders is kept');
  const over = waking();
  over.wake(SPAWNED);
  over.wake({ type: 'failed', phase: 'agent', message: 'no result', retryable: true });
  over.wake(exited(0));
  over.scanned();
  const answered = over.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'retried' });
  t.same(words(answered), ['removeReport', 'removeFiles', 'persist'], 'no result can be written after the last scan');
});

t.test('R4: an unreadable result of a cancelled or reclaimed assignment is kept', async (t) => {
  for (const frame of [
    { type: 'task_cancelled', task_id: TASK, generation: 1 },
    { type: 'task_nack', task_id: TASK, generation: 1, reason: 'stale_generation' },
  ] as const) {
    const sidecar = working();
    sidecar.frame(frame);
    t.same(words(sidecar.sight({ kind: 'invalid', reason: 'result_too_large', message: 'The result has 9 MiB.' })), []);
    sidecar.wake(stoppedRun());
    const over = sidecar.scanned();
    t.match(only(over, 'keepResult'), [{ streams: false }]);
    t.same(only(over, 'removeFiles'), []);
    t.match(only(sidecar.timer('disk'), 'measureDisk'), [{ unread: [named()] }], 'and counted');
  }
});

t.test('of several failures before the scan only the first counts, and survivors are added to it', async (t) => {
  const failed: WakeEvent = { type: 'failed', phase: 'agent', message: 'one', retryable: true };
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  sidecar.wake(failed);
  t.same(words(sidecar.wake({ ...failed, message: 'two' })), []);
  sidecar.wake(stoppedRun(4243));
  t.match(writtenBody(sidecar.scanned()), { error: 'one', details: { survivors: [4243] } });
  const taken = waking();
  taken.wake(SPAWNED);
  taken.wake(failed);
  taken.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  taken.wake(stoppedRun());
  t.match(sent(taken.scanned()), [{ type: 'task_cancel_ack', outcome: 'killed' }], 'a cancel takes precedence');
});

t.test('a runner that releases its run', async (t) => {
  t.test('after woken it is detached: only files are watched, until it is silent too long', async (t) => {
    const sidecar = working();
    const runId = sidecar.slot()?.run?.runId ?? '';
    const effects = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: null });
    t.same(words(effects), ['persist']);
    t.equal(sidecar.slot()?.run?.detached, true);
    t.equal(startedFor(effects, 'silence'), 1_800_000);
    t.equal(startedFor(sidecar.sight({ kind: 'changed' }), 'silence'), 1_800_000, 'a changed file is a sign of life');
    t.same(words(sidecar.timer('silence')), ['withdraw', 'persist', 'prepare'], 'to be stopped it must be found again');
    const found = sidecar.prepared();
    t.match(only(found, 'attach'), [{ stop: { reason: 'no sign of life for too long' } }]);
    sidecar.wake(stoppedRun());
    t.match(writtenBody(sidecar.scanned()), { kind: 'silent' });
  });
  t.test('before woken it counts as ended in an unknown way', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    const runId = sidecar.slot()?.run?.runId ?? '';
    t.same(words(sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: null })), ['scan']);
    t.match(writtenBody(sidecar.scanned()), { kind: 'lost' });
  });
});

t.test('a runner that throws', async (t) => {
  for (const [what, left] of [
    ['left nothing', { type: 'failed', phase: 'spawn', message: 'nothing was started', retryable: true }],
    ['was found and stopped', stoppedRun()],
    ['ended by itself', exited(null)],
  ] as const)
    t.test(`R10: a runner that throws before spawned is retried only once what it may have started ${what}`, async (t) => {
      const sidecar = waking();
      const runId = sidecar.slot()?.run?.runId ?? '';
      const effects = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: 'boom' });
      t.equal(startedFor(effects, 'retry'), undefined);
      t.ok(words(effects).includes('prepare'));
      t.match(only(sidecar.prepared(), 'attach'), [{ stop: { reason: /threw/ }, run: { runId, process: null } }]);
      const newEffects = sidecar.wake(left);
      const after = left.type === 'failed' ? newEffects : sidecar.scanned();
      t.equal(startedFor(after, 'retry'), 5_000);
      t.match(sent(after), [{ type: 'wake_result', status: 'failed', error: 'boom' }]);
      t.match(sidecar.slot(), { status: 'waking', wakes: 1, run: null });
    });
  t.test('R10: a runner that throws before spawned is not retried next to survivors', async (t) => {
    const sidecar = waking();
    const runId = sidecar.slot()?.run?.runId ?? '';
    sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: 'boom' });
    sidecar.prepared();
    sidecar.wake(stoppedRun(4243));
    t.match(writtenBody(sidecar.scanned()), { type: 'task_failed', kind: 'wake_failed', error: 'boom', details: { survivors: [4243] } });
  });
  t.test('after spawned: the agent has failed, and its process is found and stopped', async (t) => {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    const runId = sidecar.slot()?.run?.runId ?? '';
    const effects = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: 'boom' });
    t.same(words(effects), ['scan', 'prepare']);
    t.match(only(sidecar.prepared(), 'attach')[0], { stop: { reason: 'its result is known' }, run: { process: { pid: 4242 } } });
    t.match(writtenBody(sidecar.scanned()), { kind: 'agent_failed', error: 'the wake runner failed: boom' });
    t.same(words(sidecar.wake(stoppedRun())), ['unwatch', 'keepResult', 'persist']);
  });
  t.test('while it stops a run: the slot is kept until the outcome is known', async (t) => {
    const sidecar = working();
    sidecar.timer('run_max');
    const runId = sidecar.slot()?.run?.runId ?? '';
    const effects = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: 'boom' });
    t.equal(startedFor(effects, 'retry'), 5_000);
    t.not(sidecar.slot(), undefined);
    t.same(words(sidecar.timer('retry')), ['prepare']);
    t.match(only(sidecar.prepared(), 'attach'), [{ stop: {} }]);
  });
  t.test('while it stops a run: the stop is retried even if a result was reported meanwhile', async (t) => {
    const sidecar = waking();
    sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
    const runId = sidecar.slot()?.run?.runId ?? '';
    const thrown = sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId, error: 'boom' });
    t.equal(startedFor(thrown, 'retry'), 5_000);
    const reported = sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
    t.match(sent(reported), [{ type: 'task_complete' }]);
    t.equal(sidecar.slot()?.status, 'reporting');
    t.notOk(words(reported, { timers: true }).includes('cancel retry'), 'nothing else stops the run');
    t.same(words(sidecar.timer('retry')), ['prepare']);
    t.match(only(sidecar.prepared(), 'attach'), [{ stop: {}, run: { runId } }]);
    t.match(sent(sidecar.wake(stoppedRun())), [{ type: 'task_cancel_ack', outcome: 'already_reported' }]);
    t.equal(sidecar.slot(), undefined);
  });
});

t.test('an offline sidecar sends no reports, and sends them all after it reconnects', async (t) => {
  const sidecar = working();
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.wake(WOKEN);
  sidecar.wake(exited(1));
  const effects = sidecar.scanned();
  t.same(words(effects), ['writeReport', 'unwatch', 'persist']);
  t.same(sent(effects), []);
  sidecar.timer('reconnect');
  t.same(words(sidecar.identify()), ['send identify', 'readReport']);
});
