import t from 'tap';
import { scriptedRunner } from '../product/twins/runner-scripted/scripted-runner.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import type { WakeEvent } from '../../core/ports/wake-runner.ts';
import { all, wakeRunnerContract } from '../product/contracts/runner/wake-runner.contract.ts';
import { aWakeRequest, scriptedSubject, turning } from './suites/twin-subjects.ts';

wakeRunnerContract('scripted', scriptedSubject, t);

void t.test('steps run in order, each after its own delay', async (t) => {
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
  const request = aWakeRequest(7);
  const received: string[] = [];
  const listening = (async () => {
    for await (const { type } of runner.wake(request, new AbortController().signal))
      received.push(`${type} at ${String(clock.monotonicMs())}`);
  })();
  await turning(listening, () => clock.runNext());
  t.strictSame(received, ['spawned at 0', 'started at 100', 'completed at 200', 'exited at 200']);
  t.strictSame(done, [`${request.taskId} at 150`]);
  t.strictSame(runner.started, [request]);
  t.strictSame(runner.living(), []);
  t.equal(clock.pending, 0);
});

void t.test('a stop takes as long as scripted, but at most the grace period', async (t) => {
  for (const [endsWithinMs, graceMs, wantedMs] of [
    [50, 200, 50],
    [Infinity, 200, 200],
    [Infinity, undefined, 5_000],
  ] as const) {
    const clock = virtualClock();
    const runner = scriptedRunner({ clock, script: () => ({ endsWithinMs, survivors: [4711] }) });
    const stop = new AbortController();
    const events = all(runner.wake(aWakeRequest(1), stop.signal));
    stop.abort(graceMs === undefined ? undefined : { graceMs });
    await turning(events, () => clock.runNext());
    t.strictSame((await events).at(-1), { type: 'stopped', survivors: [4711] });
    t.equal(clock.monotonicMs(), wantedMs);
  }
});

void t.test('events without a listener are delivered to the next listener', async (t) => {
  const clock = virtualClock();
  const runner = scriptedRunner({ clock, script: () => ({ steps: [{ afterMs: 10, event: { type: 'completed', output: 1 } }] }) });
  const request = aWakeRequest(1);
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
