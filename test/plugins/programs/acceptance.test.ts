/** Ends of agents that are a failure, but a result for a task that accepts them: for every program, with its messages. */
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { acpDialect } from '../../../plugins/acp/dialect.ts';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { geminiDialect } from '../../../plugins/gemini/dialect.ts';
import { openclawDialect } from '../../../plugins/openclaw/dialect.ts';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import { agentRuns, type AgentDialect, type WakeEvent, type WakeRequest } from '../../../plugins/plugin.ts';

/** Null: a line that was too long, and is left out. */
type Lines = readonly (object | null)[];

/** Everything that is reported for a run whose program prints these lines and ends with code 0. */
async function eventsOf<State>(
  dialect: AgentDialect<State>,
  lines: Lines,
  accept?: Readonly<Record<string, unknown>>,
): Promise<readonly WakeEvent[]> {
  const deps = { dataDir: '/nowhere', clock: systemClock(), log: silentLog };
  const runs = agentRuns(deps, { name: 'a', title: 'A', settings: {}, dialect });
  const request = { taskId: 'task-1', task: { description: 'x', ...(accept === undefined ? {} : { accept }) } } as unknown as WakeRequest;
  const listener = await runs.listener(request, () => Promise.resolve());
  const events: WakeEvent[] = [];
  for (const line of lines) {
    if (line === null) listener.onDropped?.({ at: 0, isObject: true });
    else events.push(...(await listener.onMessage(line as Readonly<Record<string, unknown>>)));
  }
  const last = await listener.onEnd?.({ type: 'exited', exitCode: 0, signal: null, stderrTail: '' }, true);
  listener.close?.();
  return last === undefined ? events : [...events, last];
}

const verdictIn = (events: readonly WakeEvent[]): WakeEvent | undefined =>
  events.find(({ type }) => type === 'completed' || type === 'failed');

const claudeSays = (part: object): object => ({ type: 'assistant', message: { id: 'm', model: 'm', content: [part] } });
const claudeEnds = (more: object): object => ({ type: 'result', session_id: 's', num_turns: 2, ...more });
const codexSays = (type: string, text: string): object => ({ type: 'item.completed', item: { type, text } });
const opencodeSays = (type: string, part: object = {}): object => ({ type, sessionID: 's', part });
const acpSays = (text: string): object => ({
  kind: 'update',
  update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } },
});
const ACP_TOOL = { kind: 'update', update: { sessionUpdate: 'tool_call', toolCallId: 't', status: 'completed' } };
const ACP_BEGUN = { kind: 'answer', method: 'session/new', sessionId: 's', result: {} };
const acpEnds = (stopReason: string): object => ({ kind: 'answer', method: 'session/prompt', result: { stopReason } });

type End = 'empty' | 'truncated' | 'refused';
interface Program {
  readonly tell: (lines: Lines, accept?: Readonly<Record<string, unknown>>) => Promise<readonly WakeEvent[]>;
  readonly ends: { readonly [Name in End]: { readonly lines: Lines; readonly output: object } };
  /** The text of a truncated answer is missing entirely. */
  readonly wordless: Lines;
  /** And here a piece of it was left out. */
  readonly lost?: Lines;
}

const claude = claudeDialect({ failsWhenDenied: false });
const CLAUDE_BEGUN = [
  { type: 'system', subtype: 'init', session_id: 's' },
  claudeSays({ type: 'text', text: 'I look first.' }),
  claudeSays({ type: 'tool_use', name: 'Bash' }),
];
const CLAUDE_CUT = claudeEnds({
  ...{ subtype: 'success', is_error: true, stop_reason: 'stop_sequence' },
  result: "API Error: Claude's response exceeded the 32000 output token maximum.",
});
const CODEX_CUT = {
  type: 'turn.failed',
  error: { message: 'stream disconnected before completion: Incomplete response returned, reason: max_output_tokens' },
};
const GEMINI_CUT = { type: 'result', status: 'error', error: { message: 'the response was cut off: max_output_tokens' } };

const PROGRAMS: Readonly<Record<string, Program>> = {
  claudeCode: {
    tell: (lines, accept) => eventsOf(claude, lines, accept),
    ends: {
      empty: {
        lines: [...CLAUDE_BEGUN, claudeEnds({ subtype: 'success', is_error: false, stop_reason: 'end_turn', result: '' })],
        output: { text: '', session_id: 's', turns: 2, stop_reason: 'end_turn', accepted: 'empty' },
      },
      truncated: {
        lines: [...CLAUDE_BEGUN, claudeSays({ type: 'text', text: 'one, ' }), claudeSays({ type: 'text', text: 'two' }), CLAUDE_CUT],
        output: { text: 'one, two', session_id: 's', turns: 2, stop_reason: 'max_tokens', accepted: 'truncated' },
      },
      refused: {
        lines: [claudeEnds({ subtype: 'success', is_error: true, result: 'It appears to violate our Usage Policy.' })],
        output: { text: 'It appears to violate our Usage Policy.', session_id: 's', turns: 2, stop_reason: 'refusal', accepted: 'refused' },
      },
    },
    wordless: [...CLAUDE_BEGUN, CLAUDE_CUT],
    lost: [...CLAUDE_BEGUN, null, claudeSays({ type: 'text', text: 'two' }), CLAUDE_CUT],
  },
  codex: {
    tell: (lines, accept) => eventsOf(codexDialect({}), lines, accept),
    ends: {
      empty: { lines: [{ type: 'turn.completed' }], output: { text: '', session_id: null, accepted: 'empty' } },
      truncated: {
        lines: [codexSays('agent_message', 'one, two'), CODEX_CUT],
        output: { text: 'one, two', session_id: null, stop_reason: 'max_tokens', accepted: 'truncated' },
      },
      refused: {
        lines: [{ type: 'turn.failed', error: { message: 'Incomplete response returned, reason: content_filter' } }],
        output: {
          text: 'Incomplete response returned, reason: content_filter',
          session_id: null,
          stop_reason: 'refusal',
          accepted: 'refused',
        },
      },
    },
    wordless: [codexSays('agent_message', 'I look first.'), codexSays('command_execution', ''), CODEX_CUT],
    lost: [null, CODEX_CUT],
  },
  gemini: {
    tell: (lines, accept) => eventsOf(geminiDialect({}), [{ type: 'message', role: 'user', content: 'x' }, ...lines], accept),
    ends: {
      empty: { lines: [{ type: 'result', status: 'success' }], output: { text: '', session_id: null, accepted: 'empty' } },
      truncated: {
        lines: [{ type: 'message', role: 'assistant', content: 'one, two' }, GEMINI_CUT],
        output: { text: 'one, two', session_id: null, stop_reason: 'max_tokens', accepted: 'truncated' },
      },
      refused: {
        lines: [{ type: 'result', status: 'error', error: { message: '[API Error: blocked: PROHIBITED_CONTENT]' } }],
        output: { text: '[API Error: blocked: PROHIBITED_CONTENT]', session_id: null, stop_reason: 'refusal', accepted: 'refused' },
      },
    },
    wordless: [GEMINI_CUT],
    lost: [null, GEMINI_CUT],
  },
  opencode: {
    tell: (lines, accept) => eventsOf(opencodeDialect({ model: 'p/m' }), [opencodeSays('step_start'), ...lines], accept),
    ends: {
      empty: {
        lines: [opencodeSays('step_finish', { reason: 'stop' })],
        output: { text: '', session_id: 's', stop_reason: 'stop', accepted: 'empty' },
      },
      truncated: {
        lines: [opencodeSays('text', { text: 'one, two' }), opencodeSays('step_finish', { reason: 'length' })],
        output: { text: 'one, two', session_id: 's', stop_reason: 'length', accepted: 'truncated' },
      },
      refused: {
        lines: [opencodeSays('text', { text: 'I cannot help.' }), opencodeSays('step_finish', { reason: 'content-filter' })],
        output: { text: 'I cannot help.', session_id: 's', stop_reason: 'content-filter', accepted: 'refused' },
      },
    },
    wordless: [opencodeSays('step_finish', { reason: 'length' })],
    lost: [null, opencodeSays('text', { text: 'two' }), opencodeSays('step_finish', { reason: 'length' })],
  },
  openclaw: {
    tell: (lines, accept) => eventsOf(openclawDialect, lines, accept),
    ends: {
      empty: {
        lines: [{ ok: true, status: 'ok', final: '', assistantTurns: 1 }],
        output: { text: '', session_id: null, turns: 1, accepted: 'empty' },
      },
      truncated: {
        lines: [{ ok: false, status: 'error', final: 'one, two', error: { message: 'stopped: max_tokens' } }],
        output: { text: 'one, two', session_id: null, turns: 0, stop_reason: 'max_tokens', accepted: 'truncated' },
      },
      refused: {
        lines: [{ ok: false, status: 'error', error: { message: 'blocked by content_filter' } }],
        output: { text: 'blocked by content_filter', session_id: null, turns: 0, stop_reason: 'refusal', accepted: 'refused' },
      },
    },
    wordless: [{ ok: false, status: 'error', error: { message: 'stopped: max_tokens' } }],
  },
  acp: {
    tell: (lines, accept) => eventsOf(acpDialect({ usageOf: 'prompt' }), [ACP_BEGUN, ...lines], accept),
    ends: {
      empty: {
        lines: [acpEnds('end_turn')],
        output: { text: '', stop_reason: 'end_turn', session_id: 's', accepted: 'empty' },
      },
      truncated: {
        lines: [acpSays('I look first.'), ACP_TOOL, acpSays('one, '), acpSays('two'), acpEnds('max_tokens')],
        output: { text: 'one, two', session_id: 's', stop_reason: 'max_tokens', accepted: 'truncated' },
      },
      refused: {
        lines: [acpSays('I cannot help.'), acpEnds('refusal')],
        output: { text: 'I cannot help.', session_id: 's', stop_reason: 'refusal', accepted: 'refused' },
      },
    },
    wordless: [acpSays('I look first.'), ACP_TOOL, acpEnds('max_tokens')],
    lost: [acpSays('one, '), null, acpEnds('max_tokens')],
  },
};
const ENDS = ['empty', 'truncated', 'refused'] as const;

void t.test('R4: an end that a task accepts is its result, which names it; for any other task it is a failure', async (t) => {
  for (const [name, { tell, ends }] of Object.entries(PROGRAMS)) {
    for (const end of ENDS) {
      const { lines, output } = ends[end];
      const others = Object.fromEntries(ENDS.map((each) => [each, each !== end]));
      for (const accept of [undefined, {}, others, { [end]: 'yes' }]) {
        const refused = verdictIn(await tell(lines, accept));
        t.match(refused, { type: 'failed' }, `${name}: ${end} for a task that does not accept it`);
        t.notOk(refused !== undefined && 'acceptable' in refused, 'and what it might have been is not reported');
      }
      const taken = verdictIn(await tell(lines, { [end]: true }));
      t.equal(taken?.type, 'completed', `${name}: ${end}`);
      t.same(taken?.type === 'completed' ? taken.output : null, output, `${name}: ${end}`);
    }
  }
});

void t.test('R4: a task may accept a truncated answer: an empty one only with "empty", and never one with a gap', async (t) => {
  for (const [name, { tell, wordless, lost }] of Object.entries(PROGRAMS)) {
    t.match(verdictIn(await tell(wordless, { truncated: true })), { type: 'failed', kind: 'limit' }, name);
    t.match(verdictIn(await tell(wordless, { truncated: true, empty: true })), { type: 'completed', output: { text: '' } }, name);
    if (lost === undefined) continue;
    t.match(
      verdictIn(await tell(lost, { truncated: true, empty: true })),
      { type: 'failed', kind: 'limit' },
      `${name}: a piece is missing`,
    );
  }
});

void t.test('an accepted end counts its usage, and no task can accept other failures', async (t) => {
  const accept = { empty: true, truncated: true, refused: true };
  const used = { m: { inputTokens: 5, outputTokens: 2, costUSD: 0.5 } };
  const ended = claudeEnds({ subtype: 'success', is_error: false, result: '', model_usage_since_last_result: used });
  t.match(verdictIn(await eventsOf(claude, [ended], accept)), { type: 'completed', tokensUsed: 7, costUsd: 0.5 });
  for (const result of ['API Error: 429 no', 'Credit balance is too low', 'Prompt is too long', 'it broke']) {
    t.match(
      verdictIn(await eventsOf(claude, [claudeEnds({ subtype: 'success', is_error: true, result })], accept)),
      { type: 'failed' },
      result,
    );
  }
  t.match(verdictIn(await eventsOf(claude, [], accept)), { type: 'failed', kind: 'no_result' }, 'it ended without a result');
  const { tell } = PROGRAMS['acp'] as Program;
  t.match(verdictIn(await tell([acpSays('x'), acpEnds('max_turn_requests')], accept)), { type: 'failed', kind: 'limit' });
});

void t.test('a result has the stop reason of the model where the program reports it', async (t) => {
  const outputs = await Promise.all([
    eventsOf(claude, [claudeEnds({ subtype: 'success', is_error: false, stop_reason: 'end_turn', result: 'done' })]),
    PROGRAMS['opencode']?.tell([opencodeSays('text', { text: 'done' }), opencodeSays('step_finish', { reason: 'stop' })]),
    PROGRAMS['acp']?.tell([acpSays('done'), acpEnds('end_turn')]),
  ]);
  t.match(
    outputs.map((events = []) => verdictIn(events)),
    ['end_turn', 'stop', 'end_turn'].map((reason) => ({ type: 'completed', output: { text: 'done', stop_reason: reason } })),
  );
});
