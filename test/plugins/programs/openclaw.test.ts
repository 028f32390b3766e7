/** How the output of OpenClaw is read, tested with recordings of the real program, and how it is started. */
import t from 'tap';
import { openclawDialect } from '../../../plugins/openclaw/dialect.ts';
import { openclawStart } from '../../../plugins/openclaw/index.ts';
import type { WakeRequest } from '../../../plugins/plugin.ts';
import { openclaw, openclawHook } from '../../../plugins/runners.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { processSubject, type AgentOutput } from '../../product/contracts/runner/process-subject.ts';
import { read, recorded, saying } from './recording.ts';

const readCase = (name: string) => read(openclawDialect, recorded('openclaw', name));

void t.test('a success is the object that it prints at the end, over many lines', (t) => {
  const { outcome, isSettledByLine, events } = readCase('json');
  t.match(outcome, { type: 'completed', output: { text: /^FAKE-OK hello/, turns: 1 }, tokensUsed: 108, costUsd: 0.000095 });
  t.match(outcome, { byModel: { 'fake/m': { inputTokens: 101, cachedInputTokens: 20, outputTokens: 7 } } });
  t.ok(isSettledByLine);
  t.strictSame(
    events.map(({ type }) => type),
    ['usage'],
    'nothing in its log counts',
  );
  t.match(read(openclawDialect, saying([{ ok: true, status: 'ok', final: 'x' }])).outcome, { type: 'completed' }, 'also in one line');
  t.end();
});

void t.test('half an object, or none, is not a success', (t) => {
  const half = recorded('openclaw', 'json');
  t.match(read(openclawDialect, { ...half, lines: half.lines.slice(0, -1) }).outcome, { type: 'failed', kind: 'no_result' });
  t.match(read(openclawDialect, saying([])).outcome, { kind: 'no_result' });
  t.match(readCase('hang-term').outcome, { kind: 'no_result', retryable: true });
  t.match(read(openclawDialect, saying(['{"ok":true}'])).outcome, { type: 'failed' }, 'ok without its status');
  t.end();
});

void t.test('the kind of a failure is found in its message', (t) => {
  const wanted = {
    '401': { kind: 'auth', retryable: false },
    '400': { kind: 'agent_failed', retryable: false },
    timeout: { kind: 'limit', retryable: false },
    node20: { kind: 'config', retryable: false, beforeWork: true },
    'gateway-down': { kind: 'config', retryable: false, beforeWork: true },
  };
  for (const [name, failure] of Object.entries(wanted)) {
    t.match(readCase(name).outcome, { type: 'failed', message: /\S/, ...failure, details: { cause: failure.kind } }, name);
  }
  t.end();
});

void t.test('R4: a truncated answer, an empty one and one in an overlong line are not a success', (t) => {
  const object = (more: Readonly<Record<string, unknown>>) => read(openclawDialect, saying([{ ok: true, status: 'ok', ...more }])).outcome;
  const note = "⚠️ Reply truncated at the model's output token limit. The text above is partial — ask to continue it.";
  const payloads = [{ text: 'the beginning' }, { text: note }];
  t.match(object({ final: `the beginning\n${note}`, payloads }), {
    type: 'failed',
    kind: 'limit',
    retryable: false,
    acceptable: { needs: ['truncated'], output: { text: 'the beginning' } },
  });
  t.match(object({ final: `it says "${note}"`, payloads: [{ text: `it says "${note}"` }] }), { type: 'completed' });
  const error = { message: "Agent couldn't generate a response. Please try again." };
  t.match(object({ ok: false, status: 'error', error }), { kind: 'no_result', acceptable: { needs: ['empty'] } });
  const silent = { message: 'LLM request timed out.', kind: 'timeout' };
  t.match(object({ ok: false, status: 'timeout', error: silent }), { kind: 'model_unavailable' }, 'its model, not its own time limit');
  const parts = ['{', '  "ok": true,', null, '  "status": "ok"', '}'];
  let state = openclawDialect.begin(null);
  const events: unknown[] = [];
  for (const text of parts) {
    if (text === null) {
      state = openclawDialect.onDropped?.(state) ?? state;
      continue;
    }
    const lineResult = openclawDialect.onLine(state, { stream: 'stdout', text, json: null, readAtMs: 0 });
    state = lineResult.state;
    events.push(...(lineResult.events ?? []));
  }
  t.match(events.at(-1), { type: 'failed', kind: 'limit', details: { reason: 'line_too_long' } });
  t.end();
});

void t.test('that it retries by itself is reported', (t) => {
  const { events, outcome } = readCase('429-stopped');
  t.strictSame(events, [{ type: 'progress', message: 'waiting for the model: retry 1 of 9 (rate_limit)', waiting: 'rate_limited' }]);
  t.match(outcome, { kind: 'no_result' });
  t.end();
});

void t.test('its pause of a minute after a failed login is not a failed login', (t) => {
  t.match(readCase('cooldown-1').outcome, { kind: 'auth', retryable: false }, 'the one that failed is');
  t.match(readCase('cooldown-2').outcome, { kind: 'rate_limited', retryable: true, retryAfterMs: 60_000, beforeWork: true });
  t.end();
});

void t.test('usage counts although the provider or the model is not named', (t) => {
  const usage = { input: 100, cacheRead: 20, output: 7 };
  const usageOf = (names: object, more: object = {}) =>
    read(openclawDialect, saying([{ ok: true, status: 'ok', final: 'x', usage, costUsd: 0.5, ...more, ...names }])).usage;
  const byModel = (name: string) => ({ [name]: { inputTokens: 120, cachedInputTokens: 20, outputTokens: 7, costUsd: 0.5 } });
  t.strictSame(usageOf({ provider: 'p', model: 'm' }), { tokensUsed: 127, costUsd: 0.5, byModel: byModel('p/m') });
  t.strictSame(usageOf({ provider: null, model: 'm' }), { tokensUsed: 127, costUsd: 0.5, byModel: byModel('m') });
  t.strictSame(usageOf({ provider: 'p' }), { tokensUsed: 127, costUsd: 0.5, byModel: undefined });
  t.strictSame(usageOf({}, { usage: undefined, costUsd: undefined }), {}, 'nothing was reported');
  t.end();
});

void t.test('a startup error after warnings is a problem of the config', (t) => {
  const stderrTail = '(node:1) Warning: a feature is experimental\nopenclaw: plugin "x" cannot be loaded';
  const outcomeOf = (text: string) => read(openclawDialect, saying([]), { end: { exitCode: 1, stderrTail: text } }).outcome;
  t.match(outcomeOf(stderrTail), { kind: 'config', retryable: false, beforeWork: true });
  t.match(outcomeOf('it says "openclaw: " within a line'), { kind: 'no_result', beforeWork: undefined });
  t.end();
});

void t.test('R4: an object in the log does not hide that a line was dropped or the result was too long', (t) => {
  const block = ['{', '  in the log', '}'];
  const after = (lines: readonly string[], state = openclawDialect.begin(null)) => {
    let events: readonly unknown[] = [];
    for (const text of lines) ({ state, events = [] } = openclawDialect.onLine(state, { stream: 'stdout', text, json: null, readAtMs: 0 }));
    return { state, events };
  };
  const dropped = openclawDialect.onDropped?.(openclawDialect.begin(null));
  const { events } = after([...block, '{', '  "ok": true,', '  "status": "ok"', '}'], dropped);
  t.match(events.at(-1), { kind: 'limit', details: { reason: 'line_too_long' } });
  const tooLong = after(['{', `"x": "${'x'.repeat(4 * 1024 * 1024)}"`, '}', ...block]).state;
  const end = { exitCode: 0, signal: null, stderrTail: '', droppedLines: 0 };
  t.match(openclawDialect.onEnd(tooLong, end), { kind: 'no_result', message: /more than 4194304 characters/ });
  t.end();
});

void t.test('hostile lines change nothing', (t) => {
  t.match(read(openclawDialect, saying(['}', '[', '{', '{', '}', 'x'.repeat(5_000_000)])).outcome, { kind: 'no_result' });
  const log = ['{ is how the log begins', 'a line', '}', '{', '  "ok": true,', '  "status": "ok",', '  "final": "x"', '}'];
  t.match(read(openclawDialect, saying(log)).outcome, { type: 'completed' });
  const flood = saying(['{', ...Array.from({ length: 200_000 }, () => '"x": "0123456789012345678901234567890",'), '}']);
  t.match(read(openclawDialect, flood).outcome, { kind: 'no_result', message: /more than 4194304 characters/ });
  t.end();
});

void t.test('its command line and its options', (t) => {
  const request = { task: { description: 'x', run_max_ms: 90_500 } } as unknown as WakeRequest;
  const { argv } = openclawStart(
    { model: 'a/b', configFile: 'claw.json', extraArgs: ['--thinking', 'off'] },
    { request, baseDir: '/srv/agent' },
  );
  t.strictSame(argv, [
    ...['openclaw', 'agent', 'exec', '--json', '--cwd', '/srv/agent', '--config', '/srv/agent/claw.json', '--model', 'a/b'],
    ...['--timeout', '121', '--thinking', 'off', '--message-file', '-'],
  ]);
  const problems = (options: object) =>
    openclaw(options)
      .problems()
      .map(({ path }) => path);
  const refused = problems({ permissions: 'full', session: 'resume', maxTurns: 1, startWithinMs: 1 });
  t.strictSame([...refused].sort(), ['maxTurns', 'permissions', 'session', 'startWithinMs']);
  t.strictSame(problems({ extraArgs: ['--timeout=1'] }), ['extraArgs[0]']);
  t.strictSame(openclawHook({ url: 'http://127.0.0.1:18789/hooks/agent', token: 't' }).problems(), []);
  t.match(openclawHook({ url: 'http://127.0.0.1:18789/hooks/agent', token: 't' }).options, {
    body: { deliver: false, message: '${PROMPT}' },
  });
  t.end();
});

const OPENCLAW: AgentOutput = {
  interim: '', // It says nothing before its result.
  started: '',
  result: `${JSON.stringify({ ok: true, status: 'ok', final: 'done' }, null, 2)}\n`,
  failed: `${JSON.stringify({ ok: false, status: 'error', error: { message: 'HTTP 500' } }, null, 2)}\n`,
};
wakeRunnerContract(
  'openclaw',
  processSubject((argv, deps) => openclaw({ bin: argv }).create(deps), OPENCLAW),
  t,
);
