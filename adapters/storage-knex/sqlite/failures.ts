/** What SQLite's errors mean for a hub. Decided by SQLite's code, never by its text. */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';

/** A retry may succeed: something else holds a lock. */
const BUSY = new Set(['SQLITE_BUSY', 'SQLITE_LOCKED']);

/** The disk, the file or the machine is at fault: what the connection has in memory may not be what is on the disk. */
const BREAKS_CONNECTION = new Set([
  'SQLITE_FULL',
  'SQLITE_IOERR',
  'SQLITE_CORRUPT',
  'SQLITE_NOTADB',
  'SQLITE_CANTOPEN',
  'SQLITE_READONLY',
  'SQLITE_PERM',
  'SQLITE_AUTH',
  'SQLITE_NOMEM',
  'SQLITE_PROTOCOL',
  'SQLITE_NOLFS',
]);

/** The file itself is damaged; a new connection does not help. */
const DAMAGED = new Set(['SQLITE_CORRUPT', 'SQLITE_NOTADB']);

/** SQLite's own code of the error; undefined for any other error. */
export function sqliteCodeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  const { code } = thrown;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined;
}

/** As `sqliteCodeOf`, also of the error that caused one of ours. */
export const sqliteCodeBehind = (thrown: unknown): string | undefined =>
  sqliteCodeOf(thrown) ?? (AgentcomError.is(thrown) ? sqliteCodeOf(thrown.cause) : undefined);

/** Whether the file is damaged, or is not a database. */
export const isDamaged = (thrown: unknown): boolean => DAMAGED.has(sqliteCodeOf(thrown) ?? '');

export const HINT_FOR_DAMAGE =
  'The file is damaged. Stop the hub, run `agentcom doctor --fsck` to see what is wrong, and restore the newest backup: `agentcom restore FILE --force`.';

export const isBusy = (thrown: unknown): boolean => BUSY.has(sqliteCodeOf(thrown) ?? '');

/** Whether the connection must be reopened before it is used again. */
export const breaksConnection = (thrown: unknown): boolean => BREAKS_CONNECTION.has(sqliteCodeOf(thrown) ?? '');

/** The error that the stores' callers get. `doing` follows "Cannot". */
export function sqliteFailure(thrown: unknown, doing: string, file: string): AgentcomError {
  if (AgentcomError.is(thrown)) return thrown;
  const what = `Cannot ${doing} in "${file}": ${messageOf(thrown)}.`;
  const options = { cause: thrown, details: { file, sqlite: sqliteCodeOf(thrown) ?? null } };
  if (isBusy(thrown))
    return new AgentcomError('AC_STORE_RETRY', `${what} Another program holds a lock on it. Try again, or close that program.`, options);
  if (sqliteCodeOf(thrown) === 'SQLITE_INTERRUPT')
    return new AgentcomError('AC_STORE_UNAVAILABLE', `${what} It exceeded its time limit and was cancelled. Request less data.`, options);
  if (isDamaged(thrown)) return new AgentcomError('AC_STORE_UNAVAILABLE', what, { ...options, hint: HINT_FOR_DAMAGE });
  if (breaksConnection(thrown) || (thrown instanceof Error && thrown.name === 'KnexTimeoutError'))
    return new AgentcomError('AC_STORE_UNAVAILABLE', what, {
      ...options,
      hint: 'Check its disk: free space, mount, permissions. A hub opens it again by itself.',
    });
  return new AgentcomError('AC_INTERNAL', what, options);
}

/** The batch may run again once its keys have been looked up. */
export const keyTaken = (thrown: unknown, file: string): AgentcomError =>
  new AgentcomError(
    'AC_STORE_RETRY',
    `Cannot save a batch in "${file}": one of its idempotency keys was saved before. Look them up first.`,
    {
      cause: thrown,
      details: { file, sqlite: sqliteCodeOf(thrown) ?? null },
    },
  );

/** A read whose BEGIN or COMMIT failed: its connection may be in the middle of a transaction, and is discarded. */
export const leftInTransaction = (thrown: unknown, file: string): AgentcomError =>
  new AgentcomError(
    'AC_STORE_UNAVAILABLE',
    `Cannot read in "${file}": ${messageOf(thrown)}. The connection was left in the middle of a transaction and is reopened automatically. Try again.`,
    { cause: thrown, details: { file, sqlite: sqliteCodeOf(thrown) ?? null } },
  );

/** A COMMIT that failed after it may have reached the disk. */
export const commitUnknown = (thrown: unknown, batchId: string | null, file: string): AgentcomError =>
  new AgentcomError(
    'AC_COMMIT_UNKNOWN',
    `Cannot tell whether batch ${batchId ?? '(none)'} was committed in "${file}": ${messageOf(thrown)}. The hub checks again once the disk works.`,
    { cause: thrown, details: { file, batchId, sqlite: sqliteCodeBehind(thrown) ?? null } },
  );
