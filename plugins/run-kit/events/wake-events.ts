/**
 * Turns work that tells events into the AsyncIterable of a runner. Not an async generator: there `return()` waits behind
 * a pending `next()`, so that a sidecar could not let go of a run that says nothing for hours.
 */
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';

/** Resolves when the event was taken, or when nobody listens any more. Events are taken one at a time, in order. */
export type Emit = (event: WakeEvent) => Promise<void>;

/**
 * `tell` begins with the first `next()`. `left` is aborted when the listener lets go: then it must stop watching, leave the run alive
 * and return. What it throws is thrown to the listener.
 */
export function wakeEvents(tell: (emit: Emit, left: AbortSignal) => Promise<void>): AsyncIterable<WakeEvent> {
  return {
    [Symbol.asyncIterator]() {
      const exchange = eventExchange();
      let isBegun = false;
      return {
        next() {
          if (!isBegun) {
            isBegun = true;
            tell(exchange.emit, exchange.left).then(exchange.end, exchange.fail);
          }
          return exchange.take();
        },
        return() {
          isBegun = true;
          exchange.leave();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

/** One event at most waits here: `emit` hands it over and waits until it is taken. */
function eventExchange() {
  const leaving = new AbortController();
  const offers: { readonly event: WakeEvent; readonly taken: () => void }[] = [];
  const takers: { readonly resolve: (result: IteratorResult<WakeEvent>) => void; readonly reject: (error: unknown) => void }[] = [];
  let hasEnded = false;
  let failure: { readonly error: unknown } | null = null;

  const match = (): void => {
    while (takers.length > 0) {
      const offer = offers.shift();
      if (offer === undefined && !hasEnded) return;
      const taker = takers.shift();
      if (offer !== undefined) {
        taker?.resolve({ done: false, value: offer.event });
        offer.taken();
      } else if (failure !== null) {
        taker?.reject(failure.error);
        failure = null;
      } else {
        taker?.resolve({ done: true, value: undefined });
      }
    }
  };

  return {
    left: leaving.signal,
    emit: (event: WakeEvent): Promise<void> =>
      new Promise((taken) => {
        if (hasEnded) {
          taken();
          return;
        }
        offers.push({ event, taken });
        match();
      }),
    take: (): Promise<IteratorResult<WakeEvent>> =>
      new Promise((resolve, reject) => {
        takers.push({ resolve, reject });
        match();
      }),
    end(): void {
      hasEnded = true;
      match();
    },
    fail(error: unknown): void {
      if (!hasEnded) failure = { error };
      hasEnded = true;
      match();
    },
    leave(): void {
      hasEnded = true;
      leaving.abort();
      for (const offer of offers.splice(0)) offer.taken();
      match();
    },
  };
}
