/** Reads of each token: a few run, the next ones wait for them and for the token's share of the hub's time, more are refused. */
import { fullBucket, spend, type Bucket } from '../../core/domain/token-bucket.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';

export interface ReadTurns {
  /** Answers, once it is the read's turn, how to end it; null when too many of this owner wait already. */
  enter(owner: string): Promise<() => void> | null;
}

export interface ReadRules {
  /** Reads of one owner that run or wait. */
  readonly perOwner: number;
  /** Time that reads of one owner may take in a second, milliseconds, and at once, over that; 0 in a second is no bound. */
  readonly msPerSecond: number;
  readonly burstMs: number;
}

/** Reads of one owner that run at once: one that lasts does not hold up the next, and all of them do not hold up the others'. */
const RUNNING_MAX = 2;
/** What a read costs beside the time that it takes: its request and its answer, milliseconds. */
const REQUEST_MS = 1;
/** Owners whose time is remembered at once; of those that have no read, the one that was touched longest ago is forgotten. */
const OWNERS_MAX = 10_000;

interface Line {
  running: number;
  readonly waiting: (() => void)[];
  /** In milliseconds of reading; what the last read took too much is owed. */
  time: Bucket;
  timer: Timer | null;
}

export function readTurns({ perOwner, msPerSecond, burstMs }: ReadRules, clock: Pick<Clock, 'monotonicMs' | 'after'>): ReadTurns {
  const rule = { burst: burstMs, perSecond: msPerSecond };
  /** In the order of the last touch. */
  const lines = new Map<string, Line>();

  const lineOf = (owner: string): Line => {
    const line = lines.get(owner) ?? { running: 0, waiting: [], time: fullBucket(rule, clock.monotonicMs()), timer: null };
    lines.delete(owner);
    lines.set(owner, line);
    if (lines.size > OWNERS_MAX) {
      for (const [name, { running, waiting }] of lines) {
        if (running + waiting.length > 0 || name === owner) continue;
        lines.delete(name);
        break;
      }
    }
    return line;
  };

  /** Begins what may begin, and looks again when there is time for the next. */
  const beginNext = (line: Line): void => {
    while (line.running < RUNNING_MAX && line.waiting.length > 0) {
      if (msPerSecond > 0) {
        const { bucket, waitMs } = spend(line.time, rule, clock.monotonicMs(), 0);
        line.time = bucket;
        if (waitMs > 0) {
          line.timer ??= clock.after(waitMs, () => {
            line.timer = null;
            beginNext(line);
          });
          return;
        }
      }
      line.running += 1;
      line.waiting.shift()?.();
    }
  };

  return {
    enter(owner) {
      const line = lineOf(owner);
      if (line.running + line.waiting.length >= perOwner) return null;
      return new Promise((resolve) => {
        line.waiting.push(() => {
          const fromMs = clock.monotonicMs();
          let isOver = false;
          resolve(() => {
            if (isOver) return;
            isOver = true;
            line.running -= 1;
            const nowMs = clock.monotonicMs();
            // One that waits for a slow database is not to hold its owner up for longer than the burst lasts.
            line.time = spend(line.time, rule, nowMs, Math.min(burstMs, nowMs - fromMs + REQUEST_MS)).bucket;
            beginNext(line);
          });
        });
        beginNext(line);
      });
    },
  };
}
