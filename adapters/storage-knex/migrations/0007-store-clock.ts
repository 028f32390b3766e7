/**
 * The store's time continues from where it was, whatever the machine's clock says when a hub starts (core/domain/store-clock.ts). An older
 * store has no mark yet: the time of its newest event is used instead.
 */
import type { Migration } from '../rows/migration.ts';

const COLUMNS = (integer: string): readonly string[] => [
  `ALTER TABLE store ADD COLUMN clock_mark ${integer}`,
  `ALTER TABLE store ADD COLUMN clock_offset ${integer} NOT NULL DEFAULT 0`,
  `ALTER TABLE store ADD COLUMN removals_from ${integer} NOT NULL DEFAULT 0`,
];

export const storeClock: Migration = {
  name: '0007-store-clock',
  sqlite: COLUMNS('INTEGER'),
  postgres: COLUMNS('bigint'),
};
