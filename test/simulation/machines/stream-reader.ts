/** A client that reads the history as it grows and resumes by id, like a stream of the hub: J6. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { EventFeed } from '../../../core/ports/event-feed.ts';
import type { Ledger } from '../judges/sim-ledger.ts';
import type { Life } from '../runner/world-life.ts';

const PAGE = 500;

export class StreamReader {
  readonly #name: string;
  readonly #ledger: Ledger;
  #lastId = 0;
  #reading: Life | null = null;

  constructor(name: string, ledger: Ledger) {
    this.#name = name;
    this.#ledger = ledger;
  }

  /** There is more to read, at this process of its hub. */
  wake(feed: EventFeed, life: Life): void {
    if (this.#reading === life) return;
    this.#reading = life;
    life
      .gate(feed.after(this.#lastId, {}, PAGE))
      .then(
        ({ events, untilId }) => {
          this.#ledger.streamed(this.#name, events);
          this.#lastId = untilId;
        },
        (error: unknown) => {
          // The storage of a hub that stops is closed; the next process continues to read.
          if (!AgentcomError.is(error, 'AC_STORE_CLOSED')) throw error;
        },
      )
      .finally(() => (this.#reading = null));
  }
}
