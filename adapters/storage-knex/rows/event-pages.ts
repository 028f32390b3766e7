/** Pages of rows of events, bounded in bytes by the database itself, so that little more is ever read than is returned. */
import type { Knex } from 'knex';
import { EVENT_BYTES } from '../../../core/ports/task-store.ts';
import type { Row } from '../engine.ts';

/** At most what a row's events count: an event in `earlier` takes less than `EVENT_BYTES` in addition to its details. */
const SIZE = `(coalesce(octet_length(details), 0) + coalesce(octet_length(earlier), 0) + ${EVENT_BYTES})`;

export interface RowPage {
  readonly column: 'id' | 'seq';
  readonly way: 'asc' | 'desc';
  readonly bytesMax: number;
  /** Rows whose `column` is this or more do not count. Default: all count. */
  readonly uncountedFrom?: number | undefined;
}

/**
 * The first rows of `page`, which is ordered by `column`, until they have `bytesMax` bytes; at least one. Each with `read_bytes`: the bytes
 * up to it, itself included.
 */
export async function rowsWithinBytes(
  db: Knex,
  page: Knex.QueryBuilder,
  { column, way, bytesMax, uncountedFrom = Number.MAX_SAFE_INTEGER }: RowPage,
): Promise<readonly Row[]> {
  const sized = db.select('*', db.raw(`CASE WHEN ${column} < ? THEN ${SIZE} ELSE 0 END AS bytes`, [uncountedFrom])).from(page.as('page')); // prettier-ignore
  const summed = db.select('*', db.raw(`sum(bytes) OVER (ORDER BY ${column} ${way} ROWS UNBOUNDED PRECEDING) AS read_bytes`)).from(sized.as('sized')); // prettier-ignore
  return (await db.select('*').from(summed.as('summed')).whereRaw('read_bytes - bytes < ?', [bytesMax]).orderBy(column, way)) as Row[];
}
