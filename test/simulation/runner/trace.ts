/** What happened in a simulated world, line by line: hashed always, kept only when somebody wants to read it. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../core/ports/clock.ts';

/** Lines put together before they are hashed: hashing few long texts is quicker. */
const LINES_PER_HASHING = 512;

export interface Trace {
  /** `who` did or met `what`. */
  add(who: string, what: string): void;
  /** One text for equal traces. */
  hash(): string;
  /** All lines; none unless they are kept. */
  readonly lines: readonly string[];
  /** How often each branch and fault was met. */
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
