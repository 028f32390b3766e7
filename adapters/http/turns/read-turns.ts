/**
 * Limits the reads of each token: a few run at once; more wait for those, and for the token's share of the hub's time; the rest are
 * refused.
 */
import { fullBucket, spend, type Bucket } from '../../../core/domain/token-bucket.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { HttpRequest } from '../../../core/ports/http.ts';

export interface ReadTurns {
  /** Resolves when the read may run. Null if too many reads of this owner run or wait already. */
  enter(owner: string): Promise<LeaveTurn> | null;
  /** Reads in a turn, however many reads of this owner wait: for callers whose number is limited otherwise. */
  run<T>(owner: string, read: () => Promise<T>): Promise<T>;
}

/** Ends a read: its time counts up to now. It keeps its turn until `whenSent` calls back, if that is given. */
export type LeaveTurn = (whenSent?: HttpRequest['whenSent']) => void;

export interface ReadRules {
  /** How many reads of one owner may run or wait. */
  readonly perOwner: number;
  /** How many milliseconds per second the reads of one owner may take; 0: no limit. `burstMs`: how many they may take at once. */
  readonly msPerSecond: number;
  readonly burstMs: number;
}

/**
 * How many reads of one owner run at once: enough that a slow one does not block the next, and few enough that they do not block other
 * owners.
 */
const RUNNING_MAX = 2;
/** The cost of a read in addition to its duration, for its request and response, milliseconds. */
const REQUEST_MS = 1;
/** How many owners are remembered. Above that, the least recently used one without reads is forgotten. */
const OWNERS_MAX = 10_000;

interface OwnerQueue {
  running: number;
  readonly waiting: (() => void)[];
  /** Milliseconds of reading that are left; negative after a read that took longer. */
  time: Bucket;
  timer: Timer | null;
}

export function readTurns({ perOwner, msPerSecond, burstMs }: ReadRules, clock: Pick<Clock, 'monotonicMs' | 'after'>): ReadTurns {
  const rule = { burst: burstMs, perSecond: msPerSecond };
  /** Least recently used first. */
  const queues = new Map<string, OwnerQueue>();

  const queueOf = (owner: string): OwnerQueue => {
    const queue = queues.get(owner) ?? { running: 0, waiting: [], time: fullBucket(rule, clock.monotonicMs()), timer: null };
    queues.delete(owner);
    queues.set(owner, queue);
    if (queues.size > OWNERS_MAX) {
      for (const [name, { running, waiting }] of queues) {
        if (running + waiting.length > 0 || name === owner) continue;
        queues.delete(name);
        break;
      }
    }
    return queue;
  };

  /** Starts the reads that may run now, and sets a timer if the next one has to wait for time. */
  const startNext = (queue: OwnerQueue): void => {
    while (queue.running < RUNNING_MAX && queue.waiting.length > 0) {
      if (msPerSecond > 0) {
        const { bucket, waitMs } = spend(queue.time, rule, clock.monotonicMs(), 0);
        queue.time = bucket;
        if (waitMs > 0) {
          queue.timer ??= clock.after(waitMs, () => {
            queue.timer = null;
            startNext(queue);
          });
          return;
        }
      }
      queue.running += 1;
      queue.waiting.shift()?.();
    }
  };

  const turnIn = (queue: OwnerQueue): Promise<LeaveTurn> =>
    new Promise((resolve) => {
      queue.waiting.push(() => {
        const fromMs = clock.monotonicMs();
        let isOver = false;
        const free = (): void => {
          queue.running -= 1;
          startNext(queue);
        };
        resolve((whenSent) => {
          if (isOver) return;
          isOver = true;
          const nowMs = clock.monotonicMs();
          // A read on a slow database must not block its owner for longer than the burst.
          queue.time = spend(queue.time, rule, nowMs, Math.min(burstMs, nowMs - fromMs + REQUEST_MS)).bucket;
          if (whenSent === undefined) free();
          else whenSent(free);
        });
      });
      startNext(queue);
    });

  return {
    enter(owner) {
      const queue = queueOf(owner);
      return queue.running + queue.waiting.length >= perOwner ? null : turnIn(queue);
    },
    async run(owner, read) {
      const leave = await turnIn(queueOf(owner));
      try {
        return await read();
      } finally {
        leave();
      }
    },
  };
}
