/** An SQLite database opened only to be inspected, beside its hub or without one. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { AgentcomError, messageOf, withoutStop } from '../../../core/errors/agentcom-error.ts';
import type { StoreInspection } from '../../../core/ports/store-inspection.ts';
import type { Row } from '../engine.ts';
import { inspectionOver } from '../inspection.ts';
import { inspectionStatements } from '../inspection-statements.ts';
import type { OpenSqlite } from './connection.ts';
import type { SqliteDriver } from './sqlite-driver.ts';
import { isDamaged, sqliteFailure } from './failures.ts';
import { missingBatches, readLiveCommitLog } from './commit-log/commit-log-file.ts';
import { cannotOpen, refuseIfShared, targetOf } from './files.ts';
import { schemaDamage } from './schema.ts';
import { READ_CLOCK } from '../stored-clock.ts';

/**
 * Takes a snapshot of the file and holds it until `close`; meanwhile a hub's write-ahead log is not truncated. Fails with `AC_STORAGE_OPEN`
 * if there is no such database.
 */
export async function inspectSqlite(
  driver: SqliteDriver,
  file: string,
  { quickBytesMax = QUICK_BYTES_MAX } = {},
): Promise<StoreInspection> {
  await requireFile(file);
  let opened: OpenSqlite;
  try {
    opened = await driver.open(file, 'read');
  } catch (thrown) {
    throw cannotOpen(file, messageOf(thrown), 'Let this user read it and write to its folder, or run this as the user of the hub.', thrown);
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
    schema: async () => {
      try {
        return await schemaDamage(rows);
      } catch (thrown) {
        if (AgentcomError.is(thrown) && isDamaged(thrown.cause))
          return [{ check: 'file', what: `SQLite finds: ${messageOf(thrown.cause)}` }];
        throw thrown;
      }
    },
    file: async () => [
      ...pagesWrong(await rows(`PRAGMA integrity_check(${LINES_MAX})`)),
      ...(await logWrong(driver, await targetOf(file))),
    ],
    async quick() {
      const [size] = await rows('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size');
      if (Number(size?.['bytes']) <= quickBytesMax) return pagesWrong(await rows(`PRAGMA quick_check(${LINES_MAX})`));
      // Checks at least what a hub reads when it opens the file.
      await rows(READ_CLOCK);
      const wrong: string[] = [];
      for (const table of OPENED_TABLES) wrong.push(...pagesWrong(await rows(`PRAGMA quick_check('${table}')`)));
      return wrong.length > 0 ? wrong : null;
    },
    close,
  });
}

/** What keeps a hub from starting with the commit log that is beside the database. On a connection of its own: a hub may change both. */
async function logWrong(driver: SqliteDriver, database: string): Promise<readonly string[]> {
  const { connection, close } = await driver.open(database, 'read');
  try {
    const log = await readLiveCommitLog(connection, database);
    if (log !== null) await missingBatches(connection, database, log);
    return [];
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_STORAGE_OPEN')) return [withoutStop(thrown.found)];
    throw thrown;
  } finally {
    await close();
  }
}

/** Maximum number of lines that SQLite reports about a damaged file. */
const LINES_MAX = 100;
const OPENED_TABLES = ['migrations', 'migrations_lock', 'store'];
/** A larger file is only read on request: it takes more than about a second. */
const QUICK_BYTES_MAX = 268_435_456;

/** As a hub requires it: for this user, and for nobody else. */
async function requireFile(file: string): Promise<void> {
  try {
    await refuseIfShared(file);
    await access(file, constants.R_OK | constants.W_OK);
  } catch (thrown) {
    if (AgentcomError.is(thrown)) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
      throw cannotOpen(file, messageOf(thrown), 'Give it to the user of the hub (`chown`), or run this as that user.', thrown);
    throw new AgentcomError('AC_STORAGE_OPEN', `Cannot open storage "sqlite": file "${file}": ${messageOf(thrown)}.`, {
      hint: 'If you moved it, correct hub.dataDir or storage.file. If it is lost, run `agentcom restore BACKUP`. For a new store, start the hub.',
      cause: thrown,
      details: { file, hasStore: false },
    });
  }
}

const pagesWrong = (rows: readonly Row[]): readonly string[] =>
  rows
    .map((row) => String(Object.values(row)[0]))
    .filter((line) => line !== 'ok')
    .map((line) => `SQLite finds: ${line}`);

const STATEMENTS = inspectionStatements({
  field: (name) => `(?1 ->> '$.${name}')`,
  among: (table, column) => `${table} AS t WHERE t.${column} IN (SELECT value FROM json_each(?1))`,
  pairs: `(SELECT value ->> '$.taskId' AS task_id, value ->> '$.dependsOn' AS depends_on FROM json_each(?1))`,
  keyPlace: 'json_array(owner, key)',
  keyAfter: (element) => `(?1 ->> '$.after' ->> '$[${element}]')`,
});
