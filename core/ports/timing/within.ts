import type { Clock, Timer } from '../clock.ts';

/** Waits for `work`, but at most `withinMs`. False if it takes longer: it may still be running. Rejects if `work` does. */
export async function within(clock: Clock, withinMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: Timer | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = clock.after(withinMs, () => resolve(false));
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timer?.cancel();
  }
}
