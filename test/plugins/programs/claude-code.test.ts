/** How the output of Claude Code is read, tested with recordings of the real program, and how it is started. */
import t from 'tap';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { claudeStart } from '../../../plugins/claude-code/start.ts';
import { claudeCode } from '../../../plugins/runners.ts';
import type { JsonObject } from '../../../plugins/plugin.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { jsonLinesOf, processSubject, type AgentOutput } from '../../product/contracts/runner/process-subject.ts';
import { read, READ_AT_MS, recorded, saying, type Recording } from './recording.ts';

/** The fields of a result line that cover the whole session. */
interface SessionResult {
  readonly session_id: string;
  readonly total_cost_usd: number;
  readonly modelUsage: Readonly<Record<string, { inputTokens: number; outputTokens: number; cacheReadInputTokens: number }>>;
}

const dialect = claudeDialect({ failsWhenDenied: false });
const readCase = (name: string) => read(dialect, recorded('claude', name));

void t.test('a session that does not exist any more is not a failure of the task', (t) => {
  const session = { id: '99999999-2222-4333-8444-555555555555', totals: {} };
  const gone = read(dialect, recorded('claude', 'resume-unknown'), { session });
  t.match(gone.outcome, { type: 'session_gone', message: /^No conversation found/ });
  t.match(readCase('resume-unknown').outcome, { type: 'failed' }, 'unless none was to be resumed');
  t.end();
});

void t.test('the result of a success is its result line', (t) => {
  const { events, outcome, isSettledByLine } = readCase('stream');
  t.match(events[0], { type: 'started', sessionId: /^[0-9a-f-]{36}$/ });
  t.match(outcome, { type: 'completed', output: { text: /^FAKE-OK/, turns: 1 }, tokensUsed: 128 });
  t.ok(isSettledByLine);
  t.end();
});

void t.test('exit code 0 is no success: it was interrupted, or no result came', (t) => {
  t.equal(recorded('claude', 'hang-int').exitCode, 0);
  t.match(readCase('hang-int').outcome, { type: 'failed', kind: 'no_result', retryable: true, beforeWork: true });
  t.match(read(dialect, saying(['{"type":"system","subtype":"init","session_id":"s"}'])).outcome, { kind: 'no_result' });
  t.match(read(dialect, saying([])).outcome, { kind: 'no_result' });
  t.end();
});

void t.test('failure messages that are not strings are reported too', (t) => {
  const errors = [{ toString: null }, 'and a text'];
  const message = { type: 'result', subtype: 'error_during_execution', is_error: true, errors, session_id: 's' };
  t.match(read(dialect, saying([message])).outcome, {
    type: 'failed',
    message: /^\{"toString":null\}; and a text/,
  });
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const nested = `{"type":"result","subtype":"error_during_execution","is_error":true,"errors":[${deep},"and a text"]}`;
  t.match(read(dialect, saying([nested])).outcome, {
    type: 'failed',
    message: /^a value that is nested too deeply; and a text/,
  });
  t.end();
});

void t.test('subtype "success" with is_error is a failure, of the kind that its status indicates', (t) => {
  const wanted = {
    '401-retries0': { kind: 'auth', retryable: false },
    nokey: { kind: 'auth', retryable: false },
    '429': { kind: 'rate_limited', retryable: true },
    '529': { kind: 'model_unavailable', retryable: true },
    '500': { kind: 'model_unavailable', retryable: true },
    refused: { kind: 'model_unavailable', retryable: true },
    '400': { kind: 'agent_failed', retryable: false },
    'max-turns': { kind: 'limit', retryable: false, beforeWork: undefined },
    budget: { kind: 'limit', retryable: false, beforeWork: undefined },
  };
  for (const [name, failure] of Object.entries(wanted)) {
    const { outcome } = readCase(name);
    t.match(outcome, { type: 'failed', phase: 'agent', message: /\S/, ...failure, details: { cause: failure.kind } }, name);
  }
  t.match(readCase('401-retries0').outcome, { beforeWork: true, message: /401/, details: { subtype: 'success', api_error_status: 401 } });
  t.end();
});

void t.test('the position of "type" in a line does not matter', (t) => {
  const result = recorded('claude', 'stream').lines.at(-1)?.text ?? '';
  t.ok(result.indexOf('"type":"result"') > 200, 'in the recorded line it is far from the start');
  t.equal(readCase('stream').outcome.type, 'completed');
  t.end();
});

void t.test('it reports what it waits for while it retries by itself', (t) => {
  const { events, outcome } = readCase('429-once');
  t.match(
    events.filter((event) => event.type === 'progress' && event.waiting !== undefined),
    [{ waiting: 'rate_limited', message: /retry 1 of \d+ in \d+ ms after 429/ }],
  );
  t.equal(outcome.type, 'completed');
  t.match(
    readCase('refused').events.find((event) => event.type === 'progress'),
    { waiting: 'model_unavailable' },
  );
  t.end();
});

void t.test('an exhausted quota pauses the agent until it resets', (t) => {
  const resetsAt = READ_AT_MS / 1_000 + 3_600;
  const lines = [
    '{"type":"system","subtype":"init","session_id":"s"}',
    { type: 'rate_limit_event', rate_limit_info: { status: 'rejected', resetsAt } },
  ];
  const result = { type: 'result', subtype: 'success', is_error: true, api_error_status: 429, result: 'limit' };
  t.match(read(dialect, saying([...lines, result])).outcome, { kind: 'rate_limited', retryAfterMs: 3_600_000, beforeWork: true });
  t.equal((read(dialect, saying([result])).outcome as { retryAfterMs?: number }).retryAfterMs, undefined);
  t.end();
});

void t.test('usage over three resumes of one session is the sum of the runs, and no more', (t) => {
  const names = ['session-id', 'resume', 'resume-othercwd', 'resume-again'];
  const runs = names.map(readCase);
  const results = names.map((name) => JSON.parse(recorded('claude', name).lines.at(-1)?.text ?? '') as SessionResult);
  t.equal(new Set(results.map(({ session_id: id }) => id)).size, 1, 'one session');
  t.strictSame(
    runs.map(({ usage }) => usage.byModel?.['claude-opus-5-5']?.inputTokens),
    [121, 122, 123, 124],
  );
  const last = results.at(-1);
  const session = last?.modelUsage['claude-opus-5-5'];
  const sum = (amounts: readonly (number | undefined)[]): number =>
    amounts.reduce<number>((total, amount) => total + (amount ?? Number.NaN), 0);
  t.equal(
    sum(runs.map(({ usage }) => usage.tokensUsed)),
    (session?.inputTokens ?? 0) + (session?.outputTokens ?? 0) + (session?.cacheReadInputTokens ?? 0),
    'what the last run reported for the whole session',
  );
  t.equal(sum(runs.map(({ usage }) => usage.costUsd)).toFixed(9), last?.total_cost_usd.toFixed(9));
  const byEarlier = sum(results.map(({ total_cost_usd: cost }) => cost));
  t.ok(byEarlier > 2 * (last?.total_cost_usd ?? 0), 'adding up the totals would count twice');
  t.end();
});

void t.test('usage includes discarded calls, and those of a run that its budget ended', (t) => {
  t.match(readCase('cut').usage, { tokensUsed: 303 + 60 + 27, costUsd: 0.001764 });
  t.match(readCase('budget').usage, { costUsd: 0.000548, byModel: { 'claude-opus-5-5': { inputTokens: 121 } } });
  t.end();
});

void t.test('a killed run has reported its usage until then, each message once', (t) => {
  const { lines } = recorded('claude', 'max-turns');
  const untilResult: Recording = { ...recorded('claude', 'max-turns'), lines: lines.slice(0, -1) };
  const twice: Recording = { ...untilResult, lines: untilResult.lines.flatMap((line) => [line, line]) };
  for (const recording of [untilResult, twice]) {
    const { usage, outcome } = read(dialect, recording);
    t.match(usage, { byModel: { 'claude-opus-5-5': { inputTokens: 242, cachedInputTokens: 40 } } });
    t.match(outcome, { kind: 'no_result', beforeWork: undefined });
  }
  t.end();
});

void t.test('many messages are counted quickly, each once, including those that are repeated late', (t) => {
  const message = (id: number) => ({
    type: 'assistant',
    message: { id: `m${String(id)}`, model: 'x', content: [], usage: { input_tokens: 10, output_tokens: 1 } },
  });
  const lines = Array.from({ length: 5_000 }, (_, n) => [message(n), message(Math.max(0, n - 3))]).flat();
  const beganMs = performance.now();
  t.match(read(dialect, saying(lines)).usage, { tokensUsed: 55_000, byModel: { x: { inputTokens: 50_000 } } });
  t.ok(performance.now() - beganMs < 5_000);
  t.end();
});

void t.test('R20: only a few of the models that Claude Code names are stored, and the usage of all counts', (t) => {
  const calls = Array.from({ length: 3_000 }, (_, n) => ({ model: `model ${String(n)} ${n % 2 === 0 ? 'x'.repeat(1_000) : ''}` }));
  const usage = { input_tokens: 10, output_tokens: 1 };
  const messages = calls.map(({ model }, n) => ({ type: 'assistant', message: { id: `m${String(n)}`, model, content: [], usage } }));
  const received = read(dialect, saying(messages)).usage;
  t.equal(received.tokensUsed, 33_000);
  t.ok(JSON.stringify(received).length < 5_000);

  const perModel = Object.fromEntries(calls.map(({ model }) => [model, { inputTokens: 10, outputTokens: 1 }]));
  const result = { type: 'result', subtype: 'success', is_error: false, result: 'done', model_usage_since_last_result: perModel };
  const { usage: used } = read(dialect, saying([result]));
  t.equal(used.tokensUsed, 33_000);
  t.ok(JSON.stringify(used).length < 5_000);
  t.end();
});

void t.test('a denied tool is named in the result, or, if configured, fails it', (t) => {
  t.match(readCase('deny').outcome, { type: 'completed', output: { denied: ['Bash'] } });
  t.match(
    readCase('deny').events.find((event) => event.type === 'progress' && /not allowed/.test(event.message ?? '')),
    { message: 'not allowed: Bash' },
  );
  const strict = claudeDialect({ failsWhenDenied: true });
  t.match(read(strict, recorded('claude', 'deny')).outcome, { type: 'failed', kind: 'denied', retryable: false });
  t.equal(read(strict, recorded('claude', 'stream')).outcome.type, 'completed');
  t.end();
});

void t.test('a failure to start is a setup failure', (t) => {
  for (const name of ['badflag', 'noprompt', 'bypass-root']) {
    t.match(
      readCase(name).outcome,
      { kind: 'config', retryable: false, beforeWork: true, message: /exited with code 1 without a result: \S/ },
      name,
    );
  }
  t.match(readCase('hang-term').outcome, { kind: 'no_result', retryable: true });
  t.end();
});

void t.test('a result is not the end: a background shell keeps it alive, and the result stands', (t) => {
  const recording = recorded('claude', 'bash-background');
  t.equal(recording.signal, 'SIGKILL', 'it was waited for in vain');
  const { outcome, isSettledByLine } = readCase('bash-background');
  t.match(outcome, { type: 'completed', output: { text: /^FAKE-DONE/ } });
  t.ok(isSettledByLine, 'and not by its end');
  t.end();
});

void t.test('an unknown model is a setup failure', (t) => {
  t.match(readCase('model-bad').outcome, { kind: 'config', retryable: false, beforeWork: true });
  t.end();
});

void t.test('R4: the final result is the answer: a result with work in the background is not final', (t) => {
  t.match(readCase('input-json-two').outcome, { output: { text: /two/ } });
  const result = (text: string) => ({ type: 'result', subtype: 'success', is_error: false, result: text });
  const tasks = (...names: readonly string[]) => ({
    type: 'system',
    subtype: 'background_tasks_changed',
    tasks: names.map((task_id) => ({ task_id })),
  });
  const answersTo = (...lines: readonly object[]): readonly unknown[] => {
    let state = dialect.begin(null);
    return lines.map((line) => {
      const lineResult = dialect.onLine(state, { stream: 'stdout', text: '', json: line as JsonObject, readAtMs: READ_AT_MS });
      state = lineResult.state;
      const { outcome, isAtWork } = lineResult.answer ?? {};
      return outcome?.type === 'completed' ? [(outcome.output as { text: string }).text, isAtWork] : null;
    });
  };
  t.strictSame(answersTo(result('done')), [['done', false]], 'with nothing in the background it is the end');
  t.strictSame(
    answersTo(tasks('a', 'b'), result('started both'), tasks('b'), tasks(), { type: 'system', subtype: 'init' }, result('42')),
    [null, ['started both', true], ['started both', true], ['started both', true], ['started both', true], ['42', false]],
    'it is working until the result of a turn that leaves nothing behind',
  );
  t.end();
});

void t.test('J8: each turn that the agent starts itself ends with a result, and their usage is added up', (t) => {
  const result = (model: string, outputTokens: number, costUSD: number) => ({
    ...{ type: 'result', subtype: 'success', is_error: false, result: 'done' },
    model_usage_since_last_result: { [model]: { inputTokens: 100, cacheReadInputTokens: 20, outputTokens, costUSD } },
  });
  const lines = [result('m', 14, 0.5), result('m', 7, 0.25), result('n', 1, 0.125)];
  const used = read(dialect, saying(lines)).events.filter(({ type }) => type === 'usage');
  t.match(used, [
    { tokensUsed: 134, costUsd: 0.5 },
    { tokensUsed: 261, costUsd: 0.75 },
    {
      tokensUsed: 382,
      costUsd: 0.875,
      byModel: { m: { inputTokens: 240, cachedInputTokens: 40, outputTokens: 21 }, n: { outputTokens: 1 } },
    },
  ]);
  t.match(read(dialect, saying(lines)).outcome, { type: 'completed', tokensUsed: 382, costUsd: 0.875 });
  t.end();
});

void t.test('hostile lines change nothing', (t) => {
  const hostile = [
    '[]', 'null', '{', '{"type":"result"', '"type":"result"', '{"type":null}', '{"type":"system"}', '{"type":"assistant"}',
    '{"type":"assistant","message":{"content":[null,1,{"type":"tool_use"},{"type":"text","text":5}],"usage":{"input_tokens":"9","output_tokens":-1}}}',
    '{"type":"system","subtype":"api_retry","attempt":1e999}', '{"type":"rate_limit_event"}', '{"__proto__":{"type":"result"}}',
  ]; // prettier-ignore
  t.match(read(dialect, saying(hostile)).outcome, { type: 'failed', kind: 'no_result' });
  t.match(
    read(dialect, saying(['{"type":"result"}'])).outcome,
    { type: 'failed', kind: 'agent_failed' },
    'a result that does not report success',
  );
  t.end();
});

void t.test('its command line: flags for the options, and the prompt nowhere', (t) => {
  const { argv, env, passEnv } = claudeStart(
    {
      model: 'opus',
      permissions: 'full',
      allowTools: ['Bash(git *)'],
      denyTools: ['WebFetch'],
      maxTurns: 9,
      maxCostUsd: 2,
      extraArgs: ['--bare'],
      env: { A: 'b' },
    },
    { session: { id: 'abc', totals: {} } },
  );
  t.strictSame(argv, [
    ...['claude', '-p', '--output-format', 'stream-json', '--verbose', '--model', 'opus', '--permission-mode', 'bypassPermissions'],
    ...[
      '--max-turns',
      '9',
      '--max-budget-usd',
      '2',
      '--resume',
      'abc',
      '--bare',
      '--allowedTools',
      'Bash(git *)',
      '--disallowedTools',
      'WebFetch',
    ],
  ]);
  t.match(env, { CLAUDE_CODE_MAX_RETRIES: '2', DISABLE_AUTOUPDATER: '1', A: 'b' });
  t.ok(passEnv?.includes('ANTHROPIC_API_KEY'));
  t.match(claudeStart({}, { session: null }).argv, [
    'claude',
    '-p',
    '--output-format',
    'stream-json',
    '--verbose',
    '--permission-mode',
    'acceptEdits',
  ]);
  t.notOk(claudeStart({ permissions: 'cli-default' }, { session: null }).argv.includes('--permission-mode'));
  t.end();
});

void t.test('options that it cannot honour or must not have are mistakes', (t) => {
  const paths = (options: object): readonly string[] =>
    claudeCode(options)
      .problems()
      .map(({ path }) => path);
  t.strictSame(paths({ maxTurn: 3 }), ['maxTurn']);
  t.strictSame(paths({ extraArgs: ['--resume=x', '--bare'] }), ['extraArgs[0]']);
  t.strictSame(paths({ prompt: 'do ${TASK}' }), ['prompt', 'prompt']);
  t.strictSame(paths({ env: { AGENTCOM_RUN_ID: 'x' }, passEnv: ['A=B'] }), ['env.AGENTCOM_RUN_ID', 'passEnv[0]']);
  t.strictSame(paths({ bin: ['node', 'cli.js'], permissions: 'read-only', session: 'resume', whenDenied: 'fail' }), []);
  t.end();
});

const CLAUDE: AgentOutput = {
  started: jsonLinesOf({ type: 'system', subtype: 'init', session_id: 's' }),
  result: jsonLinesOf({ session_id: 's', is_error: false, subtype: 'success', result: 'done', type: 'result' }),
  interim: jsonLinesOf({ type: 'assistant', session_id: 's', message: { content: [{ type: 'text', text: 'interim' }] } }),
  failed: jsonLinesOf({ is_error: true, subtype: 'success', api_error_status: 500, result: 'API Error', type: 'result' }),
};
wakeRunnerContract(
  'claude-code',
  processSubject((argv, deps) => claudeCode({ bin: argv }).create(deps), CLAUDE),
  t,
);
