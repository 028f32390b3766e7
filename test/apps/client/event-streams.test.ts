/** Event streams: consumers that take their time, and what a stream must not contain. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { runningHub } from '../running-hub.ts';

t.test('a consumer may take longer for an event than a stream may be silent, and than it goes on without the hub', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { task_id } = await hub.api.tasks.submit({ description: 'x' });
  const reconnects: string[] = [];
  const times = { idleMs: 200, giveUpAfterMs: 600, onReconnect: (reason: string) => reconnects.push(reason) };
  const seen: string[] = [];
  for await (const { event } of hub.api.tasks.watch(task_id, times)) {
    seen.push(event);
    if (event !== 'submitted') continue;
    await sleep(1_000);
    await hub.api.tasks.cancel(task_id);
  }
  t.equal(seen.at(0), 'submitted');
  t.equal(seen.at(-1), 'cancelled');
  t.equal(new Set(seen).size, seen.length, 'each once');
  t.strictSame(reconnects, [], 'the connection lasts');
});
