/**
 * The bare store on Postgres: one connection, and one prepared statement for each batch, which is its own transaction.
 * So each batch is one exchange with the server and one sync. Several hubs may share a store: each numbers its own
 * tasks and events, in its own range.
 */
import pg from 'pg';
import { numbersOf, textsOf } from './bare-arrays.ts';
import { requireWholeLives, STATUS, SUBMITTED, type BareStore, type Batch, type Lives, type StoredTask } from './bare-store.ts';

export interface BarePostgresPlace {
  readonly url: string;
  /** Created if it is missing. */
  readonly schema: string;
  /** From 0 on: no two at a time have the same. */
  readonly hub: number;
  /** Other hubs use this store too. */
  readonly isShared: boolean;
}

/** The settings that say whether a commit is on disk when it is answered. */
const DURABILITY = ['synchronous_commit', 'fsync', 'full_page_writes'];

/** Each hub has this many numbers for its tasks, and as many for its events. */
const RANGE = 2 ** 40;

/** Half of each page is left for new states of its rows, which then change no index. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tasks (
    id int8 PRIMARY KEY, generation int4 NOT NULL, status int2 NOT NULL, hub int2, key text NOT NULL UNIQUE, payload text NOT NULL)
    WITH (fillfactor = 50);
  CREATE INDEX IF NOT EXISTS tasks_of_no_hub ON tasks ((id % ${RANGE})) WHERE hub IS NULL;
  CREATE TABLE IF NOT EXISTS events (
    number int8 PRIMARY KEY, task int8 NOT NULL, at int8 NOT NULL, generation int4 NOT NULL, kind int2 NOT NULL, details text);
  CREATE INDEX IF NOT EXISTS events_of_task ON events (task);`;

const SAVE_CHANGED = `
  changed AS (
    UPDATE tasks SET status = given.status, generation = given.generation
    FROM unnest($3::int8[], $4::int2[], $5::int4[]) AS given (id, status, generation) WHERE tasks.id = given.id)`;
const CHANGE_EVENTS = `
  SELECT $1::int8 + n, task, $2::int8, generation, kind, details
  FROM unnest($6::int8[], $7::int2[], $8::int4[], $9::text[]) WITH ORDINALITY AS given (task, kind, generation, details, n)`;
/** `$1`: the number of the newest event. `$2`: milliseconds since 1970. */
const SAVE_CHANGES = `WITH ${SAVE_CHANGED} INSERT INTO events ${CHANGE_EVENTS}`;
/**
 * `$1` follows the events of the new tasks. `$10`: the number of the newest task. `$11`: how many of the new ones are
 * assigned. `$12`: how many belong to this hub, `$13`.
 */
const SAVE_ALL = `
  WITH submitted AS (
    INSERT INTO tasks
      SELECT $10::int8 + n, (n <= $11::int8)::int, CASE WHEN n <= $11 THEN ${STATUS.assigned} ELSE ${STATUS.queued} END,
        CASE WHEN n <= $12::int8 THEN $13::int2 END, key, payload
      FROM unnest($14::text[], $15::text[]) WITH ORDINALITY AS given (key, payload, n)),
  ${SAVE_CHANGED}
  INSERT INTO events
    SELECT $1::int8 - cardinality($14) + n, $10 + n, $2::int8, 0, ${SUBMITTED}, NULL FROM generate_series(1, cardinality($14)) AS n
    UNION ALL ${CHANGE_EVENTS}`;

/** Roughly the oldest: each hub's are in its order. */
const CLAIM = `
  UPDATE tasks SET hub = $1 WHERE id = ANY (ARRAY(
    SELECT id FROM tasks WHERE hub IS NULL ORDER BY id % ${RANGE} LIMIT $2 FOR UPDATE SKIP LOCKED))
  RETURNING id, generation, key, payload`;

/** All plans walk an index, even while a table is small, and none is made twice. */
const SESSION = [
  'enable_seqscan = off',
  'enable_bitmapscan = off',
  'enable_hashjoin = off',
  'enable_mergejoin = off',
  'plan_cache_mode = force_generic_plan',
  'jit = off',
  'client_min_messages = error',
  'synchronous_commit = on',
];

/** SQLSTATE codes. The second: another hub saved two of the same keys in another order. */
const NOTHING_SAVED = new Set(['23505', '40P01']);

type Row = Readonly<Record<string, unknown>>;

export async function openBarePostgresStore({ url, schema, hub, isShared }: BarePostgresPlace): Promise<BareStore> {
  const client = await connect(url, schema, SESSION);
  const rows = async (sql: string, ...values: readonly unknown[]): Promise<readonly Row[]> =>
    (await client.query<Row>(sql, [...values])).rows;
  // Several hubs may get here at once.
  await client.query(
    `BEGIN; SELECT pg_advisory_xact_lock(hashtext('${schema}')); CREATE SCHEMA IF NOT EXISTS ${schema}; ${SCHEMA}; COMMIT`,
  );
  // A claim that a crash undoes was of tasks that no hub had yet: what is saved for them later is synced, and the claim
  // with it.
  const claimer = isShared ? await connect(url, schema, [...SESSION, 'synchronous_commit = off']) : null;
  const durability = await durabilityOf(rows);
  const first = hub * RANGE;
  const newest = async (table: string, column: string): Promise<number> => {
    const [row] = await rows(`SELECT max(${column}) AS newest FROM ${table} WHERE ${column} > $1 AND ${column} < $2`, first, first + RANGE);
    return Number(row?.['newest'] ?? first);
  };
  let lastTask = await newest('tasks', 'id');
  let lastEvent = await newest('events', 'number');
  return {
    get lastTask() {
      return lastTask;
    },
    durability,
    async save(batch) {
      const { submitted, events } = batch;
      const changes = [lastEvent + submitted.length, Date.now(), ...changedColumns(batch)];
      try {
        if (submitted.length === 0) {
          await client.query({ name: 'changes', text: SAVE_CHANGES, values: changes });
        } else {
          await client.query({ name: 'all', text: SAVE_ALL, values: [...changes, lastTask, ...submittedColumns(batch, hub)] });
        }
      } catch (thrown) {
        if (NOTHING_SAVED.has(String((thrown as { readonly code?: unknown }).code))) return false;
        throw thrown;
      }
      lastTask += submitted.length;
      lastEvent += submitted.length + events.length;
      return true;
    },
    async taskOf(key) {
      const [row] = await rows('SELECT id FROM tasks WHERE key = $1', JSON.stringify(key));
      return row === undefined ? null : Number(row['id']);
    },
    unfinished: async () =>
      (await rows('SELECT * FROM tasks WHERE hub = $1 AND status <> $2 ORDER BY id', hub, STATUS.completed)).map(storedTask),
    waitingBehind: isShared
      ? null
      : async (id, most) =>
          (
            await client.query<Row>({ name: 'behind', text: 'SELECT * FROM tasks WHERE id > $1 ORDER BY id LIMIT $2', values: [id, most] })
          ).rows.map(storedTask),
    claim:
      claimer === null
        ? null
        : async (most) => (await claimer.query<Row>({ name: 'claim', text: CLAIM, values: [hub, most] })).rows.map(storedTask),
    async counts() {
      const found = await rows('SELECT status, count(*) AS number FROM tasks GROUP BY status');
      return Object.fromEntries(found.map(({ status, number }) => [Number(status), Number(number)]));
    },
    async close() {
      await claimer?.end();
      await client.end();
    },
  };
}

/** Reads a store that no hub has open. Fails unless each stored task was completed, once, and no event of any hub is missing. */
export async function checkBarePostgresStore({ url, schema }: Pick<BarePostgresPlace, 'url' | 'schema'>): Promise<void> {
  const client = await connect(url, schema, []);
  try {
    const numbers = await client.query<Row>(`
      SELECT number / ${RANGE} AS hub, count(*) AS count, max(number % ${RANGE}) AS last FROM events GROUP BY 1 HAVING count(*) <> max(number % ${RANGE})`);
    if (numbers.rows.length > 0) throw new Error(`events are missing: ${JSON.stringify(numbers.rows)}`);
    // The first event may belong to another hub than the others, whose numbers are in another range.
    const lives = await client.query<Lives & Row>(`
      SELECT status, kinds, count(*)::int AS tasks FROM tasks LEFT JOIN (
        SELECT task, string_agg(kind::text, ',' ORDER BY generation, number) AS kinds FROM events GROUP BY task) AS of_task ON task = id
      GROUP BY status, kinds`);
    requireWholeLives(lives.rows);
  } finally {
    await client.end();
  }
}

/** Removes a store that no hub has open. */
export async function dropBarePostgresStore({ url, schema }: Pick<BarePostgresPlace, 'url' | 'schema'>): Promise<void> {
  const client = await connect(url, schema, ['client_min_messages = error']);
  await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  await client.end();
}

async function connect(url: string, schema: string, settings: readonly string[]): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query([`search_path = ${schema}`, ...settings].map((setting) => `SET ${setting}`).join('; '));
  return client;
}

async function durabilityOf(rows: (sql: string) => Promise<readonly Row[]>): Promise<string> {
  const settings: string[] = [];
  for (const name of DURABILITY) settings.push(`${name}=${String((await rows(`SHOW ${name}`))[0]?.[name])}`);
  return settings.join(' ');
}

const changedColumns = ({ states, events }: Batch): readonly Buffer[] => [
  numbersOf(states, 'int8', ({ id }) => id),
  numbersOf(states, 'int2', ({ status }) => status),
  numbersOf(states, 'int4', ({ generation }) => generation),
  numbersOf(events, 'int8', ({ task }) => task),
  numbersOf(events, 'int2', ({ kind }) => kind),
  numbersOf(events, 'int4', ({ generation }) => generation),
  textsOf(events.map(({ result }) => result)),
];

function submittedColumns({ submitted, assignedCount, keptCount }: Batch, hub: number): readonly (number | Buffer)[] {
  const keys: string[] = [];
  const payloads: string[] = [];
  for (const line of submitted) {
    const [key, payload] = partsOf(line);
    keys.push(key);
    payloads.push(payload);
  }
  return [assignedCount, keptCount, hub, textsOf(keys), textsOf(payloads)];
}

/** JSON of the key, which is the same for the same key, and of the payload. */
function partsOf(line: string): readonly [key: string, payload: string] {
  const end = line.indexOf('"', 2);
  // Without spaces and escapes, like nearly every line, it need not be parsed.
  const isPlain = line.startsWith('["') && line[end + 1] === ',' && line.endsWith(']') && !line.slice(2, end).includes('\\');
  if (isPlain) return [line.slice(1, end + 1), line.slice(end + 2, -1)];
  const [key, payload] = JSON.parse(line) as readonly [unknown, unknown];
  return [JSON.stringify(key), JSON.stringify(payload)];
}

const storedTask = ({ id, generation, key, payload }: Row): StoredTask => ({
  id: Number(id),
  generation: Number(generation),
  line: `[${String(key)},${String(payload)}]`,
});
