/** An agent driven over ACP: with a scripted one, from the first message to the end of its process tree. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { loadAcp } from '../../../plugins/acp/sdk-package.ts';
import type { WakeEvent, WakeRequest, WakeRunner } from '../../../plugins/plugin.ts';
import { acp, type AcpOptions } from '../../../plugins/runners.ts';
import { all, wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { processSubject } from '../../product/contracts/runner/process-subject.ts';
import { atWork, carriersOf, runWorld, type RunWorld } from '../run-world.ts';

const AGENT = [process.execPath, fileURLToPath(new URL('../acp-agent.mjs', import.meta.url))];

// Its messages are in the script, in the format of the protocol.
wakeRunnerContract(
  'acp',
  processSubject((bin, deps) => acp({ bin }).create(deps), { started: '', interim: '', result: '', failed: '' }, AGENT),
  t,
);

const never = (): AbortSignal => new AbortController().signal;

function withRuns(title: string, run: (t: Test, world: RunWorld) => Promise<void>): void {
  void t.test(title, async (t) => {
    const world = await runWorld();
    let left: readonly string[] = [];
    t.teardown(() => world.close());
    await run(t, { ...world, close: world.close });
    left = await world.close();
    t.strictSame(left, [], 'nothing of a run is left');
  });
}

async function runnerOf(world: RunWorld, behavior: string, options: AcpOptions = {}): Promise<WakeRunner> {
  const cwd = join(world.baseDir, 'project');
  await mkdir(cwd, { recursive: true });
  const deps = { agentId: 'a', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  return acp({ bin: [...AGENT, behavior], cwd: 'project', ...options }).create(deps);
}

interface Outcome {
  readonly events: readonly WakeEvent[];
  /** What the agent received, in order. */
  readonly notes: readonly string[];
  readonly failure: Extract<WakeEvent, { type: 'failed' }> | undefined;
  readonly output: unknown;
}

async function outcomeOf(world: RunWorld, behavior: string, options: AcpOptions = {}, request?: WakeRequest): Promise<Outcome> {
  const requested = request ?? (await world.request());
  return result(await all((await runnerOf(world, behavior, options)).wake(requested, never())), requested);
}

function result(events: readonly WakeEvent[], { resultsDir }: WakeRequest): Outcome {
  const completed = events.find((event) => event.type === 'completed');
  const path = join(resultsDir, 'notes');
  return {
    events,
    notes: existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [],
    failure: events.find((event) => event.type === 'failed'),
    output: completed?.output,
  };
}

withRuns('a run from its first message to its end, with its session and its usage', async (t, world) => {
  const { events, notes, output } = await outcomeOf(world, 'succeeds');
  t.strictSame(output, { text: 'it is done', session_id: 'session-1', stop_reason: 'end_turn' });
  t.match(
    events.filter(({ type }) => type !== 'output'),
    [
      { type: 'spawned' },
      { type: 'started', sessionId: 'session-1' },
      { type: 'completed', tokensUsed: 125 },
      { type: 'exited', exitCode: 0 },
    ],
  );
  t.strictSame(notes, ['initialize', 'session/new', 'session/prompt', 'end of input']);
});

withRuns('agent text is reported in whole lines, so that a secret in it can be found', async (t, world) => {
  const { events } = await outcomeOf(world, 'spells-a-key');
  const texts = events.flatMap((event) => (event.type === 'output' && event.stream === 'stdout' ? [event.text] : []));
  const lines = texts.filter((text) => text !== '');
  t.strictSame(lines.slice(1, 3), ['The key: sk-ant-0123456789-abcd.', 'That is all.']);
  t.ok(texts.length >= 8, 'each piece is a sign of life');
});

withRuns('a failure reported as a success, as Codex does', async (t, world) => {
  const { failure, output } = await outcomeOf(world, 'says-it-fails');
  t.equal(output, undefined);
  t.match(failure, { kind: 'rate_limited', retryable: true, beforeWork: true, message: /The agent on .*429 Too Many Requests/ });
});

withRuns('a result does not imply exit: its input is closed, then it is sent SIGTERM, and its result stands', async (t, world) => {
  const { events, notes, output } = await outcomeOf(world, 'outlives-input');
  t.match(output, { text: 'it is done' });
  t.strictSame(notes.slice(-2), ['end of input', 'SIGTERM']);
  t.match(events.at(-1), { type: 'exited' });
});

withRuns('a stop is first a message, then the end of its input, and only then a signal', async (t, world) => {
  const stopped = async (behavior: string, graceMs: number): Promise<Outcome> => {
    const request = await world.request();
    const stop = new AbortController();
    const events = all((await runnerOf(world, behavior)).wake(request, stop.signal));
    await atWork(request);
    stop.abort({ graceMs });
    return result(await events, request);
  };
  const polite = await stopped('hangs', 5_000);
  t.strictSame(polite.notes.slice(-2), ['session/cancel', 'end of input']);
  t.strictSame(polite.events.at(-1), { type: 'stopped', survivors: [] });
  const deaf = await stopped('ignores-stop', 300);
  t.strictSame(deaf.notes.slice(-3), ['session/cancel', 'end of input', 'SIGTERM']);
  t.strictSame(deaf.events.at(-1), { type: 'stopped', survivors: [] });
});

withRuns('its requests are answered by the kind of an option, never by its name or its position', async (t, world) => {
  const answered = async (options: AcpOptions, behavior = 'asks'): Promise<string> => {
    const { notes } = await outcomeOf(world, behavior, options);
    return notes.find((line) => line.startsWith('answer')) ?? '';
  };
  const selected = (optionId: string): string => `answer {"outcome":{"outcome":"selected","optionId":"${optionId}"}}`;
  t.equal(await answered({}), selected('allow_once'), 'rejected: that is what the option with this id means');
  t.equal(await answered({ onPermission: 'allow-once' }), selected('go'));
  t.equal(await answered({ allowTools: ['execute'] }), selected('go'));
  t.equal(await answered({ allowTools: ['execute'] }, 'asks-to-read'), selected('allow_once'));
  t.equal(await answered({ onPermission: 'allow-once', denyTools: ['execute'] }), selected('allow_once'));
});

withRuns('a rejected tool is named in the result, or fails it', async (t, world) => {
  t.match(await outcomeOf(world, 'asks'), { output: { text: 'it is done', denied: ['touch a file'] } });
  t.match((await outcomeOf(world, 'asks', { whenDenied: 'fail' })).failure, { kind: 'denied', retryable: false, message: /onPermission/ });
});

withRuns('limits on tool calls and on cost are enforced by aborting', async (t, world) => {
  const called = await outcomeOf(world, 'calls', { maxTurns: 3 });
  t.match(called.failure, { kind: 'limit', message: /more than 3 tools/, retryable: false });
  t.strictSame(called.notes.slice(-2), ['session/cancel', 'end of input']);
  const spent = await outcomeOf(world, 'spends', { maxCostUsd: 0.5 });
  t.match(spent.failure, { kind: 'limit', message: /0\.75 US dollars of 0\.5/ });
  t.match(
    spent.events.find(({ type }) => type === 'usage'),
    { costUsd: 0.75 },
  );
});

withRuns('another attempt resumes the session if the agent can; replayed history is not work of this run', async (t, world) => {
  const first = await world.request();
  const again = async (): Promise<WakeRequest> => ({ ...(await world.request()), taskId: first.taskId, session: 'session-1' });
  const settings = { session: 'resume' } as const;
  const cases = [
    ['resumes', 'session/resume'],
    ['loads', 'session/load'],
    ['succeeds', 'session/new'],
  ] as const;
  for (const [behavior, method] of cases) {
    await outcomeOf(world, 'crashes-before-result', settings, first);
    const request = await again();
    const { notes, output, events } = await outcomeOf(world, behavior, settings, request);
    t.strictSame(notes.slice(0, 3), ['initialize', method, 'session/prompt'], behavior);
    t.strictSame(output, { text: 'it is done', session_id: 'session-1', stop_reason: 'end_turn' });
    t.notOk(events.some((event) => event.type === 'progress'));
    t.match(readFileSync(join(request.resultsDir, 'heard'), 'utf8'), /^Your earlier attempt/);
  }
  await outcomeOf(world, 'crashes-before-result', settings, first);
  const forgot = await outcomeOf(world, 'forgets', settings, await again());
  t.strictSame(forgot.notes.slice(0, 4), ['initialize', 'session/resume', 'session/new', 'session/prompt']);
  t.match(forgot.output, { text: 'it is done' });
});

withRuns('its model is selected by the option of its session, and an unknown one is a mistake in the config', async (t, world) => {
  t.ok((await outcomeOf(world, 'succeeds', { model: 'small' })).notes.includes('m=small'));
  const { failure, notes } = await outcomeOf(world, 'succeeds', { model: 'large' });
  t.match(failure, { kind: 'config', retryable: false, beforeWork: true, message: /no model "large": it offers the models small/ });
  t.notOk(notes.includes('session/prompt'));
});

withRuns('one that is not logged in, and one with another protocol version', async (t, world) => {
  t.match((await outcomeOf(world, 'says-no')).failure, {
    kind: 'auth',
    retryable: false,
    beforeWork: true,
    message: /Log in to the program on that machine/,
  });
  t.match((await outcomeOf(world, 'speaks-otherwise')).failure, { kind: 'config', message: /version 2 of the protocol/ });
});

withRuns('one that falls silent is abandoned', async (t, world) => {
  const { failure, events } = await outcomeOf(world, 'hangs', { idleMs: 300 });
  t.match(failure, { kind: 'unresponsive', message: /printed nothing within 300 ms/ });
  t.match(events.at(-1), { type: 'exited' });
});

withRuns('it is not left alone: once its listener is gone, it ends', async (t, world) => {
  const request = await world.request();
  const listener = (await runnerOf(world, 'hangs')).wake(request, never())[Symbol.asyncIterator]();
  await listener.next();
  const listening = (async () => {
    while ((await listener.next()).done !== true);
  })();
  await atWork(request);
  await listener.return?.();
  await listening;
  while (carriersOf(request.runId).length > 0) await nextTurn(); // It needs a moment for it.
  t.strictSame(carriersOf(request.runId), []);
});

void t.test('without its package the runner says what to install', async (t) => {
  await t.rejects(
    loadAcp(() => Promise.reject(new Error('ERR_MODULE_NOT_FOUND'))),
    { code: 'AC_PACKAGE_MISSING', message: /npm install @agentclientprotocol\/sdk@2.*claudeCode\(\)/ },
  );
});

void t.test('an option it cannot honour is a mistake in the config', (t) => {
  const problems = (options: AcpOptions) => acp(options).problems?.() ?? [];
  t.strictSame(problems({ agent: 'claude' }), []);
  t.strictSame(problems({ agent: 'gemini', bin: ['node', '/opt/gemini.js'], model: 'm' }), []);
  t.match(problems({}), [{ path: 'agent', message: /is required, one of gemini, opencode, claude, codex; or name a program in bin/ }]);
  t.match(problems({ agent: 'opencode' }), [{ path: 'model' }]);
  t.match(problems({ agent: 'codex', maxCostUsd: 1 }), [{ path: 'maxCostUsd', message: /codex does not report its cost/ }]);
  t.match(problems({ agent: 'gemini', extraArgs: ['--acp'] }), [{ path: 'extraArgs[0]' }]);
  t.match(problems({ bin: 'x', allowTools: ['read'], denyTools: ['read'] }), [{ path: 'denyTools' }]);
  t.match(problems({ bin: 'x', permissions: 'full' } as AcpOptions), [{ path: 'permissions', message: /there is no such option/ }]);
  t.end();
});

withRuns('the doctor does the handshake with it', async (t, world) => {
  const checked = async (behavior: string, options: AcpOptions = {}) => {
    const checks = (await (await runnerOf(world, behavior, options)).check?.()) ?? [];
    return Object.fromEntries(checks.map((check) => [check.check, check]));
  };
  t.match(await checked('succeeds'), { cwd: { ok: true }, program: { ok: true, message: / 9999\.0\.0$/ } });
  t.match(await checked('speaks-otherwise'), { program: { ok: false, message: /speaks version 2 of ACP/ } });
  t.match(await checked('x', { bin: 'no-such-agent' }), { program: { ok: false, message: /no "no-such-agent" on PATH/ } });
  const broken = [process.execPath, '-e', 'console.error("no native binary"); process.exit(1)'];
  t.match(await checked('x', { bin: broken }), { program: { ok: false, message: /exited with code 1 .*no native binary/ } });
  t.match(await checked('succeeds', { cwd: 'nowhere' }), { cwd: { ok: false }, program: undefined });
});
