/** Reads again after anything that may have changed the answer, at most once per interval, however often that happens. */
import type { Clock, Timer } from '../../../core/ports/clock.ts';

export interface Rereads {
  /** Reads now, or once the minimum interval since the last read has passed; a read in progress is followed by another. */
  want(): void;
  stop(): void;
}

/** `read` must not reject. `gapMs`: the least time between the starts of two reads. */
export function rereads(clock: Pick<Clock, 'monotonicMs' | 'after'>, gapMs: number, read: () => Promise<void>): Rereads {
  let readAtMs = -Infinity;
  let timer: Timer | null = null;
  let [isReading, again, isStopped] = [false, false, false];
  const run = async (): Promise<void> => {
    [timer, isReading, again, readAtMs] = [null, true, false, clock.monotonicMs()];
    await read();
    isReading = false;
    if (again) want();
  };
  const want = (): void => {
    again = isReading;
    if (isStopped || isReading || timer !== null) return;
    timer = clock.after(Math.max(0, readAtMs + gapMs - clock.monotonicMs()), () => void run());
  };
  return {
    want,
    stop() {
      isStopped = true;
      timer?.cancel();
    },
  };
}
