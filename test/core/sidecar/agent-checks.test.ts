/** What the hub is told about an agent that cannot run anything, the usage of its runs, and its sessions. */
import t from 'tap';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import { readJournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { assignFrame, exited, named, online, only, sent, SPAWNED, stage, stoppedRun, waking, words, writtenBody } from './rig/stage.ts';

type Failed = Extract<WakeEvent, { type: 'failed' }>;
const failed = (over: Partial<Failed>): Failed => ({ type: 'failed', phase: 'agent', message: 'no', retryable: false, ...over });

t.test('R13: a task that fails for lack of a login is handed back once its run is gone, and checks run again', async (t) => {
  for (const kind of ['auth', 'config'] as const) {
    const sidecar = stage({ runner: { adoptable: true, hasCheck: true } });
    sidecar.take({ type: 'start' });
    sidecar.take({ type: 'runner_checked', checks: [] });
    sidecar.identify();
    sidecar.frame(assignFrame());
    sidecar.prepared();
    sidecar.wake(SPAWNED);
    const effects = sidecar.wake(failed({ kind, beforeWork: true, message: 'not logged in: run agent login' }));
    t.same(words(effects), ['withdraw', 'persist', 'kill', 'check'], 'nothing is handed back while it may still run');
    sidecar.wake(stoppedRun());
    const [released] = sent(sidecar.scanned());
    t.match(released, { type: 'task_released', reason: 'not logged in: run agent login', cause: kind });
    t.notOk('retry_after_ms' in (released ?? {}), 'the time is unknown');
  }
});

t.test('R13: a rate limit is reported with its remaining time, which elapses while the hub is away', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  sidecar.wake({ type: 'usage', tokensUsed: 3 });
  sidecar.wake(failed({ kind: 'rate_limited', beforeWork: true, retryAfterMs: 60_000, retryable: true }));
  sidecar.wake(stoppedRun());
  t.match(sent(sidecar.scanned()), [{ type: 'task_released', cause: 'rate_limited', retry_after_ms: 60_000, tokens_used: 3 }]);
  t.ok(readJournalState(JSON.parse(JSON.stringify(sidecar.state.journal))), 'the journal is readable');
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.nowMs += 45_000;
  sidecar.timer('reconnect');
  t.match(sent(sidecar.identify()).at(-1), { type: 'task_released', retry_after_ms: 15_000, tokens_used: 3 });
  sidecar.nowMs += 45_000;
  t.match(sent(sidecar.timer('repeat')), [{ type: 'task_released', retry_after_ms: 1 }], 'never a time in the past');
});

t.test('R13: a program that cannot start for lack of a setting is not retried', async (t) => {
  const sidecar = waking();
  const effects = sidecar.wake(failed({ phase: 'spawn', kind: 'config', message: 'unknown model' }));
  t.match(sent(effects), [{ type: 'task_released', cause: 'config', reason: 'unknown model' }]);
  t.same(sidecar.state.journal.slots, []);
  const other = waking();
  t.match(sent(other.wake(failed({ phase: 'spawn', message: 'busy', retryable: true }))), [{ type: 'wake_result', status: 'failed' }]);
  t.equal(other.slot()?.status, 'waking', 'any other failure is retried here');
});

t.test('R13: a model outage hands the task back, also after work, with the session to continue', async (t) => {
  for (const beforeWork of [true, undefined]) {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    sidecar.wake({ type: 'started', sessionId: 'ses_1' });
    t.same(words(sidecar.wake(failed({ kind: 'model_unavailable', beforeWork, retryAfterMs: 5_000.5, retryable: true }))).slice(0, 1), [
      'withdraw',
    ]);
    sidecar.wake(stoppedRun());
    const [released] = sent(sidecar.scanned());
    t.match(released, { type: 'task_released', cause: 'model_unavailable', retry_after_ms: 5_001, session_id: 'ses_1' });
    t.equal(released?.['after_work'], beforeWork === true ? undefined : true, 'the hub bounds releases that may have cost something');
    t.ok(readJournalState(JSON.parse(JSON.stringify(sidecar.state.journal))));
  }
});

t.test('R13: an agent that cannot be called during a model outage is retried, then its task is handed back', async (t) => {
  const sidecar = waking();
  const away = failed({ phase: 'spawn', kind: 'model_unavailable', message: '503', retryable: true, beforeWork: true });
  let effects = sidecar.wake(away);
  for (let tries = 0; tries < 10 && sidecar.slot() !== undefined; tries += 1) {
    t.match(sent(effects), [{ type: 'wake_result', status: 'failed' }], 'a call whose answer is lost may have woken it');
    sidecar.timer('retry');
    sidecar.prepared();
    effects = sidecar.wake(away);
  }
  t.match(sent(effects), [{ type: 'wake_result' }, { type: 'task_released', cause: 'model_unavailable', reason: '503' }]);
});

t.test('a failure after work counts as an attempt', async (t) => {
  const limit = waking();
  limit.wake(SPAWNED);
  limit.wake(failed({ kind: 'limit', retryAfterMs: Infinity }));
  t.match(writtenBody(limit.scanned()), { cause: 'limit', retryable: false });
  const silent = waking();
  silent.wake(SPAWNED);
  silent.wake(failed({ kind: 'unresponsive', retryable: true }));
  t.match(writtenBody(silent.scanned()), { kind: 'silent' });
});

t.test('the usage of an attempt is the sum of its runs, each with its latest value', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  const large = (inputTokens: number) => ({ byModel: { large: { inputTokens } } });
  t.match(sent(sidecar.wake({ type: 'usage', tokensUsed: 100, costUsd: 0.5, ...large(90) })), [
    { type: 'task_progress', tokens_used: 100, cost_usd: 0.5, models: [{ model: 'large', input_tokens: 90 }] },
  ]);
  sidecar.wake({ type: 'usage', tokensUsed: 120, costUsd: 0.5, ...large(110) });
  t.match(sent(sidecar.timer('progress')), [{ tokens_used: 120 }]);
  sidecar.wake(exited(0));
  sidecar.scanned();
  t.match(
    sidecar.slot(),
    { status: 'waking', spent: { tokensUsed: 120, costUsd: 0.5 } },
    'ended early: it is woken again, and the journal has its usage',
  );

  // The sidecar is restarted in between: the usage of the first run is not forgotten.
  const next = stage({}, readJournalState(JSON.parse(JSON.stringify(sidecar.state.journal))));
  next.take({ type: 'start' });
  next.identify({ held: [{ task_id: named().taskId, generation: 1, action: 'continue' }] });
  next.timer('retry');
  next.prepared();
  next.wake(SPAWNED);
  next.wake({ type: 'started' });
  t.match(sent(next.wake({ type: 'usage', tokensUsed: 30, ...large(20) })), [{ tokens_used: 150, models: [{ input_tokens: 130 }] }]);
  const effects = next.wake({
    type: 'completed',
    output: 'x',
    tokensUsed: 40,
    costUsd: 0.25,
    byModel: { large: { inputTokens: 25, outputTokens: 15 } },
  });
  t.match(writtenBody(effects), {
    type: 'task_complete',
    tokens_used: 160,
    cost_usd: 0.75,
    models: [{ model: 'large', input_tokens: 135, output_tokens: 15 }],
  });
});

t.test('implausible usage reported by a runner is ignored', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  const names = Array.from(
    { length: 40 },
    (_, n) => [`m${n}${'x'.repeat(1_000)}`, { inputTokens: n, outputTokens: -1, costUsd: Number.NaN }] as const,
  );
  const [progress] = sent(
    sidecar.wake({ type: 'usage', tokensUsed: -5, costUsd: Infinity, byModel: Object.fromEntries([['', {}], ...names]) }),
  );
  t.notOk('tokens_used' in (progress ?? {}) || 'cost_usd' in (progress ?? {}));
  const models = progress?.['models'] as readonly Record<string, unknown>[];
  t.equal(models.length, 15);
  t.same(Object.keys(models[0] ?? {}), ['model', 'input_tokens']);
  t.equal((models[0]?.['model'] as string).length, 128);
});

t.test('a stopped run reports its usage to the end', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  sidecar.wake({ type: 'started' });
  sidecar.frame({ type: 'task_cancelled', task_id: named().taskId, generation: 1, reason: 'cancelled' });
  t.same(sent(sidecar.wake({ type: 'usage', tokensUsed: 77 })), [], 'its progress is not sent any more');
  sidecar.wake(stoppedRun());
  t.match(sent(sidecar.scanned()), [{ type: 'task_cancel_ack', outcome: 'killed', tokens_used: 77 }]);
});

t.test('a session is reported, journaled and passed to the next run; a name that could be an option is not', async (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  const started = sidecar.wake({ type: 'started', sessionId: 'ses_1' });
  t.same(
    sent(started).map(({ type, session_id: id }) => [type, id]),
    [
      ['wake_result', undefined],
      ['task_progress', 'ses_1'],
    ],
  );
  t.equal(sidecar.slot()?.sessionId, 'ses_1');
  sidecar.wake(failed({}));
  t.match(writtenBody(sidecar.scanned()), { session_id: 'ses_1' }, 'also with the final report, in case the progress is lost');

  for (const bad of ['--resume', '', 'a b', 'x'.repeat(300), 'a\n']) {
    const other = waking();
    other.wake(SPAWNED);
    other.wake({ type: 'started', sessionId: bad });
    t.equal(other.slot()?.sessionId, undefined, JSON.stringify(bad.slice(0, 20)));
  }

  const resumed = online();
  resumed.frame(assignFrame(named(2), { session_id: 'ses_0' }));
  t.match(only(resumed.prepared(named(2)), 'wake'), [{ request: { session: 'ses_0' } }]);
  const fresh = online();
  fresh.frame(assignFrame(named(2)));
  t.notOk('session' in (only(fresh.prepared(named(2)), 'wake')[0]?.request ?? {}));
});

t.test('a journal of an earlier version is still readable', async (t) => {
  const sidecar = waking();
  const old = JSON.parse(JSON.stringify(sidecar.state.journal)) as Record<string, unknown>;
  t.notOk(JSON.stringify(old).includes('spent'), 'nothing is written without usage');
  t.ok(readJournalState(old));
});
