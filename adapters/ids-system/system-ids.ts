/** Ids and secrets from the system's random source, and jitter. */
import { randomBytes } from 'node:crypto';
import type { TaskId } from '../../core/domain/ids.ts';
import type { Ids } from '../../core/ports/chance.ts';
import type { Clock } from '../../core/ports/clock.ts';

/** Ids of one millisecond are counted in 16 bits; once that count is used up, the next id uses the next millisecond. */
const COUNTS_PER_MS = 65_536;

export interface SystemIdsOptions {
  readonly clock: Clock;
}

/**
 * The `Ids` of a running program. A task id has 48 bits of wall-clock milliseconds, a 16-bit count within the millisecond,
 * and 64 random bits. So ids sort by creation time, by and large even across machines, and those of two hubs do not
 * collide. When the wall clock goes back, ids continue from the last millisecond used until the clock reaches it again.
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

/** How many random bytes are drawn from the system at once: a draw costs more than using its bytes. */
const DRAWN_BYTES = 4_096;

/** Random bytes as hexadecimal digits, each returned only once. */
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
