/** Readers of the event stream: slow ones, many at once, and one that was disconnected for long. */
import t from 'tap';
import type { EventFeed } from '../../../core/ports/event-feed.ts';
import { aTask, changes, inserting } from '../../product/contracts/fixtures.ts';
import { listen, progress, turn, type StreamMessage } from './event-listener.ts';
import { hubBench, type HubBench } from './hub-bench.ts';

/** Advances time until it is there. */
async function arriving<T>({ clock }: HubBench, wanted: Promise<T>): Promise<T> {
  let isThere = false;
  void wanted.finally(() => (isThere = true));
  for (await Promise.resolve(); !isThere; await turn()) clock.advance(50);
  return wanted;
}

t.test('a slow reader is dropped with a marker, and resumes without a gap or a repeat', async (t) => {
  const bench = await hubBench();
  const events = [1, 2, 3, 4].map((seq) => progress(seq, { details: { text: 'x'.repeat(200_000) } }));
  await bench.commit({ ...inserting(aTask()), events });
  const slow = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '0' } });
  await slow.next();
  const seen = [(await slow.next())?.id];
  await turn();
  bench.clock.advance(1_000);
  await turn();
  bench.clock.advance(60_000);
  let last: StreamMessage | null = null;
  for (let one = await slow.next(); one !== null; one = await slow.next()) {
    if (one.event === 'progress') seen.push(one.id);
    last = one;
  }
  t.match(last, { event: 'dropped', data: { reason: 'slow_reader', resume_after: Number } });
  t.equal(last?.data?.['resume_after'], Number(seen.at(-1)));
  const again = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': String(seen.at(-1)) } });
  await again.next();
  while (seen.length < 4) seen.push((await arriving(bench, again.next()))?.id);
  t.strictSame(seen, ['1', '2', '3', '4']);
  await again.stop();
  await bench.close();
});

t.test('streams share one reader of new events', async (t) => {
  const bench0 = await hubBench();
  const { events: feed } = bench0.storage;
  let reads = 0;
  const after: EventFeed['after'] = (...of) => ((reads += 1), feed.after(...of));
  let commit: () => void = () => undefined;
  const listeners = new Set<() => void>();
  commit = () => listeners.forEach((listener) => listener());
  const onCommit = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const bench = await hubBench({ deps: { events: { marks: () => feed.marks(), after }, onCommit } });
  await bench0.commit(inserting(aTask()));
  const streams = await Promise.all(Array.from({ length: 50 }, () => listen(bench)));
  for (const stream of streams) await stream.next();
  for (let seq = 1; seq <= 5; seq += 1) {
    const waiting = streams.map((stream) => stream.next());
    await turn();
    await bench0.commit(changes({ events: [progress(seq)] }));
    commit();
    for (let times = 0; times < 3; times += 1) {
      bench.clock.advance(50);
      await turn();
    }
    for (const one of waiting) t.equal((await one)?.id, String(seq));
  }
  t.ok(reads <= 10, `${reads} reads for 250 events`);
  for (const stream of streams) await stream.stop();
  t.equal(listeners.size, 0);
  await bench.close();
  await bench0.close();
});

t.test('the more readers, the longer each waits for new events, so they take little time from the queue', async (t) => {
  let spentMs = 0;
  const bench = await hubBench({ deps: { stopwatchMs: () => spentMs } });
  await bench.commit(inserting(aTask()));
  /** `otherMs`: how long the hub takes for other requests in each turn of the event loop. */
  const pauseWith = async (count: number, otherMs = 0): Promise<number> => {
    let isOver = false;
    const workOnOthers = (): void => {
      spentMs += otherMs;
      if (!isOver) setImmediate(workOnOthers);
    };
    workOnOthers();
    const streams = await Promise.all(Array.from({ length: count }, () => listen(bench)));
    for (const stream of streams) await stream.next();
    bench.clock.advance(10_000);
    const deliver = async (): Promise<readonly Promise<StreamMessage | null>[]> => {
      const waiting = streams.map((stream) => stream.next());
      await turn();
      await bench.commit(changes({ events: [progress((seq += 1))] }));
      await turn();
      return waiting;
    };
    await Promise.all(await deliver());
    const fromMs = bench.clock.monotonicMs();
    let isDelivered = false;
    void Promise.all(await deliver()).then(() => (isDelivered = true));
    while (!isDelivered) {
      bench.clock.advance(10);
      await turn();
    }
    isOver = true;
    for (const stream of streams) await stream.stop();
    return bench.clock.monotonicMs() - fromMs;
  };
  let seq = 0;
  t.equal(await pauseWith(2), 50);
  const many = await pauseWith(150);
  t.ok(many >= 300 && many <= 800, `${many} ms`);
  const beside = await pauseWith(150, 1_000);
  t.ok(beside >= 300 && beside <= 800, `${beside} ms while the hub is busy with other requests`);
  await bench.close();
});

t.test('readers that have just opened their streams do not wait for each other', async (t) => {
  const bench = await hubBench();
  await bench.commit(inserting(aTask()));
  const streams = await Promise.all(Array.from({ length: 150 }, () => listen(bench)));
  for (const stream of streams) await stream.next();
  const fromMs = bench.clock.monotonicMs();
  const waiting = Promise.all(streams.map((stream) => stream.next()));
  let isDelivered = false;
  void waiting.then(() => (isDelivered = true));
  await turn();
  await bench.commit(changes({ events: [progress(1)] }));
  for (await turn(); !isDelivered; await turn()) bench.clock.advance(10);
  t.ok(bench.clock.monotonicMs() - fromMs <= 100, `${bench.clock.monotonicMs() - fromMs} ms`);
  for (const stream of streams) await stream.stop();
  await bench.close();
});

t.test('on a slow machine batches shrink and pauses grow; pauses are short while nothing is committed', async (t) => {
  const READERS = 100;
  let spentMs = 0;
  const bench = await hubBench({ deps: { stopwatchMs: () => spentMs } });
  await bench.commit(inserting(aTask()));
  await bench.commit(changes({ events: Array.from({ length: 4_000 }, (_, n) => progress(n + 1)) }));
  const how = { token: 'viewer', headers: { 'last-event-id': '0' } } as const;
  const readers = await Promise.all(
    Array.from({ length: READERS }, async () => {
      const { body } = await bench.open('/api/events', how);
      const reader = (body as ReadableStream<Uint8Array>).getReader();
      await reader.read(); // The greeting.
      return reader;
    }),
  );
  /** The next data for all readers, and how long they waited for it; each delivery takes `takesMs`. */
  const round = async (takesMs: number): Promise<{ readonly bytes: number; readonly waitedMs: number }> => {
    const fromMs = bench.clock.monotonicMs();
    let [left, bytes, firstAtMs] = [READERS, 0, 0];
    for (const reader of readers)
      void reader.read().then(({ value }) => {
        if (left === READERS) firstAtMs = bench.clock.monotonicMs();
        left -= 1;
        bytes = Math.max(bytes, value?.length ?? 0);
        spentMs += takesMs;
      });
    while (left > 0) {
      await turn();
      if (left === READERS) bench.clock.advance(10);
    }
    await turn();
    return { bytes, waitedMs: firstAtMs - fromMs };
  };
  const first = await round(3);
  await bench.commit(changes({ events: [progress(4_001)] }));
  const second = await round(3);
  t.ok(second.waitedMs >= 8_000 && second.waitedMs <= 10_100, `${second.waitedMs} ms after a round of 300 ms`);
  t.ok(second.bytes < 0.7 * first.bytes, `${first.bytes} bytes, then ${second.bytes}`);
  const third = await round(3);
  t.ok(third.waitedMs <= 400, `${third.waitedMs} ms while nothing is committed`);
  for (const reader of readers) await reader.cancel();
  await bench.close();
});

t.test('an event loop turn that is slow for other reasons does not make a single reader wait', async (t) => {
  let spentMs = 0;
  const bench = await hubBench({ deps: { stopwatchMs: () => (spentMs += 10_000) } });
  await bench.commit(inserting(aTask()));
  const stream = await listen(bench);
  await stream.next();
  let waitedMs = 0;
  for (let seq = 1; seq <= 3; seq += 1) {
    await bench.commit(changes({ events: [progress(seq)] }));
    const fromMs = bench.clock.monotonicMs();
    let isThere = false;
    void stream.next().then(() => (isThere = true));
    for (await turn(); !isThere; await turn()) bench.clock.advance(10);
    waitedMs = Math.max(waitedMs, bench.clock.monotonicMs() - fromMs);
  }
  t.ok(waitedMs <= 100, `${waitedMs} ms`);
  await stream.stop();
  await bench.close();
});

t.test('readers at the same position share one read of the store', async (t) => {
  const bench0 = await hubBench();
  await bench0.commit(inserting(aTask()));
  await bench0.commit(changes({ events: Array.from({ length: 3_000 }, (_, n) => progress(n + 1)) }));
  const { events: feed } = bench0.storage;
  let reads = 0;
  const after: EventFeed['after'] = (...of) => ((reads += 1), feed.after(...of));
  const bench = await hubBench({ deps: { events: { marks: () => feed.marks(), after } } });
  const how = { token: 'viewer', headers: { 'last-event-id': '0' } } as const;
  const streams = await Promise.all(Array.from({ length: 20 }, () => listen(bench, '/api/events', how)));
  const read = async (stream: (typeof streams)[number]): Promise<number> => {
    let count = 0;
    for (let message = await stream.next(); message?.id !== '3000'; message = await stream.next()) count += message?.event === null ? 0 : 1;
    return count;
  };
  let isOver = false;
  const all = Promise.all(streams.map(read)).finally(() => (isOver = true));
  while (!isOver) {
    await turn();
    bench.clock.advance(50);
  }
  t.strictSame(new Set(await all), new Set([2_999]));
  t.ok(reads <= 15, `${reads} reads for 60,000 events`);
  for (const stream of streams) await stream.stop();
  await bench.close();
  await bench0.close();
});

t.test('a reader that missed 10,000 events resumes without a gap or a repeat while more are committed', async (t) => {
  const bench = await hubBench();
  await bench.commit(inserting(aTask()));
  const COUNT = 10_000;
  for (let from = 1; from <= COUNT; from += 1_000)
    await bench.commit(changes({ events: Array.from({ length: 1_000 }, (_, n) => progress(from + n)) }));
  const live = await listen(bench);
  await live.next();
  const stream = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '7' } });
  await stream.next();
  const MORE = 500;
  let added = 0;
  for (let id = 8; id <= COUNT + MORE; id += 1) {
    const one = stream.next();
    if ((id % 200 === 8 || id > COUNT) && added < MORE) await bench.commit(changes({ events: [progress(COUNT + (added += 1))] }));
    const message = await arriving(bench, one);
    if (message?.id !== String(id)) throw new Error(`expected ${id}, got ${JSON.stringify(message)}`);
  }
  t.equal(added, MORE);
  t.equal((await live.next())?.id, String(COUNT + 1));
  await stream.stop();
  await live.stop();
  await bench.close();
});

t.test('R20: one token gets half of the streams and of the waits for output that others leave free', async (t) => {
  const bench = await hubBench({ limits: { streams: 8 } });
  const { json } = await bench.send('/api/tasks', { token: 'submitter', json: { description: 'x' } });
  const id = String(json['task_id']);
  const refusalOf = ({ status, json, headers }: Awaited<ReturnType<typeof bench.send>>) => [
    status,
    json['error'],
    headers.get('retry-after'),
  ];

  const own = `/api/events?task_id=${id}`;
  const streams = await Promise.all(Array.from({ length: 4 }, () => listen(bench, own, { token: 'submitter' })));
  t.strictSame(refusalOf(await bench.send(own, { token: 'submitter' })), [429, 'rate_limited', '2']);
  for (let n = 0; n < 2; n += 1) streams.push(await listen(bench));
  t.strictSame(refusalOf(await bench.send('/api/events', { token: 'viewer' })), [429, 'rate_limited', '2']);
  streams.push(await listen(bench, '/api/events', { token: 'admin' }));
  await streams.shift()?.stop();
  t.equal((await bench.send(own, { token: 'submitter' })).status, 429, 'it still has half of what the others leave');
  for (const stream of streams) await stream.stop();

  const wait = (token: string) => bench.send(`/api/tasks/${id}/output/wait`, { token });
  const waits = Array.from({ length: 4 }, () => wait('submitter'));
  await turn();
  t.strictSame(refusalOf(await wait('submitter')), [429, 'rate_limited', '2']);
  waits.push(wait('admin'));
  await turn();
  bench.clock.advance(25_000);
  for (const { status } of await Promise.all(waits)) t.equal(status, 200);
  const next = Array.from({ length: 4 }, () => wait('submitter'));
  await turn();
  bench.clock.advance(25_000);
  for (const { status } of await Promise.all(next)) t.equal(status, 200, 'a wait that has ended frees its place');
  await bench.close();
});
