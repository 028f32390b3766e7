/** What happened in a simulated world, line by line: always hashed, stored only if requested. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../core/ports/clock.ts';

/** Lines joined before they are hashed: hashing few long texts is faster. */
const LINES_PER_HASHING = 512;

export interface Trace {
  /** `who` did or met `what`. */
  add(who: string, what: string): void;
  /** The same text for equal traces. */
  hash(): string;
  /** All lines; none unless they are stored. */
  readonly lines: readonly string[];
  /** How often each branch and fault occurred. */
  readonly seen: ReadonlyMap<string, number>;
  /** Counts a rare branch or a fault. */
  rare(name: string): void;
}

export function createTrace(clock: Clock, keep: boolean): Trace {
  const hash = createHash('sha256');
  const lines: string[] = [];
  const seen = new Map<string, number>();
  let unhashed: string[] = [];

  const flush = (): void => {
    hash.update(unhashed.join('\n'));
    hash.update('\n');
    unhashed = [];
  };

  return {
    add(who, what) {
      const line = `${clock.monotonicMs()} ${who} ${what}`;
      unhashed.push(line);
      if (keep) lines.push(line);
      if (unhashed.length >= LINES_PER_HASHING) flush();
    },
    hash() {
      flush();
      return hash.copy().digest('hex');
    },
    lines,
    seen,
    rare: (name) => void seen.set(name, (seen.get(name) ?? 0) + 1),
  };
}
