/** A removal of old tasks beside another hub on the same Postgres. */
import t from 'tap';
import { closedBefore, emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { A_MOMENT_MS, aTask, aTaskId, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';

const server = await postgresServer();
t.teardown(() => server.end());

t.test('a dead letter stays if a task that depends on it is submitted while the removal looks for old tasks', async (t) => {
  // The statement that locks old tasks checks for dependents in a snapshot from before it had the locks.
  const schema = emptySchema(t, server);
  const options = { url: server.url, schema };
  const [one, other] = [postgresStorage(options), postgresStorage(options)] as const;
  for (const storage of [one, other]) await closedBefore(t, storage).open();
  const dead = aTask({ status: 'dead_letter', updatedAtMs: A_MOMENT_MS - 1_000 });
  await commit(one, changes(inserting(dead, aTask({ id: aTaskId(3) }))));

  const session = await server.session();
  const gate = `hashtextextended('${schema} gate', 0)`;
  // The statement that finds old tasks reads this table after it has its snapshot, and waits there.
  await session.ask(`ALTER TABLE ${schema}.pending_stops RENAME TO stops`);
  await session.ask(`CREATE FUNCTION ${schema}.stops_later() RETURNS SETOF ${schema}.stops LANGUAGE plpgsql AS $body$
    BEGIN
      PERFORM pg_advisory_xact_lock_shared(${gate});
      RETURN QUERY SELECT * FROM ${schema}.stops;
    END $body$`);
  await session.ask(`CREATE VIEW ${schema}.pending_stops AS SELECT * FROM ${schema}.stops_later()`);
  await session.ask(`SELECT pg_advisory_lock(${gate})`);
  const before = { endedBeforeMs: A_MOMENT_MS, deadBeforeMs: A_MOMENT_MS, tombstonesBeforeMs: 0, keysBeforeMs: 0 };
  const removing = one.tasks.transact('remove', (unit) => unit.remove({ nowMs: A_MOMENT_MS, ...before, limit: 100 }));
  await server.until(
    `SELECT count(*) = 1 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND wait_event_type = 'Lock'`,
  );
  await commit(other, changes(inserting(aTask({ id: aTaskId(2), status: 'blocked', dependsOn: [dead.id] }))));
  await session.end();
  t.equal((await removing).tasks, 0);
  t.equal((await other.tasks.read(dead.id))?.task.status, 'dead_letter');
});
