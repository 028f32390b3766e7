/** An SQLite database opened only to be looked at, beside its hub or without one. */
import { pathToFileURL } from 'node:url';
import type { StoreInspection } from '../../../core/ports/store-inspection.ts';
import type { Row } from '../engine.ts';
import { inspectionOver } from '../inspection.ts';
import { inspectionStatements } from '../inspection-statements.ts';
import { openSqlite } from './connection.ts';
import { sqliteFailure } from './failures.ts';
import { cannotOpen } from './files.ts';
import { schemaDamage } from './schema.ts';

/**
 * Takes a snapshot of the file and holds it until `close`; meanwhile a hub's write-ahead log is not cut back. Fails with
 * `AC_STORAGE_OPEN` when there is no such database.
 */
export async function inspectSqlite(file: string): Promise<StoreInspection> {
  const { default: sqlite3 } = await import('sqlite3');
  let opened: Awaited<ReturnType<typeof openSqlite>>;
  try {
    opened = await openSqlite(`${pathToFileURL(file).href}?mode=ro`, sqlite3.OPEN_READONLY | sqlite3.OPEN_URI);
  } catch (thrown) {
    throw cannotOpen(file, 'there is no database that this user may read. Look at hub.dataDir and storage.file of the config', thrown);
  }
  const { connection, close } = opened;
  const rows = async (sql: string, parameter?: unknown): Promise<readonly Row[]> => {
    try {
      return await connection.rows(sql, parameter === undefined ? undefined : JSON.stringify(parameter));
    } catch (thrown) {
      throw sqliteFailure(thrown, 'read', file);
    }
  };
  await connection.change('BEGIN');
  return inspectionOver({
    statements: STATEMENTS,
    rows,
    schema: () => schemaDamage(rows),
    file: async () => pagesWrong(await rows(`PRAGMA integrity_check(${LINES_MAX})`)),
    async quick() {
      const [size] = await rows('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size');
      return Number(size?.['bytes']) > QUICK_BYTES_MAX ? null : pagesWrong(await rows(`PRAGMA quick_check(${LINES_MAX})`));
    },
    close,
  });
}

/** Lines that SQLite says of a damaged file. */
const LINES_MAX = 100;
/** A file that is read without being asked for: about a second. */
const QUICK_BYTES_MAX = 268_435_456;

const pagesWrong = (rows: readonly Row[]): readonly string[] =>
  rows
    .map((row) => String(Object.values(row)[0]))
    .filter((line) => line !== 'ok')
    .map((line) => `SQLite finds: ${line}`);

const STATEMENTS = inspectionStatements({
  field: (name) => `(?1 ->> '$.${name}')`,
  among: (column) => `${column} IN (SELECT value FROM json_each(?1))`,
  pairs: `(SELECT value ->> '$.taskId' AS task_id, value ->> '$.dependsOn' AS depends_on FROM json_each(?1))`,
  keyPlace: 'json_array(owner, key)',
  keyAfter: (element) => `(?1 ->> '$.after' ->> '$[${element}]')`,
});
