/**
 * What must be true of a store at any moment, whatever happened: each invariant is a small pure function from the store's
 * rows and its history to what is wrong. The next rooms hold them; this asks them all.
 */
import type { StoredEvent } from './event.ts';
import { STORE_INVARIANTS } from './invariants/store-invariants.ts';
import { TASK_INVARIANTS } from './invariants/task-invariants.ts';
import { viewOf, type StoreState, type Violation } from './invariants/view.ts';

export type { StoreState, Violation };

/** Everything that is wrong; empty when nothing is. `events` are the whole history, lowest id first. */
export function checkInvariants(state: StoreState, events: readonly StoredEvent[], nowMs: number): readonly Violation[] {
  const view = viewOf(state, events, nowMs);
  return [
    ...state.tasks.flatMap((task) => TASK_INVARIANTS.flatMap((check) => check(task, view))),
    ...STORE_INVARIANTS.flatMap((check) => check(view)),
  ];
}
