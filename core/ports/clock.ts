/** Time. Core takes it only from here, so that a test or the simulation can hold it still, move it or bend it. */

export interface Timer {
  /** Ends it; nothing happens if it has fired or was cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Wall time in milliseconds since 1970 (UTC); may jump either way. For times that are stored or shown. */
  nowMs(): number;
  /** Milliseconds since an arbitrary start. MUST NOT go backwards. For durations inside this process. */
  monotonicMs(): number;
  /**
   * Calls `fire` once, `delayMs` from now by the monotonic clock.
   * MUST NOT fire early, nor from inside this call, nor after `cancel`. MUST take delays of any length (a delay over
   * 2^31 ms must not fire at once) and treat a negative one as 0.
   */
  after(delayMs: number, fire: () => void): Timer;
}
