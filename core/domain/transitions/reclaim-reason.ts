/** Why the hub reclaims an assignment: as a code in the history and in metrics, and in words for people. */

/** What each reason means, as the last error of a task. */
export const RECLAIM_REASONS = {
  not_accepted: 'its sidecar did not accept it in time',
  lease_expired: 'nothing was heard of its run for too long',
  disconnected: 'its sidecar or worker disconnected',
  run_limit: 'its run took longer than its limit',
  /** The agent itself reported that it does not have it. */
  not_held: 'its sidecar or worker no longer had the task when it connected again, as after a restart',
  lost: 'its sidecar restarted and could not find its run',
  recovering: 'its sidecar crashed before it had woken its agent',
  /** Its sidecar restarted again before accepting it. */
  sidecar_restarted: 'its sidecar kept restarting before it accepted it',
  store_rolled_back: "the hub's database was restored from an older copy",
} as const satisfies Readonly<Record<string, string>>;

export type ReclaimReason = keyof typeof RECLAIM_REASONS;

/** In words; undefined if it is no such reason. */
export const reclaimText = (reason: unknown): string | undefined =>
  typeof reason === 'string' && Object.hasOwn(RECLAIM_REASONS, reason) ? RECLAIM_REASONS[reason as ReclaimReason] : undefined;
