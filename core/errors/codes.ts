/**
 * Every code of an `AgentcomError`, with the exit code of a program that ends with it. docs/errors.md says what to do about
 * each; a test compares the two.
 */
export const ERROR_CODES = {
  AC_CONFIG_INVALID: { exit: 2, what: 'The config has mistakes; each is listed with its path.' },
  AC_CONFIG_NOT_FOUND: { exit: 2, what: 'No config file was found.' },
  AC_ENV_INVALID: { exit: 2, what: 'An environment variable that the config reads is missing or invalid.' },
  AC_PLUGIN_INVALID: { exit: 2, what: 'A wake runner or adapter in the config is invalid.' },
  AC_PACKAGE_MISSING: { exit: 2, what: 'A package that a chosen adapter needs is not installed.' },
  AC_LISTEN_INSECURE: { exit: 2, what: 'The config allows connections beyond loopback without the required protection.' },
  AC_TLS: { exit: 2, what: "The hub's certificate or private key cannot be used." },
  AC_PORT_BUSY: { exit: 3, what: 'Another process listens on the port.' },
  AC_LISTEN: { exit: 3, what: 'The hub cannot listen on the address.' },
  AC_STORAGE_OPEN: { exit: 4, what: 'The database cannot be opened.' },
  AC_SCHEMA_UNKNOWN: { exit: 4, what: 'The database or the journal was written by a newer version.' },
  AC_SCHEMA_OLD: { exit: 4, what: 'The database was written by an older version and has not been migrated yet.' },
  AC_MOVE_UNFINISHED: { exit: 4, what: 'The database holds only part of a store, because an `agentcom migrate` was interrupted.' },
  AC_TARGET_EXISTS: { exit: 4, what: 'The target already exists.' },
  AC_COPY_DIFFERS: { exit: 4, what: 'A copy of a store is damaged or differs from its source.' },
  AC_STORE_UNAVAILABLE: { exit: 4, what: 'The database cannot commit now: disk full, file broken, or server down.' },
  AC_STORE_DAMAGED: { exit: 4, what: 'A row of the database holds something that a hub never writes.' },
  AC_STORE_RETRY: { exit: 4, what: 'Every attempt at the transaction failed with a retryable error.' },
  AC_COMMIT_UNKNOWN: { exit: 4, what: 'The outcome of a commit is unknown.' },
  AC_STORE_CLOSED: { exit: 1, what: 'The store was used before it was opened or after it was closed.' },
  AC_DATA_DIR: { exit: 4, what: 'A data directory cannot be created, read or written, or other users can read it.' },
  AC_ARCHIVE: { exit: 4, what: 'The archive of removed tasks cannot be written.' },
  AC_STORAGE_LOCKED: { exit: 5, what: 'Another hub uses the same database.' },
  AC_JOURNAL_LOCKED: { exit: 5, what: 'Another sidecar uses the same data directory.' },
  AC_JOURNAL_CORRUPT: { exit: 4, what: 'No valid copy of the journal is left.' },
  AC_JOURNAL_WRITE: { exit: 4, what: 'The journal or a file beside it cannot be written.' },
  AC_ENROL: { exit: 2, what: 'The sidecar has no token and could not enroll itself.' },
  AC_HUB_BUSY: { exit: 1, what: 'The command queue of the hub is full; retry later.' },
  AC_HUB_STOPPING: { exit: 1, what: 'The hub is stopping and accepts nothing new.' },
  AC_STOP_TIMEOUT: { exit: 1, what: 'A part of the program did not stop in time.' },
  AC_API: { exit: 7, what: 'The hub answered a request with an error.' },
  AC_API_UNREACHABLE: { exit: 7, what: 'The hub could not be reached over HTTP.' },
  AC_HUB_FINGERPRINT: { exit: 7, what: 'The hub has another key than its fingerprint says; nothing was sent to it.' },
  AC_ASSIGNMENT_GONE: { exit: 6, what: 'The assignment that the agent reports on is no longer its own.' },
  AC_SERVICE: { exit: 1, what: 'The service manager of this machine cannot be used, or refuses.' },
  AC_USAGE: { exit: 2, what: 'The command line is wrong.' },
  AC_INTERNAL: { exit: 1, what: 'An internal invariant was violated: a bug, please report it.' },
} as const satisfies Readonly<Record<string, { readonly exit: number; readonly what: string }>>;

/** The code of an error; docs/errors.md explains each. */
export type ErrorCode = keyof typeof ERROR_CODES;
