/** Time. Core gets it only from here, so that tests and the simulation can stop, advance or distort it. */

export interface Timer {
  /** Cancels it; a no-op if it has fired or was cancelled. */
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
