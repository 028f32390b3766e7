/** Migrates the schema to what this program needs, and refuses files that are not ours or are too new. */
import type { Knex } from 'knex';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { ALL_MIGRATIONS } from '../migrations/all-migrations.ts';
import type { Row } from '../engine.ts';
import type { Migration } from '../rows/migration.ts';
import { damageOfSteps, refuseUnknownSteps, type SchemaDamage } from '../rows/unknown-steps.ts';
import type { SqliteDriver } from './sqlite-driver.ts';
import { HINT_FOR_DAMAGE, isDamaged } from './failures.ts';
import { cannotOpen } from './files.ts';

/** "AgtC", in the header of every database of ours. */
const APPLICATION_ID = 0x41677443;

/** Its first page is damaged, or it never was a database. */
const HINT_FOR_NO_DATABASE = `If it is the database of this hub: ${HINT_FOR_DAMAGE} Otherwise set storage.file to another file.`;

/** Checks the file before anything is changed in it: it must be empty or ours. Fails with `AC_STORAGE_OPEN`. */
export async function claimSqliteFile(driver: SqliteDriver, file: string): Promise<void> {
  const looked = await driver.open(file, 'write');
  try {
    const [header] = await looked.connection.rows('PRAGMA application_id');
    if (header?.['application_id'] === APPLICATION_ID) return;
    const [content] = await looked.connection.rows('SELECT count(*) AS things FROM sqlite_master');
    if (header?.['application_id'] !== 0 || content?.['things'] !== 0)
      throw cannotOpen(file, 'it is a database of another program', 'Set storage.file to a file of its own.');
    await looked.connection.rows(`PRAGMA application_id = ${APPLICATION_ID}`);
  } catch (thrown) {
    throw AgentcomError.is(thrown)
      ? thrown
      : cannotOpen(file, messageOf(thrown), isDamaged(thrown) ? HINT_FOR_NO_DATABASE : 'Let this user read and write it.', thrown);
  } finally {
    await looked.close();
  }
}

/**
 * Takes the steps that are missing, all in one transaction: a hub that is killed halfway leaves the schema as it was. `beforeSteps` is
 * called before an existing store takes any that changes it, with the name of the first; if it fails, none is taken. Fails with `AC_SCHEMA_UNKNOWN` if the
 * database has steps that this program does not know, with `AC_MOVE_UNFINISHED` if it has only a part of a store.
 */
export async function migrateSqlite(writer: Knex, file: string, beforeSteps: (first: string) => Promise<void>): Promise<void> {
  const config: Knex.MigratorConfig = {
    migrationSource: {
      getMigrations: async () => [...ALL_MIGRATIONS],
      getMigrationName: (migration: Migration) => migration.name,
      getMigration: async (migration: Migration) => ({
        up: async (transaction: Knex) => {
          for (const statement of migration.sqlite) await transaction.raw(statement);
          const run = async (sql: string, parameter?: string): Promise<readonly Row[]> =>
            (await transaction.raw(sql, parameter === undefined ? [] : [parameter])) as readonly Row[];
          await migration.code?.({ dialect: 'sqlite', rows: run, change: async (sql, parameter) => void (await run(sql, parameter)) });
        },
        down: () => Promise.reject(new AgentcomError('AC_INTERNAL', 'The schema only goes forward. Restore a backup instead.')),
      }),
    } satisfies Knex.MigrationSource<Migration>,
    tableName: 'migrations',
    disableMigrationsListValidation: true,
  };
  const [rows] = (await writer.migrate.list(config)) as [readonly { readonly name: string }[], unknown];
  const taken = rows.map(({ name }) => name);
  refuseUnknownSteps('sqlite', `file "${file}"`, taken);
  const first = ALL_MIGRATIONS.find(({ name, sqlite, code }) => !taken.includes(name) && (sqlite.length > 0 || code !== undefined))?.name;
  if (first !== undefined && taken.length > 0) await beforeSteps(first);
  // The lock on hub.lock guarantees that nobody else migrates: a migration lock that is still set is from a hub that was killed.
  await writer.migrate.forceFreeMigrationsLock(config);
  await writer.migrate.latest(config);
}

/** What keeps this program from reading a database as it is, without changing it; empty if nothing does. */
export async function schemaDamage(rows: (sql: string) => Promise<readonly Row[]>): Promise<readonly SchemaDamage[]> {
  return (await isOfHub(rows)) ? damageOfSteps(await stepsTaken(rows)) : [{ check: 'schema', what: 'it is not a database of a hub' }];
}

/** Whether its header says that it is a database of ours. */
export async function isOfHub(rows: (sql: string) => Promise<readonly Row[]>): Promise<boolean> {
  return (await rows('PRAGMA application_id'))[0]?.['application_id'] === APPLICATION_ID;
}

/** The steps that an SQLite database of ours has taken, oldest first. */
export async function stepsTaken(rows: (sql: string) => Promise<readonly Row[]>): Promise<readonly string[]> {
  const [table] = await rows("SELECT count(*) AS tables FROM sqlite_master WHERE name = 'migrations'");
  return table?.['tables'] === 0 ? [] : (await rows('SELECT name FROM migrations ORDER BY id')).map((row) => String(row['name']));
}
