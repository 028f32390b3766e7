/** What happened to tasks in the last minute, counted from the event stream. */
import type { StreamEvent } from '../../client/index.ts';

export const COUNTED = ['submitted', 'completed', 'failed', 'dead_lettered'] as const;
type Counted = (typeof COUNTED)[number];

export interface Throughput {
  /** The time that the counts cover, milliseconds; less than a minute while older events are not known. */
  readonly coveredMs: number;
  readonly counts: Readonly<Record<Counted, number>>;
}

/** The time that is counted, milliseconds. */
const WINDOW_MS = 60_000;
const SLOT_MS = 1_000;

/** `requestedEvents`: how many past events were requested from the stream; if it had fewer, all events of the last minute are known. */
export class ThroughputCounter {
  readonly #requestedEvents: number;
  /** Counts by second; those that have left the window are removed. */
  readonly #slots = new Map<number, Record<Counted, number>>();
  #firstMs: number | null = null;
  #received = 0;

  constructor(requestedEvents: number) {
    this.#requestedEvents = requestedEvents;
  }

  note({ event, data }: StreamEvent): void {
    const atMs = data['timestamp'];
    if (typeof atMs !== 'number') return;
    this.#received += 1;
    this.#firstMs ??= atMs;
    if (!isCounted(event)) return;
    const slot = Math.floor(atMs / SLOT_MS);
    const counts = this.#slots.get(slot) ?? none();
    counts[event] += 1;
    this.#slots.set(slot, counts);
    for (const old of this.#slots.keys()) if (old < slot - WINDOW_MS / SLOT_MS) this.#slots.delete(old);
  }

  /** `nowMs`: by the hub's clock. */
  inLastMinute(nowMs: number): Throughput {
    const counts = none();
    for (const [slot, each] of this.#slots) if (slot * SLOT_MS > nowMs - WINDOW_MS) for (const name of COUNTED) counts[name] += each[name];
    const isCut = this.#received >= this.#requestedEvents;
    const coveredMs = isCut ? Math.min(WINDOW_MS, Math.max(SLOT_MS, nowMs - (this.#firstMs ?? nowMs))) : WINDOW_MS;
    return { coveredMs, counts };
  }
}

const none = (): Record<Counted, number> => ({ submitted: 0, completed: 0, failed: 0, dead_lettered: 0 });
const isCounted = (event: string): event is Counted => (COUNTED as readonly string[]).includes(event);
