/**
 * Every code that an `AgentcomError` can carry, with the exit code of a program that ends by it. docs/errors.md tells
 * people what to do about each; a test compares the two.
 */
export const ERROR_CODES = {
  AC_CONFIG_INVALID: { exit: 2, what: 'The config has mistakes; each is listed with its path.' },
  AC_CONFIG_NOT_FOUND: { exit: 2, what: 'There is no config file where one was looked for.' },
  AC_ENV_INVALID: { exit: 2, what: 'An environment variable that the config reads is missing or has a wrong value.' },
  AC_PLUGIN_INVALID: { exit: 2, what: 'A wake runner or adapter in the config is not what it should be.' },
  AC_PACKAGE_MISSING: { exit: 2, what: 'A package that a chosen adapter needs is not installed.' },
  AC_LISTEN_INSECURE: { exit: 2, what: 'Listening beyond loopback was asked for without what makes it safe.' },
  AC_PORT_BUSY: { exit: 3, what: 'Another process listens on the port.' },
  AC_LISTEN: { exit: 3, what: 'The address cannot be listened on.' },
  AC_STORAGE_OPEN: { exit: 4, what: 'The database cannot be opened.' },
  AC_SCHEMA_UNKNOWN: { exit: 4, what: 'The database or the journal was written by a newer version.' },
  AC_SCHEMA_OLD: { exit: 4, what: 'The database has not taken every step of this version yet, and is to be copied as it is.' },
  AC_MOVE_UNFINISHED: { exit: 4, what: 'The database is what an `agentcom migrate` that was ended on the way has left.' },
  AC_TARGET_EXISTS: { exit: 4, what: 'What was to be written is there already.' },
  AC_COPY_DIFFERS: { exit: 4, what: 'A copy of a store is damaged or not what it was made of.' },
  AC_STORE_UNAVAILABLE: { exit: 4, what: 'The database cannot commit now: disk full, broken, or away.' },
  AC_STORE_DAMAGED: { exit: 4, what: 'A row of the database is not what a hub writes.' },
  AC_STORE_RETRY: { exit: 4, what: 'The database asks for the transaction to be repeated.' },
  AC_COMMIT_UNKNOWN: { exit: 4, what: 'It is not known whether a commit happened.' },
  AC_STORE_CLOSED: { exit: 1, what: 'The store was used before it was opened or after it was closed.' },
  AC_DATA_DIR: { exit: 4, what: 'A data directory cannot be made, read or written, or others may read it.' },
  AC_STORAGE_LOCKED: { exit: 5, what: 'Another hub uses the same database.' },
  AC_JOURNAL_LOCKED: { exit: 5, what: 'Another sidecar uses the same data directory.' },
  AC_JOURNAL_CORRUPT: { exit: 4, what: 'No good copy of the journal is left.' },
  AC_JOURNAL_WRITE: { exit: 4, what: 'The journal or a file beside it cannot be written.' },
  AC_ENROL: { exit: 2, what: 'The sidecar has no token and could not enrol itself.' },
  AC_HUB_BUSY: { exit: 1, what: 'The hub has too much waiting; try again later.' },
  AC_HUB_STOPPING: { exit: 1, what: 'The hub is stopping and takes nothing new.' },
  AC_STOP_TIMEOUT: { exit: 1, what: 'A part did not stop within its time.' },
  AC_API: { exit: 7, what: 'The hub answered a request with an error.' },
  AC_API_UNREACHABLE: { exit: 7, what: 'The hub could not be reached over HTTP.' },
  AC_ASSIGNMENT_GONE: { exit: 6, what: 'The assignment that an agent reports on is not its own any more.' },
  AC_USAGE: { exit: 2, what: 'A command was called in a way that it does not have.' },
  AC_INTERNAL: { exit: 1, what: 'A rule of our own was broken: a bug, please report it.' },
} as const satisfies Readonly<Record<string, { readonly exit: number; readonly what: string }>>;

export type ErrorCode = keyof typeof ERROR_CODES;
