/** For tests of storages that use an SQLite file, or decorate one that does. */
import { sqliteDriver } from '../../../../adapters/storage-knex/sqlite/driver-choice.ts';

/** Makes a closed SQLite file of AgentCom look as a later version would leave it. */
export async function makeSqliteNewer(file: string): Promise<void> {
  const { connection, close } = await (await sqliteDriver()).open(file, 'write');
  await connection.change("INSERT INTO migrations (name, batch) VALUES ('9999-from-the-future', 2)");
  await close();
}
