/** Stores on a Postgres server for tests, each in a schema of its own. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { POSTGRES_CAPABILITIES, postgresEngine, type PostgresEngineDeps } from '../../../adapters/storage-knex/postgres/engine.ts';
import { settingsOf, type PostgresOptions } from '../../../adapters/storage-knex/postgres/options.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';
import type { PostgresServer } from './postgres-server.ts';

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

/** The name of a schema that is not there yet, and is gone after the test. */
export function emptySchema(t: Teardown, server: PostgresServer): string {
  const schema = `test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  t.teardown(async () => void (await server.ask(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)));
  return schema;
}

/** A storage that the test closes before its schema goes. */
export function closedBefore(t: Teardown, storage: Storage): Storage {
  t.teardown(() => storage.close());
  return storage;
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
