/** A Postgres store restored by the server's own tools: no event number is reused, and streams are notified. */
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { renewPostgres } from '../../adapters/storage-knex/move/postgres-restored.ts';
import { settingsOf } from '../../adapters/storage-knex/postgres/options.ts';
import { emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { aTask, aTaskId, anEvent, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';

const server = await postgresServer();
t.teardown(() => server.end());

t.test('R21: after a restore no event number is reused, not even after a second one', async (t) => {
  const schema = emptySchema(t, server);
  const storage = postgresStorage({ url: server.url, schema });
  const { storeId } = await storage.open();
  await commit(storage, changes({ ...inserting(aTask()), events: [anEvent()] }));
  const [lost] = await commit(storage, changes({ ...inserting(aTask({ id: aTaskId(2) })), events: [anEvent({ taskId: aTaskId(2) })] }));
  await storage.close();
  const given = new Set([lost?.id]);
  let lastStoreId = storeId;
  for (const again of [1, 2]) {
    // What a backup taken between the two commits restores.
    for (const sql of [
      `DELETE FROM ${schema}.task_events WHERE task_id <> '${aTaskId(1)}'`,
      `DELETE FROM ${schema}.tasks WHERE id <> '${aTaskId(1)}'`,
      `UPDATE ${schema}.event_numbers SET last_id = 1`,
      `DELETE FROM ${schema}.removed_events`,
    ])
      await server.ask(sql);
    const restored = await renewPostgres(settingsOf({ url: server.url, schema }), systemClock());
    t.not(restored.storeId, lastStoreId, 'sidecars notice');
    t.match(restored, { tasks: 1, lastEventId: 1 });
    lastStoreId = restored.storeId;
    const store = postgresStorage({ url: server.url, schema });
    await store.open();
    const marks = await store.events.marks();
    const id = (await commit(store, changes({ events: [anEvent({ taskId: aTaskId(7 + again) })] })))[0]?.id ?? 0;
    await store.close();
    t.notOk(given.has(id), `${id} after restore ${again}`);
    t.ok(marks.removedId > Math.max(...[...given].map(Number)), 'streams are notified that numbers were skipped');
    t.equal(id, marks.removedId + 1);
    given.add(id);
  }
});

t.test("whether a hub still runs is decided by the store's clock, not by the server's", async (t) => {
  const HOUR_MS = 3_600_000;
  const schema = emptySchema(t, server);
  const storage = postgresStorage({ url: server.url, schema });
  await storage.open();
  await storage.close();
  const restore = () => renewPostgres(settingsOf({ url: server.url, schema }), systemClock());
  /** `aheadMs`: how far the store's clock is ahead of the server's. `leaseMs`: what is left of a hub's lease. */
  const set = async (aheadMs: number, leaseMs: number): Promise<void> => {
    const storeMs = Date.now() + aheadMs;
    await server.ask(`UPDATE ${schema}.store SET clock_mark = ${storeMs - 1_000}, clock_offset = ${aheadMs}`);
    await server.ask(`DELETE FROM ${schema}.hubs`);
    await server.ask(`INSERT INTO ${schema}.hubs (hub_id, lease_until) VALUES ('hub-1', ${storeMs + leaseMs})`);
  };
  for (const aheadMs of [HOUR_MS, 0, -HOUR_MS]) {
    await set(aheadMs, 10_000);
    await t.rejects(restore(), { code: 'AC_STORAGE_LOCKED' }, `a running lease, ahead by ${aheadMs} ms`);
    await set(aheadMs, -10_000);
    t.match(await restore(), { tasks: 0 }, `an expired lease, ahead by ${aheadMs} ms`);
  }
  await set(HOUR_MS, -2_000);
  await server.ask(`UPDATE ${schema}.store SET clock_offset = 0`);
  t.match(await restore(), { tasks: 0 }, "an expired lease, and the server's clock was set back since");
});
