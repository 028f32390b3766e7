/**
 * The store's time goes on from where it was, whatever the machine's clock says when a hub starts (core/domain/store-clock.ts).
 * A store made before has no mark yet: its newest event is one.
 */
import type { Migration } from './migration.ts';

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
