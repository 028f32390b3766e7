/** Removes what is over for long, portion by portion with rests between, so that others seldom meet one. */
import type { Clock, Timer } from '../../ports/clock.ts';
import type { CommandInbox } from './commands.ts';

/** Rest after a portion, in times as long as that took, and at most, milliseconds. */
const REST_PARTS = 4;
const REST_MAX_MS = 200;

export class Removals {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly #post: CommandInbox['post'];
  #isUnderWay = false;
  #isStopped = false;
  #again: Timer | null = null;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, post: CommandInbox['post']) {
    this.#clock = clock;
    this.#post = post;
  }

  /** Removes until nothing is left to remove, unless it does already. */
  begin(): void {
    if (this.#isUnderWay || this.#isStopped) return;
    this.#isUnderWay = true;
    this.#remove();
  }

  /** Begins no portion any more. */
  stop(): void {
    this.#isStopped = true;
    this.#again?.cancel();
  }

  #remove(): void {
    const fromMs = this.#clock.monotonicMs();
    this.#post({ kind: 'remove_old' }, (outcome) => {
      this.#isUnderWay = outcome.ok && outcome.answer.more && !this.#isStopped;
      if (!this.#isUnderWay) return;
      const restMs = Math.min((this.#clock.monotonicMs() - fromMs) * REST_PARTS, REST_MAX_MS);
      if (restMs < 1) this.#remove();
      else this.#again = this.#clock.after(restMs, () => this.#remove());
    });
  }
}
