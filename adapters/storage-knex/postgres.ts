/** `postgres()` in a config: for a hub that keeps its tasks in a Postgres database. */
import type { StorageChoice } from '../../core/config/config.ts';
import { knexStorage } from './knex-storage.ts';
import { refuseBackUp, refuseFile, renewPostgres } from './move/postgres-restored.ts';
import { checkPostgres } from './postgres/server-check.ts';
import { POSTGRES_CAPABILITIES, postgresEngine } from './postgres/engine.ts';
import { inspectPostgres } from './postgres/inspection.ts';
import { problemsOf, settingsOf, shownUrl, type PostgresOptions } from './postgres/options.ts';
import { requirePackage } from './require-package.ts';

export type { PostgresOptions } from './postgres/options.ts';

/**
 * Chooses Postgres 13 or later. No connection is made before the storage from `create` is opened. `create` fails with `AC_PACKAGE_MISSING`
 * without the packages knex and pg.
 */
export function postgres(options: PostgresOptions): StorageChoice {
  const requirePackages = async (): Promise<void> => {
    await requirePackage('postgres', 'knex', '3', () => import('knex'));
    await requirePackage('postgres', 'pg', '8', () => import('pg'));
  };
  return {
    port: 'storage',
    name: 'postgres',
    options: { ...options, url: shownUrl(options?.url) },
    capabilities: { ...POSTGRES_CAPABILITIES },
    problems: () => problemsOf(options),
    async create({ clock, log }) {
      await requirePackages();
      return knexStorage({ engine: postgresEngine({ settings: settingsOf(options), clock, log }), clock, log });
    },
    async inspect({ clock }) {
      await requirePackages();
      return inspectPostgres(settingsOf(options), clock);
    },
    backUp: () => Promise.reject(refuseBackUp(settingsOf(options))),
    async restore({ clock }, { file }) {
      if (file !== null) throw refuseFile(settingsOf(options));
      await requirePackages();
      return renewPostgres(settingsOf(options), clock);
    },
    async check({ clock }) {
      await requirePackages();
      return checkPostgres(settingsOf(options), clock);
    },
  };
}
