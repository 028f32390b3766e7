/** Which of the counted calls fails: the Nth from the moment it is armed, alone or with all after it. */

export interface Aim {
  /** 1 is the next call. */
  readonly nth: number;
  /** All calls after it fail too, until it is repaired. */
  readonly lasting: boolean;
}

export class CallCount {
  #aim: Aim | null = null;
  #calls = 0;
  #isMet = false;
  #isPaused = false;

  /** Counts from here. */
  arm(aim: Aim): void {
    this.#aim = aim;
    this.#calls = 0;
    this.#isMet = false;
  }

  /** No call fails any more. */
  disarm(): void {
    this.#aim = null;
  }

  /** Calls since it was armed. */
  get calls(): number {
    return this.#calls;
  }

  get isArmed(): boolean {
    return this.#aim !== null;
  }

  /** Whether the Nth call came. */
  get isMet(): boolean {
    return this.#isMet;
  }

  /** Calls made by `work` are neither counted nor failed: an observation from outside. */
  async uncounted<T>(work: () => Promise<T>): Promise<T> {
    this.#isPaused = true;
    try {
      return await work();
    } finally {
      this.#isPaused = false;
    }
  }

  /** A call is made. Returns whether it fails. */
  hits(): boolean {
    if (this.#aim === null || this.#isPaused) return false;
    this.#calls += 1;
    if (this.#calls === this.#aim.nth) {
      this.#isMet = true;
      return true;
    }
    return this.#aim.lasting && this.#calls > this.#aim.nth;
  }
}
