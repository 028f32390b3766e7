/** Token buckets by name, for a limited number of names. */
import { fullBucket, takeOne, type Bucket, type BucketRule } from '../../core/domain/token-bucket.ts';
import type { Clock } from '../../core/ports/clock.ts';

export interface Buckets {
  /** Takes a token from the bucket of `name`, or returns how long until there is one, in milliseconds. */
  take(name: string): { readonly taken: boolean; readonly waitMs: number };
  /** How long until there is a token, in milliseconds; 0 if there is one. */
  waitMs(name: string): number;
}

/**
 * `namesMax`: above it, the least recently used names are forgotten, which refills their buckets. This limits memory at the cost of
 * leniency. A rule with `perSecond` 0 limits nothing.
 */
export function buckets(rule: BucketRule, namesMax: number, clock: Clock): Buckets {
  /** Least recently used first. */
  const byName = new Map<string, Bucket>();
  const put = (name: string, bucket: Bucket): void => {
    byName.delete(name);
    if (bucket.left < rule.burst) byName.set(name, bucket);
    const [oldest] = byName.keys();
    if (byName.size > namesMax && oldest !== undefined) byName.delete(oldest);
  };
  return {
    take(name) {
      if (rule.perSecond === 0) return { taken: true, waitMs: 0 };
      const nowMs = clock.monotonicMs();
      const result = takeOne(byName.get(name) ?? fullBucket(rule, nowMs), rule, nowMs);
      put(name, result.bucket);
      return result;
    },
    waitMs(name) {
      const held = byName.get(name);
      return held === undefined ? 0 : takeOne(held, rule, clock.monotonicMs()).waitMs;
    },
  };
}
