/** Collects callbacks, so that a test can wait for the next one instead of sleeping. */

/** How long a test waits for something that must come, in milliseconds. */
const WAIT_MS = 10_000;

export interface EventInbox<T> {
  put(value: T): void;
  /** The next one not taken yet, once it comes; fails after 10 s, naming what was waited for. */
  next(wanted: string): Promise<T>;
  /** Those that were not taken yet. */
  readonly left: readonly T[];
}

export const eventInbox = <T>(): EventInbox<T> => {
  const left: T[] = [];
  const takers: ((value: T) => void)[] = [];

  return {
    put(value) {
      const taker = takers.shift();
      if (taker === undefined) left.push(value);
      else taker(value);
    },
    next(wanted) {
      if (left.length > 0) return Promise.resolve(left.shift() as T);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`Waited ${WAIT_MS} ms for ${wanted}; nothing came.`)), WAIT_MS);
        takers.push((value) => {
          clearTimeout(late);
          resolve(value);
        });
      });
    },
    left,
  };
};
