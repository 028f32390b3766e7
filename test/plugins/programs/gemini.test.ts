/** How the output of the Gemini CLI is read, tested with recordings of the real program, and how it is started. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { checkGemini } from '../../../plugins/gemini/check.ts';
import { geminiDialect } from '../../../plugins/gemini/dialect.ts';
import { geminiStart } from '../../../plugins/gemini/start.ts';
import { gemini } from '../../../plugins/runners.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { jsonLinesOf, processSubject, type AgentOutput } from '../../product/contracts/runner/process-subject.ts';
import { read, recorded, saying } from './recording.ts';

const dialect = geminiDialect({});
const readCase = (name: string, session: string | null = null) =>
  read(dialect, recorded('gemini', name), { session: session === null ? null : { id: session, totals: {} } });

void t.test('a successful result is its text since the last tool, without the echoed prompt', (t) => {
  t.match(readCase('stream').outcome, { type: 'completed', output: { text: 'FAKE-OK hello (tagged user turns: 1)' }, tokensUsed: 108 });
  t.match(readCase('stream').events[0], { type: 'started', sessionId: /^[0-9a-f-]{36}$/ });
  const messageOf = (content: string) => ({ type: 'message', role: 'assistant', content, delta: true });
  const talk = [
    messageOf('I look. '),
    { type: 'tool_use', tool_name: 'read' },
    { type: 'tool_result', status: 'success' },
    messageOf('It '),
    messageOf('is.'),
    { type: 'result', status: 'success' },
  ];
  t.match(read(dialect, saying(talk)).outcome, { output: { text: 'It is.' } });
  t.end();
});

void t.test('agent text is reported in whole lines, so that a secret in it can be found', (t) => {
  const messageOf = (content: string) => ({ type: 'message', role: 'assistant', content, delta: true });
  const talk = [
    ...['The k', 'ey: sk-', 'ant-0123', '456', '789.\nThat', ' is', ' all.'].map(messageOf),
    { type: 'error', message: 'no' },
    messageOf('More'),
    { type: 'result', status: 'success' },
  ];
  const received = read(dialect, saying(talk)).events.flatMap((event) =>
    event.type === 'output' && event.text !== '' ? [event.text] : [],
  );
  t.strictSame(received, ['The key: sk-ant-0123456789.', 'That is all.', JSON.stringify({ type: 'error', message: 'no' }), 'More']);
  t.end();
});

void t.test('R20: the stored text is bounded, and a truncated result is marked', (t) => {
  const piece = { type: 'message', role: 'assistant', content: 'x'.repeat(100_000), delta: true };
  const talk = [...Array.from({ length: 30 }, () => piece), { type: 'result', status: 'success' }];
  const { outcome } = read(dialect, saying(talk));
  t.match(outcome, { type: 'completed', output: { text_truncated: true } });
  t.ok(JSON.stringify(outcome).length < 1_100_000);
  t.end();
});

void t.test('exit code 0 is not always success: stopped by itself, never asked, or ended by SIGTERM', (t) => {
  t.match(readCase('big').outcome, { type: 'failed', kind: 'no_result', message: 'Loop detected, stopping execution' });
  t.equal(recorded('gemini', 'big').exitCode, 0);
  t.match(readCase('longstdin').outcome, { type: 'failed', kind: 'no_result' });
  t.equal(recorded('gemini', 'longstdin').exitCode, 0);
  const cutOff = [
    { type: 'message', role: 'assistant', content: 'wordword' },
    { type: 'error', message: 'Loop detected, stopping execution' },
    { type: 'result', status: 'success' },
  ];
  t.match(read(dialect, saying(cutOff)).outcome, { type: 'failed', kind: 'no_result' }, 'half an answer does not count');
  t.match(read(dialect, saying([{ type: 'init', session_id: 's' }])).outcome, { kind: 'no_result' });
  t.end();
});

void t.test('ended by SIGTERM it exits with 0, and has no result', (t) => {
  const hanging = recorded('gemini', 'hang-term');
  t.match(read(dialect, hanging).outcome, { kind: 'no_result', beforeWork: true });
  t.match(read(dialect, { ...hanging, exitCode: 0, signal: null }).outcome, { type: 'failed', kind: 'no_result' });
  t.match(readCase('nokey').outcome, { kind: 'auth', retryable: false });
  t.end();
});

void t.test('the kind of a failure, by its type, its status or its exit code', (t) => {
  const wanted = {
    '401': { kind: 'auth', retryable: false, beforeWork: true },
    '400': { kind: 'agent_failed', retryable: false },
    cut: { kind: 'model_unavailable', retryable: true },
    'max-turns': { kind: 'limit', retryable: false, beforeWork: undefined },
    noauth: { kind: 'auth', message: /Invalid auth method/ },
    untrusted: { kind: 'config', message: /not running in a trusted directory/ },
    noprompt: { kind: 'config' },
    badflag: { kind: 'config' },
  };
  for (const [name, failure] of Object.entries(wanted)) {
    t.match(readCase(name).outcome, { type: 'failed', message: /\S/, ...failure, details: { cause: failure.kind } }, name);
  }
  t.notMatch((readCase('untrusted').outcome as { message: string }).message, /\u001b/, 'without the colors of a terminal');
  t.match(read(dialect, saying([], { exitCode: 145 })).outcome, { kind: 'auth' }, '145 is not a signal but the end of 401');
  t.end();
});

void t.test('that it waits is reported only on standard error', (t) => {
  const { events, outcome } = readCase('429-once');
  t.match(
    events.find((event) => event.type === 'progress'),
    { waiting: 'rate_limited', message: /^Attempt 1 failed/ },
  );
  t.equal(outcome.type, 'completed');
  t.match(
    readCase('500').events.find((event) => event.type === 'progress'),
    { waiting: 'model_unavailable' },
  );
  t.end();
});

void t.test('a session that cannot be resumed is not a mistake in the config', (t) => {
  t.match(readCase('resume-unknown', 'gone').outcome, { type: 'session_gone', message: /--list-sessions/ });
  t.match(readCase('resume-unknown').outcome, { kind: 'config' });
  t.end();
});

void t.test('a tool that is not offered is reported, and usage is that of the models used', (t) => {
  t.match(readCase('deny-forced').events.filter((event) => event.type === 'progress')[1], {
    message: /^a tool failed: Tool "run_shell_command" not found/,
  });
  t.strictSame(Object.keys(readCase('429-once').usage.byModel ?? {}), ['fake']);
  t.match(readCase('yolo').usage, { tokensUsed: 216, byModel: { fake: { cachedInputTokens: 40 } } });
  const thought = { total_tokens: 18_270, input_tokens: 18_000, output_tokens: 210, cached: 0 };
  t.match(
    read(dialect, saying([{ type: 'result', status: 'success', stats: { models: { m: thought } } }])).events,
    [{ type: 'usage', tokensUsed: 18_270, byModel: { m: { inputTokens: 18_000, outputTokens: 270 } } }],
    'thinking is paid as output',
  );
  t.match(read(geminiDialect({ maxTurns: 1 }), recorded('gemini', 'max-turns')).outcome, { kind: 'limit', message: /more than 1 turns/ });
  t.end();
});

void t.test('a failure without a message is reported with its last error line', (t) => {
  const messages = [
    { type: 'init', session_id: 's' },
    { type: 'error', severity: 'error', message: 'The model returned an empty response.' },
    { type: 'result', status: 'error', error: {} },
  ];
  t.match(read(dialect, saying(messages)).outcome, { type: 'failed', message: 'The model returned an empty response.' });
  t.end();
});

void t.test('R4: an empty answer, which gemini reports as an error, counts as empty', (t) => {
  const message = 'The model returned an empty response with no text or thoughts. This may be a transient API issue; please try again.';
  const end = { type: 'result', status: 'error', error: { type: 'unknown', message } };
  const details = { cause: 'no_result', reason: 'nothing_said' };
  const wordless = read(dialect, saying([{ type: 'init', session_id: 's' }, end])).outcome;
  t.match(wordless, { kind: 'no_result', retryable: true, message, details, acceptable: { needs: ['empty'] } });
  const afterTool = [{ type: 'init', session_id: 's' }, { type: 'tool_use', tool_name: 'read' }, end];
  t.match(read(dialect, saying(afterTool)).outcome, { kind: 'no_result', retryable: false, details });
  t.end();
});

void t.test('hostile lines change nothing', (t) => {
  const hostile = [
    '[]',
    '{',
    '{"type":"result"',
    '{"type":"message","role":"assistant"}',
    '{"type":"tool_result"}',
    '{"type":"error"}',
    '{"type":"init"}',
  ];
  t.match(read(dialect, saying(hostile)).outcome, { kind: 'no_result' });
  t.match(read(dialect, saying(['{"type":"result"}'])).outcome, { type: 'failed', kind: 'agent_failed' });
  t.end();
});

void t.test('its command line and its options', (t) => {
  const { argv, env } = geminiStart(
    { model: 'flash', permissions: 'full', allowTools: ['a', 'b'], extraArgs: ['--debug'] },
    { session: { id: 'x', totals: {} } },
  );
  t.strictSame(argv, [
    ...['gemini', '--skip-trust', '-o', 'stream-json', '-m', 'flash', '--approval-mode', 'yolo'],
    ...['--allowed-tools', 'a', '--allowed-tools', 'b', '--resume', 'x', '--debug', '-p', ''],
  ]);
  t.match(env, { GEMINI_CLI_NO_RELAUNCH: 'true' });
  const problems = (options: object) =>
    gemini(options)
      .problems()
      .map(({ path }) => path);
  t.strictSame(problems({ maxCostUsd: 1, denyTools: ['x'] }), ['maxCostUsd', 'denyTools']);
  t.strictSame(problems({ extraArgs: ['-y'] }), ['extraArgs[0]']);
  t.end();
});

void t.test('the doctor detects settings that are broken, or that need a missing key', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'agentcom-gemini-'));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  await mkdir(join(home, '.gemini'));
  await mkdir(join(home, 'project'));
  const login = async (env: Readonly<Record<string, string>>) => {
    const none = { GEMINI_API_KEY: '', GOOGLE_API_KEY: '', GOOGLE_APPLICATION_CREDENTIALS: '' };
    const checks = await checkGemini({
      cwd: join(home, 'project'),
      options: { bin: 'no-such-gemini', env: { HOME: home, ...none, ...env } },
    });
    return checks.find(({ check }) => check === 'login' || check === 'settings');
  };
  t.match(await login({}), { ok: false, message: /not logged in/ });
  t.match(await login({ GEMINI_API_KEY: 'k' }), { ok: true });
  await writeFile(join(home, '.gemini', 'settings.json'), '{"security":{"auth":{"selectedType":"gemini-api-key"}}}');
  t.match(await login({}), { ok: false, message: /select an API key, but none is set/ });
  t.match(await login({ GEMINI_API_KEY: 'k' }), { ok: true, message: 'login method: gemini-api-key' });
  await writeFile(join(home, '.gemini', 'settings.json'), '{"security":');
  t.match(await login({ GEMINI_API_KEY: 'k' }), { check: 'settings', ok: false, message: /is not JSON/ });
});

const GEMINI: AgentOutput = {
  started: jsonLinesOf({ type: 'init', session_id: 's', model: 'm' }),
  result: jsonLinesOf(
    { type: 'message', role: 'assistant', content: 'done', delta: true },
    { type: 'result', status: 'success', stats: {} },
  ),
  interim: jsonLinesOf(
    { type: 'message', role: 'assistant', content: 'interim', delta: true },
    { type: 'tool_use', tool_name: 'look', parameters: {} },
  ),
  failed: jsonLinesOf({ type: 'result', status: 'error', error: { type: 'unknown', message: 'terminated' } }),
};
wakeRunnerContract(
  'gemini',
  processSubject((argv, deps) => gemini({ bin: argv }).create(deps), GEMINI),
  t,
);
