/** A runner's event stream, followed to its end. */
import t from 'tap';
import { followRuns } from '../../../../core/application/sidecar/run/runs.ts';
import type { SidecarInput } from '../../../../core/application/sidecar/state/inputs.ts';
import type { WakeEvent, WakeRequest } from '../../../../core/ports/wake-runner.ts';
import { aGeneration, aTaskId } from '../../../product/contracts/fixtures.ts';
import { memoryLog } from '../../../product/twins/log-memory/memory-log.ts';

const wakeOf = (runId: string): WakeRequest => ({ taskId: aTaskId(1), generation: aGeneration(1), runId }) as unknown as WakeRequest;

// Before, only the message was logged, and the author of the runner could not tell where it was thrown.
t.test('an error thrown by a runner is logged in full, and ends the stream with its message', async (t) => {
  const log = memoryLog();
  const thrown = new Error('boom');
  const stream: AsyncIterable<WakeEvent> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(thrown) }) };
  const runner = { adoptable: false, wake: () => stream, attach: () => stream };
  const ended = new Promise<SidecarInput>((resolve) => {
    const deliver = (input: SidecarInput): Promise<void> => Promise.resolve(resolve(input));
    const runs = followRuns({ runner, stopController: () => new AbortController(), log }, deliver);
    runs.wake(wakeOf('run-1'));
  });
  t.match(await ended, { type: 'wake_stream_ended', runId: 'run-1', error: 'boom' });
  t.strictSame(
    log.lines.map(({ level, fields }) => [level, fields]),
    [['debug', { run_id: 'run-1', error: thrown }]],
  );
});

t.test('an iterator written by hand, whose next resolves to nothing, ends the stream with an error that says so', async (t) => {
  const stream = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(undefined) }) } as unknown as AsyncIterable<WakeEvent>;
  const runner = { adoptable: false, wake: () => stream, attach: () => stream };
  const ended = new Promise<SidecarInput>((resolve) => {
    followRuns({ runner, stopController: () => new AbortController(), log: memoryLog() }, resolve).wake(wakeOf('run-1'));
  });
  const error = 'the events of the wake runner cannot be read: expected { done, value } from next(), found undefined';
  t.match(await ended, { type: 'wake_stream_ended', runId: 'run-1', error });
});

t.test('an iterator written by hand, whose return is not async or throws, does not keep the others followed', async (t) => {
  const log = memoryLog();
  const ended: string[] = [];
  const returns: Readonly<Record<string, () => unknown>> = {
    'run-1': () => ended.push('run-1'),
    'run-2': () => {
      throw new Error('no return');
    },
    'run-3': () => Promise.resolve(ended.push('run-3')),
  };
  const runner = {
    adoptable: true,
    wake: ({ runId }: WakeRequest): AsyncIterable<WakeEvent> => ({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined), return: returns[runId] as () => Promise<never> }),
    }),
    attach: () => t.fail('not called') as never,
  };
  const runs = followRuns({ runner, stopController: () => new AbortController(), log }, () => undefined);
  for (const runId of Object.keys(returns)) runs.wake(wakeOf(runId));
  runs.detach();
  await new Promise(setImmediate);
  t.strictSame(ended, ['run-1', 'run-3']);
  t.match(log.lines, [{ level: 'warn', fields: { run_id: 'run-2', error: 'no return' } }]);
});

t.test('invalid fields of a failure are named in the log', async (t) => {
  const log = memoryLog();
  const failed = { type: 'failed', phase: 'agent', message: 'rn', retryable: false, retryAfterMs: Number.NaN } as const;
  const stream = async function* (): AsyncGenerator<WakeEvent> {
    yield failed;
  };
  const taken: SidecarInput[] = [];
  await new Promise<void>((resolve) => {
    const runs = followRuns(
      { runner: { adoptable: false, wake: stream, attach: stream }, stopController: () => new AbortController(), log },
      (input, done) => {
        taken.push(input);
        if (input.type === 'wake_stream_ended') resolve();
        done?.();
      },
    );
    runs.wake(wakeOf('run-1'));
  });
  t.match(taken, [
    { type: 'wake_event', event: { message: 'rn', retryable: false } },
    { type: 'wake_stream_ended', error: null },
  ]);
  t.match(log.lines, [{ level: 'warn', fields: { run_id: 'run-1', fields: ['retryAfterMs'] } }]);
});

// Before, each was logged as an error: a runner that never ended wrote hundreds of megabytes.
t.test('of the invalid events of a run only the first is passed on', async (t) => {
  const stream = async function* (): AsyncGenerator<WakeEvent> {
    for (let count = 0; count < 3; count += 1) yield 'junk' as unknown as WakeEvent;
  };
  const taken: string[] = [];
  await new Promise<void>((resolve) => {
    const runs = followRuns(
      { runner: { adoptable: false, wake: stream, attach: stream }, stopController: () => new AbortController(), log: memoryLog() },
      (input, done) => {
        taken.push(input.type);
        if (input.type === 'wake_stream_ended') resolve();
        done?.();
      },
    );
    runs.wake(wakeOf('run-1'));
  });
  t.strictSame(taken, ['invalid_wake_event', 'wake_stream_ended']);
});
