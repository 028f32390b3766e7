/** How the output of opencode is read, tested with recordings of the real program, and how it is started. */
import t from 'tap';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import { opencodeStart } from '../../../plugins/opencode/start.ts';
import { opencode } from '../../../plugins/runners.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { jsonLinesOf, processSubject, type AgentOutput } from '../../product/contracts/runner/process-subject.ts';
import { read, recorded, saying } from './recording.ts';

const dialect = opencodeDialect({ model: 'fake/m' });
const readCase = (name: string, session: string | null = null) =>
  read(dialect, recorded('opencode', name), { session: session === null ? null : { id: session, totals: {} } });
const textLine = (text: string) => ({ type: 'text', sessionID: 's', part: { text } });
const step = (reason: string, part: object = {}) => ({ type: 'step_finish', sessionID: 's', part: { reason, ...part } });

void t.test('a success is an end with code 0 after a step that stopped, and the result is the text of this step', (t) => {
  const { events, outcome, isSettledByLine } = readCase('stdin');
  t.match(events[0], { type: 'started', sessionId: /^ses_/ });
  t.equal(events.filter(({ type }) => type === 'started').length, 1);
  t.match(outcome, { type: 'completed', output: { text: /^FAKE-OK from stdin/ } });
  t.notOk(isSettledByLine);
  t.match(readCase('bash').outcome, { output: { text: /^FAKE-DONE/ } });
  t.end();
});

void t.test('exit code 0 alone is not a success, nor is a last step alone', (t) => {
  t.equal(recorded('opencode', 'ask').exitCode, 0);
  t.match(readCase('ask').outcome, { type: 'failed', kind: 'denied', retryable: false, details: { denied: 'bash' } });
  t.match(read(dialect, saying([step('tool-calls')])).outcome, { kind: 'no_result', message: /last step ended with "tool-calls"/ });
  t.match(read(dialect, saying([step('length')])).outcome, { kind: 'limit', retryable: false });
  t.match(read(dialect, saying([])).outcome, { kind: 'no_result', beforeWork: true });
  t.match(read(dialect, saying([step('stop')], { exitCode: 1 })).outcome, { type: 'failed' });
  t.match(read(dialect, saying([textLine('done'), step('stop')], { exitCode: null, signal: 'SIGTERM' })).outcome, { type: 'failed' });
  t.match(
    read(dialect, saying([textLine('done'), step('stop'), { type: 'step_start', sessionID: 's' }])).outcome,
    { type: 'failed' },
    'it had begun another step',
  );
  t.equal(
    read(dialect, saying([textLine('done'), step('stop')], { exitCode: null })).outcome.type,
    'completed',
    'the exit code of an adopted run is unknown',
  );
  t.end();
});

void t.test('R4: an answer whose step ended well counts, even if the exit code is 1 for an error it recovered from', (t) => {
  const overflow = { type: 'error', sessionID: 's', error: { name: 'ContextOverflowError', data: { message: 'too long' } } };
  const begun = { type: 'step_start', sessionID: 's' };
  const recovered = [begun, overflow, begun, textLine('compacted'), step('stop'), begun, textLine('done'), step('stop')];
  t.match(read(dialect, saying(recovered, { exitCode: 1 })).outcome, { type: 'completed', output: { text: 'done' } });
  t.match(read(dialect, saying([...recovered, overflow], { exitCode: 1 })).outcome, { type: 'failed' }, 'one that came after it');
  t.match(read(dialect, saying([...recovered, begun], { exitCode: 1 })).outcome, { type: 'failed' });
  t.end();
});

void t.test('R20: the stored text of an opencode step is bounded, and a truncated result is marked', (t) => {
  const pieces = Array.from({ length: 30 }, () => textLine('x'.repeat(100_000)));
  const { outcome } = read(dialect, saying([...pieces, step('stop')]));
  t.match(outcome, { type: 'completed', output: { text_truncated: true } });
  t.ok(JSON.stringify(outcome).length < 1_100_000);
  t.end();
});

void t.test('the kind of a failure, by its status', (t) => {
  const wanted = {
    '401': { kind: 'auth', retryable: false, beforeWork: true },
    '400': { kind: 'agent_failed', retryable: false },
    '429': { kind: 'rate_limited', retryable: true, retryAfterMs: 1_000 },
    badmodel: { kind: 'agent_failed', retryable: true },
    badflag: { kind: 'config', retryable: false },
    noprompt: { kind: 'config', message: /You must provide a message/ },
  };
  for (const [name, failure] of Object.entries(wanted)) {
    t.match(readCase(name).outcome, { type: 'failed', message: /\S/, ...failure, details: { cause: failure.kind } }, name);
  }
  t.match(readCase('resume-unknown', 'ses_gone').outcome, { type: 'session_gone', message: /Session not found/ });
  t.match(readCase('cut').outcome, { kind: 'no_result' }, 'it retried endlessly, and was killed');
  t.end();
});

void t.test('it retries silently, and an end before its answer is not a result', (t) => {
  const { events, outcome } = readCase('429-once');
  t.notOk(
    events.some((event) => event.type === 'progress' && event.waiting !== undefined),
    'nothing reports the 429',
  );
  t.equal(outcome.type, 'completed');
  for (const name of ['hang-term', 'bash-daemon']) t.match(readCase(name).outcome, { kind: 'no_result', retryable: true }, name);
  t.end();
});

void t.test('usage is the sum of the steps of this run', (t) => {
  t.match(readCase('bash').usage, {
    tokensUsed: 216,
    costUsd: undefined,
    byModel: { 'fake/m': { inputTokens: 202, cachedInputTokens: 40, outputTokens: 14 } },
  });
  t.match(readCase('resume').usage, { tokensUsed: 109 });
  const priced = [
    step('tool-calls', { cost: 0.25, tokens: { input: 1 } }),
    step('stop', { cost: 0.5, tokens: { output: 2, reasoning: 3 } }),
  ];
  t.match(read(dialect, saying(priced)).usage, { costUsd: 0.75, tokensUsed: 6 });
  t.end();
});

void t.test('too many steps or too high a cost ends it, but not after its last step', (t) => {
  const strict = opencodeDialect({ model: 'a/b', maxTurns: 2, maxCostUsd: 0.5 });
  t.match(read(strict, saying([step('tool-calls'), step('tool-calls')])).outcome, { kind: 'limit', details: { maxTurns: 2 } });
  t.match(read(strict, saying([step('tool-calls', { cost: 0.6 })])).outcome, { kind: 'limit', details: { maxCostUsd: 0.5 } });
  t.equal(read(strict, saying([step('tool-calls'), textLine('done'), step('stop', { cost: 0.9 })])).outcome.type, 'completed');
  t.end();
});

void t.test('hostile lines change nothing', (t) => {
  const hostile = [
    '[]',
    '{',
    '{"type":"step_finish","part":{"reason":"stop"}}',
    '{"sessionID":"s"}',
    '{"sessionID":"s","type":"tool_use"}',
    '{"sessionID":"s","type":"text","part":5}',
  ];
  t.match(read(dialect, saying(hostile)).outcome, { type: 'failed', kind: 'no_result' });
  t.end();
});

void t.test('R13: two runs that create the opencode database at once block no agent: the failed one is retried', (t) => {
  const create = "Failed to run the query 'CREATE TABLE `workspace` (\n\t`id` text PRIMARY KEY\n);\n'\nparams:";
  for (const stderrTail of [create, 'SQLiteError: table `session` already exists', 'SQLITE_BUSY: database is locked']) {
    const { outcome } = read(dialect, saying([], { exitCode: 1 }), { end: { stderrTail } });
    t.match(outcome, { type: 'failed', kind: 'no_result', retryable: true, beforeWork: true }, stderrTail);
  }
  t.match(read(dialect, saying([], { exitCode: 1 }), { end: { stderrTail: 'Config file is not valid' } }).outcome, { kind: 'config' });
  t.end();
});

void t.test('its command line, its config and its options', (t) => {
  const { argv, cwd, env } = opencodeStart(
    {
      model: 'a/b',
      cwd: 'project',
      permissions: 'full',
      denyTools: ['webfetch'],
      config: { small_model: 'a/s', permission: { bash: 'ask' } },
    },
    { session: { id: 'ses_1', totals: {} }, baseDir: '/srv/agent' },
  );
  t.strictSame(argv, ['opencode', 'run', '--format', 'json', '-m', 'a/b', '--dir', '/srv/agent/project', '--session', 'ses_1', '--auto']);
  t.equal(cwd, '/srv/agent/project', 'which is also its PWD');
  t.match(JSON.parse(env?.['OPENCODE_CONFIG_CONTENT'] ?? ''), {
    autoupdate: false,
    small_model: 'a/s',
    permission: { edit: 'allow', bash: 'ask', webfetch: 'deny' },
  });
  const problems = (options: object) =>
    opencode(options as { model: string })
      .problems()
      .map(({ path }) => path);
  t.strictSame(problems({}), ['model']);
  t.strictSame(problems({ model: 'sonnet' }), ['model']);
  t.strictSame(problems({ model: 'a/b', env: { OPENCODE_CONFIG_CONTENT: '{}' } }), ['env.OPENCODE_CONFIG_CONTENT']);
  t.strictSame(problems({ model: 'a/b/c', extraArgs: ['--auto'] }), ['extraArgs[0]']);
  t.end();
});

const OPENCODE: AgentOutput = {
  started: jsonLinesOf({ type: 'step_start', sessionID: 's' }),
  result: jsonLinesOf(
    { type: 'text', sessionID: 's', part: { text: 'done' } },
    { type: 'step_finish', sessionID: 's', part: { reason: 'stop' } },
  ),
  interim: jsonLinesOf({ type: 'text', sessionID: 's', part: { text: 'interim' } }),
  failed: jsonLinesOf({ type: 'error', sessionID: 's', error: { name: 'APIError', data: { message: 'no', statusCode: 500 } } }),
  settlesAtEnd: true,
};
wakeRunnerContract(
  'opencode',
  processSubject((argv, deps) => opencode({ bin: argv, model: 'a/b' }).create(deps), OPENCODE),
  t,
);
