/** Makes the schema what this program wants, and refuses servers and databases that cannot hold it or are too new for us. */
import { randomUUID } from 'node:crypto';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import { ALL_MIGRATIONS } from './migrations/all-migrations.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { cannotOpenPostgres } from './postgres-failures.ts';

/** "AgtC": the first half of our advisory locks' keys; the second is made of the schema's name. */
const LOCK_CLASS = 0x41677443;
/** Another hub may be at a long step of the schema. */
const MIGRATE_WITHIN_MS = 300_000;
const SERVER_VERSION_MIN = 130_000;

/** Had by whoever changes a schema. */
const migrationsLock = (schema: string): string => `${LOCK_CLASS}, hashtext('${schema} migrations')`;

/**
 * Takes the steps that are missing, all in one transaction, one hub after the other. Fails with `AC_SCHEMA_UNKNOWN` when
 * the database has steps that this program does not know.
 */
export async function migratePostgres(writer: PostgresConnection, schema: string, place: string): Promise<void> {
  await writer.change('BEGIN');
  await writer.change(`SET LOCAL statement_timeout = 0`);
  await writer.change(`SET LOCAL idle_in_transaction_session_timeout = 0`);
  await writer.change(`SET LOCAL lock_timeout = ${MIGRATE_WITHIN_MS}`);
  await writer.rows(`SELECT pg_advisory_xact_lock(${migrationsLock(schema)})`);
  // Asked first, because `IF NOT EXISTS` wants the right to create also where nothing is created.
  if ((await writer.rows('SELECT 1 FROM pg_namespace WHERE nspname = $1', schema)).length === 0)
    await writer.change(`CREATE SCHEMA ${schema}`);
  if ((await writer.rows('SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $$migrations$$', schema)).length === 0)
    await writer.change('CREATE TABLE migrations (name text PRIMARY KEY, taken_at timestamptz NOT NULL DEFAULT now())');
  const taken = new Set((await writer.rows('SELECT name FROM migrations')).map((row) => String(row['name'])));
  const unknown = [...taken].filter((name) => !ALL_MIGRATIONS.some((migration) => migration.name === name));
  if (unknown.length > 0)
    throw new AgentcomError(
      'AC_SCHEMA_UNKNOWN',
      `Cannot open storage "postgres": ${place} was written by a newer version (it has ${unknown.join(', ')}; this program knows up to ${ALL_MIGRATIONS.at(-1)?.name ?? 'nothing'}). Install that version or a later one, or restore a backup made before it.`,
      { details: { unknown } },
    );
  for (const migration of ALL_MIGRATIONS) {
    if (taken.has(migration.name)) continue;
    for (const statement of migration.postgres) await writer.change(statement);
    await writer.change('INSERT INTO migrations (name) VALUES ($1)', migration.name);
  }
  await writer.change(`INSERT INTO store (only_row, store_id) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING`, newStoreId());
  await writer.commit();
}

export async function storeIdIn(writer: PostgresConnection): Promise<string> {
  const [row] = await writer.rows('SELECT store_id FROM store');
  return String(row?.['store_id']);
}

/** Refuses what cannot hold a store, and tells of what does not keep what was committed. */
export async function verifyServer(writer: PostgresConnection, place: string, log: Log): Promise<void> {
  const setting = async (name: string): Promise<string> =>
    String((await writer.rows(`SELECT current_setting('${name}') AS value`))[0]?.['value']);
  const version = Number(await setting('server_version_num'));
  if (version < SERVER_VERSION_MIN)
    throw cannotOpenPostgres(place, `the server is Postgres ${await setting('server_version')}, wanted ${SERVER_VERSION_MIN / 10_000} or later`); // prettier-ignore
  const encoding = await setting('server_encoding');
  if (encoding !== 'UTF8')
    throw cannotOpenPostgres(place, `its encoding is ${encoding}, wanted UTF8. Make the database anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`); // prettier-ignore
  for (const name of ['synchronous_commit', 'fsync'])
    if ((await setting(name)) === 'off')
      log.warn(`${name} is off on this Postgres: tasks that were acknowledged may be gone when the server crashes; set it to on`, {
        place,
      });
}

const newStoreId = (): string => `store-${randomUUID().replaceAll('-', '')}`;
