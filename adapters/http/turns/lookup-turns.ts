/**
 * Lets only a few lookups of each address run at once. So those that find nothing are counted before others begin, and many guesses
 * sent at the same moment are limited like guesses sent one after another.
 */

export interface LookupTurns {
  /** Resolves when the lookup may run, to a function that ends it. Null if too many lookups of this address are already waiting. */
  enter(address: string): Promise<() => void> | null;
}

/** How many lookups of one address run at once. */
const RUNNING_MAX = 8;
/** How many more may wait. */
const WAITING_MAX = 2_000;

export function lookupTurns(): LookupTurns {
  /** Only addresses with a running lookup. */
  const queues = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  return {
    enter(address) {
      const queue = queues.get(address) ?? { running: 0, waiting: [] };
      if (queue.waiting.length >= WAITING_MAX) return null;
      queues.set(address, queue);
      const leave = (): void => {
        const next = queue.waiting.shift();
        if (next !== undefined) return next();
        queue.running -= 1;
        if (queue.running === 0) queues.delete(address);
      };
      if (queue.running < RUNNING_MAX) {
        queue.running += 1;
        return Promise.resolve(leave);
      }
      return new Promise((resolve) => queue.waiting.push(() => resolve(leave)));
    },
  };
}
