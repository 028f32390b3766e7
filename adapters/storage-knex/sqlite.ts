/** `sqlite()` in a config: for a hub that keeps its tasks in one SQLite file. */
import path from 'node:path';
import type { ConfigProblem, StorageChoice } from '../../core/config/config.ts';
import { notAnObject, unknownOption } from '../../core/config/options-object.ts';
import { knexStorage } from './knex-storage.ts';
import { backUpSqlite, restoreSqlite } from './move/sqlite-backup.ts';
import { requirePackage } from './require-package.ts';
import { SQLITE_DRIVERS, type SqliteDriver, type SqliteDriverName } from './sqlite/sqlite-driver.ts';
import { sqliteDriver } from './sqlite/driver-choice.ts';
import { SQLITE_CAPABILITIES, sqliteEngine } from './sqlite/engine.ts';
import { inspectSqlite } from './sqlite/inspection.ts';

/** Options of `sqlite()`. */
export interface SqliteOptions {
  /** The database's file, in the hub's data directory unless absolute. Created if missing. */
  readonly file: string;
  /**
   * What runs SQLite: `sqlite3`, the package of that name, or `node`, the `node:sqlite` of Node 22.16 and later. Default: `sqlite3` if it
   * is installed and loads, else `node`. Both use the same files.
   */
  readonly driver?: SqliteDriverName | undefined;
}

/**
 * Chooses SQLite: one hub, one file, on a local disk. Nothing is opened before the storage from `create` is. `create` fails with
 * `AC_PACKAGE_MISSING` without the package knex, and if there is no driver.
 */
export function sqlite(options: SqliteOptions): StorageChoice {
  return {
    port: 'storage',
    name: 'sqlite',
    options: { ...options },
    capabilities: { ...SQLITE_CAPABILITIES },
    problems: () => problemsOf(options),
    async check() {
      await loaded(options);
      return [];
    },
    async create({ dataDir, clock, log }) {
      const [driver, file] = [await loaded(options), path.resolve(dataDir, options.file)];
      return knexStorage({ engine: sqliteEngine({ driver, file, clock, log }), clock, log });
    },
    async inspect({ dataDir }) {
      return inspectSqlite(await sqliteDriver(options.driver), path.resolve(dataDir, options.file));
    },
    async backUp({ dataDir }, to) {
      return backUpSqlite(await sqliteDriver(options.driver), path.resolve(dataDir, options.file), to);
    },
    async restore({ dataDir, clock }, from) {
      return restoreSqlite(await sqliteDriver(options.driver), path.resolve(dataDir, options.file), from, clock.nowMs());
    },
  };
}

/** The packages that a hub needs, and the driver of its process. */
async function loaded({ driver }: SqliteOptions): Promise<SqliteDriver> {
  await requirePackage('sqlite', 'knex', '3', () => import('knex'));
  return sqliteDriver(driver);
}

function problemsOf(options: SqliteOptions): readonly ConfigProblem[] {
  const given: { readonly file?: unknown; readonly driver?: unknown } = options ?? {};
  const problems: ConfigProblem[] = [...notAnObject(given)];
  if (problems.length > 0) return problems;
  const { file, driver } = given;
  if (typeof file !== 'string' || file.trim() === '')
    problems.push({ path: 'file', message: `expected a file name, found ${JSON.stringify(file)}` });
  else if (file.includes('\0')) problems.push({ path: 'file', message: 'expected a file name, found one with a NUL character' });
  else if (file === ':memory:' || file.startsWith('file:'))
    problems.push({
      path: 'file',
      message: `expected a plain file name, found ${JSON.stringify(file)}; for a hub without a file use memory()`,
    });
  if (driver !== undefined && !SQLITE_DRIVERS.some((name) => name === driver))
    problems.push({
      path: 'driver',
      message: `expected ${SQLITE_DRIVERS.map((name) => `"${name}"`).join(' or ')}, found ${JSON.stringify(driver)}`,
    });
  for (const name of Object.keys(given))
    if (name !== 'file' && name !== 'driver') problems.push({ path: name, message: unknownOption(name, ['file', 'driver']) });
  return problems;
}
