/** Ids and secrets from the system's random source, and jitter. */
import { randomBytes } from 'node:crypto';
import type { TaskId } from '../../core/domain/ids.ts';
import type { Ids } from '../../core/ports/chance.ts';
import type { Clock } from '../../core/ports/clock.ts';

/** Ids of one millisecond are counted in 16 bits; the next one after that takes the next millisecond. */
const COUNTS_PER_MS = 65_536;

export interface SystemIdsOptions {
  readonly clock: Clock;
}

/**
 * The `Ids` of a running program. A task id is 48 bits of wall milliseconds, 16 bits of count within one, 64 random bits,
 * so that ids sort by when they were made, by and large across machines too, and two hubs do not meet. When the wall
 * clock goes back, ids go on from the last millisecond used until it is reached again.
 */
export const systemIds = ({ clock }: SystemIdsOptions): Ids => {
  let lastMs = 0;
  let lastText = hex(lastMs, 12);
  let count = 0;

  const random = randomHex();

  const task = (): TaskId => {
    const nowMs = clock.nowMs();
    count += 1;
    if (nowMs > lastMs || count === COUNTS_PER_MS) {
      lastMs = Math.max(nowMs, lastMs + 1);
      lastText = hex(lastMs, 12);
      count = 0;
    }
    return `task-${lastText}${hex(count, 4)}${random(8)}` as TaskId;
  };

  return {
    task,
    random: (prefix) => `${prefix}-${random(16)}`,
    secret: () => randomBytes(32).toString('hex'),
    jitter: () => Math.random(),
  };
};

/** Bytes that are drawn from the system at once: each draw costs more than the use of what it gives. */
const DRAWN_BYTES = 4_096;

/** Random bytes as hexadecimal digits, each given once. */
function randomHex(): (bytes: number) => string {
  let drawn = Buffer.alloc(0);
  let used = 0;
  return (bytes) => {
    if (used + bytes > drawn.length) {
      drawn = randomBytes(DRAWN_BYTES);
      used = 0;
    }
    used += bytes;
    return drawn.toString('hex', used - bytes, used);
  };
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
