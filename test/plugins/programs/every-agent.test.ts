/** What every runner of an agent program must do, however it reads the program: what the program receives, and which options it accepts. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent, WakeRequest, WakeRunner, WakeRunnerChoice } from '../../../plugins/plugin.ts';
import { acp, claudeCode, codex, gemini, openclaw, opencode } from '../../../plugins/runners.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { runWorld, type RunWorld } from '../run-world.ts';

type Options = Readonly<Record<string, unknown>>;
/** Besides the common ones: what each needs, and the variable of its key. */
const AGENTS: Readonly<Record<string, { readonly choose: (options: Options) => WakeRunnerChoice; readonly key: string | null }>> = {
  claudeCode: { choose: (options) => claudeCode(options), key: 'ANTHROPIC_API_KEY' },
  codex: { choose: (options) => codex(options), key: 'CODEX_API_KEY' },
  gemini: { choose: (options) => gemini(options), key: 'GEMINI_API_KEY' },
  opencode: { choose: (options) => opencode({ model: 'a/b', ...options }), key: null },
  openclaw: { choose: (options) => openclaw(options), key: null },
  'acp claude': { choose: (options) => acp({ agent: 'claude', ...options }), key: 'ANTHROPIC_API_KEY' },
  'acp codex': { choose: (options) => acp({ agent: 'codex', ...options }), key: 'CODEX_API_KEY' },
  'acp gemini': { choose: (options) => acp({ agent: 'gemini', ...options }), key: 'GEMINI_API_KEY' },
  'acp opencode': { choose: (options) => acp({ agent: 'opencode', model: 'a/b', ...options }), key: null },
};
const KEYS = ['ANTHROPIC_API_KEY', 'CODEX_API_KEY', 'GEMINI_API_KEY', 'OPENCODE_API_KEY', 'PLANTED_SECRET'];

const withRuns = (title: string, run: (t: Test, world: RunWorld) => Promise<void>): void => {
  void t.test(title, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    for (const folder of ['project', 'elsewhere']) await mkdir(join(world.baseDir, folder));
    await run(t, world);
    t.strictSame(await world.close(), [], 'nothing that carries a run id is left');
  });
};

const runnerOf = async ({ baseDir }: RunWorld, choice: WakeRunnerChoice): Promise<WakeRunner> =>
  choice.create({ agentId: 'a', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog });
const woken = async (world: RunWorld, choice: WakeRunnerChoice, request?: WakeRequest): Promise<readonly WakeEvent[]> =>
  all((await runnerOf(world, choice)).wake(request ?? (await world.request()), new AbortController().signal));
const failureIn = (events: readonly WakeEvent[]) => events.find((event) => event.type === 'failed');

/** A program that records its input and its environment, before its shell has touched it, and ends. */
const NOTES = ['sh', '-c', 'cat /proc/$$/environ > "$AGENTCOM_RESULTS_DIR/environ"; pwd -P > "$AGENTCOM_RESULTS_DIR/folder"', 'sh'];

withRuns('its environment is small: only the key of its own program, and a PWD that is its folder', async (t, world) => {
  const before = { ...process.env };
  const planted = Object.fromEntries([...KEYS, 'PWD'].map((name) => [name, name === 'PWD' ? '/nowhere' : 'secret']));
  Object.assign(process.env, planted);
  t.teardown(() => {
    for (const name of Object.keys(planted)) delete process.env[name];
    Object.assign(process.env, before);
  });
  for (const [name, { choose, key }] of Object.entries(AGENTS)) {
    const request = await world.request();
    await woken(world, choose({ bin: NOTES, cwd: 'project' }), request);
    const given = readFileSync(join(request.resultsDir, 'environ'), 'utf8').split('\0');
    const folder = readFileSync(join(request.resultsDir, 'folder'), 'utf8').trimEnd();
    t.strictSame(
      given.flatMap((variable) => KEYS.filter((each) => variable.startsWith(`${each}=`))),
      key === null ? [] : [key],
      name,
    );
    t.ok(given.includes(`PWD=${join(world.baseDir, 'project')}`), `${name}: some trust it more than their folder`);
    t.equal(folder, join(world.baseDir, 'project'));
    t.ok(given.includes(`AGENTCOM_RUN_ID=${request.runId}`));
  }
});

withRuns('a prompt that the program would refuse or silently truncate is refused before anything is started', async (t, world) => {
  const bare = { bin: 'no-such-program', prompt: '${TASK_DESCRIPTION}' };
  // The prompt ends with a line feed.
  for (const [name, choice, fits] of [
    ['codex counts characters', codex(bare), 'é'.repeat(1_048_575)],
    ['gemini counts bytes', gemini(bare), 'é'.repeat(4_194_303) + 'x'],
  ] as const) {
    const failure = async (description: string) => failureIn(await woken(world, choice, await world.request({ description })));
    t.match(await failure(`${fits}x`), { phase: 'spawn', kind: 'limit', retryable: false, beforeWork: true }, name);
    const fitting = await failure(fits);
    t.equal(fitting?.kind, undefined, `${name}: one less is started`);
    t.match(fitting, { message: /no-such-program/ });
  }
});

/** Prints a session as its program does, and ends without a result; records its arguments. */
const begins = (line: object): readonly string[] => [
  'sh',
  '-c',
  `printf '%s\\n' "$@" > "$AGENTCOM_RESULTS_DIR/argv"; echo '${JSON.stringify(line)}'`,
  'sh',
];
const SESSION = '11111111-2222-4333-8444-555555555555';

withRuns('a session is resumed in the folder where it began, and nowhere else if the program would not find it', async (t, world) => {
  for (const [name, choice, isBound] of [
    ['opencode', { choose: AGENTS['opencode']?.choose, line: { type: 'step_start', sessionID: SESSION } }, true],
    ['gemini', { choose: AGENTS['gemini']?.choose, line: { type: 'init', session_id: SESSION, model: 'm' } }, true],
    ['claudeCode', { choose: AGENTS['claudeCode']?.choose, line: { type: 'system', subtype: 'init', session_id: SESSION } }, false],
    ['codex', { choose: AGENTS['codex']?.choose, line: { type: 'thread.started', thread_id: SESSION } }, false],
  ] as const) {
    const first = await world.request();
    const resumes = async (cwd: string, session?: string): Promise<boolean> => {
      const request = { ...(await world.request()), taskId: first.taskId, session };
      // A session in which work was done is kept; an attempt that did nothing discards its session.
      const bin = begins(choice.line);
      await woken(world, choice.choose?.({ bin, cwd, session: 'resume' }) as WakeRunnerChoice, request);
      return readFileSync(join(request.resultsDir, 'argv'), 'utf8').split('\n').includes(SESSION);
    };
    t.notOk(await resumes('project'), `${name}: the first has none`);
    t.equal(await resumes('elsewhere', SESSION), !isBound, `${name}: from another folder`);
  }
  const again = await world.request();
  const bin = begins({ type: 'step_start', sessionID: SESSION });
  const opened = async (session?: string): Promise<string> => {
    const request = { ...(await world.request()), taskId: again.taskId, session };
    await woken(world, opencode({ model: 'a/b', bin, cwd: 'project', session: 'resume' }), request);
    return readFileSync(join(request.resultsDir, 'argv'), 'utf8');
  };
  await opened();
  t.match(await opened(SESSION), `--session\n${SESSION}\n`, 'in its own folder it is');
});

withRuns('a program that silently retries forever is ended by its idle time, and nothing of it keeps running', async (t, world) => {
  const silent = ['sh', '-c', 'exec sleep 600', 'sh'];
  for (const [name, times] of [
    ['opencode', { idleMs: 150 }],
    ['openclaw', { idleMs: 150 }],
    ['acp opencode', { startWithinMs: 150 }],
    ['codex', { startWithinMs: 150 }],
  ] as const) {
    const events = await woken(world, AGENTS[name]?.choose({ bin: silent, graceMs: 200, ...times }) as WakeRunnerChoice);
    t.match(failureIn(events), { kind: 'unresponsive', retryable: true, message: /within 150 ms/ }, name);
    t.equal(events.at(-1)?.type, 'exited', `${name}: and only then another attempt has the place for itself`);
  }
});

const LONG = 'x'.repeat(2_000);
const OPENCODE_LINE = { sessionID: SESSION };
/** For each: a run whose last message is in a line that is too long, one where only a tool's answer is, and one without text. */
const SAID: Readonly<Record<string, Readonly<Record<'cut' | 'toolCut' | 'silent', readonly object[]>>>> = {
  claudeCode: {
    cut: [claudeResult('INTERIM'), { type: 'result', result: LONG }],
    toolCut: [{ type: 'user', message: LONG }, claudeResult('done')],
    silent: [claudeResult('')],
  },
  codex: {
    cut: [codexItem('agent_message', 'INTERIM'), codexItem('agent_message', LONG), { type: 'turn.completed' }],
    toolCut: [
      codexItem('agent_message', 'INTERIM'),
      codexItem('command_execution', LONG),
      codexItem('agent_message', 'done'),
      { type: 'turn.completed' },
    ],
    silent: [{ type: 'turn.completed' }],
  },
  gemini: {
    cut: [geminiSays('INTERIM'), geminiSays(LONG), { type: 'result', status: 'success' }],
    toolCut: [
      geminiSays('INTERIM'),
      { type: 'tool_use', tool_name: 'read' },
      { type: 'tool_result', status: 'success', output: LONG },
      geminiSays('done'),
      { type: 'result', status: 'success' },
    ],
    silent: [{ type: 'result', status: 'success' }],
  },
  opencode: {
    cut: [opencodeStep('step_start'), opencodeText('INTERIM'), opencodeText(LONG), opencodeStep('step_finish', 'stop')],
    toolCut: [
      ...[opencodeStep('step_start'), opencodeText('INTERIM'), opencodeText(LONG), opencodeStep('step_finish', 'tool-calls')],
      ...[opencodeStep('step_start'), opencodeText('done'), opencodeStep('step_finish', 'stop')],
    ],
    silent: [opencodeStep('step_start'), opencodeStep('step_finish', 'stop')],
  },
  openclaw: {
    cut: [{ ok: true, status: 'ok', final: LONG }],
    toolCut: [{ toolSummary: LONG }, { ok: true, status: 'ok', final: 'done' }],
    silent: [{ ok: true, status: 'ok', final: '' }],
  },
};
function claudeResult(text: string): object {
  return { type: 'result', subtype: 'success', is_error: false, result: text };
}
function codexItem(type: string, text: string): object {
  return { type: 'item.completed', item: { type, text, command: 'ls' } };
}
function geminiSays(content: string): object {
  return { type: 'message', role: 'assistant', content };
}
function opencodeStep(type: string, reason?: string): object {
  return { ...OPENCODE_LINE, type, part: { reason } };
}
function opencodeText(text: string): object {
  return { ...OPENCODE_LINE, type: 'text', part: { text } };
}
/** gemini prints the prompt first. */
const BEGUN: Readonly<Record<string, readonly object[]>> = { gemini: [{ type: 'message', role: 'user', content: LONG }] };

const verdictOn = async (world: RunWorld, name: string, what: 'cut' | 'toolCut' | 'silent'): Promise<WakeEvent | undefined> => {
  const lines = [...(BEGUN[name] ?? []), ...(SAID[name]?.[what] ?? [])].map((line) => JSON.stringify(line));
  const bin = ['sh', '-c', `printf '%s\\n' '${lines.join("' '")}'`, 'sh'];
  const events = await woken(world, AGENTS[name]?.choose({ bin, maxLineBytes: 1_024 }) as WakeRunnerChoice);
  return events.find(({ type }) => type === 'completed' || type === 'failed');
};

withRuns('R4: a line dropped from a multi-line object may have been its answer', async (t, world) => {
  const reported = JSON.stringify({ ok: true, status: 'ok', payloads: [], final: LONG, assistantTurns: 1 }, null, 2);
  const bin = ['sh', '-c', `printf '%s\\n' '${reported}'`, 'sh'];
  const events = await woken(world, AGENTS['openclaw']?.choose({ bin, maxLineBytes: 1_024 }) as WakeRunnerChoice);
  t.match(
    events.find(({ type }) => type === 'completed' || type === 'failed'),
    { type: 'failed', kind: 'limit', details: { reason: 'line_too_long' } },
  );
});

withRuns('R4: dropped text of an agent prevents success, and no earlier text becomes the result', async (t, world) => {
  for (const name of Object.keys(SAID)) {
    const cut = {
      type: 'failed',
      kind: 'limit',
      retryable: false,
      message: /a line over the limits.* Raise maxLineBytes/,
      details: { reason: 'line_too_long' },
    };
    t.match(await verdictOn(world, name, 'cut'), cut, name);
    t.match(
      await verdictOn(world, name, 'toolCut'),
      { type: 'completed', output: { text: 'done' } },
      `${name}: a tool's answer is not a result`,
    );
  }
});

withRuns('R4: an agent that reports success without any text has no result', async (t, world) => {
  for (const name of Object.keys(SAID)) {
    t.match(await verdictOn(world, name, 'silent'), { type: 'failed', kind: 'no_result', details: { reason: 'nothing_said' } }, name);
  }
});

/** The words of docs/agents.md, each with a value, and which program can honour it. All others must refuse it. */
const EVERYONE = Object.keys(AGENTS);
const WORDS: Readonly<Record<string, { readonly value: unknown; readonly for: readonly string[] }>> = {
  cwd: { value: 'project', for: EVERYONE },
  env: { value: { A: 'b' }, for: EVERYONE },
  passEnv: { value: ['A'], for: EVERYONE },
  model: { value: 'a/b', for: EVERYONE },
  prompt: { value: '${TASK_DESCRIPTION}', for: EVERYONE },
  extraArgs: { value: ['--x'], for: EVERYONE },
  idleMs: { value: 5, for: EVERYONE },
  graceMs: { value: 5, for: EVERYONE },
  maxLineBytes: { value: 5_000, for: EVERYONE },
  ignoreChecks: { value: ['login'], for: EVERYONE },
  permissions: { value: 'full', for: ['claudeCode', 'codex', 'gemini', 'opencode'] },
  onPermission: { value: 'allow-once', for: EVERYONE.filter((name) => name.startsWith('acp')) },
  allowTools: { value: ['read'], for: EVERYONE.filter((name) => name !== 'codex' && name !== 'openclaw') },
  denyTools: { value: ['edit'], for: EVERYONE.filter((name) => !['codex', 'openclaw', 'gemini'].includes(name)) },
  maxTurns: { value: 3, for: EVERYONE.filter((name) => name !== 'openclaw') },
  maxCostUsd: { value: 1, for: ['claudeCode', 'opencode', 'acp claude', 'acp opencode'] },
  session: { value: 'resume', for: EVERYONE.filter((name) => name !== 'openclaw') },
  startWithinMs: { value: 5, for: EVERYONE.filter((name) => name !== 'opencode' && name !== 'openclaw') },
  innerRetries: { value: 1, for: ['claudeCode'] },
  whenDenied: { value: 'fail', for: ['claudeCode', ...EVERYONE.filter((name) => name.startsWith('acp'))] },
  mayCommit: { value: true, for: ['codex'] },
  config: { value: {}, for: ['opencode'] },
  configFile: { value: 'claw.json', for: ['openclaw'] },
  runMaxMs: { value: 5, for: [] },
};

void t.test('only words that a program cannot honour are a mistake in the config', (t) => {
  for (const [word, { value, for: honoured }] of Object.entries(WORDS)) {
    for (const [name, { choose }] of Object.entries(AGENTS)) {
      const paths = choose({ [word]: value })
        .problems()
        .map(({ path }) => path);
      t.strictSame(paths, honoured.includes(name) ? [] : [word], `${name}: ${word}`);
    }
  }
  t.end();
});
