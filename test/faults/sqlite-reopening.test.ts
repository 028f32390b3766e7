/** Reads of the SQLite storage while all of its connections are closed and opened again. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import t from 'tap';
import type { SqliteDriver } from '../../adapters/storage-knex/sqlite/sqlite-driver.ts';
import { closedAfter, emptyFolder, sqliteStorage, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';
import { aTask, inserting } from '../product/contracts/fixtures.ts';
import { failsWith } from '../product/contracts/storage/storage-room.ts';
import { statementFaults } from './rig/statement-faults.ts';
import { gate } from '../rig/gate.ts';

t.test('a read for which SQLite commits while all connections are closed is answered by the new ones', async (t) => {
  // Before, it waited a minute for a connection of the pool that was being closed.
  const [committing, commit, closing, close] = [gate(), gate(), gate(), gate()];
  const driver: SqliteDriver = {
    ...testedDriver,
    connectionOver(raw) {
      const connection = testedDriver.connectionOver(raw);
      return {
        ...connection,
        async change(sql, ...values) {
          if (sql === 'COMMIT') {
            committing.open();
            await commit.opened;
          }
          return connection.change(sql, ...values);
        },
      };
    },
    poolConfig(knex, pool) {
      const config = testedDriver.poolConfig(knex, pool);
      const Client = knex({ client: 'sqlite3', useNullAsDefault: true, ...config }).client.constructor as typeof Knex.Client;
      return {
        ...config,
        client: class extends Client {
          override async destroyRawConnection(raw: unknown): Promise<void> {
            closing.open();
            await close.opened;
            return super.destroyRawConnection(raw);
          }
        },
      };
    },
  };
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const storage = closedAfter(t, sqliteStorage(path.join(await emptyFolder(t), 'agentcom.db'), { driver }));
  await storage.open();
  await storage.agents.findToken('none');
  await storage.tasks.transact('batch', (unit) => unit.save(inserting(aTask()), true));
  const read = storage.tasks.stats();
  await committing.opened;
  statements.count.arm({ nth: 1, lasting: false });
  await failsWith(t, storage.agents.findToken('none'), 'AC_STORE_UNAVAILABLE', 'the connections are broken');
  const reopened = storage.agents.findToken('none');
  await closing.opened;
  commit.open();
  // The read learns that SQLite has committed before the pools are closed.
  await sleep(100);
  close.open();
  await reopened;
  t.equal(await Promise.race([read.then(({ statuses }) => statuses.queued), sleep(5_000, 'waits', { ref: false })]), 1);
});
