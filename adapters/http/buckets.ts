/** Token buckets by name, for a bounded number of names. */
import { fullBucket, takeOne, type Bucket, type BucketRule } from '../../core/domain/token-bucket.ts';
import type { Clock } from '../../core/ports/clock.ts';

export interface Buckets {
  /** Takes one of `name`'s; else answers how long until there is one, in milliseconds. */
  take(name: string): { readonly taken: boolean; readonly waitMs: number };
  /** How long until there is one to take, in milliseconds; 0 when there is. */
  waitMs(name: string): number;
}

/**
 * `namesMax`: beyond it the names that were touched longest ago are forgotten, which fills their buckets: memory is
 * bounded at the price of leniency. A rule with `perSecond` 0 bounds nothing.
 */
export function buckets(rule: BucketRule, namesMax: number, clock: Clock): Buckets {
  /** In the order of the last touch. */
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
