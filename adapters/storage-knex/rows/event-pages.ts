/** Pages of events, bounded in bytes by the database itself, so that no more of them is ever read than is answered. */
import type { Knex } from 'knex';
import { EVENT_BYTES } from '../../../core/ports/task-store.ts';
import type { Row } from '../engine.ts';

const SIZE = `(coalesce(octet_length(details), 0) + ${EVENT_BYTES})`;

/**
 * The first rows of `page`, which is ordered by `column`, until they have `bytesMax` bytes; one at least. Each with `read_bytes`:
 * the bytes up to it, itself included.
 */
export async function withinBytes(
  db: Knex,
  page: Knex.QueryBuilder,
  column: 'id' | 'seq',
  way: 'asc' | 'desc',
  bytesMax: number,
): Promise<readonly Row[]> {
  const summed = db
    .select('*', db.raw(`sum(${SIZE}) OVER (ORDER BY ${column} ${way} ROWS UNBOUNDED PRECEDING) AS read_bytes`))
    .from(page.as('page'))
    .as('summed');
  return (await db.select('*').from(summed).whereRaw(`read_bytes - ${SIZE} < ?`, [bytesMax]).orderBy(column, way)) as Row[];
}
