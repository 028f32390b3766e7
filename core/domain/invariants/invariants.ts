/**
 * What must be true of a store at any moment, whatever has happened. Each invariant is a small pure function from rows and
 * history to violations. `checkInvariants` checks a whole store in memory; larger ones are checked in pieces: `checkTasks` for
 * some tasks with their histories, `historyChecks` for the events one by one.
 */
import type { TaskId } from '../ids.ts';
import type { StoredEvent } from '../task/event.ts';
import { historyChecks } from './history-checks.ts';
import { STORE_INVARIANTS } from './store-invariants.ts';
import { HISTORY_INVARIANTS, ROW_INVARIANTS } from './task-invariants.ts';
import { viewOf, type Invariant, type StoreState, type View, type Violation } from './view.ts';
import type { Task } from '../task/task.ts';

export { historyWithoutTask, keysNameTasks, stopsArePast } from './store-invariants.ts';
export { historyChecks, viewOf, type Invariant, type StoreState, type View, type Violation };

const NO_TASKS: ReadonlySet<TaskId> = new Set();

/**
 * Violations of these tasks. `view` contains them, their dependencies, their histories except for those of `withoutHistory`, and all agents.
 */
export const checkTasks = (tasks: readonly Task[], view: View, withoutHistory = NO_TASKS): readonly Violation[] =>
  tasks.flatMap((task) => [
    ...(withoutHistory.has(task.id) ? [] : HISTORY_INVARIANTS.flatMap((check) => check(task, view))),
    ...ROW_INVARIANTS.flatMap((check) => check(task, view)),
  ]);

/** All violations. `events`: the whole history, lowest id first. */
export function checkInvariants(state: StoreState, events: readonly StoredEvent[], nowMs: number): readonly Violation[] {
  const view = viewOf(state, events, nowMs);
  return [
    ...checkTasks(state.tasks, view),
    ...historyChecks(view.agents).flatMap((check) => [...events.flatMap((event) => check.next(event)), ...check.end()]),
    ...STORE_INVARIANTS.flatMap((check) => check(view)),
  ];
}
