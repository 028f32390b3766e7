/** A runner defined by a program and, if its output is read, by the meaning of its lines. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import {
  jsonLines,
  programRunner,
  type LineParser,
  type ProgramStart,
  type ParsedEvent,
  type WakeEvent,
  type WakeRequest,
} from '../../../plugins/plugin.ts';
import { all, wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { processSubject } from '../../product/contracts/runner/process-subject.ts';
import { runWorld, type RunWorld } from '../run-world.ts';

const never = (): AbortSignal => new AbortController().signal;
/** Reads `{"type": …}` lines as the events that they are, and ignores unknown types. */
const onLine = jsonLines((value) => (value['type'] === 'no such thing' ? undefined : (value as unknown as ParsedEvent)));

wakeRunnerContract(
  'a program that is listened to',
  processSubject((argv, deps) => programRunner(deps, { start: () => ({ argv }), onLine }), {
    started: '{"type":"started"}\n',
    interim: '{"type":"progress","message":"interim"}\n',
    result: '{"type":"completed","output":{"n":1}}\n',
    failed: '{"type":"failed","phase":"agent","message":"it gave up","retryable":true}\n',
  }),
  t,
);

const withRuns = (title: string, run: (t: Test, world: RunWorld) => Promise<void>): void => {
  void t.test(title, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    await run(t, world);
    t.strictSame(await world.close(), [], 'nothing that carries a run id is left');
  });
};

function runnerOf(world: RunWorld, program: string, more: { readonly onLine?: LineParser; readonly start?: Partial<ProgramStart> } = {}) {
  const log = memoryLog();
  const start = (): ProgramStart => ({ argv: [process.execPath, '-e', program], ...more.start });
  const deps = { baseDir: world.baseDir, clock: systemClock(), log };
  return { log, runner: programRunner(deps, { start, onLine: more.onLine ?? onLine }) };
}

const eventsOf = async (world: RunWorld, program: string, more: Parameters<typeof runnerOf>[2] = {}, request?: WakeRequest) =>
  all(runnerOf(world, program, more).runner.wake(request ?? (await world.request()), never()));
const types = (events: readonly WakeEvent[]): readonly string[] => events.map(({ type }) => type);

withRuns('a result in a line that is too long is a failure that says so and is not retried', async (t, world) => {
  const long = `JSON.stringify({ type: 'completed', output: 'x'.repeat(5 * 1024 * 1024) })`;
  const failed = (events: readonly WakeEvent[]) => events.filter(({ type }) => type === 'failed');
  t.match(failed(await eventsOf(world, `console.log(${long});`)), [
    { phase: 'agent', kind: 'limit', retryable: false, message: /a line of over 4 MiB or 20,000 object members, which was dropped/ },
  ]);
  t.strictSame(failed(await eventsOf(world, `console.log(${long}); console.log('{"type":"completed","output":1}');`)), []);
  t.strictSame(failed(await eventsOf(world, `console.log(${long}); process.exitCode = 3;`)), [], 'the exit code says more');
});

withRuns('program output is reported in order, all of it before the exit', async (t, world) => {
  const many = 3_000;
  const events = await eventsOf(
    world,
    `console.log('{"type":"started"}\\nno JSON\\n{ nor this\\n[1]\\n ');
     for (let n = 0; n < ${many}; n += 1) console.log(JSON.stringify({ type: 'progress', message: 'é' + n }));
     console.log('{"type":"completed","output":{"n":1}}');`,
  );
  t.strictSame(types(events.slice(0, 3)), ['spawned', 'started', 'output'], 'it is attached: nothing is left to its files');
  t.equal(events[2]?.type === 'output' && events[2].text, 'no JSON\n{ nor this\n[1]\n ', 'a line without a meaning is a sign of life');
  t.strictSame(
    events.flatMap((event) => (event.type === 'progress' ? [event.message] : [])),
    Array.from({ length: many }, (_, n) => `é${n}`),
  );
  t.match(events.slice(-2), [
    { type: 'completed', output: { n: 1 } },
    { type: 'exited', exitCode: 0 },
  ]);
});

withRuns('a line may yield several events, and the last line needs no line end', async (t, world) => {
  const twice: LineParser = (line) => [{ type: 'started' }, { type: 'progress', message: line }];
  const events = await eventsOf(world, `process.stdout.write('one\\ntwo')`, { onLine: twice });
  t.match(events.slice(1), [
    { type: 'started' },
    { type: 'progress', message: 'one' },
    { type: 'started' },
    { type: 'progress', message: 'two' },
    { type: 'exited' },
  ]);
  t.equal(events.length, 6, 'the last line of a program that has ended needs no line break');
});

withRuns('a line for which the plugin returns null yields no event', async (t, world) => {
  const events = await eventsOf(world, `console.log('one\\ntwo')`, { onLine: (() => null) as never });
  t.match(events, [{ type: 'spawned' }, { type: 'output', stream: 'stdout', text: 'one\ntwo' }, { type: 'exited', exitCode: 0 }]);
  t.equal(events.length, 3);
});

withRuns('the program reads the task, or the input given instead, from standard input', async (t, world) => {
  const echo = `process.stdout.write(JSON.stringify({ type: 'completed', output: require('fs').readFileSync(0, 'utf8') }) + '\\n')`;
  const request = await world.request({ description: 'do "it"' });
  t.match(await eventsOf(world, echo, {}, request), [{}, { type: 'completed', output: `${JSON.stringify(request.task)}\n` }]);
  t.match(await eventsOf(world, echo, { start: { input: 'only this' } }, await world.request()), [{}, { output: 'only this' }]);
});

withRuns('a runner that cannot parse a line fails once, and its agent is still followed to its end', async (t, world) => {
  const deaf: LineParser = (line) => {
    throw new Error(`what is ${line}?`);
  };
  const { runner, log } = runnerOf(world, `for (let n = 0; n < 3; n += 1) console.log('this');`, { onLine: deaf });
  const events = await all(runner.wake(await world.request(), never()));
  t.match(events, [
    { type: 'spawned' },
    { type: 'failed', phase: 'agent', retryable: true, message: /cannot read the output of the agent: what is this\?$/ },
    { type: 'exited', exitCode: 0 },
  ]);
  t.equal(events.length, 3);
  t.equal(log.lines.filter(({ level }) => level === 'error').length, 1);
});

withRuns('a line over the limit is dropped and logged', async (t, world) => {
  const { runner, log } = runnerOf(world, `console.log('{' + 'x'.repeat(9 * 1024 * 1024)); console.log('{"type":"started"}');`);
  const events = await all(runner.wake(await world.request(), never()));
  t.strictSame(types(events), ['spawned', 'started', 'failed', 'exited']);
  t.match(log.lines.at(-1), { level: 'warn', fields: { lines: 1 } });
});

withRuns('a listener that leaves gets no more events and disturbs nothing; one that reattaches gets all of them', async (t, world) => {
  const end = join(world.baseDir, 'end');
  const { runner } = runnerOf(
    world,
    `console.log('{"type":"started"}');
     const wait = setInterval(() => {
       if (!require('fs').existsSync(${JSON.stringify(end)})) return;
       console.log('{"type":"completed","output":1}');
       clearInterval(wait);
     }, 20);`,
  );
  const request = await world.request();
  const listener = runner.wake(request, never())[Symbol.asyncIterator]();
  const spawned = (await listener.next()).value as Extract<WakeEvent, { type: 'spawned' }>;
  t.match(await listener.next(), { value: { type: 'started' } });
  const silence = listener.next();
  await listener.return?.();
  t.match(await silence, { done: true });

  const later = all(runner.attach({ ...request, process: spawned.process }, never()));
  await writeFile(end, '');
  t.match(await later, [{ type: 'started' }, { type: 'completed', output: 1 }, { type: 'exited', exitCode: null }]);
});

withRuns('a start that is not a function, or returns no argv, is reported', async (t, world) => {
  const deps = { baseDir: world.baseDir, clock: systemClock(), log: memoryLog() };
  t.throws(() => programRunner(deps, {} as never), { code: 'AC_PLUGIN_INVALID', message: /needs "start", a function/ });
  for (const [returned, found] of [
    [undefined, 'undefined'],
    [{ args: ['ls'] }, String.raw`\{"args":\["ls"\]\}`],
    [{ argv: [] }, ''],
    [{ argv: ['ls', 1] }, ''],
    ['ls -l', 'ls -l'],
  ] as const) {
    const runner = programRunner(deps, { start: () => returned as never });
    const request = await world.request();
    const message = new RegExp(`"start" returned .*${found}.*expected \\{ argv`);
    await t.rejects(all(runner.wake(request, never())), { code: 'AC_PLUGIN_INVALID', message });
  }
});

t.test('the contract fails a case whose runner never emits what the case waits for, instead of waiting forever', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const world = await processSubject((argv, deps) => programRunner(deps, { start: () => ({ argv }) })).world();
  t.teardown(() => world.close());
  const failed = t.rejects(world.settle(new Promise(() => undefined)), {
    message: /^expected the runner to emit .* within 60 s; found it still waiting$/,
  });
  mock.timers.tick(60_000);
  await failed;
  t.equal(await world.settle(Promise.resolve('in time')), 'in time');
});
