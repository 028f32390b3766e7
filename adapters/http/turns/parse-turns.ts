/**
 * Limits what all requests together parse in one turn of the event loop; the rest waits for the next turns, in which owners take turns. So
 * neither many bodies nor long ones block the hub, and those of one owner delay the next slice of another by about one slice.
 */

/** What is parsed in one turn: a few milliseconds of work. A body that is read as a whole counts as one line. */
const TURN_BYTES = 131_072;
export const TURN_LINES = 200;

export interface ParseTurns {
  /** Whether nothing more is parsed in this turn. */
  isOver(): boolean;
  /** Counts a line that was parsed. */
  parsed(bytes: number): void;
  /**
   * Calls `slice` at once, unless this turn is over or others wait; else in a later turn. Calls it again in later turns while it returns
   * undefined, which it MUST do only once the turn is over. Returns what it returns at last, without a promise if that was at once.
   */
  run<T>(owner: string, slice: () => T | undefined): T | Promise<T>;
}

export function parseTurns(): ParseTurns {
  let bytes = 0;
  let lines = 0;
  /** By owner, in the order of their turns. `bodyBytesPerToken` limits it in bytes: each slice is of a body that is in that budget, or has at most 1 KiB. */
  const waiting = new Map<string, (() => void)[]>();

  const isOver = (): boolean => bytes >= TURN_BYTES || lines >= TURN_LINES;
  const wait = (owner: string, slice: () => void): void => {
    const slices = waiting.get(owner);
    if (slices === undefined) waiting.set(owner, [slice]);
    else slices.push(slice);
  };
  const nextTurn = (): void => {
    bytes = 0;
    lines = 0;
    for (const [owner, slices] of waiting) {
      if (isOver()) return;
      // Last in the order, if more of it waits.
      waiting.delete(owner);
      const slice = slices.shift();
      if (slices.length > 0) waiting.set(owner, slices);
      slice?.();
    }
  };

  return {
    isOver,
    parsed(count) {
      if (lines === 0) setImmediate(nextTurn);
      bytes += count;
      lines += 1;
    },
    run(owner, slice) {
      const result = waiting.size > 0 || isOver() ? undefined : slice();
      if (result !== undefined) return result;
      return new Promise((resolve, reject) => {
        const again = (): void => {
          try {
            const last = slice();
            if (last === undefined) wait(owner, again);
            else resolve(last);
          } catch (thrown) {
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
          }
        };
        wait(owner, again);
      });
    },
  };
}
