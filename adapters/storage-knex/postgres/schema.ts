/** Migrates the schema to what this program needs, and refuses servers and databases that cannot hold it or are too new. */
import type { Log } from '../../../core/ports/log.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { ALL_MIGRATIONS } from '../migrations/all-migrations.ts';
import { knownSteps, refuseUnknownSteps } from '../rows/unknown-steps.ts';
import type { PostgresConnection } from './connection.ts';
import { cannotOpenPostgres, OWN_SESSIONS } from './failures.ts';
import { newStoreId } from '../rows/store-id.ts';

/** "AgtC": the first half of our advisory locks' keys; the second is made from the schema's name and what it is locked for. */
const LOCK_CLASS = 0x41677443;
/** Another hub may be running a long step of the schema. */
const MIGRATE_WITHIN_MS = 300_000;
/** How long an older hub that is being stopped has to end its connection, and how often that is checked. Seconds. */
const OLDER_HUBS_WITHIN_S = 5;
const OLDER_HUBS_CHECK_S = 0.25;
/** Postgres 13, as the server itself counts: the oldest that fulfills the contracts. */
const SERVER_VERSION_MIN = 130_000;

/**
 * The locks of a schema: `hub` is held by the hubs that use it together, or exclusively by a process that needs it alone; `only hub` by a
 * hub that holds `hub` exclusively, whose connection others may terminate; `migrations` by a process that migrates it.
 */
export const lockKey = (schema: string, what: LockName): string => `${LOCK_CLASS}, ${lockNumber(schema, what)}`;
export type LockName = 'hub' | 'only hub' | 'migrations';
const lockNumber = (schema: string, what: LockName): string => `hashtext('${schema} ${what}')`;
/** Whether a row of `pg_locks` is this lock. */
export const isLock = (schema: string, what: LockName): string =>
  `locktype = 'advisory' AND objsubid = 2 AND classid::bigint = ${LOCK_CLASS} AND objid::bigint = ${lockNumber(schema, what)}::bigint & 4294967295
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

/**
 * Takes the steps that are missing, all in one transaction, one hub at a time. Fails with `AC_SCHEMA_UNKNOWN` if the database has steps
 * that this program does not know, with `AC_MOVE_UNFINISHED` if it has only a part of a store, with `AC_STORAGE_LOCKED` while an older hub
 * uses the store that cannot continue after the steps. `writer` has the hubs' lock. On a large store a step may take minutes.
 */
export const migratePostgres = (writer: PostgresConnection, schema: string, place: string, log: Log): Promise<void> =>
  writer.patiently(() => migrate(writer, schema, place, log));

async function migrate(writer: PostgresConnection, schema: string, place: string, log: Log): Promise<void> {
  await writer.change('BEGIN');
  await writer.change(`SET LOCAL statement_timeout = 0`);
  await writer.change(`SET LOCAL idle_in_transaction_session_timeout = 0`);
  await writer.change(`SET LOCAL lock_timeout = ${MIGRATE_WITHIN_MS}`);
  await writer.rows(`SELECT pg_advisory_xact_lock(${lockKey(schema, 'migrations')})`);
  // Checked first, because `IF NOT EXISTS` requires the right to create even if nothing is created.
  if ((await writer.rows('SELECT 1 FROM pg_namespace WHERE nspname = $1', schema)).length === 0)
    await writer.change(`CREATE SCHEMA "${schema}"`);
  if ((await writer.rows('SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $$migrations$$', schema)).length === 0)
    await writer.change('CREATE TABLE migrations (name text PRIMARY KEY, taken_at timestamptz NOT NULL DEFAULT now())');
  const taken = new Set((await writer.rows('SELECT name FROM migrations')).map((row) => String(row['name'])));
  refuseUnknownSteps('postgres', place, [...taken]);
  const missing = ALL_MIGRATIONS.filter(({ name }) => !taken.has(name));
  if (taken.size > 0 && missing.some(({ besideOlderHubs }) => besideOlderHubs !== true)) await refuseOlderHubs(writer, schema, place);
  if (taken.size > 0 && missing.length > 0)
    log.info('migrating the schema; on a large store this takes minutes', { place, steps: missing.map(({ name }) => name) });
  // Tables of steps that an older version created do not have it.
  if (missing.length > 0)
    await writer.change('ALTER TABLE migrations ADD COLUMN IF NOT EXISTS beside_older_hubs boolean NOT NULL DEFAULT false');
  for (const migration of missing) {
    for (const statement of migration.postgres) await writer.change(statement);
    await migration.code?.({
      dialect: 'postgres',
      rows: (sql, parameter) => writer.rows(sql, parameter),
      change: async (sql, parameter) => void (await writer.change(sql, parameter)),
    });
    await writer.change('INSERT INTO migrations (name, beside_older_hubs) VALUES ($1, $2)', [
      migration.name,
      String(migration.besideOlderHubs === true),
    ]);
  }
  await writer.change(`INSERT INTO store (only_row, store_id) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING`, newStoreId());
  await writer.commit();
}

/** A hub that waits for our migration has not started: it finds the schema migrated, or refuses it. */
async function refuseOlderHubs(writer: PostgresConnection, schema: string, place: string): Promise<void> {
  const older = () =>
    writer.rows(`SELECT pid, coalesce(host(client_addr), 'the machine of the server') AS address, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
      FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE granted AND pid <> pg_backend_pid() AND ${isLock(schema, 'hub')}
        AND pid NOT IN (SELECT pid FROM pg_locks WHERE NOT granted AND ${isLock(schema, 'migrations')})
      ORDER BY backend_start`);
  let hubs = await older();
  for (let leftS = OLDER_HUBS_WITHIN_S; hubs.length > 0 && leftS > 0; leftS -= OLDER_HUBS_CHECK_S) {
    await writer.rows(`SELECT pg_sleep(${OLDER_HUBS_CHECK_S})`);
    hubs = await older();
  }
  if (hubs.length === 0) return;
  const named = hubs.map(
    ({ pid, address, since }) => `one at ${String(address)}, connected since ${String(since)} UTC (server process ${String(pid)})`,
  );
  throw new AgentcomError(
    'AC_STORAGE_LOCKED',
    `Cannot open storage "postgres" at ${place}: this version changes its schema, and hubs of an older version use it, which could not read what this one writes: ${named.join('; ')}. Nothing was changed. Stop them, then start this hub.`,
    { details: { place, hubs } },
  );
}

/** The steps that keep this program off the store: unknown here, and not stored as ones that older hubs can live with. */
export const stepsInTheWay = async (writer: PostgresConnection): Promise<readonly string[]> =>
  // As JSON, because the column does not exist until a version that has it takes a step.
  (
    await writer.rows(
      `SELECT name FROM migrations AS step WHERE to_jsonb(step) -> 'beside_older_hubs' IS DISTINCT FROM 'true' ORDER BY name`,
    )
  )
    .map((row) => String(row['name']))
    .filter((name) => !knownSteps().includes(name));

/** Waits until no hub migrates the schema. `writer` has the hubs' lock: a hub that begins to migrate from now on finds it. */
export const migrationEnded = async (writer: PostgresConnection, schema: string): Promise<void> =>
  void (await writer.rows(`SELECT pg_advisory_xact_lock_shared(${lockKey(schema, 'migrations')})`));

export async function storeIdIn(writer: PostgresConnection): Promise<string> {
  const [row] = await writer.rows('SELECT store_id FROM store');
  return String(row?.['store_id']);
}

/** Refuses a server that is too old. Must be called first: such a server may fail at anything else with an unhelpful message. */
export async function requireVersion(writer: PostgresConnection, place: string): Promise<void> {
  if (Number(await settingOf(writer, 'server_version_num')) >= SERVER_VERSION_MIN) return;
  const version = await settingOf(writer, 'server_version');
  throw cannotOpenPostgres(
    place,
    `the server is Postgres ${version}, expected ${SERVER_VERSION_MIN / 10_000} or later`,
    'Upgrade it (pg_upgrade), or name another in storage.url.',
  );
}

export const SESSION = 'SELECT pg_backend_pid() AS pid';
/**
 * Refuses a pooler that lends one session of the server to several connections, one transaction each: a lock of one hub would count as
 * that of another. `pids`: what `SESSION` returned on each of several open connections.
 */
export function requireOwnSessions(pids: readonly unknown[], place: string): void {
  if (new Set(pids).size < pids.length)
    throw cannotOpenPostgres(place, 'two connections share one session of the server', `${OWN_SESSIONS}.`);
}

/** Refuses a server that cannot hold a store, and warns about one that may lose what was committed. */
export async function verifyServer(writer: PostgresConnection, place: string, log: Log): Promise<void> {
  const encoding = await settingOf(writer, 'server_encoding');
  if (encoding !== 'UTF8')
    throw cannotOpenPostgres(place, `its encoding is ${encoding}, expected UTF8`, "Recreate the database: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."); // prettier-ignore
  for (const name of ['synchronous_commit', 'fsync'])
    if ((await settingOf(writer, name)) === 'off')
      log.warn(`${name} is off on this Postgres: tasks that were acknowledged may be gone when the server crashes; set it to on`, {
        place,
      });
}

const settingOf = async (writer: PostgresConnection, name: string): Promise<string> =>
  String((await writer.rows(`SELECT current_setting('${name}') AS value`))[0]?.['value']);
