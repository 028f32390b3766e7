/** Stores on a Postgres server for tests, each in its own schema. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { POSTGRES_CAPABILITIES, postgresEngine, type PostgresEngineDeps } from '../../../adapters/storage-knex/postgres/engine.ts';
import { settingsOf, type PostgresOptions } from '../../../adapters/storage-knex/postgres/options.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';
import { programs, type PostgresServer } from './postgres-server.ts';

export type EngineOptions = Partial<Omit<PostgresEngineDeps, 'settings'>>;

/** What an engine needs. */
export const engineDeps = (options: PostgresOptions, over: EngineOptions = {}): PostgresEngineDeps => ({
  settings: settingsOf(options),
  clock: systemClock(),
  log: silentLog,
  ...over,
});

export function postgresStorage(options: PostgresOptions, over: EngineOptions = {}): Storage {
  const deps = engineDeps(options, over);
  return knexStorage({ engine: postgresEngine(deps), clock: deps.clock, log: deps.log });
}

/** The name of a schema that does not exist yet and is dropped after the test. */
export function emptySchema(t: Teardown, server: PostgresServer): string {
  const schema = `test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  t.teardown(async () => void (await server.ask(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)));
  return schema;
}

/** A storage that the test closes before its schema is dropped. */
export function closedBefore(t: Teardown, storage: Storage): Storage {
  t.teardown(() => storage.close());
  return storage;
}

/** Copies of a database with the empty tables of a store: creating the tables takes longer than most cases. */
export async function madeDatabases(server: PostgresServer) {
  const name = (): string => `test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const urlOf = (database: string): string => Object.assign(new URL(server.url), { pathname: `/${database}` }).href;
  const template = name();
  const session = await server.session();
  await session.ask(`CREATE DATABASE ${template}`);
  const storage = postgresStorage({ url: urlOf(template) });
  await storage.open();
  await storage.close();
  // With the store's name and clock: each process that opens a copy writes its own.
  await programs(urlOf(template)).ask('DELETE FROM agentcom.store');
  const [version] = await session.ask(`SELECT current_setting('server_version_num')::integer >= 150000 AS has_strategies`);
  const strategy = version?.['has_strategies'] === true ? 'STRATEGY FILE_COPY' : '';
  return {
    /** The URL of a copy, which is dropped after the test. */
    async copy(t: Teardown): Promise<string> {
      const database = name();
      await session.ask(`CREATE DATABASE ${database} TEMPLATE ${template} ${strategy}`);
      t.teardown(async () => void (await session.ask(`DROP DATABASE ${database} WITH (FORCE)`)));
      return urlOf(database);
    },
    async end(): Promise<void> {
      await session.ask(`DROP DATABASE ${template}`);
      await session.end();
    },
  };
}

export const postgresSubject = (server: () => PostgresServer, unopenable: Required<StorageSubject>['unopenable']): StorageSubject => ({
  capabilities: POSTGRES_CAPABILITIES,
  async place(t) {
    const schema = emptySchema(t, server());
    return {
      storage: (clock) => closedBefore(t, postgresStorage({ url: server().url, schema }, { clock })),
      makeNewer: async () => void (await server().ask(`INSERT INTO ${schema}.migrations (name) VALUES ('9999-from-the-future')`)),
    };
  },
  unopenable,
});
