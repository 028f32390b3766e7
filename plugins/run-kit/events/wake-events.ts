/**
 * Turns a function that emits events into a runner's AsyncIterable. Not an async generator: there, `return()` waits for
 * a pending `next()`, so a sidecar could not stop following a run that is silent for hours.
 */
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';

/**
 * Resolves when the event was consumed, or when nobody is listening any more. Events are consumed one at a time, in
 * order.
 */
export type Emit = (event: WakeEvent) => Promise<void>;

/**
 * `produce` starts with the first `next()`. `detachSignal` is aborted when the consumer stops listening: then `produce`
 * must stop watching, leave the run alive and return. What it throws is thrown to the consumer.
 */
export function wakeEvents(produce: (emit: Emit, detachSignal: AbortSignal) => Promise<void>): AsyncIterable<WakeEvent> {
  return {
    [Symbol.asyncIterator]() {
      const exchange = eventExchange();
      let isBegun = false;
      return {
        next() {
          if (!isBegun) {
            isBegun = true;
            produce(exchange.emit, exchange.detachSignal).then(exchange.end, exchange.fail);
          }
          return exchange.next();
        },
        return() {
          isBegun = true;
          exchange.detach();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

/** Holds at most one event: `emit` waits until it is consumed. */
function eventExchange() {
  const detaching = new AbortController();
  const queue: { readonly event: WakeEvent; readonly consumed: () => void }[] = [];
  const consumers: { readonly resolve: (result: IteratorResult<WakeEvent>) => void; readonly reject: (error: unknown) => void }[] = [];
  let hasEnded = false;
  let failure: { readonly error: unknown } | null = null;

  const match = (): void => {
    while (consumers.length > 0) {
      const item = queue.shift();
      if (item === undefined && !hasEnded) return;
      const consumer = consumers.shift();
      if (item !== undefined) {
        consumer?.resolve({ done: false, value: item.event });
        item.consumed();
      } else if (failure !== null) {
        consumer?.reject(failure.error);
        failure = null;
      } else {
        consumer?.resolve({ done: true, value: undefined });
      }
    }
  };

  return {
    detachSignal: detaching.signal,
    emit: (event: WakeEvent): Promise<void> =>
      new Promise((consumed) => {
        if (hasEnded) {
          consumed();
          return;
        }
        queue.push({ event, consumed });
        match();
      }),
    next: (): Promise<IteratorResult<WakeEvent>> =>
      new Promise((resolve, reject) => {
        consumers.push({ resolve, reject });
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
    detach(): void {
      hasEnded = true;
      detaching.abort();
      for (const item of queue.splice(0)) item.consumed();
      match();
    },
  };
}
