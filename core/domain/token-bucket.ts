/** A bound on how often: a bucket that refills at a steady rate and is emptied by what is counted. Pure. */
export interface BucketRule {
  /** What a full bucket holds. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface Bucket {
  readonly left: number;
  /** When `left` was true, by the monotonic clock. */
  readonly atMs: number;
}

export const fullBucket = (rule: BucketRule, nowMs: number): Bucket => ({ left: rule.burst, atMs: nowMs });

/** Takes one, or says how long until there is one. */
export function takeOne(
  bucket: Bucket,
  rule: BucketRule,
  nowMs: number,
): { readonly taken: boolean; readonly bucket: Bucket; readonly waitMs: number } {
  const flowed = (Math.max(0, nowMs - bucket.atMs) / 1_000) * rule.perSecond;
  const now = { left: Math.min(rule.burst, bucket.left + flowed), atMs: nowMs };
  if (now.left >= 1) return { taken: true, bucket: { left: now.left - 1, atMs: nowMs }, waitMs: 0 };
  return { taken: false, bucket: now, waitMs: Math.ceil(((1 - now.left) / rule.perSecond) * 1_000) };
}
