/** Pages of events, bounded in bytes as in the databases. */
import { encodedBytes } from '../../core/domain/encoded-text.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import { EVENT_BYTES } from '../../core/ports/task-store.ts';

const sizeOf = ({ details }: StoredEvent): number => EVENT_BYTES + (details === null ? 0 : encodedBytes(details));

/** The first of these events, until they have `bytesMax` bytes; at least one. */
export function withinBytes(events: readonly StoredEvent[], bytesMax: number): StoredEvent[] {
  let bytes = 0;
  const end = events.findIndex((event) => {
    const isFull = bytes >= bytesMax;
    bytes += sizeOf(event);
    return isFull;
  });
  return end === -1 ? [...events] : events.slice(0, end);
}
