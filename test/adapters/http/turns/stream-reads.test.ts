/** Event streams take turns of their token's reads to start, and to read the first old events. */
import t from 'tap';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { EventFeed } from '../../../../core/ports/event-feed.ts';
import { aTask, changes, inserting } from '../../../product/contracts/fixtures.ts';
import { gate } from '../../../rig/gate.ts';
import { listen, progress, turn } from '../event-listener.ts';
import { hubBench, type HubBench } from '../hub-bench.ts';

/** Enough turns of the event loop for what does not wait for the clock. */
const settled = async (): Promise<void> => {
  for (let n = 0; n < 50; n += 1) await turn();
};

/** A hub with ten events. `over` replaces what reads them, and gets the original. */
async function benchWith(over: (feed: EventFeed) => Partial<EventFeed>): Promise<HubBench> {
  const events = {} as EventFeed;
  const bench = await hubBench({ deps: { events } });
  await bench.commit({ ...inserting(aTask()), events: Array.from({ length: 10 }, (_, n) => progress(n + 1)) });
  const feed = bench.storage.events;
  Object.assign(events, { after: feed.after.bind(feed), marks: feed.marks.bind(feed), ...over(feed) });
  return bench;
}

const listenAfter = (bench: HubBench, id: number, token = 'viewer') =>
  listen(bench, '/api/events', { token, headers: { 'last-event-id': String(id) } });

t.test('R20: streams of one token start two at once, without delaying those of others', async (t) => {
  const { opened, open } = gate();
  let running = 0;
  const bench = await benchWith((feed) => ({
    marks: async () => {
      running += 1;
      await opened;
      return feed.marks();
    },
  }));
  const starts = Array.from({ length: 5 }, () => listen(bench));
  await settled();
  t.equal(running, 2, 'two start, three wait');
  starts.push(listen(bench, '/api/events', { token: 'operator' }));
  await settled();
  t.equal(running, 3);
  open();
  for (const stream of await Promise.all(starts)) await stream.stop();
  t.equal((await bench.send('/api/tasks', { token: 'viewer' })).status, 200);
  await bench.close();
});

t.test('R20: the first old events of a token’s streams are read two at once, also if clients leave and reads fail', async (t) => {
  let { opened, open } = gate();
  let [running, failing] = [0, false];
  const bench = await benchWith((feed) => ({
    after: async (...wanted) => {
      running += 1;
      await opened;
      if (failing) throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted');
      return feed.after(...wanted);
    },
  }));
  for (const fails of [false, true]) {
    ({ opened, open } = gate());
    [running, failing] = [0, fails];
    const streams = await Promise.all([1, 2, 3, 4, 5, 6].map((id) => listenAfter(bench, id)));
    for (const stream of streams) await stream.next();
    const first = streams.map((stream) => stream.next().catch(() => null));
    await settled();
    t.equal(running, 2, 'two read, four wait');
    let isListed = false;
    const list = bench.send('/api/tasks', { token: 'viewer' }).then(({ status }) => (isListed = status === 200));
    const other = await listenAfter(bench, 7, 'operator');
    await other.next();
    const others = other.next();
    await settled();
    t.equal(running, 3, 'another token has its own turn');
    await streams[0]?.stop();
    await streams[3]?.stop();
    await settled();
    t.equal(isListed, false, 'a read that runs keeps its turn');
    open();
    await settled();
    t.equal(running, 6, 'a stream that ended before its turn reads nothing');
    t.strictSame((await others)?.id, fails ? undefined : '8');
    const ids = (await Promise.all(first)).map((event) => event?.id ?? null);
    t.strictSame(ids, fails ? ids.map(() => null) : [null, '3', '4', null, '6', '7']);
    t.equal(await list, true, 'all turns are free again');
    for (const stream of [...streams, other]) await stream.stop();
  }
  await bench.close();
});

t.test('new events, and those that follow the first, take no turn', async (t) => {
  const { opened, open } = gate();
  const bench = await benchWith(() => ({}));
  const [fresh, old] = [await listen(bench), await listenAfter(bench, 8)];
  for (const stream of [fresh, old]) await stream.next();
  t.strictSame([(await old.next())?.id, (await old.next())?.id], ['9', '10']);
  const list = bench.storage.tasks.list.bind(bench.storage.tasks);
  bench.storage.tasks.list = async (query) => {
    await opened;
    return list(query);
  };
  const lists = [1, 2].map(() => bench.send('/api/tasks', { token: 'viewer' }));
  const events = [fresh.next(), old.next()];
  await settled();
  await bench.commit(changes({ events: [progress(11)] }));
  await settled();
  bench.clock.advance(1_000);
  await settled();
  for (const event of await Promise.all(events)) t.equal(event?.id, '11');
  open();
  for (const { status } of await Promise.all(lists)) t.equal(status, 200);
  for (const stream of [fresh, old]) await stream.stop();
  await bench.close();
});
