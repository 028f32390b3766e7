/** The clock of a hub: timers and durations of its machine, the time of its store. */
import type { Clock } from '../../ports/clock.ts';
import type { TaskStore } from '../../ports/task-store.ts';

/**
 * What is stored, shown or told has the store's time, which several hubs share. What passes inside this process is measured
 * by its machine.
 */
export const hubClock = (machine: Clock, store: Pick<TaskStore, 'nowMs'>): Clock => ({
  nowMs: () => store.nowMs(),
  monotonicMs: () => machine.monotonicMs(),
  after: (delayMs, fire) => machine.after(delayMs, fire),
});
