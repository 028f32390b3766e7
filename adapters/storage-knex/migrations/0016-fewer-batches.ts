/**
 * SQLite remembers the last 64 batches instead of 4,096. They fit on one page, so a commit, which adds its own and drops the oldest, writes
 * one page instead of two.
 */
import type { Migration } from '../rows/migration.ts';

/** A hub asks about a batch right after its commit, when at most one other is being saved. */
const BATCHES_KEPT = 64;

export const fewerBatches: Migration = {
  name: '0016-fewer-batches',
  besideOlderHubs: true,
  sqlite: [
    `DROP TRIGGER batches_bounded`,
    `DELETE FROM batches WHERE place <= (SELECT max(place) FROM batches) - ${BATCHES_KEPT}`,
    `CREATE TRIGGER batches_bounded AFTER INSERT ON batches BEGIN
      DELETE FROM batches WHERE place <= NEW.place - ${BATCHES_KEPT};
    END`,
  ],
  postgres: [],
};
