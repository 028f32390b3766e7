/** What Postgres' errors mean for a hub. Decided by the SQLSTATE, never by the text; an error without one is an error of the connection. */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';

/** The transaction waited for one that waited for it. */
export const DEADLOCK = '40P01';
/** No space on the disk of a tablespace. */
export const DISK_FULL = '53100';
/** Raised by us: an idempotency key that was not looked up belongs to other tasks. */
export const KEY_TAKEN = 'AC003';
/** A retry may succeed: serialization failure, deadlock, lock timeout, a row that another transaction inserted at the same time. */
const RETRY = new Set(['40001', DEADLOCK, '55P03', '23505', KEY_TAKEN]);

/** Classes of errors that say that the server or its machine is at fault or gone. */
const AWAY_CLASSES = new Set(['08', '28', '3D', '3F', '53', '57', '58', 'F0']);
/** Such errors of other classes: a standby, a transaction ended for taking too long, missing rights or tables, damaged pages. */
const AWAY = new Set(['25006', '25P03', '25P04', '42501', '42P01', 'XX001', 'XX002']);
/** Stopped by `statement_timeout`. */
const TOO_SLOW = '57014';

/** The SQLSTATE of an error of Postgres; undefined for any other error. */
export function sqlStateOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown) || !('severity' in thrown)) return undefined;
  return typeof thrown.code === 'string' && /^[0-9A-Z]{5}$/.test(thrown.code) ? thrown.code : undefined;
}

/** Whether the server refused a statement and keeps running; otherwise it, or the connection to it, has ended. */
export function isRefusal(thrown: unknown): boolean {
  const state = sqlStateOf(thrown);
  if (state === undefined || state.startsWith('08')) return false;
  const { severity } = thrown as { readonly severity: unknown };
  return severity === 'ERROR' && !/^57P/.test(state);
}

/** The error that the stores' callers get. `doing` follows "Cannot"; `place` names server and database; `next`: what happens then, or is to be done. */
export function postgresFailure(thrown: unknown, doing: string, place: string, next = 'the hub retries automatically'): AgentcomError {
  if (AgentcomError.is(thrown)) return thrown;
  const state = sqlStateOf(thrown);
  const what = `Cannot ${doing} in ${place}: ${messageOf(thrown)}${state === undefined ? '' : ` (SQLSTATE ${state})`}.`;
  const options = { cause: thrown, details: { sqlState: state ?? null } };
  if (state === undefined)
    return new AgentcomError('AC_STORE_UNAVAILABLE', `${what} Check that Postgres runs and can be reached; ${next}.`, options); // prettier-ignore
  if (RETRY.has(state)) return new AgentcomError('AC_STORE_RETRY', `${what} It conflicted with another transaction. Retry it.`, options);
  if (state === TOO_SLOW)
    return new AgentcomError('AC_STORE_UNAVAILABLE', `${what} It exceeded its time limit and was cancelled. Request less data, or check the load of the server.`, options); // prettier-ignore
  if (state.startsWith('28'))
    return new AgentcomError('AC_STORE_UNAVAILABLE', `${what} If the password or pg_hba.conf was changed, correct storage.url and restart the hub; until then it keeps trying.`, options); // prettier-ignore
  if (AWAY.has(state) || AWAY_CLASSES.has(state.slice(0, 2)))
    return new AgentcomError('AC_STORE_UNAVAILABLE', `${what} Check the server; ${next}.`, options);
  return new AgentcomError('AC_INTERNAL', what, options);
}

/** An idempotency key that was saved without being looked up first belongs to other tasks. */
export const keyTaken = (place: string): AgentcomError =>
  new AgentcomError(
    'AC_STORE_RETRY',
    `Cannot save a batch in ${place}: one of its idempotency keys already exists. The next attempt looks the keys up first.`,
  );

/** A batch that one statement should save has rows that are stored already. */
export const savedBefore = (place: string): AgentcomError =>
  new AgentcomError('AC_STORE_RETRY', `Cannot save a batch in ${place} by one statement: some of it is stored already. Retry it.`);

/** A COMMIT that got no response. */
export const commitUnknown = (thrown: unknown, batchId: string | null, place: string): AgentcomError =>
  new AgentcomError(
    'AC_COMMIT_UNKNOWN',
    `Cannot tell whether batch ${batchId ?? '(none)'} was committed in ${place}: ${messageOf(thrown)}. The hub checks again once the server responds.`,
    { cause: thrown, details: { batchId, sqlState: sqlStateOf(thrown) ?? null } },
  );

/** `AC_STORAGE_OPEN`; `found` without a full stop, `hint` with one. */
export const cannotOpenPostgres = (place: string, found: string, hint: string, cause?: unknown): AgentcomError =>
  new AgentcomError('AC_STORAGE_OPEN', `Cannot open storage "postgres": ${place}: ${found}.`, { cause, hint });

/** Why a server could not be used at the start, and what to do. */
export function openingFailure(thrown: unknown, place: string): AgentcomError {
  if (AgentcomError.is(thrown)) return thrown;
  const state = sqlStateOf(thrown);
  const hint = state === undefined && isUntrusted(thrown) ? TRUST : adviceFor(state);
  return cannotOpenPostgres(place, messageOf(thrown), `${hint}.`, thrown);
}

/** Also for a pooler that shares sessions and does not know prepared statements. */
export const OWN_SESSIONS = 'Run the pooler (such as PgBouncer) in session mode, or name the server itself in storage.url';

const TRUST =
  'Put the certificate of the authority that signed the one of the server into a file, and add sslmode=verify-full&sslrootcert=FILE to storage.url';

/** Whether this machine does not trust the certificate of the server. */
const isUntrusted = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && /CERT|SIGNATURE/.test(String(thrown.code));

function adviceFor(state: string | undefined): string {
  if (state === undefined)
    return 'Check that Postgres is running, that the host and port in storage.url are correct, and that this machine can reach it';
  if (state.startsWith('28'))
    return 'Correct the user and password in storage.url, or allow this user in pg_hba.conf; if the server accepts only TLS, add sslmode=verify-full to storage.url';
  if (state.startsWith('3D')) return 'Create that database (createdb), or correct its name in storage.url';
  if (state === '42501' || state === '42P01' || state.startsWith('3F'))
    return 'Allow this user to create a schema in the database, or make it the owner of the schema that storage.schema names and of the tables in it';
  if (state === '42P07' || state === '42710') return 'The schema has tables of another program: set storage.schema to a name of its own';
  if (state === '53300') return 'Raise max_connections of the server, or lower storage.poolMax of its hubs';
  if (state === '55P03')
    return 'Another program locks these tables, or another hub still migrates them: start the hub again when that has ended (pg_locks shows who holds what)';
  if (state === '26000' || state === '42P05') return OWN_SESSIONS;
  if (state === '57P03') return 'The server is starting or stopping: try again in a few seconds';
  if (state === '25006')
    return 'The server is a standby, or default_transaction_read_only is on, so it accepts no writes: set storage.url to the primary, or turn that off';
  return `SQLSTATE ${state}; see the log of the server`;
}
