/** Removes what is past its retention, in paced batches, so that other work rarely waits for one. */
import type { Clock } from '../../../ports/clock.ts';
import type { CommandInbox, RemoveOldCommand, Settled } from '../batch/commands.ts';
import { Pacer, type PacerBounds } from './pacing.ts';

const REMOVAL_PACING: PacerBounds = { factor: 4, maxMs: 200 };

export class Removals {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #post: CommandInbox['post'];
  readonly #pacer: Pacer;
  #isRunning = false;
  #isStopped = false;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, post: CommandInbox['post']) {
    this.#clock = clock;
    this.#post = post;
    this.#pacer = new Pacer(clock, REMOVAL_PACING);
  }

  /** Removes until nothing is left; a no-op while it runs. */
  begin(): void {
    if (!this.#isRunning && !this.#isStopped) void this.#remove();
  }

  /** Starts no further batch. */
  stop(): void {
    this.#isStopped = true;
    this.#pacer.skip();
  }

  async #remove(): Promise<void> {
    this.#isRunning = true;
    for (let hasMore = true; hasMore && !this.#isStopped; await this.#pacer.wait()) {
      const fromMs = this.#clock.monotonicMs();
      const outcome = await new Promise<Settled<RemoveOldCommand>>((settled) => this.#post({ kind: 'remove_old' }, settled));
      hasMore = !this.#isStopped && outcome.ok && outcome.answer.more;
      this.#pacer.lastMs = hasMore ? this.#clock.monotonicMs() - fromMs : 0;
    }
    this.#isRunning = false;
  }
}
