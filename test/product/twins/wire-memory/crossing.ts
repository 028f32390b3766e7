/** How messages cross from one end of a memory wire to the other: late, twice, out of order or never, as a fate decides. */
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import type { Clock } from '../../../../core/ports/clock.ts';

/** One message in flight. */
export interface Crossing {
  readonly connection: number;
  readonly from: 'hub' | 'sidecar';
  /** `connect`, `accept` and `refuse` open a connection, `close` is a close frame, `gone` the end of the socket below it. */
  readonly kind: 'connect' | 'accept' | 'refuse' | 'frame' | 'ping' | 'pong' | 'close' | 'gone';
  /** For a frame; otherwise empty. */
  readonly text: string;
}

/** One copy that arrives. */
export interface Arrival {
  readonly delayMs: number;
  /** Arrives regardless of earlier messages in flight; otherwise it waits for them, as on a real wire. */
  readonly overtakes?: boolean | undefined;
}

/** The fate of a crossing: no arrival is a loss, two are a duplicate. */
export type Fate = (crossing: Crossing) => readonly Arrival[];

/** Everything arrives once, in order, in the next turn of the clock. */
export const unharmed: Fate = () => [{ delayMs: 0 }];

/** One direction of one connection. */
export interface Lane {
  /** Sends `kind`; `arrive` runs once for each copy, never inside this call. */
  cross(kind: Crossing['kind'], text: string, arrive: () => void): void;
  /** Bytes of frames in flight, of those that will arrive. */
  readonly waitingBytes: number;
}

export interface LaneParts {
  readonly clock: Clock;
  readonly fate: Fate;
  readonly connection: number;
  readonly from: Crossing['from'];
}

/** Keeps the order of messages that do not overtake with a queue: each timer takes the first one in it. */
export const lane = ({ clock, fate, connection, from }: LaneParts): Lane => {
  const queue: (() => void)[] = [];
  let lastDueMs = 0;
  let waitingBytes = 0;

  return {
    cross(kind, text, arrive) {
      const bytes = utf8Bytes(text);
      for (const { delayMs, overtakes } of fate({ connection, from, kind, text })) {
        waitingBytes += bytes;
        const land = (): void => {
          waitingBytes -= bytes;
          arrive();
        };
        if (overtakes === true) {
          clock.after(delayMs, land);
          continue;
        }
        const nowMs = clock.monotonicMs();
        lastDueMs = Math.max(lastDueMs, nowMs + delayMs);
        queue.push(land);
        clock.after(lastDueMs - nowMs, () => queue.shift()?.());
      }
    },
    get waitingBytes() {
      return waitingBytes;
    },
  };
};
