/** The part that all runners of agent programs share: what settles a run, what ends it, and what is kept of its session. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import {
  agentFailed,
  agentProgram,
  agentPrompt,
  amountOf,
  countOf,
  DEFAULT_PROMPT,
  describeEnd,
  objectOf,
  promptProblems,
  type AgentDialect,
  type AgentProgramOptions,
  type AgentRunSettings,
  type FailureCause,
  type ParsedEvent,
  type Session,
  type WakeEvent,
  type WakeRequest,
} from '../../../plugins/plugin.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { FAKE_AGENT, writeWords } from '../../product/contracts/runner/process-subject.ts';
import { atWork, carriersOf, runWorld, type RunWorld } from '../run-world.ts';

/** Lines are events as they are; `totals` of a line cover the session. A tool is work. */
const plainly: AgentDialect<{ readonly mayHaveSideEffects: boolean }> = {
  begin: () => ({ mayHaveSideEffects: false }),
  onLine(state, { json }) {
    if (json === null) return { state };
    if (json['type'] === 'tool') return { state: { mayHaveSideEffects: true } };
    if (json['type'] === 'session_gone') return { state, events: [{ type: 'session_gone', message: 'no such session' }] };
    if (json['type'] === 'answer') {
      const outcome = { type: 'completed', output: json['text'] } as const;
      return { state, answer: { outcome, isAtWork: json['at_work'] === true } };
    }
    if (json['type'] === 'totals') return { state, totals: { tokens: countOf(json['tokens']), usd: amountOf(json['usd']) } };
    const event = json as unknown as ParsedEvent;
    const isKnown = ['started', 'progress', 'completed', 'failed'].includes(event.type);
    return { state, events: isKnown ? [event] : [] };
  },
  onEnd: ({ mayHaveSideEffects }, end) => agentFailed({ kind: 'no_result', message: describeEnd(end), mayHaveSideEffects }),
};

const SESSION = '{"type":"started","sessionId":"s-1"}\n';
const GONE = '{"type":"session_gone"}\n';
const WORDS = {
  started: SESSION,
  result: '{"type":"completed","output":1}\n',
  failed: '{"type":"failed","phase":"agent","kind":"auth","message":"who are you?","retryable":false}\n',
};

interface Tried {
  readonly words?: Readonly<Record<string, string>>;
  readonly settings?: AgentRunSettings;
  readonly more?: Partial<AgentProgramOptions<{ readonly mayHaveSideEffects: boolean }>>;
  /** Called with the session that each start continues. */
  readonly sessions?: (Session | null)[];
}

async function runnerOf(world: RunWorld, behavior: string, { words = WORDS, settings = {}, more = {}, sessions = [] }: Tried = {}) {
  const { baseDir } = world;
  const folder = await writeWords(join(baseDir, 'words'), words);
  const deps = { baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
  return agentProgram(deps, {
    name: 'plain',
    title: 'Plain',
    settings: { graceMs: 200, ...settings },
    start({ session }) {
      sessions.push(session);
      return { argv: ['sh', FAKE_AGENT, behavior, folder] };
    },
    dialect: plainly,
    ...more,
  });
}

const never = (): AbortSignal => new AbortController().signal;
const eventsOf = async (world: RunWorld, behavior: string, tried: Tried = {}, request?: WakeRequest): Promise<readonly WakeEvent[]> =>
  all((await runnerOf(world, behavior, tried)).wake(request ?? (await world.request()), never()));
const types = (events: readonly WakeEvent[]): readonly string[] => events.map(({ type }) => type).filter((type) => type !== 'output');

const withRuns = (title: string, run: (t: Test, world: RunWorld) => Promise<void>): void => {
  void t.test(title, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    await run(t, world);
    t.strictSame(await world.close(), [], 'nothing that carries a run id is left');
  });
};

withRuns('R4: the last answer counts, once the program ends or has been silent for a moment', async (t, world) => {
  const textLine = (text: string, more: object = {}): string => `echo '${JSON.stringify({ type: 'answer', text, ...more })}'`;
  const answered = async (script: string, settings: AgentRunSettings = {}): Promise<readonly WakeEvent[]> =>
    eventsOf(world, 'unused', { settings, more: { start: () => ({ argv: ['sh', '-c', script] }) } });
  const output = (events: readonly WakeEvent[]): unknown => events.find((event) => event.type === 'completed')?.output;
  t.equal(output(await answered(`${textLine('one')}; ${textLine('two')}`)), 'two');
  t.equal(output(await answered(`${textLine('one', { at_work: true })}; sleep 4; ${textLine('two')}`)), 'two', 'longer than the moment');
  const hanging = await answered(`${textLine('one')}; sleep 60`);
  t.strictSame([output(hanging), types(hanging).at(-1)], ['one', 'exited'], 'what keeps running after it is stopped');
  const busy = await answered(`${textLine('one', { at_work: true })}; sleep 60`, { idleMs: 300 });
  t.strictSame([output(busy), types(busy).at(-1)], ['one', 'exited'], 'at the latest after its idle time');
  t.equal(output(await answered(`${textLine('one')}; exit 3`)), 'one');
});

withRuns('a program that keeps running after its result is stopped without a request', async (t, world) => {
  const request = await world.request();
  const events = await eventsOf(world, 'hangs-after-result', {}, request);
  t.strictSame(types(events), ['spawned', 'started', 'completed', 'exited']);
  t.match(events.at(-1), { type: 'exited', signal: 'SIGTERM' });
  t.equal(carriersOf(request.runId).length, 0);
});

withRuns('an agent that does not start in time, or goes silent, is stopped', async (t, world) => {
  const silent = await eventsOf(world, 'hangs', { settings: { startWithinMs: 150 } });
  t.strictSame(types(silent), ['spawned', 'failed', 'exited']);
  t.match(silent[1], { kind: 'unresponsive', retryable: true, beforeWork: true, message: /did not start within 150 ms/ });

  const quiet = await eventsOf(world, 'begins-and-hangs', { settings: { idleMs: 150 } });
  t.strictSame(types(quiet), ['spawned', 'started', 'failed', 'exited']);
  t.match(quiet[2], { kind: 'unresponsive', beforeWork: undefined, message: /printed nothing within 150 ms/ });

  const late = await eventsOf(world, 'hangs', { settings: { startWithinMs: 1, idleMs: 150 }, more: { printsBeforeAnswer: false } });
  t.match(late[1], { message: /did not start within 150 ms/ }, 'a program that prints nothing before its answer has the longer time');
});

withRuns('R16: output on standard error is not a sign of life of an agent that hangs', async (t, world) => {
  const noisy = {
    start: () => ({
      argv: ['sh', '-c', `echo '${SESSION.trim()}'; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo noise >&2; sleep 0.1; done`],
    }),
  };
  const hung = await eventsOf(world, 'unused', { settings: { idleMs: 800 }, more: noisy });
  t.match(
    hung.find(({ type }) => type === 'failed'),
    { kind: 'unresponsive', message: /printed nothing within 800 ms/ },
  );
  const other = await eventsOf(world, 'unused', { settings: { idleMs: 800 }, more: { ...noisy, printsEvents: false } });
  t.match(
    other.find(({ type }) => type === 'failed'),
    { kind: 'no_result' },
    'one that prints nothing else may continue',
  );
});

void t.test('the description of an exit includes the tail of standard error, within bounds', (t) => {
  const end = { exitCode: 1, signal: null, droppedLines: 0 };
  const toml = 'Error loading config.toml: key with no value\n  |\n3 | model = =\n  |         ^\n';
  t.equal(
    describeEnd({ ...end, stderrTail: `\u001b[31mstarting\u001b[0m\n${toml}` }),
    'exited with code 1 without a result: starting / Error loading config.toml: key with no value / 3 | model = =',
  );
  const long = Array.from({ length: 99 }, (_, index) => `line ${String(index)} ${'x'.repeat(100)}`).join('\n');
  t.match(describeEnd({ ...end, stderrTail: long }), /: line 9\d x+ \/ .*line 98 x+$/);
  t.ok(describeEnd({ ...end, stderrTail: long }).length < 900);
  t.ok(describeEnd({ ...end, stderrTail: 'y'.repeat(60_000) }).length < 600);
  t.equal(describeEnd({ ...end, stderrTail: '' }), 'exited with code 1 without a result');
  t.end();
});

withRuns('a failure names its program and host, and how to fix it', async (t, world) => {
  const events = await eventsOf(world, 'says-it-fails', { more: { hints: { auth: 'Say who you are.' } } });
  t.match(
    events.find(({ type }) => type === 'failed'),
    { message: `Plain on ${hostname()}: who are you? Say who you are.` },
  );
  const silent = await eventsOf(world, 'fails', { more: { hints: { auth: 'Say who you are.' } } });
  t.match(
    silent.find(({ type }) => type === 'failed'),
    {
      kind: 'no_result',
      message: /exited with code 3 without a result: it broke\. It is retried automatically; /,
      details: { cause: 'no_result' },
    },
  );
});

withRuns('each kind of failure has a hint for people', async (t, world) => {
  const kinds = {
    ...{ auth: 'Log in', config: 'Fix', rate_limited: 'no work until', model_unavailable: 'retried automatically', limit: 'Raise' },
    ...{ denied: 'Allow it', no_result: 'retried automatically', unresponsive: 'waiting for', agent_failed: 'by hand' },
  } as const satisfies Readonly<Record<FailureCause, string>>;
  for (const [kind, hint] of Object.entries(kinds)) {
    const failed = `${JSON.stringify({ type: 'failed', phase: 'agent', kind, message: 'it says so', retryable: false })}\n`;
    const events = await eventsOf(world, 'says-it-fails', { words: { started: SESSION, failed } });
    const failure = events.find(({ type }) => type === 'failed') as { readonly message: string };
    t.match(failure.message, new RegExp(`: it says so\\. (?=[A-Z]).*${hint}.*\\.$`), kind);
  }
});

withRuns('a limit set by the sidecar is enforced at once', async (t, world) => {
  const limit = '{"type":"failed","phase":"agent","kind":"limit","message":"enough","retryable":false}\n';
  const events = await eventsOf(world, 'begins-and-hangs', { words: { started: SESSION + limit } });
  t.strictSame(types(events), ['spawned', 'started', 'failed', 'exited']);
});

withRuns('output after the first outcome changes nothing', async (t, world) => {
  const events = await eventsOf(world, 'succeeds', { words: { ...WORDS, result: WORDS.result + WORDS.failed + WORDS.result } });
  t.strictSame(types(events), ['spawned', 'started', 'completed', 'exited']);
});

withRuns('a result in an overlong line does not count, and the failure explains why', async (t, world) => {
  const long = `{"type":"completed","output":"${'x'.repeat(2_000)}"}\n`;
  const events = await eventsOf(world, 'succeeds', { words: { started: SESSION, result: long }, settings: { maxLineBytes: 1_024 } });
  t.match(
    events.find(({ type }) => type === 'failed'),
    { kind: 'limit', retryable: false, message: /a line over the limits.* Raise maxLineBytes/ },
  );
});

withRuns('R4: after a dropped line, an agent that had answered gets its idle time again', async (t, world) => {
  const long = `{"x":"${'x'.repeat(2_000)}"}`;
  const script = `echo '{"type":"answer","text":"one"}'; echo '${long}'; sleep 2; echo '{"type":"completed","output":"two"}'`;
  const events = await eventsOf(world, 'unused', {
    settings: { maxLineBytes: 1_024, idleMs: 60_000 },
    more: { start: () => ({ argv: ['sh', '-c', script] }), dialect: { ...plainly, onDropped: (state) => state } },
  });
  t.match(
    events.filter(({ type }) => type === 'completed' || type === 'failed'),
    [{ type: 'completed', output: 'two' }],
  );
});

withRuns('a prompt over the limit of its program is refused before anything is started', async (t, world) => {
  const request = await world.request({ description: 'x'.repeat(5_000) });
  const events = await eventsOf(world, 'succeeds', { more: { promptMax: { unit: 'characters', count: 4_000 } } }, request);
  t.match(events, [
    { type: 'failed', phase: 'spawn', kind: 'limit', retryable: false, message: /has \d+ characters; Plain accepts at most 4000/ },
  ]);
  t.equal(events.length, 1);
  t.notOk(existsSync(join(request.runDir, 'stdout')));
});

withRuns('an adopted run is read from its first line, and a lost one is not reported as a failure of the agent', async (t, world) => {
  const request = await world.request();
  const runner = await runnerOf(world, 'hangs-after-result');
  const listener = runner.wake(request, never())[Symbol.asyncIterator]();
  const spawned = (await listener.next()).value as Extract<WakeEvent, { type: 'spawned' }>;
  await atWork(request);
  await listener.return?.();
  const run = { ...request, process: spawned.process };
  t.strictSame(types(await all(runner.attach(run, never()))), ['started', 'completed', 'exited']);

  const lost = await world.request();
  const other = await runnerOf(world, 'begins-and-hangs');
  const begun = other.wake(lost, never())[Symbol.asyncIterator]();
  const mark = (await begun.next()).value as Extract<WakeEvent, { type: 'spawned' }>;
  t.match(await begun.next(), { value: { type: 'started' } });
  await begun.return?.();
  process.kill(-mark.process.pid, 'SIGKILL');
  t.strictSame(types(await all(other.attach({ ...lost, process: mark.process }, never()))), ['started', 'exited']);
});

withRuns('another attempt resumes the session of the earlier one, with its totals', async (t, world) => {
  const sessions: (Session | null)[] = [];
  const request = await world.request();
  const again = { ...(await world.request()), taskId: request.taskId, session: 's-1' };
  const settings = { session: 'resume' } as const;
  const words = { started: `${SESSION}{"type":"tool"}\n{"type":"totals","tokens":120,"usd":0.0008}\n` };
  await eventsOf(world, 'says-nothing', { settings, sessions }, request);
  t.strictSame(sessions, [null], 'nothing is resumed at first');

  await eventsOf(world, 'crashes-before-result', { words, settings, sessions }, request);
  await eventsOf(world, 'succeeds', { settings, sessions }, again);
  t.strictSame(sessions.slice(1), [null, { id: 's-1', totals: { tokens: 120, usd: 0.0008 } }]);

  await eventsOf(world, 'crashes-before-result', { words, settings, sessions }, request);
  for (const session of [undefined, 's-2']) {
    await eventsOf(world, 'hangs', { settings: { ...settings, startWithinMs: 50 }, sessions }, { ...again, session });
    t.equal(sessions.at(-1), null, 'another machine had the task in between');
  }
  await eventsOf(world, 'succeeds', { settings, sessions }, again);
  t.match(sessions.at(-1), { id: 's-1' });

  await eventsOf(world, 'succeeds', { settings, sessions }, again);
  t.equal(sessions.at(-1), null, 'after a result it is forgotten');
  await eventsOf(world, 'crashes-before-result', { words, settings: {}, sessions }, request);
  await eventsOf(world, 'succeeds', { settings, sessions }, again);
  t.equal(sessions.at(-1), null, 'and nothing is kept if not configured');
});

withRuns('a session that cannot be resumed is dropped, unless something else caused the failure', async (t, world) => {
  const settings = { session: 'resume' } as const;
  const request = await world.request();
  const next = async (): Promise<WakeRequest> => ({ ...(await world.request()), taskId: request.taskId, session: 's-1' });
  const begin = { started: `${SESSION}{"type":"tool"}\n` };
  const sessions: (Session | null)[] = [];
  await eventsOf(world, 'crashes-before-result', { words: begin, settings }, request);
  const auth = { ...WORDS, failed: WORDS.failed.replace('"message"', '"beforeWork":true,"message"') };
  await eventsOf(world, 'says-it-fails', { words: { failed: auth.failed }, settings, sessions }, await next());
  await eventsOf(world, 'says-nothing', { words: {}, settings, sessions }, await next());
  await eventsOf(world, 'succeeds', { settings, sessions }, await next());
  t.strictSame(
    sessions.map((session) => session?.id ?? null),
    ['s-1', 's-1', null],
  );

  await eventsOf(world, 'crashes-before-result', { words: begin, settings }, request);
  const gone = await eventsOf(world, 'hangs-after-result', { words: { started: GONE }, settings, sessions }, await next());
  t.strictSame(types(gone), ['spawned', 'exited'], 'without an outcome: the sidecar wakes again, in the same attempt');
  t.match(gone.at(-1), { sessionGone: true });
  await eventsOf(world, 'succeeds', { settings, sessions }, await next());
  t.strictSame(
    sessions.slice(3).map((session) => session?.id ?? null),
    ['s-1', null],
  );
});

withRuns('usage of an adopted run counts from the start of that run', async (t, world) => {
  const seen: (Session | null)[] = [];
  const request = await world.request();
  const again = { ...(await world.request()), taskId: request.taskId, session: 's-1' };
  const settings = { session: 'resume' } as const;
  const watching: AgentDialect<{ readonly mayHaveSideEffects: boolean }> = {
    ...plainly,
    begin(session) {
      seen.push(session);
      return { mayHaveSideEffects: true };
    },
  };
  const words = (tokens: number) => ({ started: `${SESSION}{"type":"totals","tokens":${String(tokens)}}\n` });
  await eventsOf(world, 'crashes-before-result', { words: words(100), settings }, request);
  const runner = await runnerOf(world, 'begins-and-hangs', { words: words(250), settings, more: { dialect: watching } });
  const listener = runner.wake(again, never())[Symbol.asyncIterator]();
  const spawned = (await listener.next()).value as Extract<WakeEvent, { type: 'spawned' }>;
  while ((await listener.next()).value?.type !== 'output');
  await listener.return?.();
  await all(runner.attach({ ...again, process: spawned.process }, AbortSignal.abort({ graceMs: 100 })));
  t.strictSame(seen, [
    { id: 's-1', totals: { tokens: 100, usd: 0 } },
    { id: 's-1', totals: { tokens: 100, usd: 0 } },
  ]);
});

const aRequest = (task: Readonly<Record<string, unknown>>): WakeRequest =>
  ({ taskId: 'task-1', task: { description: 'count', ...task } }) as unknown as WakeRequest;

void t.test('the prompt has the task and how to report, and placeholders in a task stay plain text', (t) => {
  const prompt = agentPrompt(DEFAULT_PROMPT, {
    request: aRequest({ description: 'say ${TASK_ID} $& $1', success_criteria: ['one', 'two'] }),
    isResumed: false,
  });
  t.match(prompt, 'say ${TASK_ID} $& $1');
  t.match(prompt, 'Success criteria:\n- one\n- two');
  t.notMatch(prompt, /Verification steps:|\n\n\n|earlier attempt/);
  t.match(prompt, /finish with one final message/);
  t.match(agentPrompt(DEFAULT_PROMPT, { request: aRequest({}), isResumed: true }), /^Your earlier attempt/);
  t.equal(agentPrompt('${TASK_ID}: ${TASK_DESCRIPTION}', { request: aRequest({}), isResumed: true }), 'task-1: count\n');
  t.strictSame(objectOf(JSON.parse(agentPrompt('${TASK_JSON}', { request: aRequest({ n: 1 }), isResumed: false }))), {
    description: 'count',
    n: 1,
  });
  t.end();
});

void t.test('R4: slash commands in a task do not end it: its text reaches the agent as plain text', (t) => {
  const promptOf = (template: string, description: string, isResumed = false): string =>
    agentPrompt(template, { request: aRequest({ description }), isResumed });
  for (const text of ['/clear', '/compact', ' \n/quit', '\ufeff/logout now']) {
    t.equal(promptOf('${TASK_DESCRIPTION}', text), `Complete this task:\n\n${text}\n`, JSON.stringify(text));
    t.equal(promptOf('${EARLIER_ATTEMPT}\n\n${TASK_DESCRIPTION}', text), `Complete this task:\n\n${text}\n`);
    t.match(promptOf(DEFAULT_PROMPT, text), /^Complete this task\./);
  }
  t.equal(promptOf('${TASK_DESCRIPTION}', 'see /etc'), 'see /etc\n', 'other texts are unchanged');
  t.equal(promptOf('/review ${TASK_DESCRIPTION}', '/clear'), '/review /clear\n', 'a command named in the config is intended');
  t.end();
});

void t.test('the prompt has the repository, branch and data of a task, and omits those that are missing', (t) => {
  const promptOf = (task: Readonly<Record<string, unknown>>): string =>
    agentPrompt(DEFAULT_PROMPT, { request: aRequest(task), isResumed: false });
  const prompt = promptOf({ repo: 'https://example.com/a.git', branch: 'fix', metadata: { ticket: 7, note: '$& ${TASK_ID}' } });
  t.match(prompt, '\n\nRepository: https://example.com/a.git\nBranch: fix\n\n');
  t.match(prompt, '\n\nMetadata: {"ticket":7,"note":"$& ${TASK_ID}"}\n\n');
  t.notMatch(promptOf({ repo: null, branch: null, metadata: {} }), /Repository|Branch|Metadata|\n\n\n/);
  t.match(promptOf({ branch: 'fix' }), '\n\nBranch: fix\n\n');
  t.end();
});

void t.test('a prompt template without the task, or with unknown placeholders, is a mistake', (t) => {
  t.strictSame(promptProblems(undefined), []);
  t.strictSame(promptProblems('${TASK_DESCRIPTION}'), []);
  t.match(promptProblems('do it'), [{ path: 'prompt', message: /must have \$\{TASK_DESCRIPTION\}/ }]);
  t.match(promptProblems('${TASK_JSON} ${TASK_TEXT}'), [{ message: /^has \$\{TASK_TEXT\}/ }]);
  t.end();
});
