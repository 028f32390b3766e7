/**
 * The newest events, read and serialized once for all streams. The tail holds all events of a contiguous range of ids, within bounds; a
 * stream that has not yet reached that range reads from the store. Streams continue together, in rounds, and those at the same position
 * share one batch. The pause between two rounds grows with the cost of the last one, so that readers never take much time from the queue:
 * under load they fall behind, and they catch up afterwards. The cost of a round is measured, and batches become smaller where it is too high.
 */
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import { matchesFilter, type EventFeed, type EventFilter } from '../../../core/ports/event-feed.ts';
import { EVENT_BYTES } from '../../../core/ports/task-store.ts';
import { eventJson } from '../../../core/protocol/task-json.ts';

/** The size of a batch for one stream: at most this many events, and no more once they have this many bytes; fewer bytes on a slow machine. */
const BATCH_EVENTS = 1_000;
const BATCH_BYTES = 65_536;
const BATCH_BYTES_MIN = 4_096;
/** The minimum time between two rounds, and between two reads of the tail, so that the load does not grow with streams times commits. */
const GATHER_MS = 50;
/**
 * The pause after a round is this many times its cost, so that all streams together take a sixtieth of the event loop. If nothing was
 * committed in the meantime, the pause equals the cost.
 */
const PAUSE_FACTOR = 59;
const PAUSE_MAX_MS = 10_000;
/** The highest cost of a round for which the maximum pause is long enough. */
const ROUND_MS_MAX = PAUSE_MAX_MS / PAUSE_FACTOR;
/**
 * Costs on a fast machine, measured on loopback, milliseconds: reading and serializing an event, a delivery, and each byte of a delivery.
 */
const EVENT_MS = 0.012;
const DELIVERY_MS = 0.05;
const BYTE_MS = 4e-6;
/** A round with a lower estimated cost (milliseconds) does not show how slow this machine is; and the highest slowness that one can show. */
const SHOWING_MS = 20;
const SLOWNESS_MAX = 16;
/** The weight of the last round in the moving average of the slowness, if it shows a lower one. */
const SLOWNESS_SHARE = 0.1;
/** The size of one read of the tail: at most this many events, and no more once they have this many bytes. */
const READ_EVENTS = 1_000;
const READ_BYTES = 1_048_576;
/** What the tail holds: at most this many events, and at most this many bytes of text. */
const TAIL_EVENTS_MAX = 4_000;
const TAIL_BYTES_MAX = 8_388_608;

/** Events as UTF-8; `untilId` and `removedId` as in `EventPage`. Shared between streams. */
export interface EventBatch {
  readonly bytes: Uint8Array;
  readonly untilId: number;
  readonly removedId: number;
}

interface Held {
  readonly event: StoredEvent;
  readonly text: string;
}

interface Deps {
  readonly events: EventFeed;
  readonly clock: Clock;
  /** Real time in milliseconds, whatever clock the pauses use. */
  readonly stopwatchMs: () => number;
  readonly onCommit: (listener: () => void) => () => void;
}

export class EventTail {
  readonly #deps: Deps;
  #held: Held[] = [];
  #bytes = 0;
  /** The tail has every event with an id above `#fromId` and up to `#untilId`. Null until the first read. */
  #fromId: number | null = null;
  #untilId = 0;
  #streams = 0;
  #commits = 0;
  /** The value of `#commits` up to which the tail has read. */
  #readCommits = -1;
  #readAtMs = -Infinity;
  #reading: Promise<boolean> | null = null;
  #unsubscribe: () => void = () => undefined;
  /** The streams that have all events and wait for a commit. */
  #idle = new Set<() => void>();
  #endWait: () => void = () => undefined;
  /** The batches of this round, by the value of `#commits`, the id after which they begin, and their filter. */
  readonly #batches = new Map<string, Promise<EventBatch>>();
  #waiting: (() => void)[] = [];
  #roundTimer: Timer | null = null;
  #roundAtMs = -Infinity;
  /** The value of `#commits` at the start of this round. */
  #roundCommits = 0;
  /** The cost of this round: estimated, and measured. */
  #costMs = 0;
  #measuredMs = 0;
  /** Whether the deliveries of this turn of the event loop have begun. */
  #isMeasuring = false;
  /** How many times their estimated cost the rounds take on this machine; at least 1. */
  #slowness = 1;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Adds a stream. The returned function is called once, when the stream has ended; without streams, the tail holds nothing. */
  join(): () => void {
    if (this.#streams === 0) {
      this.#unsubscribe = this.#deps.onCommit(() => this.#committed());
      this.#roundAtMs = this.#deps.clock.monotonicMs();
    }
    this.#streams += 1;
    return () => {
      this.#streams -= 1;
      if (this.#streams > 0) return;
      this.#unsubscribe();
      this.#endWait();
      this.#roundTimer?.cancel();
      this.#batches.clear();
      this.#proceed();
      this.#restart(null);
      this.#readAtMs = -Infinity;
    };
  }

  /** How many commits there have been while there were streams. */
  get commits(): number {
    return this.#commits;
  }

  /** Calls `wake` once, at the next commit, unless the returned function is called before. */
  onNextCommit(wake: () => void): () => void {
    const idle = this.#idle.add(wake);
    return () => void idle.delete(wake);
  }

  /** Most commits come while no stream waits for one, so that a stream costs a commit nothing. */
  #committed(): void {
    this.#commits += 1;
    if (this.#idle.size === 0) return;
    const idle = this.#idle;
    this.#idle = new Set();
    for (const wake of idle) wake();
  }

  /** Resolves when the next round begins. */
  round(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) void Promise.resolve().then(() => this.#startRound());
    });
  }

  /** Starts a round now, or after the pause. What the last round delivers after the pause has begun makes the pause longer. */
  #startRound(): void {
    if (this.#waiting.length === 0) return;
    const { clock } = this.#deps;
    const factor = this.#commits === this.#roundCommits ? 1 : PAUSE_FACTOR;
    // Capped, because the measured time includes whatever else the turn did or waited for.
    const costMs = Math.min(Math.max(this.#costMs, this.#measuredMs), this.#costMs * SLOWNESS_MAX);
    const pauseMs = Math.min(Math.max(GATHER_MS, costMs * factor), PAUSE_MAX_MS);
    const restMs = this.#roundAtMs + pauseMs - clock.monotonicMs();
    if (restMs > 0) {
      this.#roundTimer = clock.after(restMs, () => this.#startRound());
      return;
    }
    this.#learn();
    this.#roundAtMs = clock.monotonicMs();
    this.#roundCommits = this.#commits;
    this.#costMs = 0;
    this.#measuredMs = 0;
    this.#batches.clear();
    this.#proceed();
  }

  /** A slower round counts at once, a faster one only gradually. */
  #learn(): void {
    if (this.#costMs < SHOWING_MS) return;
    const shown = Math.min(Math.max(this.#measuredMs / this.#costMs, 1), SLOWNESS_MAX);
    this.#slowness = shown > this.#slowness ? shown : this.#slowness + (shown - this.#slowness) * SLOWNESS_SHARE;
  }

  /** The batch size in bytes at which a round costs at most `ROUND_MS_MAX`, within bounds. */
  #batchBytes(): number {
    const deliveryMs = ROUND_MS_MAX / (this.#slowness * this.#streams);
    return Math.round(Math.min(Math.max((deliveryMs - DELIVERY_MS) / BYTE_MS, BATCH_BYTES_MIN), BATCH_BYTES));
  }

  #proceed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const proceed of waiting) proceed();
  }

  /** A stream delivers this many bytes now. Like those of the other streams, they are written before this turn of the event loop ends. */
  delivered(bytes: number): void {
    this.#costMs += DELIVERY_MS + bytes * BYTE_MS;
    if (this.#isMeasuring) return;
    this.#isMeasuring = true;
    const { stopwatchMs } = this.#deps;
    const fromMs = stopwatchMs();
    // The first tick runs once all streams have written, the second after the ticks in which Node passes that to the system. A later turn
    // would also measure the requests that came in meanwhile.
    const end = (): void => {
      this.#measuredMs += stopwatchMs() - fromMs;
      this.#isMeasuring = false;
    };
    process.nextTick(() => process.nextTick(end));
  }

  /** The events after `afterId`, as `EventFeed.after` returns them. */
  after(afterId: number, filter: EventFilter): Promise<EventBatch> {
    const { taskId = '', agentId = '', event = '', about = '' } = filter;
    const key = [this.#commits, afterId, taskId, agentId, event, about].join(' ');
    const known = this.#batches.get(key);
    if (known !== undefined) return known;
    const batch = this.#after(afterId, filter).catch((thrown: unknown) => {
      // The next caller reads again.
      this.#batches.delete(key);
      throw thrown;
    });
    this.#batches.set(key, batch);
    return batch;
  }

  async #after(afterId: number, filter: EventFilter): Promise<EventBatch> {
    const wanted = this.#commits;
    // A stream behind the tail reads from the store, and need not wait for the tail.
    while (this.#fromId === null || (this.#readCommits < wanted && afterId >= this.#fromId)) {
      const isMore = await (this.#reading ??= this.#read());
      // The stream that waited for it has ended.
      if (this.#streams === 0) return { bytes: NOTHING, untilId: afterId, removedId: 0 };
      // The next rounds read the rest.
      if (isMore && this.#fromId !== null) break;
    }
    if (afterId < this.#fromId) return this.#fromStore(afterId, filter, this.#fromId);
    return this.#fromTail(afterId, filter);
  }

  /** The tail may have missed a commit of another hub: the next call reads again. */
  expire(): void {
    this.#readCommits = -1;
  }

  /** Continues with the tail once the store has no more matching events up to `tailFromId`. */
  async #fromStore(afterId: number, filter: EventFilter, tailFromId: number): Promise<EventBatch> {
    const { events } = this.#deps;
    const page = await events.after(afterId, filter, BATCH_EVENTS, this.#batchBytes());
    this.#costMs += page.events.length * EVENT_MS;
    const bytes = encoded(page.events.map(eventText));
    if (page.untilId > afterId) return { bytes, untilId: page.untilId, removedId: page.removedId };
    return { bytes, untilId: tailFromId, removedId: (await events.marks()).removedId };
  }

  /** No event is missing in the tail, so there are no removed ones to report. */
  #fromTail(afterId: number, filter: EventFilter): EventBatch {
    const texts: string[] = [];
    let characters = 0;
    const bytesMax = this.#batchBytes();
    for (let index = firstAfter(this.#held, afterId); index < this.#held.length; index += 1) {
      const { event, text } = this.#held[index] as Held;
      if (!matchesFilter(filter, event)) continue;
      texts.push(text);
      characters += text.length;
      if (texts.length === BATCH_EVENTS || characters >= bytesMax) return { bytes: encoded(texts), untilId: event.id, removedId: 0 };
    }
    return { bytes: encoded(texts), untilId: Math.max(afterId, this.#untilId), removedId: 0 };
  }

  /** Resolves to whether there may be more to read. */
  async #read(): Promise<boolean> {
    const { clock, events } = this.#deps;
    try {
      const soonMs = this.#readAtMs + GATHER_MS - clock.monotonicMs();
      if (soonMs > 0) await this.#wait(soonMs);
      if (this.#streams === 0) return false;
      this.#readAtMs = clock.monotonicMs();
      const seen = this.#commits;
      if (this.#fromId === null) {
        const { lastId, removedId } = await events.marks();
        this.#restart(Math.max(lastId, removedId));
      } else {
        const { events: found, untilId, removedId } = await events.after(this.#untilId, {}, READ_EVENTS, READ_BYTES);
        // Events may have been removed before they were read: each stream then reads the store, and reports its gap.
        if (removedId > this.#untilId) this.#restart(Math.max(untilId, removedId));
        else this.#append(found, untilId);
        this.#costMs += found.length * EVENT_MS;
        if (isCut(found)) return true;
      }
      this.#readCommits = seen;
      return false;
    } finally {
      this.#reading = null;
    }
  }

  /** Waits until the time has passed, or no stream is left. */
  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(ms, resolve);
      this.#endWait = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #append(found: readonly StoredEvent[], untilId: number): void {
    for (const event of found) {
      const text = eventText(event);
      this.#held.push({ event, text });
      this.#bytes += EVENT_BYTES + text.length;
    }
    this.#untilId = untilId;
    let dropped = 0;
    while (this.#held.length - dropped > TAIL_EVENTS_MAX || this.#bytes > TAIL_BYTES_MAX) {
      const { event, text } = this.#held[dropped] as Held;
      this.#bytes -= EVENT_BYTES + text.length;
      this.#fromId = event.id;
      dropped += 1;
    }
    this.#held.splice(0, dropped);
  }

  #restart(fromId: number | null): void {
    this.#held = [];
    this.#bytes = 0;
    this.#fromId = fromId;
    this.#untilId = fromId ?? 0;
    this.#readCommits = -1;
  }
}

const NOTHING = new Uint8Array();
const encoder = new TextEncoder();
const encoded = (texts: readonly string[]): Uint8Array => (texts.length === 0 ? NOTHING : encoder.encode(texts.join('')));

/** Whether a read may have stopped at its size limit; a character has at most three bytes. */
const isCut = (found: readonly StoredEvent[]): boolean =>
  found.length === READ_EVENTS ||
  found.reduce((bytes, { details }) => bytes + EVENT_BYTES + (details === null ? 0 : 3 * JSON.stringify(details).length), 0) >= READ_BYTES;

/** The index of the first event with an id above `afterId`. */
function firstAfter(held: readonly Held[], afterId: number): number {
  let [low, high] = [0, held.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((held[middle] as Held).event.id <= afterId) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** JSON escapes line breaks within strings, and this has none between tokens, so it fits on one `data` line. */
const eventText = (event: StoredEvent): string => `id: ${event.id}\nevent: ${event.event}\ndata: ${eventJson(event)}\n\n`;
