/** A token bucket: it refills at a steady rate, and each counted event takes from it. Pure. */
export interface BucketRule {
  /** The capacity of the bucket. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface Bucket {
  readonly left: number;
  /** When `left` was computed, by the monotonic clock. */
  readonly atMs: number;
}

export const fullBucket = (rule: BucketRule, nowMs: number): Bucket => ({ left: rule.burst, atMs: nowMs });

/** The content of a bucket that had `left` `elapsedMs` ago. */
export const refilled = (left: number, elapsedMs: number, rule: BucketRule): number =>
  Math.min(rule.burst, left + (Math.max(0, elapsedMs) / 1_000) * rule.perSecond);

/** Takes one, or returns how long until there is one. */
export function takeOne(
  bucket: Bucket,
  rule: BucketRule,
  nowMs: number,
): { readonly taken: boolean; readonly bucket: Bucket; readonly waitMs: number } {
  const now = { left: refilled(bucket.left, nowMs - bucket.atMs, rule), atMs: nowMs };
  if (now.left >= 1) return { taken: true, bucket: { left: now.left - 1, atMs: nowMs }, waitMs: 0 };
  return { taken: false, bucket: now, waitMs: Math.ceil(((1 - now.left) / rule.perSecond) * 1_000) };
}

/** Takes `much`, going into debt if necessary. `waitMs`: how long until the bucket is above zero. */
export function spend(bucket: Bucket, rule: BucketRule, nowMs: number, much: number): { readonly bucket: Bucket; readonly waitMs: number } {
  const left = refilled(bucket.left, nowMs - bucket.atMs, rule) - much;
  return { bucket: { left, atMs: nowMs }, waitMs: left > 0 ? 0 : Math.floor((-left / rule.perSecond) * 1_000) + 1 };
}
