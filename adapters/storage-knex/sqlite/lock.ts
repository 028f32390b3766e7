/**
 * Keeps a second hub off a database: a small database beside it, locked with `BEGIN EXCLUSIVE` while the hub runs. The system releases the
 * lock as soon as the process is gone, however it ended. The database itself stays free for readers.
 */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { OpenSqlite } from './connection.ts';
import type { SqliteDriver } from './sqlite-driver.ts';
import { isBusy } from './failures.ts';
import { cannotOpen, type SqliteFiles } from './files.ts';

export interface SqliteLock {
  release(): Promise<void>;
}

/** Fails with `AC_STORAGE_LOCKED` at once if another hub holds it, or a migration or restore. */
export async function takeSqliteLock(driver: SqliteDriver, files: SqliteFiles): Promise<SqliteLock> {
  let held: OpenSqlite | undefined;
  try {
    held = await driver.open(files.lock, 'write');
    await held.connection.rows('PRAGMA busy_timeout = 0');
    await held.connection.rows('PRAGMA journal_mode = OFF');
    await held.connection.change('BEGIN EXCLUSIVE');
    return { release: held.close };
  } catch (thrown) {
    await held?.close();
    if (!isBusy(thrown))
      throw cannotOpen(files.lock, messageOf(thrown), 'It is only a lock: let this user write it, or remove it while no hub runs.', thrown);
    throw new AgentcomError(
      'AC_STORAGE_LOCKED',
      `Cannot open storage "sqlite": "${files.database}" or another store in its folder is in use by another hub, \`agentcom migrate\` or \`agentcom restore\`, which holds "${files.lock}". Stop that hub or wait for that command, or put this store into a folder of its own.`,
      { details: { file: files.database, lock: files.lock } },
    );
  }
}
