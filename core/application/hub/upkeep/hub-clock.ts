/** The clock of a hub: timers and durations of its machine, the time of its store. */
import type { Clock } from '../../../ports/clock.ts';
import type { TaskStore } from '../../../ports/task-store.ts';

export interface HubClock extends Clock {
  /** What the hub tells others of the time, for them to compare with their own. Differs from `nowMs` only where the clock was set back. */
  wallMs(): number;
}

/**
 * What is stored, shown or told has the store's time, which several hubs share and which never jumps back. What passes inside this
 * process is measured by its machine.
 */
export const hubClock = (machine: Clock, store: Pick<TaskStore, 'nowMs' | 'wallMs'>): HubClock => ({
  nowMs: () => store.nowMs(),
  wallMs: () => store.wallMs(),
  monotonicMs: () => machine.monotonicMs(),
  after: (delayMs, fire) => machine.after(delayMs, fire),
});
