/** How agents' ACP messages are read, tested with recordings of four real agents. */
import { readFileSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { acpDialect, type AcpDialectOptions } from '../../../plugins/acp/dialect.ts';
import { acpStream } from '../../../plugins/acp/stream.ts';
import { messageReader } from '../../../plugins/acp/messages.ts';
import { tokensOf } from '../../../plugins/acp/program-usage.ts';
import { answerOf } from '../../../plugins/acp/permission.ts';
import type { JsonObject, Session } from '../../../plugins/plugin.ts';
import { read, saying, type Reading } from './recording.ts';

interface Spoken {
  readonly to?: JsonObject;
  readonly from?: JsonObject;
}

/** The messages of one conversation, in order. */
const spoken = (name: string): readonly Spoken[] =>
  readFileSync(new URL(`./fixtures/acp/${name}.jsonl`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Spoken);

interface HowRead extends Partial<AcpDialectOptions> {
  readonly session?: Session;
}

function readMessages(messages: readonly Spoken[], { session, ...options }: HowRead = {}): Reading {
  const reader = messageReader();
  const sentMessages = messages.flatMap(({ to, from }) => {
    if (to !== undefined) reader.sent(to);
    return from === undefined ? [] : [reader.received(from)];
  });
  return read(acpDialect({ usageOf: 'prompt', ...options }), saying(sentMessages), { session: session ?? null });
}

const readCase = (name: string, how?: HowRead): Reading => readMessages(spoken(name), how);
const lastOf = (name: string): JsonObject => spoken(name).at(-1)?.from ?? {};

void t.test('a successful answer of each agent is its last message', (t) => {
  for (const agent of ['claude', 'codex', 'gemini', 'opencode']) {
    const { events, outcome, isSettledByLine } = readCase(`${agent}-text`);
    t.match(events[0], { type: 'started', sessionId: /\S/ }, agent);
    t.match(outcome, { type: 'completed', output: { text: /^FAKE-OK hello/, session_id: /\S/ } }, agent);
    t.ok(isSettledByLine);
    const worked = readCase(`${agent}-tool`, { onPermission: 'allow-once' });
    t.match(worked.outcome, { type: 'completed', output: { text: /^FAKE-DONE after 1 tool/ } }, `${agent}, after its tool`);
    const tools = worked.events.filter((event) => event.type === 'progress');
    t.match(tools, [{ message: /^uses / }], `${agent}: however and however often it reports a tool, it is one`);
    t.equal(tools.length, 1);
  }
  t.end();
});

void t.test('R20: the stored part of a message is bounded, and a truncated result is marked', (t) => {
  const content = { type: 'text', text: 'x'.repeat(100_000) };
  const piece = { jsonrpc: '2.0', method: 'session/update', params: { update: { sessionUpdate: 'agent_message_chunk', content } } };
  const [end, ...before] = [...spoken('gemini-text')].reverse();
  const pieces = Array.from({ length: 30 }, () => ({ from: piece }));
  const { outcome } = readMessages([...before.reverse(), ...pieces, ...(end === undefined ? [] : [end])]);
  t.match(outcome, { type: 'completed', output: { text_truncated: true } });
  t.ok(JSON.stringify(outcome).length < 1_100_000);
  t.end();
});

void t.test('R20: output of an agent beyond the limit is ignored, which is reported once', async (t) => {
  const observed: string[] = [];
  const line = `${JSON.stringify({ jsonrpc: '2.0', method: 'm' })}\n`;
  const { handled: over } = acpStream({
    input: new PassThrough(),
    output: Readable.from(Array.from({ length: 100 }, () => Buffer.from(line))),
    bytesMax: line.length * 5,
    clock: systemClock(),
    onUnread: () => Promise.resolve(),
    onSent: () => undefined,
    onMessage: () => Promise.resolve(void observed.push('message')),
    onNoise: () => Promise.resolve(),
    onDropped: () => undefined,
    onTooMuch: (bytesMax) => Promise.resolve(void observed.push(String(bytesMax))),
  });
  await over;
  t.same(observed, [...Array.from({ length: 5 }, () => 'message'), String(line.length * 5)]);
});

void t.test('"end_turn" is not always success: Codex uses it when its model refuses', (t) => {
  for (const [name, kind, waiting] of [
    ['codex-429', 'rate_limited', 'rate_limited'],
    ['codex-500', 'model_unavailable', 'model_unavailable'],
  ] as const) {
    t.match(lastOf(name)['result'], { stopReason: 'end_turn' }, 'the text of a success');
    const { events, outcome } = readCase(name);
    t.match(outcome, { type: 'failed', kind, retryable: true, beforeWork: true, message: /429|high demand/ }, name);
    t.match(
      events.filter((event) => event.type === 'progress'),
      [{ waiting }],
      'and what it waits for meanwhile',
    );
  }
  t.match(readCase('codex-recovered').outcome, { type: 'completed' }, 'one that becomes active again is not broken');
  t.end();
});

void t.test('any agent may report a failure as a success: one that counts its tokens and used none has not worked', (t) => {
  const ended = (result: JsonObject, text = 'Sorry.'): Reading['outcome'] => {
    const sentMessages = [
      { kind: 'answer', method: 'session/new', sessionId: 's', result: {} },
      { kind: 'update', update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } } },
      { kind: 'answer', method: 'session/prompt', result },
    ];
    return read(acpDialect({ usageOf: 'prompt' }), saying(sentMessages)).outcome;
  };
  const none = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
  t.match(ended({ stopReason: 'end_turn', usage: null }), { kind: 'model_unavailable', message: /Sorry/ });
  t.match(ended({ stopReason: 'end_turn', usage: none }, 'status 401'), { kind: 'auth' });
  const uncalled = { stopReason: 'end_turn', _meta: { quota: { token_count: { input_tokens: 0, output_tokens: 0 } } } };
  t.match(ended(uncalled), { type: 'failed', kind: 'model_unavailable' });
  t.match(ended(uncalled, ''), { kind: 'no_result', retryable: true }, 'without text nothing shows that the model is down');
  t.match(ended({ stopReason: 'end_turn' }), { type: 'completed' }, 'one that does not count');
  t.match(ended({ stopReason: 'end_turn' }, ''), { kind: 'no_result', retryable: true });
  const warning = 'Warning: Model metadata for `gpt` not found. Defaulting to fallback metadata; this can degrade performance.\n\n';
  t.match(ended({ stopReason: 'end_turn' }, warning), { kind: 'no_result' }, 'messages of Codex about itself are not an answer');
  for (const errorKind of ['__proto__', 'constructor', 'toString']) {
    const error = { code: -32_603, message: 'Internal error', data: { errorKind } };
    const refused = read(acpDialect({ usageOf: 'prompt' }), saying([{ kind: 'error', method: 'session/prompt', error }])).outcome;
    t.match(refused, { type: 'failed', kind: 'agent_failed' }, errorKind);
  }
  t.match(ended({ stopReason: 'max_tokens' }), { kind: 'limit', retryable: false });
  t.match(ended({ stopReason: 'max_turn_requests' }), { kind: 'limit' });
  t.match(ended({ stopReason: 'refusal' }), { kind: 'agent_failed', retryable: false });
  t.match(ended({}), { kind: 'agent_failed' });
  t.match(readCase('claude-cancelled').outcome, { kind: 'agent_failed', message: /"cancelled"/ }, 'nothing here had asked for it');
  t.end();
});

void t.test('R4: a dropped piece of an ACP message prevents success, a dropped tool answer does not', (t) => {
  const dialect = acpDialect({ usageOf: 'prompt' });
  const chunk = (text: string) => ({ kind: 'update', update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } } });
  const tool = (status: string) => ({ kind: 'update', update: { sessionUpdate: 'tool_call', toolCallId: 't', status } });
  /** `null`: a line that is left out. */
  const verdictOn = (...sentMessages: readonly (object | null)[]) => {
    let state = dialect.begin(null);
    for (const json of [...sentMessages, { kind: 'answer', method: 'session/prompt', result: { stopReason: 'end_turn' } }]) {
      if (json === null) state = dialect.onDropped?.(state) ?? state;
      else {
        const lineResult = dialect.onLine(state, { stream: 'stdout', text: '', json: json as JsonObject, readAtMs: 0 });
        const outcome = lineResult.events?.find(({ type }) => type === 'completed' || type === 'failed');
        if (outcome !== undefined) return outcome;
        state = lineResult.state;
      }
    }
    return undefined;
  };
  const cut = { type: 'failed', kind: 'limit', details: { reason: 'line_too_long' } };
  t.match(verdictOn(chunk('one '), null, chunk('three')), cut);
  t.match(verdictOn(tool('pending'), tool('completed'), null, chunk('three')), cut);
  t.match(verdictOn(chunk('x'), null, tool('pending'), null, chunk('done')), { type: 'completed', output: { text: 'done' } });
  t.end();
});

void t.test('refusals of the model, as each agent reports them', (t) => {
  const wanted = {
    'claude-401': 'auth',
    'codex-401': 'auth',
    'gemini-401': 'auth',
    'opencode-401': 'auth',
    'claude-429': 'rate_limited',
    'opencode-429': 'rate_limited',
    'claude-500': 'model_unavailable',
  };
  for (const [name, kind] of Object.entries(wanted)) {
    const { outcome } = readCase(name);
    t.match(outcome, { type: 'failed', phase: 'agent', kind, retryable: kind !== 'auth', beforeWork: true }, name);
  }
  t.match(readCase('gemini-401').outcome, { message: /fake model says 401$/, details: { code: 401 } }, 'not the JSON around it');
  t.end();
});

void t.test('a rejected tool ends in "end_turn" too: the result names it, or fails', (t) => {
  for (const agent of ['claude', 'gemini']) {
    t.match(readCase(`${agent}-rejected`).outcome, { type: 'completed', output: { denied: [/touch acp-rejected/] } }, agent);
    t.match(readCase(`${agent}-rejected`, { whenDenied: 'fail' }).outcome, { kind: 'denied', retryable: false }, agent);
  }
  const { outcome } = readCase('opencode-rejected');
  t.match(outcome, { kind: 'denied', message: /ended without a result/ }, 'it says nothing more');
  t.end();
});

void t.test('usage is that of the run: of a prompt, not a session, and not of the last step', (t) => {
  const claude = readCase('claude-tool', { onPermission: 'allow-once' }).usage;
  t.match(claude, { tokensUsed: 258, byModel: { 'claude-opus-5-5': { inputTokens: 244, cachedInputTokens: 40, outputTokens: 14 } } });
  t.match(readCase('codex-tool').usage, { tokensUsed: 218 });
  const gemini = readCase('gemini-tool', { onPermission: 'allow-once' }).usage;
  t.match(gemini, { tokensUsed: 218 });
  t.notMatch(JSON.stringify(gemini), 'cached', 'which it does not report');
  const opencode = { stopReason: 'end_turn', usage: { inputTokens: 82, outputTokens: 7, totalTokens: 109, cachedReadTokens: 20 } };
  t.match(lastOf('opencode-tool')['result'], opencode, 'it called its model twice, and reports one call');
  t.match(tokensOf(opencode), { tokensUsed: 109 });
  t.equal(readCase('opencode-tool', { onPermission: 'allow-once', usageOf: 'last-step' }).usage.tokensUsed, undefined);
  t.end();
});

void t.test('the earlier cost of a session is not counted again', (t) => {
  const before: Session = { id: 'f6251378-2e39-4f5f-b67b-33376c02f3be', totals: { nanoUsd: 6_076_000 } };
  const resumed = readCase('claude-resumed', { session: before });
  t.strictSame(resumed.totals, { nanoUsd: 7_744_000 }, 'of the session, for the next run');
  t.match(resumed.outcome, { type: 'completed', costUsd: 0.001668, tokensUsed: 132 });
  t.match(readCase('claude-resumed').outcome, { costUsd: 0.007744 }, 'an unknown session is counted from its beginning');
  const anew = readCase('claude-resumed', { session: { ...before, totals: { nanoUsd: 9e9 } } });
  t.match(anew.outcome, { costUsd: 0.007744 }, 'an agent whose count restarts with each process');
  t.match(readCase('claude-text', { maxCostUsd: 0.001 }).outcome, { kind: 'limit' });
  t.match(readCase('claude-text', { maxCostUsd: 0.01 }).outcome, { type: 'completed' });
  t.end();
});

void t.test('a lost session is reported with its reason, and a new one ends the task', (t) => {
  const { events, outcome } = readCase('gemini-forgotten', { onPermission: 'allow-once', session: { id: 'gone', totals: {} } });
  t.match(events[0], {
    type: 'progress',
    message: 'cannot resume its session; starting afresh: Internal error: No previous sessions found for this project.',
  });
  t.match(events[1], { type: 'started', sessionId: /\S/ });
  t.match(outcome, { type: 'completed', output: { text: /^done in turn 1/ }, tokensUsed: 254 });
  t.end();
});

void t.test('a session that turns out to be lost only at its prompt is not a failure; one that was not resumed is', (t) => {
  const messagesOf = (sessionId: string) => [
    { kind: 'answer', method: 'session/resume', sessionId, result: {} },
    {
      kind: 'error',
      method: 'session/prompt',
      error: { code: -32_603, message: 'Internal error', data: { details: `thread not found: ${sessionId}` } },
    },
  ];
  const readSession = (id: string) =>
    read(acpDialect({ usageOf: 'prompt' }), saying(messagesOf(id)), { session: { id: 'lost', totals: {} } });
  t.match(readSession('lost').events.at(-1), {
    type: 'progress',
    message: 'cannot resume its session; starting afresh: Internal error: thread not found: lost',
  });
  t.match(readSession('another').outcome, { type: 'failed', kind: 'agent_failed' });
  t.end();
});

void t.test('what Claude says about a truncated answer is not part of the answer', (t) => {
  const words = "API Error: Claude's response exceeded the 32000 output token maximum.";
  const verdictAfter = (text: string) => {
    const update = { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } };
    const refusal = { kind: 'error', method: 'session/prompt', error: { code: -32_603, message: `Internal error: ${words}` } };
    return read(acpDialect({ usageOf: 'prompt' }), saying([{ kind: 'update', update }, refusal])).outcome;
  };
  t.match(verdictAfter(words), { kind: 'limit', acceptable: { needs: ['truncated', 'empty'], output: { text: '' } } });
  t.match(verdictAfter('one, two'), { kind: 'limit', acceptable: { needs: ['truncated'], output: { text: 'one, two' } } });
  t.end();
});

void t.test('an exhausted account is reported by Codex next to an error without text', (t) => {
  const data = { message: 'Quota exceeded. Check your plan and billing details.', codexErrorInfo: 'usageLimitExceeded' };
  const refusal = { kind: 'error', method: 'session/prompt', error: { code: -32_603, message: 'Internal error', data } };
  t.match(read(acpDialect({ usageOf: 'prompt' }), saying([refusal])).outcome, {
    type: 'failed',
    kind: 'config',
    message: 'answered session/prompt with an error: Internal error: Quota exceeded. Check your plan and billing details.',
  });
  t.end();
});

void t.test('what comes before the prompt is the history of the session', (t) => {
  t.match(readCase('codex-resumed').outcome, { type: 'completed', output: { text: /^FAKE-OK resumed/ }, tokensUsed: 112 });
  const [hello, answered, ...rest] = spoken('codex-resumed');
  const old = { method: 'session/update', params: { update: { sessionUpdate: 'tool_call', toolCallId: 'old', title: 'old' } } };
  const history = Array.from({ length: 5 }, (_, index): Spoken => {
    const update = { ...old.params.update, toolCallId: `old-${String(index)}` };
    return { from: { ...old, params: { update } } };
  });
  const { outcome, events } = readMessages([hello ?? {}, answered ?? {}, ...history, ...rest], { maxTurns: 1 });
  t.equal(outcome.type, 'completed');
  t.notOk(events.some((event) => event.type === 'progress' && /old/.test(event.message ?? '')));
  t.end();
});

void t.test('its end without an answer is a failure, of its setup if it never began', (t) => {
  const ended = (exitCode: number, stderrTail: string) =>
    read(acpDialect({ usageOf: 'prompt' }), saying([], { exitCode }), { end: { stderrTail } }).outcome;
  t.match(ended(1, 'unknown option --acp'), { kind: 'config', retryable: false, message: /unknown option/ });
  t.match(ended(0, ''), { kind: 'no_result', retryable: true });
  const begun = readMessages(spoken('claude-text').slice(0, -1));
  t.match(begun.outcome, { kind: 'no_result' }, 'everything but the answer to its prompt, and exit code 0');
  t.end();
});

void t.test('an answer is chosen by the kind of its option', (t) => {
  const requested = (name: string): JsonObject =>
    (spoken(name).find(({ from }) => from?.['method'] === 'session/request_permission')?.from?.['params'] ?? {}) as JsonObject;
  const optionIds = (policy: Parameters<typeof answerOf>[0]) =>
    ['claude', 'gemini', 'opencode'].map((agent) => answerOf(policy, requested(`${agent}-tool`)).optionId);
  t.strictSame(optionIds({ onPermission: 'allow-once' }), ['allow-once', 'proceed_once', 'once']);
  t.strictSame(optionIds({}), ['reject', 'cancel', 'reject']);
  const onlyAlways = { toolCall: { kind: 'edit' }, options: [{ optionId: 'a', kind: 'allow_always' }] };
  t.match(answerOf({ onPermission: 'allow-once' }, onlyAlways), { isAllowed: false, optionId: null }, 'once is not forever');
  t.match(answerOf({}, {}), { isAllowed: false, optionId: null, tool: 'a tool' });
  t.end();
});

void t.test('nothing that an agent sends makes it throw', (t) => {
  const strange = [null, 1, 'x', [], {}, { sessionUpdate: 'tool_call' }, { sessionUpdate: 'usage_update', cost: 'much' }];
  for (const value of strange) {
    const reader = messageReader();
    reader.sent({ id: 1, method: 'session/prompt', params: value });
    const messages = [
      { method: 'session/update', params: { update: value } },
      { method: 'session/request_permission', params: value },
      { id: 7, error: value },
      { id: 1, result: value },
    ];
    t.doesNotThrow(() => read(acpDialect({ usageOf: 'prompt' }), saying(messages.map((message) => reader.received(message)))));
  }
  t.end();
});

void t.test('R20: the newest 1,000 tool calls are remembered, and all are counted', (t) => {
  const dialect = acpDialect({ usageOf: 'prompt', maxTurns: 1_500 });
  const call = (n: number): JsonObject => ({
    kind: 'update',
    update: { sessionUpdate: 'tool_call', toolCallId: `${n} ${'x'.repeat(9_999)}` },
  });
  let state = dialect.begin(null);
  let told = 0;
  for (let n = 0; n < 1_501; n += 1) {
    const lineResult = dialect.onLine(state, { stream: 'stdout', text: '', json: call(n), readAtMs: 0 });
    state = lineResult.state;
    told += (lineResult.events ?? []).filter(({ type }) => type === 'failed').length;
  }
  t.equal(state.tools.size, 1_000);
  t.equal(state.toolsAtWork.size, 1_000);
  t.ok([...state.tools].every((id) => id.length <= 256));
  t.equal(told, 1, 'and its limit counts everything that it called');
  t.end();
});
