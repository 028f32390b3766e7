/**
 * Everything that a batch saves, as one statement: it calls a function that belongs to the connection and consists of the statements that
 * save the kinds, one after the other.
 *
 * For a hub that has the store to itself, it is a transaction of its own, without BEGIN and COMMIT: nothing is locked, and the hub numbers
 * the events. Otherwise the function numbers them, in the transaction that has locked the rows.
 */
import type { SavedRows } from '../engine.ts';
import { parametersOf } from './binary-parameters.ts';
import type { Parameter, PostgresConnection } from './connection.ts';
import { KEY_TAKEN, sqlStateOf } from './failures.ts';
import { GIVEN_COLUMNS, type GivenName } from './given-columns.ts';
import { INSERT_NUMBERED_EVENTS, POSTGRES_STATEMENTS, UPSERT_KEYS } from './statements.ts';
import { parameterText } from './text.ts';

/** SQLSTATE that the function raises: a changed task was never inserted. */
const NEVER_INSERTED = 'AC001';
/** The same: the numbers of events are not where this hub left them, so something else wrote to the store. */
const NOT_ALONE = 'AC002';
/** The same: a task that should be new existed before. Its events may be stored in other rows, so that their own keys do not reveal it. */
const REPEATED = 'AC004';

type SavedKind = Exclude<keyof SavedRows, 'saveKept' | 'dropKept'> & GivenName;

/**
 * The kinds in the order in which they are saved, each with its statement and the SQLSTATE that is raised unless it changes all of its rows.
 * Two may wait for other hubs: `saveAgents` for one that inserts the same new agent, then `insertEvents` for the numbers of events.
 */
const STEPS: readonly (readonly [kind: SavedKind, statement: string, raised?: string])[] = [
  ['insertTasks', POSTGRES_STATEMENTS.insertTasks, REPEATED],
  ['insertBodies', POSTGRES_STATEMENTS.insertBodies],
  ['insertDependencies', POSTGRES_STATEMENTS.insertDependencies],
  ['updateTasks', POSTGRES_STATEMENTS.updateTasks, NEVER_INSERTED],
  ['saveResults', POSTGRES_STATEMENTS.saveResults],
  ['saveAgents', POSTGRES_STATEMENTS.saveAgents],
  ['clearStops', POSTGRES_STATEMENTS.clearStops],
  ['saveStops', POSTGRES_STATEMENTS.saveStops],
  ['insertKeys', UPSERT_KEYS, KEY_TAKEN],
  ['insertEvents', INSERT_NUMBERED_EVENTS],
];

const columnsOf = (kind: SavedKind): number => Object.keys(GIVEN_COLUMNS[kind]).length;

/** The positions of the columns of each kind among the parameters: the batch, the number of the newest event, and then kind after kind. */
const BATCH = 1;
const LAST_EVENT = 2;
const FIRST_OF = STEPS.map((_, at) => STEPS.slice(0, at).reduce((first, [kind]) => first + columnsOf(kind), LAST_EVENT + 1));

/** Renumbers the parameters `$1`, `$2`… of a statement to begin at `first`; one after its last column becomes the number of the newest event. */
const shifted = (text: string, first: number, columns: number): string =>
  text.replace(/\$(\d+)/g, (_, n: string) => (Number(n) > columns ? 'last_event' : `$${first + Number(n) - 1}`));

/** The position of the column that says how many events there are up to a row. */
const NUMBER_PLACE = Object.keys(GIVEN_COLUMNS.insertEvents).indexOf('number');

const STEP_TEXTS = STEPS.map(([kind, statement, raised], at) => {
  const first = FIRST_OF[at] ?? 0;
  const counted = `GET DIAGNOSTICS changed_rows = ROW_COUNT;
      IF changed_rows <> cardinality($${first}) THEN RAISE EXCEPTION '% of % rows of ${kind}', changed_rows, cardinality($${first}) USING ERRCODE = '${raised}'; END IF;`;
  const numbers = `$${first + NUMBER_PLACE}`;
  const added = `(${numbers})[cardinality(${numbers})]`;
  const numbered = `UPDATE event_numbers SET last_id = last_id + ${added} WHERE last_id = coalesce(last_event, last_id) RETURNING last_id - ${added} INTO last_event;
      IF NOT FOUND THEN RAISE EXCEPTION 'the newest event is not %', $${LAST_EVENT} USING ERRCODE = '${NOT_ALONE}'; END IF;`;
  return `IF $${first} IS NOT NULL THEN
      ${kind === 'insertEvents' ? numbered : ''}
      ${shifted(statement, first, columnsOf(kind))};
      ${raised === undefined ? '' : counted}
    END IF;`;
});

const TYPES = [
  'text',
  'bigint',
  ...STEPS.flatMap(([kind]) => Object.values<readonly [string, string]>(GIVEN_COLUMNS[kind]).map(([, type]) => `${type}[]`)),
];

/** Run once on a connection that saves this way. */
export const SAVE_AT_ONCE = `CREATE OR REPLACE FUNCTION pg_temp.save_batch(${TYPES.join(', ')}) RETURNS bigint LANGUAGE plpgsql AS $function$
  DECLARE
    changed_rows bigint;
    last_event bigint := $${LAST_EVENT};
  BEGIN
    ${STEP_TEXTS.join('\n    ')}
    ${shifted(POSTGRES_STATEMENTS.recordBatch, BATCH, 1)};
    RETURN last_event;
  END $function$`;

const SAVE_BATCH = `SELECT pg_temp.save_batch(${TYPES.map((type, at) => `$${at + 1}::${type}`).join(', ')}) AS last_event`;

/** The parameters of `saveBatch` for the rows; a kind without rows has NULLs. */
export const savedParameters = (rows: SavedRows): readonly (Parameter | null)[] =>
  STEPS.flatMap(([kind]): readonly (Parameter | null)[] =>
    rows[kind].length === 0 ? Array.from({ length: columnsOf(kind) }, () => null) : parametersOf(kind, rows[kind]),
  );

/** Returns the number of the newest event before. `lastEvent`: that number, or null if other hubs save events too. `saved`: from `savedParameters`. */
export async function saveBatch(
  writer: PostgresConnection,
  batchId: string,
  lastEvent: number | null,
  saved: readonly (Parameter | null)[],
): Promise<number> {
  const given = [parameterText(batchId), lastEvent === null ? null : String(lastEvent), ...saved];
  const [row] = await writer.rows(SAVE_BATCH, given, 'saveBatch');
  return Number(row?.['last_event'] ?? 0);
}

/** Whether a task or an event that should be new existed before: nothing was saved. */
export const isRepeat = (thrown: unknown): boolean =>
  sqlStateOf(thrown) === REPEATED || (sqlStateOf(thrown) === '23505' && (thrown as { readonly table?: unknown }).table === 'task_events');

export async function lastEventNumber(writer: PostgresConnection): Promise<number> {
  const [row] = await writer.rows('SELECT last_id FROM event_numbers', [], 'lastEventNumber');
  return Number(row?.['last_id']);
}
