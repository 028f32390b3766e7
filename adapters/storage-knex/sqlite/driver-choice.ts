/** Chooses the driver of a process. */
import { isBuiltin } from 'node:module';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { isAtLeast, type SqliteDriver, type SqliteDriverName } from './sqlite-driver.ts';

/** The first Node whose `node:sqlite` can name the columns of a statement. */
const NODE_WANTED = [22, 16] as const;
/** The SQLite of Node 22.16, the oldest that the tests run on. */
const SQLITE_WANTED = [3, 49] as const;

/**
 * The driver of this name; without a name, sqlite3 if it is installed and loads, else that of Node. Fails with `AC_PACKAGE_MISSING` if this
 * process has none, or one whose SQLite is too old.
 */
export async function sqliteDriver(wanted?: SqliteDriverName): Promise<SqliteDriver> {
  const driver = await loadedDriver(wanted);
  refuseOldSqlite(driver);
  return driver;
}

/** Fails with `AC_PACKAGE_MISSING` if its SQLite is too old for the statements. */
export function refuseOldSqlite({ name, version }: Pick<SqliteDriver, 'name' | 'version'>): void {
  if (isAtLeast(version, SQLITE_WANTED)) return;
  const place = name === 'node' ? `Node ${process.versions.node}` : 'the package sqlite3';
  const hint = name === 'node' ? `Upgrade Node to ${NODE_WANTED.join('.')} or later.` : INSTALL_SQLITE3;
  throw missing(`it needs SQLite ${SQLITE_WANTED.join('.')} or later, found ${version} in ${place}`, hint);
}

async function loadedDriver(wanted: SqliteDriverName | undefined): Promise<SqliteDriver> {
  const hasNode = isBuiltin('node:sqlite') && isAtLeast(process.versions.node, NODE_WANTED);
  const node = `Node ${process.versions.node} has no node:sqlite that can be used`;
  if (wanted === 'node') {
    if (!hasNode)
      throw missing(`its driver is "node", and ${node}`, `Upgrade Node to ${NODE_WANTED.join('.')} or later, or set driver to "sqlite3".`);
    return (await import('./node-driver.ts')).nodeDriver();
  }
  try {
    return await (await import('./sqlite3-driver.ts')).sqlite3Driver();
  } catch (thrown) {
    // Lines with paths follow.
    const why = (messageOf(thrown).split('\n')[0] as string).replace(/\. Tried:$/, '');
    const sqlite3 = `the package sqlite3 cannot be loaded (${why})`;
    if (wanted === 'sqlite3')
      throw missing(
        `its driver is "sqlite3", and ${sqlite3}`,
        hasNode ? `${INSTALL_SQLITE3} Or set driver to "node".` : INSTALL_SQLITE3,
        thrown,
      );
    if (!hasNode)
      throw missing(`${node}, and ${sqlite3}`, `Upgrade Node to ${NODE_WANTED.join('.')} or later. Or: ${INSTALL_SQLITE3}`, thrown);
    return (await import('./node-driver.ts')).nodeDriver();
  }
}

const INSTALL_SQLITE3 = 'Run `npm install sqlite3@6` with its install script allowed.';

const missing = (found: string, hint: string, cause?: unknown): AgentcomError =>
  new AgentcomError('AC_PACKAGE_MISSING', `Cannot use storage "sqlite": ${found}.`, { cause, hint });
