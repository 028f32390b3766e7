/**
 * A token that replaces another submits as that one, so that it keeps its tasks and idempotency keys. Tokens that were rotated before go on
 * submitting as themselves, as do those that an older hub rotates.
 */
import type { Migration } from '../rows/migration.ts';

export const rotatedSubmitters: Migration = {
  name: '0021-rotated-submitters',
  besideOlderHubs: true,
  sqlite: ['ALTER TABLE tokens ADD COLUMN submits_as TEXT'],
  postgres: ['ALTER TABLE tokens ADD COLUMN submits_as text'],
};
