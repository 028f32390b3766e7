/** Tokens may expire, and record when they were last used. Existing ones never expire and count as not used yet. */
import type { Migration } from '../rows/migration.ts';

export const tokenUse: Migration = {
  name: '0010-token-use',
  sqlite: [`ALTER TABLE tokens ADD COLUMN expires_at INTEGER`, `ALTER TABLE tokens ADD COLUMN last_used_at INTEGER`],
  postgres: [`ALTER TABLE tokens ADD COLUMN expires_at bigint, ADD COLUMN last_used_at bigint`],
};
