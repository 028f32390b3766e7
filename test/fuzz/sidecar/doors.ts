/** The entry points of a sidecar: where input from others arrives. */
import fc from 'fast-check';
import { pack, unpack } from '../../../adapters/journal-file/envelope.ts';
import { EMPTY_JOURNAL, readJournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { readChecks, readWakeEvent } from '../../../core/application/sidecar/state/runner-events.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { readProgress, readResult } from '../../../core/protocol/agent-files.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas, type HubFrame } from '../../../core/protocol/hub-frames.ts';
import { badFrameOf } from '../../../core/application/sidecar/link/bad-frame.ts';
import { acpDialect } from '../../../plugins/acp/dialect.ts';
import { messageReader } from '../../../plugins/acp/messages.ts';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { lastLineDialect } from '../../../plugins/command/dialect.ts';
import { geminiDialect } from '../../../plugins/gemini/dialect.ts';
import { openclawDialect } from '../../../plugins/openclaw/dialect.ts';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import type { AgentDialect, JsonObject } from '../../../plugins/plugin.ts';
import { objectIn } from '../../../plugins/run-kit/output/json-lines.ts';
import { named, stage, working } from '../../core/sidecar/rig/stage.ts';
import { everyLine } from '../../plugins/programs/recording.ts';
import type { Chooser } from '../hostile/choose.ts';
import { atWork, LOGGED_MAX, wrongIn } from './taken.ts';
import { fromSchemas, hurt, oddValues, pick, pooled, varied, type Pool } from './vary.ts';

/** `taken`: within all bounds; `refused`: with a message of bounded length; otherwise a violation. */
export type Answer = 'taken' | 'refused' | readonly string[];

export interface Door {
  readonly name: string;
  /** One in this many values goes here: some entry points are opened once per process, and cost more. */
  readonly share: number;
  next(choose: Chooser): unknown;
  give(value: unknown): Answer;
}

/** Values of each kind that are generated at the start. */
const POOL = 2_000;
/** Lines of one conversation. */
const LINES = 2_000;
const NAME = named();

const answer = (wrong: readonly string[], taken = true): Answer => (wrong.length > 0 ? wrong : taken ? 'taken' : 'refused');
const tooLong = (text: string): readonly string[] => (text.length <= LOGGED_MAX ? [] : [`a refusal of ${text.length} characters`]);

export function doorsOf(seed: number, pool = POOL): readonly Door[] {
  const odd = oddValues(pool, seed);
  return [hubFrames(odd, seed, pool), ...agentFiles(odd, seed, pool), ...runnerWords(odd, seed, pool), ...dialects(odd), journal(odd)];
}

/** JSON values, varied in one place, as text that is sometimes damaged. */
const texts = (values: Pool<unknown>, odd: Pool<unknown>) => (choose: Chooser) => {
  const value = pick(values, choose);
  const text = JSON.stringify(choose.oneIn(2) ? varied(value, odd, choose) : value) ?? '';
  return choose.oneIn(8) ? hurt(text, choose) : text;
};

function hubFrames(odd: Pool<unknown>, seed: number, pool: number): Door {
  const parseFrame = frameParser<HubFrame>(hubSchemas);
  const take = atWork();
  const numbers = [0, -1, 1, 0.5, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e308, -1e308, 5e-324];
  const policies = fc.record(
    Object.fromEntries(Object.keys(hubSchemas.identified.properties.policy.properties).map((name) => [name, fc.constantFrom(...numbers)])),
  );
  const identified = fc
    .sample(policies, { numRuns: pool / 4, seed })
    .map((policy) => ({ type: 'identified', agent_id: 'worker-1', protocol_version: 2, store_id: 'store-1', held: [], policy }));
  // About the task that it works on, half of the time: otherwise most would be about tasks that it never had.
  const own = (frame: unknown, n: number): unknown =>
    n % 2 === 0 && typeof frame === 'object' && frame !== null && 'task_id' in frame
      ? { ...frame, task_id: NAME.taskId, generation: (n % 3) + 1 }
      : frame;
  const frames = pooled([...fromSchemas(Object.values(hubSchemas), pool, seed).map(own), ...identified]);
  return {
    name: 'frames of the hub',
    share: 1,
    next: texts(frames, odd),
    give(text) {
      const found = parseFrame(text as string);
      if (found.kind !== 'frame') return answer(tooLong(JSON.stringify(badFrameOf(found))), false);
      return answer(take(({ state }) => ({ type: 'frame', connectionId: state.link.connectionId, frame: found.frame })));
    },
  };
}

function agentFiles(odd: Pool<unknown>, seed: number, pool: number): readonly Door[] {
  const [takeResult, takeProgress] = [atWork(), atWork()];
  const results = pooled(
    fc.sample(
      fc.record(
        {
          status: fc.constantFrom('success', 'failed', 'done'),
          output: fc.jsonValue(),
          reason: fc.string(),
          tokens_used: fc.nat(),
          cost_usd: fc.double(),
          files: fc.array(fc.string()),
        },
        { requiredKeys: ['status'] },
      ),
      { numRuns: pool, seed },
    ) as readonly unknown[],
  );
  const lines = pooled(
    fc.sample(fc.record({ percent: fc.double(), message: fc.string(), tokens_used: fc.nat() }, { requiredKeys: [] }), {
      numRuns: pool,
      seed,
    }) as readonly unknown[],
  );
  return [
    {
      name: 'result files',
      share: 1,
      next: texts(results, odd),
      give(text) {
        const read = readResult(text as string);
        if (read.kind === 'unreadable') return answer(tooLong(read.why), false);
        return answer(
          takeResult(() => ({
            type: 'file_event',
            event: { kind: 'result', assignment: NAME, value: read.value, replaced: read.replaced },
          })),
        );
      },
    },
    {
      name: 'progress files',
      share: 1,
      next: texts(lines, odd),
      give(text) {
        const read = readProgress(text as string);
        if (read === null) return 'refused';
        return answer(takeProgress(() => ({ type: 'file_event', event: { kind: 'progress', assignment: NAME, ...read } })));
      },
    },
  ];
}

/** Events as a runner may yield them, which are not JSON: they may change on each read, or throw. */
function runnerWords(odd: Pool<unknown>, seed: number, pool: number): readonly Door[] {
  const [takeEvent, takeChecks] = [atWork(), atWork()];
  const used = {
    tokensUsed: 12,
    costUsd: 0.5,
    byModel: { 'a-model': { inputTokens: 10, cachedInputTokens: 4, outputTokens: 2, costUsd: 0.5 } },
  };
  const events: readonly unknown[] = [
    { type: 'spawned', process: { pid: 17, startTime: '1', bootId: 'boot' } },
    { type: 'woken' },
    { type: 'started', sessionId: 'session-1' },
    { type: 'progress', percent: 5, message: 'at work' },
    { type: 'output', stream: 'stdout', text: 'words' },
    { type: 'usage', ...used },
    { type: 'completed', output: { text: 'done', list: [1, { deep: [null] }] }, ...used },
    {
      type: 'failed',
      phase: 'spawn',
      kind: 'auth',
      message: 'no',
      retryable: false,
      retryAfterMs: 5,
      beforeWork: true,
      details: { a: [1] },
    },
    { type: 'failed', phase: 'agent', kind: 'model_unavailable', message: 'no', retryable: true, retryAfterMs: 5_000, details: {} },
    { type: 'exited', exitCode: 0, signal: null, stderrTail: 'last', survivors: [1, 2] },
    { type: 'stopped', survivors: [3] },
  ];
  const checks = pooled(
    fc.sample(fc.array(fc.record({ check: fc.string(), ok: fc.boolean(), message: fc.string() }), { maxLength: 80 }), {
      numRuns: pool,
      seed,
    }) as readonly unknown[],
  );
  const knot: Record<string, unknown> = {};
  knot['knot'] = knot;
  const strange: readonly unknown[] = [
    NaN,
    Infinity,
    -Infinity,
    1n,
    Symbol('symbol'),
    () => 1,
    knot,
    new Date(NaN),
    new Map([[1, 2]]),
    Object.create(null),
    new Proxy({}, { get: () => { throw new Error('not to be read'); }, ownKeys: () => { throw new Error('not to be listed'); } }), // prettier-ignore
    { toJSON: () => ({ deep: 'x'.repeat(100_000) }) },
    { get message(): string { throw new Error('x'.repeat(500_000)); } }, // prettier-ignore
    { length: 2 ** 53 },
    new Array(1_000_000),
  ];
  const oddest: Pool<unknown> = { small: [...odd.small, ...strange.slice(0, -1)], big: [...odd.big, ...strange.slice(-1)] };
  return [
    {
      name: 'events of a runner',
      share: 1,
      next: (choose) => (choose.oneIn(50) ? pick(oddest, choose) : varied(choose.of(events), oddest, choose)),
      give(value) {
        const readEvent = readWakeEvent(value);
        const { runId } = RUN;
        if (readEvent.kind === 'event')
          return answer(takeEvent(() => ({ type: 'wake_event', assignment: NAME, runId, event: readEvent.event })));
        const wrong = takeEvent(() => ({
          type: 'invalid_wake_event',
          assignment: NAME,
          runId,
          reason: readEvent.reason,
          message: readEvent.message,
        }));
        return answer([...tooLong(readEvent.message), ...wrong], false);
      },
    },
    {
      name: 'checks of a runner',
      share: 1,
      next: (choose) => (choose.oneIn(50) ? pick(oddest, choose) : varied(pick(checks, choose), oddest, choose)),
      give: (value) => answer(takeChecks(() => ({ type: 'runner_checked', checks: readChecks(value) }))),
    },
  ];
}

const RUN = { runId: working().slot()?.run?.runId ?? '' };

/** Lines of recordings, varied, in conversations without an end of their own. */
function dialects(odd: Pool<unknown>): readonly Door[] {
  const plain = (program: string): readonly unknown[] =>
    everyLine(program).flatMap((line) => {
      const reported = JSON.parse(line) as Readonly<Record<string, unknown>>;
      return [reported['stdout'] ?? reported['stderr']];
    });
  // It prints one object, over many lines.
  const wholeObjects = (program: string): readonly unknown[] =>
    [...plain(program).filter((line) => typeof line === 'string').join('\n').matchAll(/^\{\n[^]*?^\}$/gm)].map(([text]) => JSON.parse(text) as unknown); // prettier-ignore
  const toAcp = messageReader();
  toAcp.sent({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} });
  toAcp.sent({ jsonrpc: '2.0', id: 1, method: 'session/new', params: {} });
  toAcp.sent({ jsonrpc: '2.0', id: 2, method: 'session/prompt', params: {} });
  const messages = everyLine('acp').flatMap((line) => {
    const { from } = JSON.parse(line) as { readonly from?: unknown };
    return from === undefined ? [] : [from];
  });
  let calls = 0;
  const acpRead = (json: JsonObject | null): JsonObject | null => {
    if (json === null) return null;
    calls += 1;
    // Another tool each time.
    if (calls % 4 === 0) return { kind: 'update', update: { sessionUpdate: 'tool_call', toolCallId: `call-${calls}`, title: 'a tool' } };
    // Each answer may be to the prompt.
    toAcp.sent({ jsonrpc: '2.0', id: json['id'], method: 'session/prompt', params: {} });
    return toAcp.received(json);
  };
  return [
    conversation('lines of claude', claudeDialect({ failsWhenDenied: true }), plain('claude'), odd),
    conversation('lines of codex', codexDialect({ maxTurns: undefined }), plain('codex'), odd),
    conversation('lines of gemini', geminiDialect({}), plain('gemini'), odd),
    conversation('lines of opencode', opencodeDialect({ model: 'a/b' }), plain('opencode'), odd),
    conversation('objects of openclaw', openclawDialect, wholeObjects('openclaw'), odd),
    conversation('last lines of a command', lastLineDialect({ 3: 'auth' }), [{ status: 'success', output: 1 }, { percent: 1, message: 'x' }, { status: 'failed', reason: 'x', retryable: false }], odd), // prettier-ignore
    conversation('messages over ACP', acpDialect({ usageOf: 'prompt' }), messages, odd, acpRead),
  ];
}

function conversation<State>(
  name: string,
  dialect: AgentDialect<State>,
  values: readonly unknown[],
  odd: Pool<unknown>,
  read: (json: JsonObject | null) => JsonObject | null = (json) => json,
): Door {
  const lines = pooled(values);
  const take = atWork();
  let state = dialect.begin(null);
  let count = 0;
  const judge = (event: unknown): readonly string[] => {
    const readEvent = readWakeEvent(event);
    if (readEvent.kind === 'invalid')
      return readEvent.reason === 'invalid_event' ? [`its reader said ${readEvent.message}`] : tooLong(readEvent.message);
    return take(() => ({ type: 'wake_event', assignment: NAME, runId: RUN.runId, event: readEvent.event }));
  };
  return {
    name,
    share: 1,
    next: (choose) => {
      const line = pick(lines, choose);
      // Not everything that they print is JSON.
      if (typeof line === 'string') return choose.oneIn(4) ? hurt(line, choose) : line;
      return texts({ small: [line], big: [] }, odd)(choose);
    },
    give(text) {
      const json = read(objectIn(text as string));
      const lineResult = dialect.onLine(state, { stream: 'stdout', text: text as string, json, readAtMs: 1_800_000_000_000 });
      state = lineResult.state;
      count += 1;
      const wrong = (lineResult.events ?? []).flatMap((event) => (event.type === 'session_gone' ? tooLong(event.message) : judge(event)));
      const verdict = lineResult.answer === undefined ? [] : judge(lineResult.answer.outcome);
      if (count % LINES !== 0) return answer([...wrong, ...verdict], json !== null);
      const end = dialect.onEnd(state, { exitCode: 0, signal: null, stderrTail: text as string, droppedLines: 0 });
      state = dialect.begin(count % (2 * LINES) === 0 ? null : { id: 'session-1', totals: {} });
      return answer([...wrong, ...verdict, ...(end.type === 'session_gone' ? tooLong(end.message) : judge(end))]);
    },
  };
}

/** A file forged by an attacker who knows how digests are computed. What is accepted must be something that a sidecar can start with. */
function journal(odd: Pool<unknown>): Door {
  const before = working().state.journal;
  const states: readonly unknown[] = [
    EMPTY_JOURNAL,
    JSON.parse(JSON.stringify(before)),
    { ...before, outbox: [{ ...NAME, report: 'released', reason: 'x', storeId: null, assignedAtMs: 1, keepFiles: false }], ended: [] },
  ];
  return {
    name: 'the journal on disk',
    share: 8,
    next: (choose) => {
      const state = varied(choose.of(states), odd, choose);
      const bytes = pack(JSON.stringify(state) ?? '', null);
      return choose.oneIn(4) ? bytes.subarray(0, choose.below(bytes.length)) : bytes;
    },
    give(bytes) {
      try {
        const found = unpack(bytes as Buffer);
        if (found.kind !== 'good') return 'refused';
        const started = stage({}, readJournalState(found.state));
        return answer([...started.take({ type: 'start' }), ...started.identify()].flatMap(wrongIn));
      } catch (thrown) {
        if (AgentcomError.is(thrown)) return answer(tooLong(thrown.message), false);
        throw thrown;
      }
    },
  };
}
