/** How often `agentcom top` reads from the hub, and what it counts. */
import t from 'tap';
import { rereads } from '../../../apps/cli/top/rereads.ts';
import { ThroughputCounter } from '../../../apps/cli/top/throughput.ts';
import type { StreamEvent } from '../../../apps/client/index.ts';
import { virtualClock } from '../../product/testing.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('any number of requests causes one read per interval, and none when there are no requests', async (t) => {
  const clock = virtualClock();
  const readAt: number[] = [];
  let finish = (): void => undefined;
  const began = clock.monotonicMs();
  const reads = rereads(clock, 1_000, async () => {
    readAt.push(clock.monotonicMs() - began);
    await new Promise<void>((resolve) => (finish = resolve));
  });
  for (let n = 0; n < 100; n += 1) reads.want();
  clock.advance(0);
  t.strictSame(readAt, [0]);
  for (let n = 0; n < 100; n += 1) reads.want();
  clock.advance(5_000);
  t.strictSame(readAt, [0], 'one at a time');
  finish();
  await turn();
  clock.advance(0);
  t.strictSame(readAt, [0, 5_000], 'and again for requests made meanwhile');
  finish();
  await turn();
  reads.want();
  clock.advance(999);
  t.equal(readAt.length, 2);
  clock.advance(1);
  t.strictSame(readAt, [0, 5_000, 6_000]);
  finish();
  await turn();
  clock.advance(3_600_000);
  t.equal(readAt.length, 3, 'nothing is read when nothing happens');
  reads.want();
  reads.stop();
  clock.advance(10_000);
  t.equal(readAt.length, 3);
});

t.test('the throughput of the last minute, and how much of it is covered', async (t) => {
  const event = (name: StreamEvent['event'], timestamp: number): StreamEvent => ({ id: '1', event: name, data: { timestamp } });
  const nowMs = 1_000_000_000;
  const all = new ThroughputCounter(10);
  t.strictSame(all.inLastMinute(nowMs), { coveredMs: 60_000, counts: { submitted: 0, completed: 0, failed: 0, dead_lettered: 0 } });
  all.note(event('completed', nowMs - 61_000));
  all.note(event('completed', nowMs - 59_000));
  all.note(event('progress', nowMs - 5_000));
  all.note(event('failed', nowMs));
  t.match(all.inLastMinute(nowMs), { coveredMs: 60_000, counts: { completed: 1, failed: 1 } });
  t.match(all.inLastMinute(nowMs + 30_000), { counts: { completed: 0, failed: 1 } });
  const some = new ThroughputCounter(2);
  some.note(event('submitted', nowMs - 20_000));
  some.note(event('submitted', nowMs - 10_000));
  t.match(some.inLastMinute(nowMs), { coveredMs: 20_000, counts: { submitted: 2 } }, 'older events may be missing');
  t.match(some.inLastMinute(nowMs + 90_000), { coveredMs: 60_000, counts: { submitted: 0 } });
});
