/** The audit log, and the two ends of its chain: the newest entry, and the newest of those that were removed. */
import type { Migration } from '../rows/migration.ts';

export const auditLog: Migration = {
  name: '0012-audit-log',
  sqlite: [
    `CREATE TABLE audit_log (
      seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor_id TEXT, actor_name TEXT, actor_role TEXT NOT NULL, address TEXT, act TEXT NOT NULL,
      object TEXT, outcome TEXT NOT NULL, details TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL) STRICT`,
    `CREATE TABLE audit_ends (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL,
      removed_seq INTEGER NOT NULL, removed_hash TEXT NOT NULL) STRICT`,
  ],
  postgres: [
    `CREATE TABLE audit_log (
      seq bigint PRIMARY KEY, at bigint NOT NULL, actor_id text, actor_name text, actor_role text NOT NULL, address text, act text NOT NULL,
      object text, outcome text NOT NULL, details text NOT NULL, previous text NOT NULL, hash text NOT NULL)`,
    `CREATE TABLE audit_ends (
      only_row integer PRIMARY KEY CHECK (only_row = 1), seq bigint NOT NULL, hash text NOT NULL,
      removed_seq bigint NOT NULL, removed_hash text NOT NULL)`,
  ],
};
