/** The command runner when the last line of its program is the result. */
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import { lastLineDialect } from '../../plugins/command/dialect.ts';
import { command } from '../../plugins/runners.ts';
import { all, wakeRunnerContract } from '../product/contracts/runner/wake-runner.contract.ts';
import { processSubject } from '../product/contracts/runner/process-subject.ts';
import { read, saying } from './programs/recording.ts';
import { runWorld } from './run-world.ts';

const dialect = lastLineDialect({ '3': 'auth', '75': 'rate_limited' });
const outcomeOf = (lines: readonly (string | object)[], end: Parameters<typeof saying>[1] = {}) =>
  read(dialect, saying(lines, end)).outcome;

void t.test('the last line that is an object is the result, with code 0', (t) => {
  t.match(outcomeOf(['log', { n: 1 }, 'bye']), { type: 'completed', output: { n: 1 } });
  t.match(outcomeOf([{ n: 1 }, { status: 'success', output: [2], tokens_used: 9, cost_usd: 0.5 }]), {
    type: 'completed',
    output: [2],
    tokensUsed: 9,
    costUsd: 0.5,
  });
  t.match(outcomeOf([{ status: 'success' }]), { type: 'completed', output: null });
  t.end();
});

void t.test('neither a line nor an exit code alone is a result', (t) => {
  const wanted = /^none of the lines that it printed is a JSON object; it exited with code 0 without a result/;
  t.match(outcomeOf([]), { type: 'failed', kind: 'no_result', retryable: true, message: wanted });
  t.match(outcomeOf(['12', '[1]', '"x"', '{"cut":']), { kind: 'no_result' });
  t.match(outcomeOf([{ status: 'success', output: 1 }], { exitCode: 1 }), {
    type: 'failed',
    kind: 'no_result',
    message: /exited with code 1/,
  });
  t.match(outcomeOf([{ status: 'success', output: 1 }], { exitCode: null, signal: 'SIGKILL' }), { type: 'failed' });
  t.match(
    outcomeOf([{ status: 'success', output: 1 }], { exitCode: null }),
    { type: 'completed' },
    'the exit code of an adopted run is unknown',
  );
  t.match(outcomeOf([{ n: 1 }], { exitCode: null }), { type: 'failed' }, 'but then it must say so itself');
  t.end();
});

void t.test('an object with another status is not a result, whatever the exit code', (t) => {
  for (const [status, found] of [
    ['error', '"error"'],
    ['ok', '"ok"'],
    [200, '200'],
    [null, 'null'],
  ] as const) {
    const message = `the "status" in its last line must be "success" or "failed", or be left out; found ${found}`;
    t.match(outcomeOf([{ status, output: 1 }]), { type: 'failed', kind: 'agent_failed', retryable: true, message });
    t.match(outcomeOf([{ status, output: 1 }], { exitCode: null }), { type: 'failed', kind: 'no_result' });
  }
  t.end();
});

void t.test('a failure has the kind of its exit code, and its own reason', (t) => {
  t.match(outcomeOf([], { exitCode: 3 }), { kind: 'auth', retryable: false });
  t.match(outcomeOf([{ status: 'failed', reason: 'who are you?' }], { exitCode: 3 }), { kind: 'auth', message: 'who are you?' });
  t.match(outcomeOf([{ status: 'failed', reason: 'no', retryable: false }]), { kind: 'agent_failed', retryable: false });
  t.match(outcomeOf([], { exitCode: 75 }), { kind: 'rate_limited', retryable: true });
  t.end();
});

void t.test('earlier lines are progress', (t) => {
  const { events } = read(dialect, saying([{ percent: 5 }, { message: 'half', percent: 50 }, { status: 'success', message: 'x' }]));
  t.match(events, [
    { type: 'progress', percent: 5 },
    { type: 'progress', percent: 50, message: 'half' },
  ]);
  t.equal(events.length, 2);
  t.end();
});

void t.test('allowed exit codes', (t) => {
  const paths = (options: object) =>
    command({ argv: ['x'], ...options })
      .problems()
      .map(({ path }) => path);
  t.strictSame(paths({ report: 'last-json-line', exitCodes: { 3: 'auth' } }), []);
  t.strictSame(paths({ exitCodes: { 3: 'auth' } }), ['exitCodes']);
  t.strictSame(paths({ report: 'last-json-line', exitCodes: { 0: 'auth' } }), ['exitCodes.0']);
  t.not(paths({ report: 'last-json-line', exitCodes: { 3: 'tired' } }).length, 0);
  t.strictSame(paths({ report: 'last-json-line', exitCodes: { x: 'auth', 256: 'auth' } }).sort(), ['exitCodes.256', 'exitCodes.x']);
  t.end();
});

void t.test('R4: the last line needs no line end, and may begin with a byte order mark', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const deps = { agentId: 'agent-1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  const result = '{"status":"success","output":7}';
  for (const script of [`printf '%s' '${result}'`, `printf '\\357\\273\\277%s' '${result}'`, `echo log; printf '%s' '${result}'`]) {
    const runner = await command({ argv: ['sh', '-c', script], report: 'last-json-line' }).create(deps);
    const events = await all(runner.wake(await world.request(), new AbortController().signal));
    t.match(
      events.find(({ type }) => type === 'completed' || type === 'failed'),
      { type: 'completed', output: 7 },
      script,
    );
  }
});

void t.test('a quiet program may be silent for as long as the config says', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const deps = { agentId: 'agent-1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  const quiet = await command({ argv: ['sleep', '60'], report: 'last-json-line', idleMs: 200, graceMs: 100 }).create(deps);
  const events = await all(quiet.wake(await world.request(), new AbortController().signal));
  t.match(
    events.find(({ type }) => type === 'failed'),
    { kind: 'unresponsive', message: /idleMs/ },
  );
  const problems = command({ argv: ['x'], idleMs: 1 }).problems();
  t.match(problems, [{ path: 'idleMs', message: /last-json-line.*timing\.idleMs/ }]);
});

wakeRunnerContract(
  'a command whose last line is its result',
  processSubject((argv, deps) => command({ argv: [...argv], report: 'last-json-line' }).create(deps), {
    started: '{"percent":1}\n',
    result: '{"status":"success","output":"done"}\n',
    interim: '{"output":"interim"}\n',
    failed: '{"status":"failed","reason":"no"}\n',
    settlesAtEnd: true,
  }),
  t,
);
