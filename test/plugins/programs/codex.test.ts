/** How the output of Codex is read, tested with recordings of the real program, and how it is started. */
import t from 'tap';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { codexStart } from '../../../plugins/codex/start.ts';
import { codex, type CodexOptions } from '../../../plugins/runners.ts';
import type { Session } from '../../../plugins/plugin.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { jsonLinesOf, processSubject, type AgentOutput } from '../../product/contracts/runner/process-subject.ts';
import { read, recorded, saying } from './recording.ts';

const dialect = codexDialect({ model: 'gpt' });
const readCase = (name: string, session: Session | null = null) => read(dialect, recorded('codex', name), { session });

void t.test('a success is a completed turn; the result is its last message', (t) => {
  const { events, outcome, isSettledByLine } = readCase('stdin');
  t.match(events[0], { type: 'started', sessionId: /^[0-9a-f-]{36}$/ });
  t.match(outcome, {
    type: 'completed',
    output: { text: /^FAKE-OK hello/ },
    tokensUsed: 108,
    byModel: { gpt: { inputTokens: 101, cachedInputTokens: 20 } },
  });
  t.ok(isSettledByLine);
  t.match(readCase('deny').outcome, { output: { text: /^FAKE-DONE/ } }, 'of several messages the last');
  t.end();
});

void t.test('exit code 0 without a completed turn is not a success', (t) => {
  const { lines } = recorded('codex', 'stdin');
  t.match(read(dialect, { ...recorded('codex', 'stdin'), lines: lines.slice(0, -1) }).outcome, {
    type: 'failed',
    kind: 'no_result',
    beforeWork: true,
  });
  t.match(readCase('hang-term').outcome, { kind: 'no_result' });
  t.end();
});

void t.test('an error line is not the end: it retries by itself', (t) => {
  const { events, outcome } = readCase('429-once');
  t.match(
    events.find((event) => event.type === 'progress'),
    { waiting: 'rate_limited', message: /429/ },
  );
  t.equal(outcome.type, 'completed');
  const refused = readCase('refused').events.filter((event) => event.type === 'progress');
  t.equal(refused.length, 4);
  t.match(refused[0], { waiting: 'model_unavailable', message: /waiting for network/ });
  t.end();
});

void t.test('the kind of a failure is found in its message', (t) => {
  const wanted = {
    '401': { kind: 'auth', retryable: false, beforeWork: true },
    nokey: { kind: 'auth', retryable: false },
    '429': { kind: 'rate_limited', retryable: true },
    '500': { kind: 'model_unavailable', retryable: true },
    cut: { kind: 'model_unavailable', retryable: true },
    norepo: { kind: 'config', retryable: false, message: /trusted directory/ },
    longstdin: { kind: 'limit', retryable: false, message: /maximum length of 1048576/ },
    badflag: { kind: 'config', retryable: false },
  };
  for (const [name, failure] of Object.entries(wanted)) {
    t.match(readCase(name).outcome, { type: 'failed', phase: 'agent', message: /\S/, ...failure, details: { cause: failure.kind } }, name);
  }
  const port = 'stream error: http://127.0.0.1:50429/v1/responses said 401 words';
  t.match(
    read(dialect, saying([{ type: 'turn.failed', error: { message: port } }])).outcome,
    { kind: 'agent_failed' },
    'other numbers are not a status',
  );
  t.end();
});

void t.test('a thread that cannot be resumed is not a mistake in the config', (t) => {
  const session = { id: '99999999-2222-7333-8444-555555555555', totals: {} };
  t.match(readCase('resume-unknown', session).outcome, {
    type: 'session_gone',
    message: /no rollout found/,
  });
  t.end();
});

void t.test('usage over three resumes of one thread is the sum of the runs, and no more', (t) => {
  let session: Session | null = null;
  const used: (number | undefined)[] = [];
  for (const name of ['first', 'resume', 'resume-last', 'resume-othercwd']) {
    const { usage, totals, events } = readCase(name, session);
    const started = events.find((event) => event.type === 'started');
    session = { id: started?.sessionId ?? '', totals: totals ?? {} };
    used.push(usage.tokensUsed);
  }
  t.strictSame(used, [108, 109, 110, 111]);
  t.equal(
    used.reduce((sum, tokens) => (sum ?? 0) + (tokens ?? 0), 0),
    410 + 28,
    'what the last run reported for the whole thread',
  );
  t.end();
});

void t.test('a session that it did not resume subtracts nothing', (t) => {
  t.equal(readCase('stdin', { id: 'another', totals: { input: 90, output: 5 } }).usage.tokensUsed, 108);
  t.end();
});

void t.test('work begins with the first command, not with a warning', (t) => {
  const failed = { type: 'turn.failed', error: { message: 'unexpected status 500' } };
  const item = (type: string) => ({ type: 'item.started', item: { type, command: 'ls' } });
  t.match(read(dialect, saying([item('command_execution'), failed])).outcome, { beforeWork: undefined });
  t.match(read(dialect, saying([item('file_change'), failed])).outcome, { beforeWork: undefined });
  t.match(read(dialect, saying([item('reasoning'), item('error'), item('agent_message'), failed])).outcome, { beforeWork: true });
  t.match(readCase('readonly').events.filter((event) => event.type === 'progress')[0], { message: /^runs / });
  t.end();
});

void t.test('a commit refused by its sandbox ends in a completed turn: its output does not show it, so the config must', (t) => {
  const { outcome } = readCase('git-commit');
  t.match(outcome, { type: 'completed', output: { text: /index\.lock': Read-only file system\nrc=128/ } });
  const writable = (options: CodexOptions): boolean =>
    codexStart({ cwd: 'project', ...options }, { session: null, baseDir: '/srv' }).argv.includes(
      'sandbox_workspace_write.writable_roots=["/srv/project/.git"]',
    );
  t.ok(writable({ mayCommit: true }));
  t.notOk(writable({}), 'only if configured');
  t.end();
});

void t.test('too many turns end it', (t) => {
  const short = codexDialect({ maxTurns: 1 });
  t.match(read(short, recorded('codex', 'deny')).outcome, { kind: 'limit', retryable: false, message: /more than 1 turns/ });
  t.equal(read(short, recorded('codex', 'stdin')).outcome.type, 'completed');
  t.end();
});

void t.test('hostile lines change nothing', (t) => {
  const hostile = [
    '[]',
    '{',
    '{"type":"turn.completed"',
    '{"type":"item.completed"}',
    '{"type":"item.started","item":null}',
    '{"type":"error"}',
    '{"type":5}',
  ];
  t.match(read(dialect, saying(hostile)).outcome, { type: 'failed', kind: 'no_result' });
  t.match(read(dialect, saying(['{"type":"turn.failed"}'])).outcome, { kind: 'agent_failed' });
  t.match(read(dialect, saying(['{"type":"turn.completed","usage":{"input_tokens":-3,"output_tokens":"9"}}'])).usage, { tokensUsed: 0 });
  t.end();
});

void t.test('its command line: flags before resume, and the prompt nowhere', (t) => {
  const session = { id: 'abc', totals: {} };
  const { argv, cwd } = codexStart(
    { cwd: 'project', model: 'gpt', mayCommit: true, extraArgs: ['--ephemeral'] },
    { session, baseDir: '/srv/agent' },
  );
  t.strictSame(argv, [
    ...['codex', 'exec', '--json', '--skip-git-repo-check', '-C', '/srv/agent/project', '-m', 'gpt', '-s', 'workspace-write'],
    ...[
      '-c',
      'sandbox_workspace_write.writable_roots=["/srv/agent/project/.git"]',
      '-c',
      'analytics.enabled=false',
      '--ephemeral',
      'resume',
      'abc',
      '-',
    ],
  ]);
  t.equal(cwd, '/srv/agent/project');
  t.equal(codexStart({ permissions: 'full' }, { session: null, baseDir: '/' }).argv.at(-1), '-');
  t.end();
});

void t.test('options that it cannot honour are mistakes', (t) => {
  const problems = (options: object) =>
    codex(options)
      .problems()
      .map(({ path }) => path);
  t.strictSame(problems({ maxCostUsd: 1 }), ['maxCostUsd']);
  t.strictSame(problems({ allowTools: ['Bash'] }), ['allowTools']);
  t.strictSame(problems({ mayCommit: true, permissions: 'read-only' }), ['mayCommit']);
  t.strictSame(problems({ extraArgs: ['--sandbox=danger-full-access'] }), ['extraArgs[0]']);
  t.strictSame(problems({ mayCommit: true, session: 'resume' }), []);
  t.end();
});

const CODEX: AgentOutput = {
  started: jsonLinesOf({ type: 'thread.started', thread_id: 's' }, { type: 'turn.started' }),
  result: jsonLinesOf({ type: 'item.completed', item: { type: 'agent_message', text: 'done' } }, { type: 'turn.completed', usage: {} }),
  interim: jsonLinesOf({ type: 'item.completed', item: { type: 'agent_message', text: 'interim' } }),
  failed: jsonLinesOf({ type: 'turn.failed', error: { message: 'unexpected status 500' } }),
};
wakeRunnerContract(
  'codex',
  processSubject((argv, deps) => codex({ bin: argv }).create(deps), CODEX),
  t,
);
