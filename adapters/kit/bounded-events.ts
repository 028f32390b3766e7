/** Limits pages of events, in the same way for every store. */
import { encodedBytes } from '../../core/domain/encoded-text.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import { EVENT_BYTES, type HistoryQuery } from '../../core/ports/task-store.ts';

const sizeOf = ({ details }: StoredEvent): number => EVENT_BYTES + (details === null ? 0 : encodedBytes(details));

/** The first of these events, until they have `bytesMax` bytes; at least one. */
export function eventsWithinBytes(events: readonly StoredEvent[], bytesMax: number): StoredEvent[] {
  let bytes = 0;
  const end = events.findIndex((event) => {
    const isFull = bytes >= bytesMax;
    bytes += sizeOf(event);
    return isFull;
  });
  return end === -1 ? [...events] : events.slice(0, end);
}

/** The page of these events of one task, which are in the order of their `seq` and have no gaps (`TaskStore.history`). */
export function historyPage(events: readonly StoredEvent[], { before, after, limit, bytesMax }: HistoryQuery): readonly StoredEvent[] {
  const wanted = events.filter(({ seq }) => seq < (before ?? Infinity) && seq > (after ?? 0));
  if (after !== undefined) return eventsWithinBytes(wanted.slice(0, limit), bytesMax);
  return eventsWithinBytes(wanted.slice(-limit).reverse(), bytesMax).reverse();
}
