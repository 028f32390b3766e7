/** A schema of a Postgres database as one side of a move. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { MOVE_UNFINISHED, refuseUnknownSteps, requireAllSteps } from '../rows/unknown-steps.ts';
import { placeOf, type PostgresSettings } from '../postgres/options.ts';
import { migratePostgres, verifyServer } from '../postgres/schema.ts';
import { openPostgresSession, refuseNoStore, stepsIn, tablesOf, type PostgresSession } from '../postgres/session.ts';
import { columnNames, pageText, type Place, type Side, type SideText, type Target } from './side.ts';
import { STAYING, type Column, type Table } from './stored-table.ts';
import { targetExists } from './target-exists.ts';

export interface PostgresPlaceDeps {
  readonly settings: PostgresSettings;
  readonly clock: Clock;
  readonly log: Log;
}

export const postgresPlace = ({ settings, clock, log }: PostgresPlaceDeps): Place => {
  const alone = async <T>(open: (session: PostgresSession) => Promise<T>): Promise<T> => {
    const session = await openPostgresSession(settings, { clock, doing: 'copy', alone: true });
    try {
      return await open(session);
    } catch (thrown) {
      await session.close();
      throw thrown;
    }
  };
  return {
    shown: placeOf(settings),
    takes: placeOf(settings),
    source: () => alone(openSource),
    target: ({ emptyUnfinished }) => alone((session) => openTarget(session, settings, log, emptyUnfinished)),
  };
};

async function openSource(session: PostgresSession): Promise<Side> {
  const steps = await stepsIn(session);
  refuseNoStore(session.place, steps);
  requireAllSteps('postgres', session.place, steps);
  await session.change('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  return sideOver(session);
}

async function openTarget(session: PostgresSession, settings: PostgresSettings, log: Log, emptyUnfinished: boolean): Promise<Target> {
  const { place, writer } = session;
  await verifyServer(writer, place, log);
  const steps = await stepsIn(session);
  if (steps.includes(MOVE_UNFINISHED) && emptyUnfinished) await empty(session);
  else {
    refuseUnknownSteps('postgres', place, steps);
    const full = await fullTable(session);
    if (full !== null) throw targetExists(place, full);
  }
  await migratePostgres(writer, settings.schema, place, log);
  await session.change(`BEGIN; INSERT INTO migrations (name) VALUES ('${MOVE_UNFINISHED}'); DELETE FROM store; COMMIT`);
  // Commits reach the disk in order; only the last one waits for it.
  await session.change('SET synchronous_commit = off');
  return {
    ...sideOver(session),
    setLastEvent: async (last) => void (await session.change(`UPDATE event_numbers SET last_id = ${last}`)),
    countTasks: () => Promise.resolve(),
    async finish() {
      await session.change('RESET synchronous_commit');
      await session.change(`DELETE FROM migrations WHERE name = '${MOVE_UNFINISHED}'`);
      // Lets the server learn how large its tables are, before it plans the hub's first statements.
      await session.change('ANALYZE');
    },
  };
}

/** Removes what an interrupted move has left, with its mark, in one transaction: if that is interrupted too, nothing has changed. */
async function empty(session: PostgresSession): Promise<void> {
  const tables = (await tablesOf(session)).filter((name) => name !== 'migrations' && name !== 'event_numbers');
  await session.change(
    `BEGIN; TRUNCATE ${tables.join(', ')}; UPDATE event_numbers SET last_id = 0; DELETE FROM migrations WHERE name = '${MOVE_UNFINISHED}'; COMMIT`,
  );
}

async function fullTable(session: PostgresSession): Promise<string | null> {
  for (const name of await tablesOf(session)) {
    if (name in STAYING || name === 'store') continue;
    if ((await session.rows(`SELECT 1 FROM "${name}" LIMIT 1`)).length > 0) return name;
  }
  return null;
}

const sideOver = (session: PostgresSession): Side => ({
  place: session.place,
  text: POSTGRES_TEXT,
  rows: session.rows,
  change: session.change,
  tables: () => tablesIn(session),
  close: session.close,
});

const COLUMNS = `
  SELECT c.table_name, c.column_name, c.data_type, k.ordinal_position AS place_in_key
  FROM information_schema.columns AS c
  LEFT JOIN information_schema.table_constraints AS p
    ON p.table_schema = c.table_schema AND p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY'
  LEFT JOIN information_schema.key_column_usage AS k
    ON k.constraint_schema = p.constraint_schema AND k.constraint_name = p.constraint_name AND k.column_name = c.column_name
  WHERE c.table_schema = current_schema() ORDER BY c.table_name, k.ordinal_position`;
const REFERENCES = `
  SELECT r.conrelid::regclass::text AS table_name, r.confrelid::regclass::text AS refers_to
  FROM pg_constraint AS r WHERE r.contype = 'f' AND r.connamespace = current_schema()::regnamespace`;

async function tablesIn({ rows }: PostgresSession): Promise<readonly Table[]> {
  const columns = await rows(COLUMNS);
  const references = await rows(REFERENCES);
  return [...new Set(columns.map((row) => String(row['table_name'])))].map((name): Table => {
    const own = columns.filter((row) => row['table_name'] === name);
    return {
      name,
      columns: own
        .map((row): Column => ({ name: String(row['column_name']), type: /int/.test(String(row['data_type'])) ? 'integer' : 'text' }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      key: own.filter((row) => row['place_in_key'] !== null).map((row) => String(row['column_name'])),
      references: references.filter((row) => row['table_name'] === name).map((row) => String(row['refers_to'])),
    };
  });
}

const typeOf = ({ type }: Column): string => (type === 'integer' ? 'bigint' : 'text');

const POSTGRES_TEXT: SideText = {
  page: (table, limit, isFirst) =>
    pageText(table, limit, {
      after: isFirst ? null : (column) => `(SELECT ($1::json -> 0 ->> '${column.name}')::${typeOf(column)})`,
      ordered: ({ name, type }) => (type === 'text' ? `${name} COLLATE "C"` : name),
    }),
  insert: ({ name, columns }) => `
    INSERT INTO ${name} (${columnNames(columns)})
    SELECT ${columnNames(columns)} FROM json_to_recordset($1::json) AS given (${columns.map((column) => `${column.name} ${typeOf(column)}`).join(', ')})`,
  lastEvent: 'SELECT last_id AS last FROM event_numbers',
};
