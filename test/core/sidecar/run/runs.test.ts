/** A runner's event stream, followed to its end. */
import t from 'tap';
import { followRuns } from '../../../../core/application/sidecar/run/runs.ts';
import type { SidecarInput } from '../../../../core/application/sidecar/state/inputs.ts';
import type { WakeEvent, WakeRequest } from '../../../../core/ports/wake-runner.ts';
import { aGeneration, aTaskId } from '../../../product/contracts/fixtures.ts';
import { memoryLog } from '../../../product/twins/log-memory/memory-log.ts';

// The log had the message alone, and the author of the runner could not tell where it was thrown.
t.test('an error thrown by a runner is logged in full, and ends the stream with its message', async (t) => {
  const log = memoryLog();
  const thrown = new Error('boom');
  const stream: AsyncIterable<WakeEvent> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(thrown) }) };
  const runner = { adoptable: false, wake: () => stream, attach: () => stream };
  const ended = new Promise<SidecarInput>((resolve) => {
    const deliver = (input: SidecarInput): Promise<void> => Promise.resolve(resolve(input));
    const runs = followRuns({ runner, stopController: () => new AbortController(), log }, deliver);
    runs.wake({ taskId: aTaskId(1), generation: aGeneration(1), runId: 'run-1' } as unknown as WakeRequest);
  });
  t.match(await ended, { type: 'wake_stream_ended', runId: 'run-1', error: 'boom' });
  t.strictSame(
    log.lines.map(({ level, fields }) => [level, fields]),
    [['debug', { run_id: 'run-1', error: thrown }]],
  );
});
