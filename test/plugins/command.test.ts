import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import type { WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../core/domain/assignment/slot.ts';
import { command, type CommandOptions } from '../../plugins/command/index.ts';
import { AgentcomError } from '../../plugins/plugin.ts';
import { all, wakeRunnerContract } from '../product/contracts/runner/wake-runner.contract.ts';
import { processSubject } from '../product/contracts/runner/process-subject.ts';
import { atWork, carriersOf, endAgent, fileAppears, PROBE_AGENT, runWorld, type RunWorld } from './run-world.ts';
import { builtTree } from '../rig/built-tree.ts';

const NODE = process.execPath;
const SIDECAR_PROCESS = builtTree().compiled('test/plugins/sidecar-process.ts');

wakeRunnerContract(
  'command',
  processSubject((argv, deps) => command({ argv }).create(deps)),
  t,
);

withRuns('a missing, unexecutable or impossible program is refused with what to do', async (t, world) => {
  await writeFile(join(world.baseDir, 'notes.txt'), 'not a program');
  for (const [options, wanted] of [
    [{ argv: ['no-such-program'] }, /Cannot start "no-such-program": there is no such program in ".*" or on PATH\. Install it .* PATH: .+/],
    [{ argv: ['./missing'] }, /Cannot start "\.\/missing": there is no such program/],
    [{ argv: ['./notes.txt'] }, /not an executable file/],
    [{ argv: [NODE], cwd: 'gone' }, /its folder ".*\/gone" does not exist\. Create it or change cwd\./],
  ] as const) {
    const events = await all((await create(options, world.baseDir)).wake(await world.request(), never()));
    t.match(events, [{ type: 'failed', phase: 'spawn', retryable: false, message: wanted }]);
    t.equal(events.length, 1);
  }
});

withRuns('R10: a program that only wakes and hands over does not count as ended early, and is found on a stop', async (t, world) => {
  // Like docker run -d and tmux: what keeps running is neither its child nor in its group.
  const argv = ['sh', '-c', 'setsid sleep 60 </dev/null >/dev/null 2>&1 & exit "$1"', 'sh'];
  const request = await world.request();
  const runner = await create({ argv: [...argv, '0'], detaches: true }, world.baseDir);
  const events = await all(runner.wake(request, never()));
  t.match(
    events.map(({ type }) => type),
    ['spawned', 'woken'],
  );
  t.equal(carriersOf(request.runId).length, 1, 'what it woke is running');
  const [spawned] = events;
  const run = { ...request, process: spawned?.type === 'spawned' ? spawned.process : null };
  t.match(await all(runner.attach(run, AbortSignal.abort())), [{ type: 'stopped', survivors: [] }]);

  const failing = await create({ argv: [...argv, '3'], detaches: true }, world.baseDir);
  t.match((await all(failing.wake(await world.request(), never()))).at(-1), { type: 'exited', exitCode: 3 }, 'it could not hand over');
  t.match(command({ argv, detaches: true, report: 'last-json-line' }).problems(), [{ path: /detaches/ }]);
});

withRuns('an argument that is too long is refused with the limit and a remedy', async (t, world) => {
  const runner = await create({ argv: [NODE, PROBE_AGENT, 'reports', '${TASK_DESCRIPTION}'] }, world.baseDir);
  const events = await all(runner.wake(await world.request({ description: 'x'.repeat(131_072) }), never()));
  t.match(events, [
    {
      type: 'failed',
      phase: 'spawn',
      kind: 'limit',
      retryable: false,
      message: /argv\[3\] has 131072 bytes\..*128 KiB.*standard input/,
      details: { cause: 'E2BIG' },
    },
  ]);
  const longest = await world.request({ description: 'x'.repeat(131_071) });
  t.match((await all(runner.wake(longest, never()))).at(-1), { type: 'exited', exitCode: 0 }, 'one byte less is fine');
});

withRuns('a NUL in the task is refused where it would be an argument', async (t, world) => {
  const runner = await create({ argv: [NODE, PROBE_AGENT, 'reports', '${TASK_DESCRIPTION}'] }, world.baseDir);
  const events = await all(runner.wake(await world.request({ description: 'a\0b' }), never()));
  t.match(events, [{ type: 'failed', phase: 'spawn', kind: 'limit', retryable: false, message: /NUL character/ }]);
});

withRuns('hostile task text arrives byte for byte by standard input, file and argument, and runs nothing', async (t, world) => {
  const mark = join(world.baseDir, 'ran');
  const runner = await create(
    { argv: [NODE, PROBE_AGENT, 'reports', '${TASK_DESCRIPTION}', 'id=${TASK_ID}', '${TASK_JSON}', '$HOME ${OTHER} *'] },
    world.baseDir,
  );
  for (const description of [
    `$(touch ${mark})`,
    `\`touch ${mark}\`; touch ${mark} | touch ${mark} && touch ${mark} > ${mark}`,
    `'"\\' "; touch ${mark}; #`,
    'one\ntwo\r\nthree\n',
    '../../../etc/passwd',
    '--help -rf $1 $@ %s %n ~ * ?',
    '${TASK_ID} ${TASK_JSON} ${TASK_DESCRIPTION} $& $1 $$',
    'x'.repeat(10_000),
    '👩‍👩‍👧 🏳️‍🌈 ẗ̴̞ مرحبا \u202e',
    Array.from({ length: 31 }, (_, code) => String.fromCharCode(code + 1)).join('') + '\x7f\x9b',
    '',
  ]) {
    const request = await world.request({ description, metadata: { quote: description } });
    t.match((await all(runner.wake(request, never()))).at(-1), { type: 'exited', exitCode: 0 });
    const report = await reportOf(request);
    t.strictSame(report.args, [description, `id=${request.taskId}`, JSON.stringify(request.task), '$HOME ${OTHER} *']);
    t.equal(Buffer.from(report.stdin, 'base64').toString('utf8'), `${JSON.stringify(request.task)}\n`);
    t.equal(Buffer.from(report.file, 'base64').toString('utf8'), await readFile(request.taskFile, 'utf8'));
  }
  await t.rejects(stat(mark), { code: 'ENOENT' }, 'nothing of it was executed');
});

withRuns('the agent gets a small environment, and no variable of the sidecar’s that was not requested', async (t, world) => {
  process.env['PLANTED_SECRET'] = 'do not pass on';
  process.env['PASSED_ON'] = 'as it is';
  t.teardown(() => {
    delete process.env['PLANTED_SECRET'];
    delete process.env['PASSED_ON'];
  });
  await mkdir(join(world.baseDir, 'elsewhere'));
  const runner = await create(
    {
      argv: [NODE, PROBE_AGENT, 'reports'],
      cwd: 'elsewhere',
      env: { GREETING: 'hello', LANG: 'C.UTF-8' },
      passEnv: ['PASSED_ON', 'NOT_SET'],
    },
    world.baseDir,
  );
  const request = await world.request();
  await all(runner.wake(request, never()));
  const { env, cwd } = await reportOf(request);
  const ofMachine = ['PATH', 'HOME', 'TMPDIR', 'USER'].filter((name) => process.env[name] !== undefined);
  const ofTask = { AGENTCOM_TASK_ID: request.taskId, AGENTCOM_TASK_FILE: request.taskFile, AGENTCOM_RESULTS_DIR: request.resultsDir };
  const ofRun = { AGENTCOM_GENERATION: '1', AGENTCOM_AGENT_ID: request.agentId, AGENTCOM_RUN_ID: request.runId };
  t.strictSame(withoutTap(env), {
    ...Object.fromEntries(ofMachine.map((name) => [name, process.env[name]])),
    ...{ LANG: 'C.UTF-8', GREETING: 'hello', PASSED_ON: 'as it is', PWD: join(world.baseDir, 'elsewhere') },
    ...ofTask,
    ...ofRun,
  });
  t.equal(cwd, join(world.baseDir, 'elsewhere'));
});

withRuns('the streams are private files', async (t, world) => {
  const request = await world.request();
  await all((await create({ argv: [NODE, PROBE_AGENT, 'fails'] }, world.baseDir)).wake(request, never()));
  for (const name of ['stdin', 'stdout', 'stderr']) t.equal((await stat(join(request.runDir, name))).mode & 0o777, 0o600, name);
});

withRuns('a stop ends the whole tree: own groups, own sessions, orphans, all ignoring SIGTERM', async (t, world) => {
  const request = await world.request();
  const stop = new AbortController();
  const events = all((await create({ argv: [NODE, PROBE_AGENT, 'tree'], graceMs: 300 }, world.baseDir)).wake(request, stop.signal));
  await atWork(request);
  t.ok(carriersOf(request.runId).length >= 6, 'the tree has grown');
  const beganMs = performance.now();
  stop.abort();
  t.strictSame((await events).at(-1), { type: 'stopped', survivors: [] });
  const tookMs = performance.now() - beganMs;
  t.ok(tookMs >= 300 && tookMs < 2_300, `gone and confirmed within the grace period and two seconds: ${tookMs.toFixed(0)} ms`);
  t.strictSame(carriersOf(request.runId), []);
});

withRuns('an agent that is stopped may clean up first, within the grace period', async (t, world) => {
  const request = await world.request();
  const stop = new AbortController();
  const events = all((await create({ argv: [NODE, PROBE_AGENT, 'tidies'] }, world.baseDir)).wake(request, stop.signal));
  await atWork(request);
  stop.abort();
  t.strictSame((await events).at(-1), { type: 'stopped', survivors: [] });
  t.ok(existsSync(join(request.resultsDir, 'tidied')));
});

withRuns('processes that an agent leaves behind when it exits are ended', async (t, world) => {
  const request = await world.request();
  const events = await all((await create({ argv: [NODE, PROBE_AGENT, 'leaves'], graceMs: 100 }, world.baseDir)).wake(request, never()));
  t.match(events.at(-1), { type: 'exited', exitCode: 0, signal: null });
  t.strictSame(carriersOf(request.runId), []);
});

withRuns('an agent killed from outside is reported as exited by that signal', async (t, world) => {
  const request = await world.request();
  const runner = await create({ argv: [NODE, PROBE_AGENT, 'works'] }, world.baseDir);
  const events: WakeEvent[] = [];
  for await (const event of runner.wake(request, never())) {
    events.push(event);
    if (event.type !== 'woken') continue;
    await atWork(request);
    process.kill(events.find((earlier) => earlier.type === 'spawned')?.process.pid ?? NaN, 'SIGKILL');
  }
  t.match(
    // What it wrote may be reported or not.
    events.filter(({ type }) => type !== 'output'),
    [{ type: 'spawned' }, { type: 'woken' }, { type: 'exited', exitCode: null, signal: 'SIGKILL' }],
  );
});

withRuns('the agent outlives its sidecar, and the next one sees its end', async (t, world) => {
  const request = await world.request();
  const options: CommandOptions = { argv: [NODE, PROBE_AGENT, 'works'] };
  const sidecar = sidecarProcess({ options, request, baseDir: world.baseDir, leaves: false });
  t.teardown(() => sidecar.kill('SIGKILL'));
  const [line] = (await once(sidecar.stdout, 'data')) as [Buffer];
  const main = JSON.parse(line.toString('utf8')) as ProcessMark;
  await atWork(request);

  sidecar.kill('SIGKILL');
  await once(sidecar, 'exit');
  const before = (await stat(join(request.runDir, 'stdout'))).size;
  await fileAppears(request.runDir, 'stdout', (path) => statSync(path).size > before);
  t.pass('it keeps writing');

  const events = all((await create(options, world.baseDir)).attach({ ...request, process: main }, never()));
  await endAgent(request);
  t.match(
    (await events).filter(({ type }) => type !== 'output'),
    [{ type: 'exited', exitCode: null, signal: null }],
  );
  t.strictSame(carriersOf(request.runId), []);
});

withRuns('a sidecar that detaches from a run can exit, and the agent keeps running', async (t, world) => {
  const request = await world.request();
  const sidecar = sidecarProcess({ options: { argv: [NODE, PROBE_AGENT, 'works'] }, request, baseDir: world.baseDir, leaves: true });
  t.teardown(() => sidecar.kill('SIGKILL'));
  t.strictSame(await once(sidecar, 'exit'), [0, null]);
  t.equal(carriersOf(request.runId).length, 1);
  await atWork(request);
  await endAgent(request);
  const runner = await create({ argv: [NODE] }, world.baseDir);
  t.match((await all(runner.attach({ ...request, process: null }, never()))).at(-1), { type: 'exited' });
});

withRuns('a process that has the pid of the run’s process by chance is left alone', async (t, world) => {
  const stranger = spawn(NODE, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true });
  t.teardown(() => stranger.kill('SIGKILL'));
  await once(stranger, 'spawn');
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const run = { ...(await world.request()), process: { pid: stranger.pid ?? 0, startTime: '1', bootId } };
  const runner = await create({ argv: [NODE], graceMs: 0 }, world.baseDir);
  for (const signal of [never(), AbortSignal.abort()]) t.match(await all(runner.attach(run, signal)), [{ type: 'exited' }]);
  t.equal(stranger.exitCode ?? stranger.signalCode, null, 'the foreign process lives');
});

withRuns('50 MiB of output go to the file and not through the sidecar', async (t, world) => {
  const request = await world.request();
  const beforeBytes = process.memoryUsage.rss();
  const events = await all((await create({ argv: [NODE, PROBE_AGENT, 'floods', '50'] }, world.baseDir)).wake(request, never()));
  t.match(events.at(-1), { type: 'exited', exitCode: 0 });
  t.equal((await stat(join(request.runDir, 'stdout'))).size, 50 * 1024 * 1024);
  const grownBytes = process.memoryUsage.rss() - beforeBytes;
  t.ok(grownBytes < 32 * 1024 * 1024, `grew by ${String(grownBytes)} bytes`);
});

withRuns('the doctor checks program, folder and variables, and starts nothing', async (t, world) => {
  const good = await create({ argv: ['node', 'agent.mjs'] }, world.baseDir);
  t.match(await good.check?.(), [
    { check: 'cwd', ok: true },
    { check: 'program', ok: true, message: /\/node$/ },
  ]);
  await writeFile(join(world.baseDir, 'plain'), '');
  for (const [options, wanted] of [
    [{ argv: ['./plain'] }, { check: 'program', ok: false, message: /not an executable file/ }],
    [{ argv: ['no-such-program'] }, { check: 'program', ok: false, message: /no "no-such-program"/ }],
    [
      { argv: ['node'], env: { PATH: '/nowhere' } },
      { check: 'program', ok: false, message: /on PATH\.$/, hint: /^Install it .* PATH: \/nowhere$/ },
    ],
    [
      { argv: ['node'], cwd: './plain' },
      { check: 'cwd', ok: false, message: /is not a folder/ },
    ],
  ] as const) {
    const checks = (await (await create(options, world.baseDir)).check?.()) ?? [];
    t.match(
      checks.find(({ ok }) => !ok),
      wanted,
    );
    t.equal(checks.filter(({ ok }) => !ok).length, 1);
  }
});

void t.test('R16: an unset variable or a check that the config overrides does not block an agent', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const checks = async (options: CommandOptions) => (await (await create(options, world.baseDir)).check?.()) ?? [];
  const passed = await checks({ argv: ['node'], passEnv: ['SURELY_NOT_SET'] });
  t.match(
    passed.find(({ check }) => check === 'passEnv'),
    { ok: true, message: /SURELY_NOT_SET is not set for the sidecar, so the program does not get it/ },
  );
  const ignored = await checks({ argv: ['no-such-program'], ignoreChecks: ['program'] });
  t.match(
    ignored.find(({ check }) => check === 'program'),
    { ok: true, message: /^failed, but ignored by ignoreChecks: There is no "no-such-program"/ },
  );
});

void t.test('every mistake in the options is reported with its path', async (t) => {
  const given = { argv: ['ok', 3], cwdd: 'x', graceMs: -1, env: { A: 1 } } as unknown as CommandOptions;
  t.strictSame(
    command(given)
      .problems()
      .map(({ path }) => path)
      .sort(),
    ['argv[1]', 'cwdd', 'env.A', 'graceMs'],
  );
  t.match(command({} as CommandOptions).problems(), [{ path: 'argv', message: 'is missing; expected a list' }]);
  for (const [given, found] of [
    ['node', 'a text of 4 characters'],
    [undefined, 'none'],
    [() => ({}), 'a function (call it)'],
  ] as const)
    t.strictSame(command(given as unknown as CommandOptions).problems(), [
      { path: '', message: `expected an object with its options, found ${found}` },
    ]);
  // @ts-expect-error a misspelt option does not compile
  t.match(command({ argv: ['node'], grace: 1 }).problems(), [
    { path: 'grace', message: 'there is no such option; did you mean "graceMs"?' },
  ]);
  await t.rejects(create(given, '/'), { code: 'AC_CONFIG_INVALID', message: /argv\[1\]: expected a string, found 3/ });
  await create(given, '/').catch((error: unknown) => t.ok(AgentcomError.is(error)));
});

void t.test('task text that a program may parse as an option causes a warning', async (t) => {
  for (const [argv, warnings] of [
    [['agent', '${TASK_DESCRIPTION}'], 1],
    [['agent', '--', '${TASK_DESCRIPTION}'], 0],
    [['agent', '--prompt=${TASK_DESCRIPTION}', '${TASK_ID}'], 0],
  ] as const) {
    const log = memoryLog();
    await create({ argv }, '/', log);
    t.equal(log.lines.filter(({ level }) => level === 'warn').length, warnings, argv.join(' '));
  }
});

/** The test runner adds its own variables to every child process, without the parent knowing. */
const withoutTap = (env: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([name, value]) => !name.startsWith('_TAPJS_') && !value.includes('@tapjs/processinfo')));

/** A test that starts runs; at its end none of them may be alive. */
function withRuns(title: string, run: (t: Test, world: RunWorld) => Promise<void>): void {
  void t.test(title, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    await run(t, world);
    t.strictSame(await world.close(), [], 'nothing that carries a run id is left');
  });
}

const sidecarProcess = (order: object) =>
  spawn(NODE, [SIDECAR_PROCESS, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

const create = (options: CommandOptions, baseDir: string, log = memoryLog()): Promise<WakeRunner> =>
  command(options).create({ agentId: 'a1', baseDir, dataDir: baseDir, clock: systemClock(), log });

const never = (): AbortSignal => new AbortController().signal;

interface Report {
  readonly args: readonly string[];
  readonly stdin: string;
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

const reportOf = async (request: WakeRequest): Promise<Report> =>
  JSON.parse(await readFile(join(request.resultsDir, 'report.json'), 'utf8')) as Report;
