/** Errors of a model's service, as each program reports them, and how they are classified. */
import t from 'tap';
import { acpDialect } from '../../../plugins/acp/dialect.ts';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { geminiDialect } from '../../../plugins/gemini/dialect.ts';
import { openclawDialect } from '../../../plugins/openclaw/dialect.ts';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import { causeOfStatus, classifyAnswer, classifyText, type FailureCause } from '../../../plugins/plugin.ts';
import { read, saying, type Reading } from './recording.ts';

const google = (code: number, message: string, reason?: string): string =>
  `[API Error: ${JSON.stringify({ error: { code, message, status: 'INVALID_ARGUMENT', ...(reason === undefined ? {} : { reason }) } })}]`;
const openai = (message: string, type = 'invalid_request_error', code: string | null = null): string =>
  JSON.stringify({ error: { message, type, code, param: null } });

/** How each program reports that its model's service failed. */
const PROGRAMS: Readonly<Record<string, (words: string, status: number | null) => Reading>> = {
  claude: (words, status) =>
    read(
      claudeDialect({ failsWhenDenied: false }),
      saying([
        { type: 'system', subtype: 'init', session_id: 's' },
        { type: 'result', subtype: 'success', is_error: true, result: words, api_error_status: status, session_id: 's' },
      ]),
    ),
  codex: (words) =>
    read(
      codexDialect({}),
      saying([
        { type: 'thread.started', thread_id: 's' },
        { type: 'turn.failed', error: { message: words } },
      ]),
    ),
  gemini: (words) =>
    read(
      geminiDialect({}),
      saying([
        { type: 'init', session_id: 's' },
        { type: 'result', status: 'error', error: { type: 'unknown', message: words } },
      ]),
    ),
  opencode: (words, status) =>
    read(
      opencodeDialect({ model: 'p/m' }),
      saying([{ type: 'error', sessionID: 's', error: { name: 'APIError', data: { message: words, statusCode: status ?? undefined } } }]),
      { end: { exitCode: 1 } },
    ),
  openclaw: (words) => read(openclawDialect, saying([{ ok: false, status: 'error', error: { message: words, kind: 'exception' } }])),
  acp: (words) =>
    read(
      acpDialect({ usageOf: 'prompt' }),
      saying([{ kind: 'error', method: 'session/prompt', error: { code: -32_603, message: words } }]),
    ),
};

type Answer = readonly [program: string, status: number | null, words: string, kind: FailureCause, retryable: boolean];
const ANSWERS: readonly Answer[] = [
  // Credit.
  ['claude', 400, 'Credit balance is too low', 'config', false],
  ['acp', null, 'Internal error: Credit balance is too low', 'config', false],
  ['codex', null, openai('You have run out of credits', 'insufficient_quota', 'insufficient_quota'), 'config', false],
  ['codex', null, 'Quota exceeded. Check your plan and billing details.', 'config', false],
  ['gemini', null, google(429, 'Your prepayment credits are depleted. Please go to AI Studio to manage your billing.'), 'config', false],
  ['opencode', 402, 'Insufficient balance', 'config', false],
  ['openclaw', null, 'API provider returned a billing error - your API key has run out of credits', 'config', false],
  // Login.
  ['claude', 401, 'Invalid API key · Please run /login', 'auth', false],
  ['claude', null, 'Not logged in · Please run /login', 'auth', false],
  ['codex', null, 'unexpected status 401 Unauthorized: no, url: http://127.0.0.1/v1/responses', 'auth', false],
  ['codex', null, openai('Incorrect API key provided: sk-x', 'invalid_request_error', 'invalid_api_key'), 'auth', false],
  ['gemini', null, google(400, 'API key not valid. Please pass a valid API key.', 'API_KEY_INVALID'), 'auth', false],
  ['gemini', null, google(403, 'Permission denied'), 'auth', false],
  ['openclaw', null, 'fake/m request failed (authentication failed, HTTP 401). Re-authenticate the provider and try again.', 'auth', false],
  ['acp', null, 'Internal error: API Error: 401 no', 'auth', false],
  // Model.
  ['claude', 404, "There's an issue with the selected model (x). It may not exist or you may not have access to it.", 'config', false],
  ['codex', null, '{"detail":"The \'gpt-x\' model is not supported when using Codex with a ChatGPT account."}', 'config', false],
  ['codex', null, openai('The model `gpt-x` does not exist or you do not have access to it.'), 'config', false],
  ['codex', null, 'The model `gpt-5.1-codex` does not exist or you do not have access to it.', 'config', false],
  ['gemini', null, google(404, 'models/x is not found for API version v1beta, or is not supported for generateContent.'), 'config', false],
  ['gemini', null, google(400, 'model x is not found'), 'config', false],
  ['acp', null, 'Internal error: Session too large to compact - context exceeds model limit even after stripping media', 'limit', false],
  ['acp', null, 'Internal error: Conversation history too large to compact - exceeds model context limit', 'limit', false],
  ['gemini', null, google(500, 'models/gemini-2.5-flash is not found for API version v1beta'), 'config', false],
  ['opencode', 404, 'model not found', 'config', false],
  // Rate limit.
  ['claude', 429, 'API Error: Request rejected (429) · This would exceed your rate limit of 30,000 input tokens', 'rate_limited', true],
  ['claude', null, 'Claude AI usage limit reached', 'rate_limited', true],
  ['codex', null, 'exceeded retry limit, last status: 429 Too Many Requests', 'rate_limited', true],
  ['codex', null, "You've hit your usage limit.", 'rate_limited', true],
  ['gemini', null, google(429, 'You exceeded your current quota'), 'rate_limited', true],
  ['opencode', 429, 'slow down', 'rate_limited', true],
  // Outage.
  ['claude', 500, 'API Error: 500 no. This is a server-side issue, usually temporary', 'model_unavailable', true],
  ['claude', 503, 'API Error: 503 no', 'model_unavailable', true],
  ['claude', 529, 'API Error: Repeated 529 Overloaded errors. The API is at capacity', 'model_unavailable', true],
  ['claude', null, 'API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)', 'model_unavailable', true],
  ['codex', null, 'unexpected status 529 <unknown status code>: no, url: http://127.0.0.1/v1/responses', 'model_unavailable', true],
  ['codex', null, 'We’re currently experiencing high demand, which may cause temporary errors.', 'model_unavailable', true],
  ['codex', null, 'stream disconnected before completion: Transport error: network error', 'model_unavailable', true],
  ['gemini', null, google(503, 'The model is overloaded. Please try again later.'), 'model_unavailable', true],
  ['gemini', null, '[API Error: terminated]', 'model_unavailable', true],
  ['opencode', 502, 'Bad Gateway', 'model_unavailable', true],
  ['openclaw', null, 'fake/m request failed (server error, HTTP 500). This is usually temporary', 'model_unavailable', true],
  ['acp', null, 'Internal error: API Error: 504 no', 'model_unavailable', true],
  ['acp', null, 'Internal error: API Error: Repeated 529 Overloaded errors.', 'model_unavailable', true],
  // Context.
  ['claude', 400, 'Prompt is too long', 'limit', false],
  ['codex', null, "Codex ran out of room in the model's context window. Start a new thread", 'limit', false],
  [
    'codex',
    null,
    openai('Your input exceeds the context window of this model.', 'invalid_request_error', 'context_length_exceeded'),
    'limit',
    false,
  ],
  ['gemini', null, google(400, 'The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).'), 'limit', false],
  ['opencode', 413, 'no', 'limit', false],
  ['openclaw', null, 'Context overflow: prompt too large for the model.', 'limit', false],
  ['acp', null, 'Internal error: Prompt is too long', 'limit', false],
  ['acp', null, 'Internal error: Request too large (max 32MB). Remove older images or compact the conversation.', 'limit', false],
  // Truncated.
  ['claude', null, "API Error: Claude's response exceeded the 32000 output token maximum.", 'limit', false],
  ['codex', null, 'stream disconnected before completion: Incomplete response returned, reason: max_output_tokens', 'limit', false],
  // Refused.
  [
    'claude',
    null,
    'API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy',
    'agent_failed',
    false,
  ],
  ['codex', null, 'stream disconnected before completion: Incomplete response returned, reason: content_filter', 'agent_failed', false],
  ['gemini', null, '[API Error: blocked: PROHIBITED_CONTENT]', 'agent_failed', false],
  ['gemini', null, 'The model response was blocked due to safety settings.', 'agent_failed', false],
  // Bad request.
  ['claude', 400, 'API Error: 400 no', 'agent_failed', false],
  ['claude', 413, 'API Error: 413 no', 'limit', false],
  ['claude', 422, 'API Error: 422 no', 'agent_failed', false],
  ['codex', null, openai('fake model says 400'), 'agent_failed', false],
  ['codex', null, 'unexpected status 422 Unprocessable Entity: no', 'agent_failed', false],
  ['gemini', null, google(400, 'no'), 'agent_failed', false],
  ['opencode', 422, 'no', 'agent_failed', false],
  // Anything else.
  ['codex', null, 'it broke', 'agent_failed', true],
  ['claude', null, 'API Error: it broke', 'agent_failed', true],
];

void t.test('R13: an error of a model service is the same failure from every program, and only some are retried', (t) => {
  for (const [program, status, words, kind, retryable] of ANSWERS) {
    const reading = PROGRAMS[program]?.(words, status);
    t.match(reading?.outcome, { type: 'failed', kind, retryable }, `${program} ${String(status)} ${words.slice(0, 60)}`);
  }
  t.end();
});

void t.test('an opencode answer that was truncated or filtered is not requested again', (t) => {
  const ended = (reason: string) =>
    read(
      opencodeDialect({ model: 'p/m' }),
      saying([
        { type: 'step_start', sessionID: 's', part: {} },
        { type: 'step_finish', sessionID: 's', part: { reason } },
      ]),
      { end: { exitCode: 0 } },
    ).outcome;
  t.match(ended('length'), { kind: 'limit', retryable: false });
  t.match(ended('content-filter'), { kind: 'agent_failed', retryable: false });
  t.match(ended('unknown'), { kind: 'no_result', retryable: true });
  t.end();
});

void t.test('a status alone, words alone, and neither', (t) => {
  t.same([400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529].map(causeOfStatus), [
    null,
    'auth',
    'config',
    'auth',
    'config',
    null,
    null,
    'rate_limited',
    'model_unavailable',
    'model_unavailable',
    'model_unavailable',
  ]);
  t.equal(classifyAnswer({}), null);
  t.equal(classifyAnswer({ status: 200, text: 'fine' }), null);
  t.equal(classifyText('Model metadata for `gpt` not found. Defaulting to fallback metadata'), null, 'only a warning of codex');
  t.end();
});
