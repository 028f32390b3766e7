/**
 * What must be true of a store at any moment, whatever happened: each invariant is a small pure function from the store's
 * rows and its history to what is wrong. The next rooms hold them; this asks them all. Who cannot hold a whole store at once
 * asks them piece by piece: `checkTasks` of some tasks with their histories, `historyChecks` of one event after the other.
 */
import type { StoredEvent } from '../task/event.ts';
import { historyChecks, type HistoryCheck } from './history-checks.ts';
import { STORE_INVARIANTS } from './store-invariants.ts';
import { TASK_INVARIANTS } from './task-invariants.ts';
import { viewOf, type Invariant, type StoreState, type View, type Violation } from './view.ts';
import type { Task } from '../task/task.ts';

export { historyWithoutTask, keysNameTasks, stopsArePast } from './store-invariants.ts';
export { historyChecks, viewOf, type HistoryCheck, type Invariant, type StoreState, type View, type Violation };

/** What is wrong with these tasks. `view` holds them, what they depend on, their histories, and all agents. */
export const checkTasks = (tasks: readonly Task[], view: View): readonly Violation[] =>
  tasks.flatMap((task) => TASK_INVARIANTS.flatMap((check) => check(task, view)));

/** Everything that is wrong; empty when nothing is. `events` are the whole history, lowest id first. */
export function checkInvariants(state: StoreState, events: readonly StoredEvent[], nowMs: number): readonly Violation[] {
  const view = viewOf(state, events, nowMs);
  return [
    ...checkTasks(state.tasks, view),
    ...historyChecks(view.agents).flatMap((check) => [...events.flatMap((event) => check.see(event)), ...check.end()]),
    ...STORE_INVARIANTS.flatMap((check) => check(view)),
  ];
}
