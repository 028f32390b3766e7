/** The sidecar's own bounds, each with its unit. What people may set is in `SidecarTiming`, what the hub sets in its policy. */

/** Between a failed try to reach a hub and the next; the longest comes with the hub's policy. */
export const RECONNECT_FIRST_MS = 1_000;
/** The longest at the beginning of an outage, and for how many tries: 5 minutes. Most hubs are back within that, and nobody should wait a minute more. */
export const RECONNECT_EARLY = { maxMs: 15_000, tries: 23 };
/** From the beginning of a connection to `identified`. */
export const IDENTIFY_WITHIN_MS = 30_000;
/** After the hub said that another sidecar has the identity. */
export const HOLD_OFF = { firstMs: 60_000, maxMs: 600_000 };
/** After the hub refused the token: only a person can mend that, so there is no hurry. */
export const REFUSED_WAIT_MS = 60_000;
/** How long an agent may go on after its result before its process tree is stopped. */
export const LINGER_MS = 3_000;
/** How long a stopping sidecar waits for its last reports to be answered. */
export const STOP_WITHIN_MS = 8_000;
/** The longest wait that a frame may ask for: a year. */
export const RETRY_AFTER_MS_MAX = 31_536_000_000;
/** Between two looks whether the agent could run, when the last one passed, and when it failed. */
export const CHECKS_EVERY_MS = 600_000;
export const CHECKS_AGAIN = { firstMs: 10_000, maxMs: 600_000 };
/** An answer of the hub that took longer does not tell what time it is. */
export const ANSWER_WITHIN_MS = 10_000;
/** Between two tries to write a journal that could not be written. */
export const JOURNAL_RETRY_MS = 5_000;
/** Between two tries to look into a results folder that could not be looked at, and how many there are: a minute in all. */
export const LOOK_RETRY_MS = 5_000;
export const LOOK_TRIES_MAX = 12;
/** Between two tries to remove the folders of an assignment, and how many may wait for one, or for their turn. */
export const REMOVE_RETRY_MS = 600_000;
export const REMOVALS_WAITING_MAX = 1_000;
/** Until a timer of the sidecar itself comes again whose turn threw. */
export const STEP_AGAIN_MS = 5_000;
/**
 * After a start: the least that a run has left of its time, and a published task of its own, by a clock that may have been moved
 * meanwhile. What the hub says of the time is taken at once.
 */
export const CLOCK_DOUBT_MS = 300_000;
/** Between two tries to find out about a run that could not be followed. */
export const ATTACH_RETRY_MS = 5_000;
/** What is kept of recorded results that were cut, bytes; beyond it the oldest goes. */
export const KEPT_BYTES_MAX = 268_435_456;
/** The reports in `refused/` and the files of failed assignments that are kept until somebody looks at them, bytes; over it no task is taken. */
export const REFUSED_BYTES_MAX = 1_073_741_824;
/** Between two looks at how much that is, and at the room that is left. */
export const ROOM_LOOK_MS = 60_000;
/** Inputs that wait for the journal; beyond it, frames are dropped, which the hub repeats. Of others there is one of a kind for each run. */
export const DEFERRED_MAX = 1_000;
/** The tasks in the journal, as JSON: with the memory of what ended and the outbox, the journal stays within its size. */
export const JOURNALLED_TASKS_BYTES_MAX = 393_216;

/** Bytes that wait in the socket: beyond it no report with a body is put behind them. It goes once the hub has taken what was before it. */
export const SOCKET_BYTES_MAX = 1_048_576;
/** An agent's `output` in a report, bytes of encoded JSON. */
export const OUTPUT_BYTES_MAX = 262_144;
/** `details` of a failure, bytes of encoded JSON. */
export const DETAILS_BYTES_MAX = 16_384;
/** The end of standard error inside `details`, bytes of encoded JSON: leaves room for the rest. */
export const STDERR_TAIL_BYTES_MAX = 12_288;
/** The end of what a program said beside standard error there, and the end of standard error in a line of the log. */
export const LAST_OUTPUT_BYTES_MAX = 2_048;
export const LOGGED_STDERR_BYTES_MAX = 2_048;
/** An error, a reason or a message in a frame, bytes of encoded JSON. */
export const REASON_BYTES_MAX = 8_192;

/** What a hub's policy may ask for at least and at most: less would be frames without a rest, more would never come. */
export const POLICY_LEAST = {
  heartbeat_ms: 50,
  pong_wait_ms: 50,
  reconnect_max_ms: 50,
  lease_ms: 150,
  max_frame_bytes: 4_096,
  reconnect_grace_ms: 0,
};
export const POLICY_MOST = {
  heartbeat_ms: 86_400_000,
  pong_wait_ms: 86_400_000,
  reconnect_max_ms: 86_400_000,
  lease_ms: 86_400_000,
  max_frame_bytes: 1_073_741_824,
  reconnect_grace_ms: 31_536_000_000,
};

/** What a hub that names no policy is taken to have. */
export const DEFAULT_POLICY = {
  heartbeat_ms: 30_000,
  pong_wait_ms: 10_000,
  reconnect_max_ms: 60_000,
  lease_ms: 300_000,
  max_frame_bytes: 1_048_576,
  reconnect_grace_ms: 180_000,
};
