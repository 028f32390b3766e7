import t from 'tap';
import { scriptedRunner, type RunScript } from '../product/twins/runner-scripted/scripted-runner.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import type { WakeEvent, WakeRequest } from '../../core/ports/wake-runner.ts';
import { aGeneration, anAgentId, aTaskId } from '../product/contracts/fixtures.ts';
import { all, wakeRunnerContract, type Behaviour, type WakeRunnerSubject } from '../product/contracts/runner/wake-runner.contract.ts';

const ended = (exitCode: number, stderrTail = ''): RunScript['steps'] => [
  { afterMs: 10, event: { type: 'woken' } },
  { afterMs: 100, event: { type: 'exited', exitCode, signal: null, stderrTail } },
];

const SCRIPTS: Readonly<Record<Behaviour, RunScript>> = {
  ends: { steps: ended(0) },
  fails: { steps: ended(3, 'it broke') },
  works: { steps: [{ afterMs: 10, event: { type: 'woken' } }], endsWithinMs: 50 },
  'ignores-stop': { endsWithinMs: Infinity },
  'leaves-tools': { endsWithinMs: Infinity },
  'cannot-start': { refuses: { message: 'there is no such program', retryable: false } },
};

wakeRunnerContract('scripted', () => {
  const clock = virtualClock();
  const runners = new Map<Behaviour, ReturnType<typeof scriptedRunner>>();
  const runnerOf = (behaviour: Behaviour): ReturnType<typeof scriptedRunner> => {
    const runner = runners.get(behaviour) ?? scriptedRunner({ clock, script: () => SCRIPTS[behaviour] });
    runners.set(behaviour, runner);
    return runner;
  };
  let requests = 0;
  const world: WakeRunnerSubject = {
    runner: (behaviour) => Promise.resolve(runnerOf(behaviour)),
    request: () => Promise.resolve(aRequest((requests += 1))),
    async settle(promise) {
      await turning(promise, () => clock.runNext());
      return promise;
    },
    atWork: () => Promise.resolve(),
    async endAgent({ runId }) {
      for (const runner of runners.values()) runner.end(runId, { exitCode: 0, signal: null });
      return Promise.resolve();
    },
    livingOf: (runId) => Promise.resolve([...runners.values()].flatMap((runner, pid) => (runner.living().includes(runId) ? [pid] : []))),
    close: () => Promise.resolve(),
  };
  return Promise.resolve(world);
});

void t.test('steps happen in order, each its time after the one before', async (t) => {
  const clock = virtualClock();
  const done: string[] = [];
  const runner = scriptedRunner({
    clock,
    script: () => ({
      steps: [
        { afterMs: 100, event: { type: 'started' } },
        { afterMs: 50, act: ({ taskId }) => done.push(`${taskId} at ${String(clock.monotonicMs())}`) },
        { afterMs: 50, event: { type: 'completed', output: { answer: 42 } } },
        { afterMs: 0, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } },
      ],
    }),
  });
  const request = aRequest(7);
  const told: string[] = [];
  const listening = (async () => {
    for await (const { type } of runner.wake(request, new AbortController().signal)) told.push(`${type} at ${String(clock.monotonicMs())}`);
  })();
  await turning(listening, () => clock.runNext());
  t.strictSame(told, ['spawned at 0', 'started at 100', 'completed at 200', 'exited at 200']);
  t.strictSame(done, [`${request.taskId} at 150`]);
  t.strictSame(runner.started, [request]);
  t.strictSame(runner.living(), []);
  t.equal(clock.pending, 0);
});

void t.test('a stop takes what the script says, and at most the grace', async (t) => {
  for (const [endsWithinMs, graceMs, wantedMs] of [
    [50, 200, 50],
    [Infinity, 200, 200],
    [Infinity, undefined, 5_000],
  ] as const) {
    const clock = virtualClock();
    const runner = scriptedRunner({ clock, script: () => ({ endsWithinMs, survivors: [4711] }) });
    const stop = new AbortController();
    const events = all(runner.wake(aRequest(1), stop.signal));
    stop.abort(graceMs === undefined ? undefined : { graceMs });
    await turning(events, () => clock.runNext());
    t.strictSame((await events).at(-1), { type: 'stopped', survivors: [4711] });
    t.equal(clock.monotonicMs(), wantedMs);
  }
});

void t.test('what nobody listened to is told to the next who does', async (t) => {
  const clock = virtualClock();
  const runner = scriptedRunner({ clock, script: () => ({ steps: [{ afterMs: 10, event: { type: 'completed', output: 1 } }] }) });
  const request = aRequest(1);
  const first = runner.wake(request, new AbortController().signal)[Symbol.asyncIterator]();
  const spawned = (await first.next()).value as Extract<WakeEvent, { type: 'spawned' }>;
  await first.return?.();
  clock.advance(10);
  runner.end(request.runId);
  const events = await all(runner.attach({ ...request, process: spawned.process }, new AbortController().signal));
  t.match(events, [
    { type: 'completed', output: 1 },
    { type: 'exited', exitCode: null, signal: null },
  ]);
});

function aRequest(n: number): WakeRequest {
  return {
    taskId: aTaskId(n),
    generation: aGeneration(1),
    agentId: anAgentId(),
    runId: `run-${String(n)}`,
    task: { description: 'count the files' },
    taskFile: '/task.json',
    resultsDir: '/results',
    runDir: '/run',
  };
}

/** Lets the loop turn, moving time on between two turns, until the promise is settled. */
async function turning(promise: Promise<unknown>, moveOn: () => unknown): Promise<void> {
  let isSettled = false;
  const settled = (): void => {
    isSettled = true;
  };
  promise.then(settled, settled);
  for (let turns = 0; !isSettled; turns += 1) {
    if (turns > 1_000) throw new Error('it is never settled, however long one waits');
    await new Promise((resolve) => setImmediate(resolve));
    if (!isSettled) moveOn();
  }
}
