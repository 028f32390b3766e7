/** The sidecar's fixed timeouts, retry delays and limits. Configurable ones are in `SidecarTiming`; the hub sets others in its policy. */

/** First delay between connection attempts; the policy sets the longest. */
export const RECONNECT_FIRST_MS = 1_000;
/** The cap for the first tries of an outage, which take about 5 minutes: most hubs are back by then. */
export const RECONNECT_EARLY = { maxMs: 15_000, tries: 23 };
/** From opening a connection to `identified`. */
export const IDENTIFY_WITHIN_MS = 30_000;
/** Backoff while another sidecar has this identity. */
export const IDENTITY_BACKOFF = { firstMs: 60_000, maxMs: 600_000 };
/** Retry delay after a refused token; only an operator can fix that. */
export const TOKEN_RETRY_MS = 60_000;
/** How long an agent may keep running after its result before it is stopped. */
export const EXIT_GRACE_MS = 3_000;
/** How long a stopping sidecar waits for answers to its last reports. */
export const STOP_WITHIN_MS = 8_000;
/** The longest delay a frame may ask for: a year. */
export const RETRY_AFTER_MS_MAX = 31_536_000_000;
/** Interval between runner checks after success, and the backoff after failure. */
export const CHECKS_EVERY_MS = 600_000;
export const CHECKS_BACKOFF = { firstMs: 10_000, maxMs: 600_000 };
/** An answer that took longer than this is not used to compare the clocks. */
export const CLOCK_ANSWER_MAX_MS = 10_000;
/** Retry interval while the journal cannot be written. */
export const JOURNAL_RETRY_MS = 5_000;
/** Retries of a scan of an unreadable results folder: a minute in total. */
export const SCAN_RETRY_MS = 5_000;
export const SCAN_ATTEMPTS_MAX = 12;
/** Retry interval for removing an assignment's folders, and how many removals may be pending. */
export const REMOVE_RETRY_MS = 600_000;
export const REMOVALS_WAITING_MAX = 1_000;
/** Retry delay of a sidecar timer whose step threw. */
export const STEP_RETRY_MS = 5_000;
/**
 * After a start, the least time a run or a published task has left by the local clock, which may have been moved while
 * the sidecar was down. The hub's time is trusted at once.
 */
export const CLOCK_GRACE_MS = 300_000;
/** Retry interval for attaching to a run. */
export const ATTACH_RETRY_MS = 5_000;
/** Total size of kept files of completed assignments, bytes; the oldest are removed first. */
export const KEPT_BYTES_MAX = 268_435_456;
/** Maximum size of `refused/` and the kept files of failed assignments, bytes; above it no task is accepted. */
export const REFUSED_BYTES_MAX = 1_073_741_824;
/** Interval between measurements of the above and of free disk space. */
export const DISK_CHECK_MS = 60_000;
/**
 * Maximum number of deferred inputs; beyond it hub frames are dropped, since the hub repeats them. Other inputs are
 * bounded by kind and run.
 */
export const DEFERRED_MAX = 1_000;
/** Maximum size of deferred hub frames together, bytes, each counted by its upper bound: a character as six bytes. */
export const DEFERRED_BYTES_MAX = 16_777_216;

/** Above this many characters of frames that wait to be handled, the hub's socket is not read until half of them are. */
export const FRAMES_WAITING_MAX = 1_048_576;
/** What a frame counts besides its own characters: a short one takes about as much memory as this. */
export const FRAME_COST = 512;
/** Above this many buffered bytes, no report with a body is written to the socket until it drains. */
export const SOCKET_BYTES_MAX = 1_048_576;
/** Maximum size of `output` in a report, bytes of encoded JSON. */
export const OUTPUT_BYTES_MAX = 262_144;
/** Maximum size of a failure's `details`, bytes of encoded JSON. */
export const DETAILS_BYTES_MAX = 16_384;
/** Maximum size of the stderr tail inside `details`, bytes of encoded JSON. */
export const STDERR_TAIL_BYTES_MAX = 12_288;
/** Maximum size of other program output there, and of the stderr tail in a log line, bytes of encoded JSON. */
export const LAST_OUTPUT_BYTES_MAX = 2_048;
export const LOGGED_STDERR_BYTES_MAX = 2_048;
/** Maximum size of an error, reason or message in a frame, bytes of encoded JSON. */
export const REASON_BYTES_MAX = 8_192;
/**
 * Maximum size of a reason in the journal, bytes of encoded JSON. 128 slots with one each, beside as many tasks and ended assignments as a
 * journal may hold, fit into `JOURNAL_BYTES_MAX`.
 */
export const JOURNALED_REASON_BYTES_MAX = 384;

/** Least time between two sends of a run's live output. */
export const OUTPUT_EVERY_MS = 500;
/** How much live output is held between two sends, or while the hub is not connected; the newest is kept. */
export const OUTPUT_HELD = { charactersMax: 16_384, piecesMax: 32 };

/** Maximum number of surviving processes in a frame. */
export const SURVIVORS_MAX = 1_000;

/** Bounds on a hub's policy. */
export const POLICY_MIN = {
  heartbeat_ms: 50,
  pong_wait_ms: 50,
  reconnect_max_ms: 50,
  lease_ms: 150,
  max_frame_bytes: 4_096,
  reconnect_grace_ms: 0,
};
export const POLICY_MAX = {
  heartbeat_ms: 86_400_000,
  pong_wait_ms: 86_400_000,
  reconnect_max_ms: 86_400_000,
  lease_ms: 86_400_000,
  max_frame_bytes: 1_073_741_824,
  reconnect_grace_ms: 31_536_000_000,
};

/** For a hub that sends no policy. */
export const DEFAULT_POLICY = {
  heartbeat_ms: 30_000,
  pong_wait_ms: 10_000,
  reconnect_max_ms: 60_000,
  lease_ms: 300_000,
  max_frame_bytes: 1_048_576,
  reconnect_grace_ms: 180_000,
};
