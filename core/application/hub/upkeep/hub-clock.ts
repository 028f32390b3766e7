/** The clock of a hub: timers and durations of its machine, wall time of its store. */
import type { Clock } from '../../../ports/clock.ts';
import type { TaskStore } from '../../../ports/task-store.ts';

export interface HubClock extends Clock {
  /** The time that the hub sends to others, for them to compare with their own. Differs from `nowMs` only after the clock was set back. */
  wallMs(): number;
}

/**
 * Every time that is stored, shown or sent is store time, which several hubs share and which never goes back. Durations inside this
 * process are measured by its machine.
 */
export const hubClock = (machine: Clock, store: Pick<TaskStore, 'nowMs' | 'wallMs'>): HubClock => ({
  nowMs: () => store.nowMs(),
  wallMs: () => store.wallMs(),
  monotonicMs: () => machine.monotonicMs(),
  after: (delayMs, fire) => machine.after(delayMs, fire),
});
