/** Identities are looked up on a separate connection, however many reads are running. */
import path from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { Engine, OpenEngine } from '../../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { postgresEngine } from '../../../adapters/storage-knex/postgres/engine.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { aToken } from '../../product/contracts/fixtures.ts';
import { emptySchema, engineDeps } from '../storage-places/postgres-storage-place.ts';
import { postgresServer } from '../storage-places/postgres-server.ts';
import { emptyFolder, testedDriver } from '../storage-places/sqlite-storage-place.ts';
import { gate } from '../../rig/gate.ts';

/** More than any pool has by default. */
const READS = 32;

async function findsAToken(t: Test, engine: Engine): Promise<void> {
  let opened: OpenEngine | undefined;
  const open = async (): Promise<OpenEngine> => (opened = await engine.open());
  const storage = knexStorage({ engine: { ...engine, open }, clock: systemClock(), log: silentLog });
  await storage.open();
  await storage.agents.addToken(aToken({ id: 'tok-1', hash: 'h1' }));
  const { opened: released, open: release } = gate();
  let running = 0;
  const { opened: someRun, open: whenRunning } = gate();
  const reads = Array.from({ length: READS }, async () =>
    opened?.read(async () => {
      running += 1;
      whenRunning();
      await released;
    }),
  );
  await someRun;
  t.equal((await storage.agents.findToken('h1'))?.id, 'tok-1');
  t.equal(await storage.agents.findToken('h2'), undefined);
  t.ok(running < READS, 'the other reads wait for a connection');
  release();
  await Promise.all(reads);
  await storage.close();
}

t.test('R20: a token is found while every read connection is in use: sqlite', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  await findsAToken(t, sqliteEngine({ driver: testedDriver, file, clock: systemClock(), log: silentLog }));
});

t.test('R20: a token is found while every read connection is in use: postgres', async (t) => {
  const server = await postgresServer(['-c', 'fsync=off']);
  t.teardown(() => server.end());
  await findsAToken(t, postgresEngine(engineDeps({ url: server.url, schema: emptySchema(t, server) })));
});
