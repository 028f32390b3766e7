/** The stream of events: where it begins, what wakes it, and what ends it. */
import t from 'tap';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { EventFeed } from '../../../core/ports/event-feed.ts';
import { A_MOMENT_MS, aTask, aTaskId, anAgentId, changes, inserting } from '../../product/contracts/fixtures.ts';
import { listen, progress, turn, type StreamMessage } from './event-listener.ts';
import { hubBench, type HubBench } from './hub-bench.ts';

/** The memory feed with a test's overrides. */
const pageOf = (events: readonly StoredEvent[], afterId: number) => ({ events, untilId: events.at(-1)?.id ?? afterId, removedId: 0 });
const feedWith = (events: readonly StoredEvent[], over: Partial<EventFeed> = {}): EventFeed => ({
  after: async (afterId, _filter, limit) => pageOf(events.filter((event) => event.id > afterId).slice(0, limit), afterId),
  marks: async () => ({ lastId: events.at(-1)?.id ?? 0, removedId: (events[0]?.id ?? 1) - 1 }),
  ...over,
});

t.test('a new stream starts at the current position and is woken by a commit', async (t) => {
  const bench = await hubBench();
  await bench.commit({ ...inserting(aTask()), events: [progress(1)] });
  const stream = await listen(bench);
  t.strictSame(await stream.next(), { id: '1', event: null, data: null }, 'the first chunk opens the stream, and says where it starts');
  const waiting = stream.next();
  await turn();
  await bench.commit(changes({ events: [progress(2, { agentId: anAgentId(), details: { message: 'half\nway' } })] }));
  bench.clock.advance(50);
  t.strictSame(await waiting, {
    id: '2',
    event: 'progress',
    data: { id: 2, task_id: aTaskId(1), event: 'progress', timestamp: A_MOMENT_MS, agent_id: 'a1', details: { message: 'half\nway' } },
  });
  await stream.stop();
  t.equal(bench.listeners(), 0, 'a stopped stream is not woken any more');
  t.equal(bench.clock.pending, 0, 'no timer is left');
  await bench.close();
});

t.test('R21 J6: a commit between the read and the wait is not missed', async (t) => {
  for (const where of ['marks', 'after'] as const) {
    const events: StoredEvent[] = [];
    let listeners: (() => void)[] = [];
    const commit = (): void => listeners.forEach((listener) => listener());
    /** What is committed after the feed has read and before it has answered. */
    const commitOnce = (): void => {
      if (events.length > 0) return;
      events.push({ ...progress(1), id: 1 });
      commit();
    };
    let requestCount = 0;
    const bench = await hubBench({
      deps: {
        events: feedWith(events, {
          after: async (afterId) => {
            const seen = events.filter((event) => event.id > afterId);
            if (where === 'after') commitOnce();
            return pageOf(seen, afterId);
          },
          marks: async () => {
            requestCount += 1;
            // The first read is for the position of the stream, the second for that of the tail.
            if (where === 'marks' && requestCount === 2) commitOnce();
            return { lastId: 0, removedId: 0 };
          },
        }),
        onCommit: (listener) => {
          listeners.push(listener);
          return () => (listeners = listeners.filter((one) => one !== listener));
        },
      },
    });
    const stream = await listen(bench);
    await stream.next();
    const next = stream.next();
    await turn();
    if (where === 'after') commit();
    for (let times = 0; times < 3; times += 1) {
      bench.clock.advance(50);
      await turn();
    }
    t.equal((await next)?.id, '1', where);
    await stream.stop();
    await bench.close();
  }
});

t.test('filters', async (t) => {
  const bench = await hubBench();
  await bench.commit({
    ...inserting(aTask(), aTask({ id: aTaskId(2) })),
    events: [
      progress(1),
      progress(2, { agentId: anAgentId() }),
      progress(1, { taskId: aTaskId(2), event: 'accepted', agentId: anAgentId() }),
    ],
  });
  const first = async (query: string): Promise<string | null | undefined> => {
    const stream = await listen(bench, `/api/events?${query}`, { token: 'viewer', headers: { 'last-event-id': '0' } });
    await stream.next();
    const streamMessage = await stream.next();
    await stream.stop();
    return streamMessage?.id;
  };
  t.equal(await first(''), '1');
  t.equal(await first('agent_id=a1'), '2');
  t.equal(await first(`task_id=${aTaskId(2)}`), '3');
  t.equal(await first('type=accepted'), '3');
  await bench.close();
});

t.test('resuming from an ID that the feed no longer has, or never had, starts with a gap', async (t) => {
  const kept = [11, 12].map((id) => ({ ...progress(id), id }));
  const cases: readonly (readonly [events: readonly StoredEvent[], lastId: string, gap: unknown, next: string | null])[] = [
    [kept, '4', { from: 5, to: 10 }, '11'],
    [kept, '0', { from: 1, to: 10 }, '11'],
    [kept, '10', null, '11'],
    [kept, '11', null, '12'],
    [kept, '99', { from: 13, to: 99 }, null],
    [[], '7', { from: 1, to: 7 }, null],
  ];
  for (const [events, lastId, gap, next] of cases) {
    const bench = await hubBench({ deps: { events: feedWith(events) } });
    const stream = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': lastId } });
    t.equal((await stream.next())?.id, gap === null ? lastId : null, 'the position does not arrive without the gap before it');
    if (gap !== null) {
      const streamMessage = await stream.next();
      t.strictSame([streamMessage?.event, streamMessage?.data], ['gap', gap], `after ${lastId}`);
      t.equal(
        Number(streamMessage?.id) <= (events[0]?.id ?? 1) - 1 || Number(streamMessage?.id) === 12,
        true,
        'a stream resumed from the gap continues after it',
      );
    }
    if (next !== null) t.equal((await stream.next())?.id, next, `after ${lastId}`);
    await stream.stop();
    await bench.close();
  }
  const bench = await hubBench();
  for (const bad of ['x', '-1', '1.5', '99999999999999999']) {
    const got = await bench.send('/api/events', { headers: { 'last-event-id': bad } });
    t.strictSame([got.status, got.json['error']], [400, 'validation_failed'], bad);
  }
  await bench.close();
});

const OLD = { status: 'completed', updatedAtMs: 1 } as const;
const removeOld = (bench: HubBench) =>
  bench.storage.tasks.transact('remove', (unit) =>
    unit.remove({ nowMs: A_MOMENT_MS, endedBeforeMs: 1, deadBeforeMs: 0, tombstonesBeforeMs: 0, keysBeforeMs: 0, limit: 10 }),
  );

t.test('R21 J6: events removed between retained ones are reported as a gap', async (t) => {
  // A dead letter is kept for longer than tasks completed after it.
  const bench = await hubBench();
  await bench.commit({
    ...inserting(aTask({ status: 'dead_letter' }), aTask({ id: aTaskId(2), ...OLD }), aTask({ id: aTaskId(3) })),
    events: [
      progress(1),
      progress(2),
      ...[1, 2, 3].map((seq) => progress(seq, { taskId: aTaskId(2) })),
      progress(1, { taskId: aTaskId(3) }),
    ],
  });
  await removeOld(bench);
  const eventsOf = async (lastId: string, count: number, query = ''): Promise<readonly unknown[]> => {
    const stream = await listen(bench, `/api/events${query}`, { token: 'viewer', headers: { 'last-event-id': lastId } });
    await stream.next();
    const found: unknown[] = [];
    while (found.length < count) {
      const one = await stream.next();
      found.push(one?.event === 'gap' ? one.data : one?.id);
    }
    await stream.stop();
    return found;
  };
  t.strictSame(await eventsOf('1', 3), [{ from: 2, to: 5 }, '2', '6'], 'with the retained events in between');
  t.strictSame(await eventsOf('3', 2), [{ from: 4, to: 5 }, '6']);
  t.strictSame(await eventsOf('5', 1), ['6'], 'a reader that has seen the last of them misses none');
  t.strictSame(await eventsOf('0', 2, `?task_id=${aTaskId(1)}`), ['1', '2'], 'a task that still exists has no gap');
  t.match(await eventsOf('0', 1, `?task_id=${aTaskId(2)}`), [{ from: 1, to: 5 }], 'a removed task has one');
  await bench.close();
});

t.test('a stream of a task that does not exist is refused, for every role', async (t) => {
  const bench = await hubBench();
  await bench.commit({ ...inserting(aTask()), events: [progress(1)] });
  const open = async (headers: Readonly<Record<string, string>>, query: string) => {
    const { status, json } = await bench.send(`/api/events?${query}`, { token: 'viewer', headers });
    return [status, json['error']];
  };
  const unknown = `task_id=${aTaskId(9)}`;
  for (const headers of [{}, { 'last-event-id': '0' }, { 'last-event-id': '1' }])
    t.strictSame(await open(headers, unknown), [404, 'unknown_task'], JSON.stringify(headers));
  t.strictSame(await open({}, `${unknown}&last=5`), [404, 'unknown_task']);
  const known = await listen(bench, `/api/events?task_id=${aTaskId(1)}`, { token: 'viewer' });
  await known.next();
  await known.stop();
  await bench.close();
});

t.test('R21 J6: events removed ahead of a stream are reported as a gap', async (t) => {
  const bench = await hubBench();
  const events = [1, 2, 3, 4].map((seq) => progress(seq, { details: { text: 'x'.repeat(40_000) } }));
  await bench.commit({ ...inserting(aTask(), aTask({ id: aTaskId(2), ...OLD })), events });
  await bench.commit(changes({ events: [progress(1, { taskId: aTaskId(2) }), progress(5)] }));
  const stream = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '0' } });
  await stream.next();
  t.equal((await stream.next())?.id, '1');
  await removeOld(bench);
  const next = async (): Promise<unknown> => {
    const one = stream.next();
    await turn();
    bench.clock.advance(50);
    const found = await one;
    return found?.event === 'gap' ? found.data : found?.id;
  };
  t.strictSame([await next(), await next(), await next()], ['2', { from: 3, to: 5 }, '3']);
  t.strictSame([await next(), await next()], ['4', '6']);
  await stream.stop();
  await bench.close();
});

t.test('a batch of a stream is bounded in bytes', async (t) => {
  const requested: (number | undefined)[] = [];
  const feed = feedWith([{ ...progress(1), id: 1 }]);
  const after: EventFeed['after'] = (afterId, filter, limit, bytesMax) => (requested.push(bytesMax), feed.after(afterId, filter, limit));
  const bench = await hubBench({ deps: { events: { ...feed, after } } });
  const stream = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '0' } });
  await stream.next();
  await stream.next();
  t.ok(requested.length > 0 && requested.every((bytes) => bytes === 65_536), String(requested));
  await stream.stop();
  await bench.close();
});

t.test('many events are sent in bounded batches, and only as fast as they are read', async (t) => {
  const requested: number[] = [];
  const events = Array.from({ length: 2_500 }, (_, n) => ({ ...progress(n + 1), id: n + 1 }));
  const feed = feedWith(events);
  const bench = await hubBench({
    deps: { events: { ...feed, after: (afterId, filter, limit) => (requested.push(limit), feed.after(afterId, filter, limit)) } },
  });
  const stream = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '0' } });
  await stream.next();
  t.equal((await stream.next())?.id, '1');
  await turn();
  t.ok(requested.length <= 2, `${requested.length} reads for what one reader has consumed`);
  let last: StreamMessage | null = null;
  for (let n = 2; n <= 2_500; n += 1) {
    const next = stream.next();
    await turn();
    bench.clock.advance(50);
    last = await next;
  }
  t.equal(last?.id, '2500');
  t.ok(requested.every((limit) => limit <= 1_000));
  await stream.stop();
  await bench.close();
});

t.test('a stream ends when its token expires', async (t) => {
  const bench = await hubBench();
  const made = await bench.send('/admin/tokens', { json: { name: 'watcher', role: 'viewer', expires_in_ms: 20_000 } });
  const stream = await listen(bench, '/api/events', { token: String(made.json['token']) });
  await stream.next();
  const quiet = stream.next();
  await turn();
  bench.clock.advance(15_000);
  t.strictSame(await quiet, { id: null, event: null, data: null }, 'it stays open until then');
  const last = stream.next();
  await turn();
  bench.clock.advance(15_000);
  await turn();
  t.equal(bench.listeners(), 0, 'it ends at the next check');
  await stream.stop();
  await last;
  await bench.close();
});

t.test('a quiet stream sends keep-alives, and ends when its token is revoked', async (t) => {
  const bench = await hubBench();
  const stream = await listen(bench);
  await stream.next();
  const quiet = stream.next();
  await turn();
  bench.clock.advance(15_000);
  t.strictSame(await quiet, { id: null, event: null, data: null });
  await bench.storage.agents.revokeTokens({ id: 'tok-viewer' }, A_MOMENT_MS);
  const revokedAtMs = bench.clock.monotonicMs();
  for (let streamMessage: StreamMessage | null = { id: null, event: null, data: null }; streamMessage !== null;) {
    const next = stream.next();
    await turn();
    bench.clock.advance(5_000);
    streamMessage = await Promise.race([next, turn().then(() => ({ id: null, event: null, data: null }))]);
    if (bench.clock.monotonicMs() - revokedAtMs > 30_000) break;
  }
  t.ok(bench.clock.monotonicMs() - revokedAtMs <= 30_000, 'within 30 s');
  t.equal(bench.listeners(), 0);
  await bench.close();
});

t.test('a reader that reads nothing is disconnected', async (t) => {
  const bench = await hubBench();
  const stuck = await bench.open('/api/events', { token: 'viewer' });
  t.equal(bench.listeners(), 1, 'the shared reader');
  bench.clock.advance(60_000);
  t.equal(bench.listeners(), 0);
  t.match(
    await stuck.text(),
    /event: dropped\ndata: {"reason":"slow_reader","unread_ms":60000,"resume_after":0}\n\n$/,
    'the stream ends with the reason',
  );
  await bench.close();
});

t.test('the number of streams is bounded, and a place is freed when one ends', async (t) => {
  const bench = await hubBench({ limits: { streams: 2 } });
  const open = [await listen(bench), await listen(bench, '/api/events', { token: 'operator' })];
  const refused = await bench.send('/api/events');
  t.strictSame([refused.status, refused.json['error'], refused.headers.get('retry-after')], [503, 'hub_busy', '2']);
  for (let n = 0; n < 5; n += 1) t.equal((await bench.send('/api/events?type=x')).status, 503);
  await open[0]?.stop();
  for (let n = 0; n < 5; n += 1) t.equal((await bench.send('/api/events?type=x')).status, 400, 'a refused stream takes no place');
  const again = await listen(bench);
  await again.stop();
  await open[1]?.stop();
  const head = await bench.open('/api/events', { method: 'HEAD' });
  t.equal(head.status, 405);
  t.equal(bench.listeners(), 0);
  await bench.close();
});

t.test('a failing feed ends the stream and is logged', async (t) => {
  const fails = () => Promise.reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'the disk is gone'));
  const bench = await hubBench({ deps: { events: feedWith([], { after: fails }) } });
  const stream = await listen(bench);
  await stream.next();
  const next = stream.next();
  await turn();
  await bench.commit(inserting(aTask()));
  await turn();
  bench.clock.advance(50);
  t.equal(await next, null);
  t.match(bench.log.lines.at(-1), { level: 'warn', fields: { error: 'the disk is gone' } });
  t.equal(bench.listeners(), 0);
  await bench.close();

  const away = await hubBench({ deps: { events: feedWith([], { marks: fails }) }, limits: { streams: 1 } });
  for (let n = 0; n < 2; n += 1) {
    const got = await away.send('/api/events');
    t.strictSame([got.status, got.json['error']], [503, 'storage_unavailable'], 'a failed stream takes no place');
  }
  await away.close();
});

t.test('R21: a stream opened after one that failed or ended reads again', async (t) => {
  let isAway = true;
  const events = [progress(1)].map((event) => ({ ...event, id: 1 }));
  const feed = feedWith(events);
  const after: EventFeed['after'] = (...of) =>
    isAway ? Promise.reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'the disk is gone')) : feed.after(...of);
  const bench = await hubBench({ deps: { events: { ...feed, after } } });
  const open = () => listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '0' } });
  const failed = await open();
  await failed.next();
  t.equal(await failed.next(), null);
  isAway = false;
  const first = await open();
  await first.next();
  t.equal((await first.next())?.id, '1');
  await first.stop();
  // What is committed while there is no stream is not counted.
  events.push({ ...progress(2), id: 2 });
  const second = await listen(bench, '/api/events', { token: 'viewer', headers: { 'last-event-id': '1' } });
  await second.next();
  t.equal((await second.next())?.id, '2');
  await second.stop();
  await bench.close();
});

t.test('when the hub stops, streams end and requests are refused', async (t) => {
  const bench = await hubBench();
  const [waiting, unread] = [await listen(bench), await bench.open('/api/events')];
  await waiting.next();
  const next = waiting.next();
  await turn();
  await bench.close();
  t.equal(await next, null);
  t.equal(await unread.text(), '');
  t.equal(bench.listeners(), 0);
  t.equal(bench.clock.pending, 0);
  const late = await bench.send('/health', { token: null });
  t.strictSame([late.status, late.json['error']], [503, 'hub_stopping']);
  await bench.close();
});
