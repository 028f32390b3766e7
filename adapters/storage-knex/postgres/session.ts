/** A connection that has a Postgres store to itself, or inspects it: statements may take as long as reading a whole store takes. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Row } from '../engine.ts';
import { ANSWER_MARGIN_MS, connectWriter } from './connections.ts';
import type { PostgresConnection } from './connection.ts';
import { excludeHubs } from './exclusive.ts';
import { openingFailure, postgresFailure } from './failures.ts';
import { placeOf, type PostgresSettings } from './options.ts';
import { parameterText } from './text.ts';

/** How long one statement may take, such as counting the rows of a large table. */
const STATEMENT_MS = 600_000;

export interface PostgresSession {
  readonly place: string;
  /** `parameter`: any JSON value. Fails as the stores do. */
  rows(sql: string, parameter?: unknown): Promise<readonly Row[]>;
  change(sql: string, parameter?: unknown): Promise<number>;
  /** The connection itself. */
  readonly writer: PostgresConnection;
  close(): Promise<void>;
}

/** `doing`: how the server shows the connection. `alone`: no hub may use the store until `close`; fails with `AC_STORAGE_LOCKED`. */
export async function openPostgresSession(
  settings: PostgresSettings,
  how: { readonly clock: Clock; readonly doing: 'copy' | 'look'; readonly alone: boolean },
): Promise<PostgresSession> {
  const place = placeOf(settings);
  const patient = { ...settings, statementTimeoutMs: STATEMENT_MS, idleInTransactionMs: 0 };
  try {
    const writer = await connectWriter(patient, ANSWER_MARGIN_MS, how.clock);
    try {
      // Whole tables are read here, which the settings of a hub's writer prevent.
      await writer.change(
        `SET application_name = 'agentcom ${how.doing}'; RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin`,
      );
      const session = sessionOver(writer, place);
      if (how.alone) {
        await excludeHubs(writer, patient);
        await refuseLiveHubs(session);
      }
      return session;
    } catch (thrown) {
      await writer.close();
      throw thrown;
    }
  } catch (thrown) {
    throw openingFailure(thrown, place);
  }
}

function sessionOver(writer: PostgresConnection, place: string): PostgresSession {
  const text = (parameter: unknown): string | undefined => (parameter === undefined ? undefined : parameterText(parameter));
  const translated = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (thrown) {
      throw postgresFailure(thrown, 'read or copy a store', place, 'then run the command again');
    }
  };
  return {
    place,
    writer,
    rows: (sql, parameter) => translated(writer.rows(sql, text(parameter))),
    change: (sql, parameter) => translated(writer.change(sql, text(parameter))),
    close: () => writer.close(),
  };
}

/**
 * The leases that run, by the store's clock: the server's, corrected by how far it was off when a hub last wrote the mark, and never before that
 * mark. The columns are missing in a store of an older version, whose time is the server's.
 */
const LIVE_HUBS = `
  SELECT hub_id, ceil((lease_until - now_ms) / 1000) AS left_s FROM hubs, LATERAL (
    SELECT greatest((s ->> 'clock_mark')::bigint,
      extract(epoch FROM clock_timestamp()) * 1000 + coalesce((s ->> 'clock_offset')::bigint, 0)) AS now_ms
    FROM (SELECT (SELECT to_jsonb(store) FROM store) AS s) AS stored) AS clock
  WHERE lease_until > now_ms ORDER BY lease_until`;

/** A hub whose connection was lost does not hold the lock; but each has a lease in the store. */
async function refuseLiveHubs({ rows, place }: PostgresSession): Promise<void> {
  const [table] = await rows("SELECT to_regclass('hubs') IS NOT NULL AS there");
  if (table?.['there'] !== true) return;
  const live = await rows(LIVE_HUBS);
  if (live.length === 0) return;
  const ids = live.map((row) => String(row['hub_id']));
  throw new AgentcomError(
    'AC_STORAGE_LOCKED',
    `Cannot take ${place}: hubs use it (${ids.join(', ')}). Stop them; a hub that was killed is no longer counted once its lease has expired, in ${Number(live.at(-1)?.['left_s'])} s.`,
    { details: { hubs: ids } },
  );
}

/** The names of the tables in the schema of the store. */
export const tablesOf = async ({ rows }: Pick<PostgresSession, 'rows'>): Promise<readonly string[]> =>
  (await rows('SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename')).map((row) =>
    String(row['tablename']),
  );

/** The steps that the database has taken, oldest first; none if there is no store. */
export async function stepsIn(session: Pick<PostgresSession, 'rows'>): Promise<readonly string[]> {
  if (!(await tablesOf(session)).includes('migrations')) return [];
  return (await session.rows('SELECT name FROM migrations ORDER BY name')).map((row) => String(row['name']));
}

/** Fails with `AC_STORAGE_OPEN` if there is no store. */
export function refuseNoStore(place: string, steps: readonly string[]): void {
  if (steps.length > 0) return;
  const message = `Cannot open storage "postgres": ${place}: there is no store in it.`;
  const hint = 'Start the hub once to create it, or correct the address or its schema.';
  throw new AgentcomError('AC_STORAGE_OPEN', message, { hint, details: { place, hasStore: false } });
}
