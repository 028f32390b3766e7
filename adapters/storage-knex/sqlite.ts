/** What a config writes for a hub that keeps its tasks in one SQLite file. */
import path from 'node:path';
import type { ConfigProblem, StorageChoice } from '../../core/config/config.ts';
import { knexStorage } from './knex-storage.ts';
import { backUpSqlite, restoreSqlite } from './move/sqlite-backup.ts';
import { requirePackage } from './require-package.ts';
import { SQLITE_CAPABILITIES, sqliteEngine } from './sqlite/engine.ts';
import { inspectSqlite } from './sqlite/inspection.ts';

export interface SqliteOptions {
  /** The database's file, in the hub's data directory unless absolute. Made if missing. */
  readonly file: string;
}

/**
 * Chooses SQLite: one hub, one file, on a local disk. Nothing is opened before `create`'s storage is. `create` fails with
 * `AC_PACKAGE_MISSING` without the packages knex and sqlite3.
 */
export function sqlite(options: SqliteOptions): StorageChoice {
  return {
    port: 'storage',
    name: 'sqlite',
    options: { ...options },
    capabilities: { ...SQLITE_CAPABILITIES },
    problems: () => problemsOf(options),
    async create({ dataDir, clock, log }) {
      await requirePackage('sqlite', 'knex', '3', () => import('knex'));
      await requirePackage('sqlite', 'sqlite3', '6', () => import('sqlite3'));
      const file = path.resolve(dataDir, options.file);
      return knexStorage({ engine: sqliteEngine({ file, clock, log }), clock, log });
    },
    async inspect({ dataDir }) {
      await requirePackage('sqlite', 'sqlite3', '6', () => import('sqlite3'));
      return inspectSqlite(path.resolve(dataDir, options.file));
    },
    async backUp({ dataDir }, to) {
      await requirePackage('sqlite', 'sqlite3', '6', () => import('sqlite3'));
      return backUpSqlite(path.resolve(dataDir, options.file), to);
    },
    async restore({ dataDir, clock }, from) {
      await requirePackage('sqlite', 'sqlite3', '6', () => import('sqlite3'));
      return restoreSqlite(path.resolve(dataDir, options.file), from, clock.nowMs());
    },
  };
}

function problemsOf(options: SqliteOptions): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { file }: { readonly file?: unknown } = options ?? {};
  if (typeof file !== 'string' || file.trim() === '')
    problems.push({ path: 'file', message: `wanted a file name, found ${JSON.stringify(file)}` });
  else if (file.includes('\0')) problems.push({ path: 'file', message: 'wanted a file name, found one with a NUL character' });
  else if (file === ':memory:' || file.startsWith('file:'))
    problems.push({
      path: 'file',
      message: `wanted a plain file name, found ${JSON.stringify(file)}; for a hub without a file use memory()`,
    });
  for (const name of Object.keys(options ?? {}))
    if (name !== 'file') problems.push({ path: name, message: 'is not an option of sqlite(); it has only file' });
  return problems;
}
