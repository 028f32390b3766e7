/** Time. Core gets it only from here, so that tests and the simulation can stop, advance or distort it. */

export interface Timer {
  /** Cancels it; a no-op if it has fired or was cancelled. */
  cancel(): void;
}

/** Time, and timers. */
export interface Clock {
  /** Wall time in milliseconds since 1970 (UTC); may jump in either direction. For times that are stored or shown. */
  nowMs(): number;
  /** Milliseconds since an arbitrary start. MUST NOT go backwards. For durations inside this process. */
  monotonicMs(): number;
  /**
   * Calls `fire` once, after `delayMs` of the monotonic clock.
   * MUST NOT fire early, nor synchronously inside this call, nor after `cancel`. MUST accept delays of any length (one over 2^31 ms
   * must not fire at once), and treat a negative one as 0.
   */
  after(delayMs: number, fire: () => void): Timer;
}
