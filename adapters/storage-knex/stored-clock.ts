/** The store's clock as a database keeps it: read once when the store is opened, written from time to time outside the batches. */
import { StoreClock, type ClockEvent, type StoredClock, type TimeSource } from '../../core/domain/store-clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Row } from './rows/row.ts';

/**
 * How far store time advances before its mark is written again: the most of it that a killed hub may lose, beyond its newest event.
 * Milliseconds.
 */
export const MARK_EVERY_MS = 60_000;

/** No parameter. One row for `storeClockIn`. */
export const READ_CLOCK = `
  SELECT clock_mark, clock_offset, removals_from, (SELECT at FROM task_events ORDER BY id DESC LIMIT 1) AS newest_at FROM store`;

/** The clock of a store that was just opened. `place`: how the log names it. */
export function storeClockIn(row: Row | undefined, { source, log, place }: { source: TimeSource; log: Log; place: string }): StoreClock {
  const number = (name: string): number | null => {
    const value = row?.[name] ?? null;
    return value === null ? null : Number(value);
  };
  const markMs = number('clock_mark');
  const saved: StoredClock | null =
    markMs === null ? null : { markMs, offsetMs: number('clock_offset') ?? 0, removalsFromMs: number('removals_from') ?? 0 };
  return new StoreClock({ source, saved, newestMs: number('newest_at'), notify: (event) => logClockEvent(event, log, place) });
}

function logClockEvent(event: ClockEvent, log: Log, place: string): void {
  if (event.type === 'stepped')
    return log.warn("the store's time was moved forward to the wall clock, which stayed ahead of it", { place, by_ms: event.byMs });
  const ahead =
    "the wall clock is ahead of the store's time: it is followed once it has stayed ahead, and until then nothing is removed because of its age";
  const behind = "the wall clock is behind the store's time, which runs slow until they agree";
  log.error(`${event.byMs > 0 ? ahead : behind}. Correct the clock of this machine if it is wrong`, {
    place,
    by_ms: Math.round(event.byMs),
    believed_in_ms: Math.round(event.confirmedInMs),
  });
}
