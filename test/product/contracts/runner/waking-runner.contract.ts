/** What a `WakeRunner` must do that only wakes: its agent belongs to another service. Part of `wakeRunnerContract`. */
import type { WakeEvent } from '../../../../core/ports/wake-runner.ts';
import type { InWorld } from './in-world.ts';
import type { RunnerWorld } from './wake-runner-subject.ts';

/** Adds the cases. */
export function wakingRunnerCases(waking: InWorld<RunnerWorld>): void {
  waking('reports that it woke its agent, and nothing more', async (t, world) => {
    const request = await world.request();
    t.strictSame(await world.settle(eventsOf((await world.runner('works')).wake(request, new AbortController().signal))), [
      { type: 'woken' },
    ]);
    await world.settle(world.atWork(request));
    t.ok((await world.livingOf(request.runId)).length > 0, 'its agent is at work');
    await world.endAgent(request);
  });

  waking('leaves a woken agent alone on attach and on stop', async (t, world) => {
    const request = await world.request();
    const runner = await world.runner('works');
    await world.settle(eventsOf(runner.wake(request, new AbortController().signal)));
    await world.settle(world.atWork(request));
    const run = { ...request, process: null };
    const later = await world.runner('works');
    const listener = later.attach(run, new AbortController().signal)[Symbol.asyncIterator]();
    const silence = listener.next();
    await listener.return?.();
    t.match(await world.settle(silence), { done: true }, 'a listener can leave');
    const ends = await world.settle(eventsOf(later.attach(run, AbortSignal.abort())));
    t.strictSame(ends, [{ type: 'exited', exitCode: null, signal: null, stderrTail: '' }], 'its exit is unknown');
    t.ok((await world.livingOf(request.runId)).length > 0, 'its agent is at work');
    await world.endAgent(request);
  });

  waking('reports a retryable failure if its sidecar ended during the wake, and may wake again', async (t, world) => {
    const request = await world.request();
    const runner = await world.runner('works');
    const lost = await world.settle(eventsOf(runner.attach({ ...request, process: null }, new AbortController().signal)));
    t.match(lost, [{ type: 'failed', phase: 'spawn', retryable: true, message: /\S/ }]);
    t.strictSame(await world.settle(eventsOf(runner.wake(request, new AbortController().signal))), [{ type: 'woken' }]);
    await world.settle(world.atWork(request));
    await world.endAgent(request);
  });
}

async function eventsOf(events: AsyncIterable<WakeEvent>): Promise<readonly WakeEvent[]> {
  const wakeEvents: WakeEvent[] = [];
  for await (const event of events) wakeEvents.push(event);
  return wakeEvents;
}
