/** Removes what is over for long, portion by portion with rests between, so that others seldom meet one. */
import type { Clock } from '../../../ports/clock.ts';
import type { CommandInbox, RemoveOldCommand, Settled } from '../batch/commands.ts';
import { Rest, type RestBounds } from './pacing.ts';

const PORTION_REST: RestBounds = { parts: 4, mostMs: 200 };

export class Removals {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #post: CommandInbox['post'];
  readonly #rest: Rest;
  #isUnderWay = false;
  #isStopped = false;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, post: CommandInbox['post']) {
    this.#clock = clock;
    this.#post = post;
    this.#rest = new Rest(clock, PORTION_REST);
  }

  /** Removes until nothing is left to remove, unless it does already. */
  begin(): void {
    if (!this.#isUnderWay && !this.#isStopped) void this.#remove();
  }

  /** Begins no portion any more. */
  stop(): void {
    this.#isStopped = true;
    this.#rest.end();
  }

  async #remove(): Promise<void> {
    this.#isUnderWay = true;
    for (let hasMore = true; hasMore && !this.#isStopped; await this.#rest.wait()) {
      const fromMs = this.#clock.monotonicMs();
      const outcome = await new Promise<Settled<RemoveOldCommand>>((settled) => this.#post({ kind: 'remove_old' }, settled));
      hasMore = !this.#isStopped && outcome.ok && outcome.answer.more;
      this.#rest.lastMs = hasMore ? this.#clock.monotonicMs() - fromMs : 0;
    }
    this.#isUnderWay = false;
  }
}
