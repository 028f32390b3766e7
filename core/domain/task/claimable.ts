/**
 * Which tasks a store finds for an agent (see "claimable" in the glossary), and in which order. Stores use indexes and queries of their
 * own; the storage contract compares their results with these functions.
 */
import { PRIORITIES, type Task } from './task.ts';

/** When a queued task becomes claimable. Orders the tasks of one priority. */
export const readyAtMs = (task: Pick<Task, 'eligibleAtMs' | 'createdAtMs'>): number => task.eligibleAtMs ?? task.createdAtMs;

/** Whether it waits for an agent, or for its backoff to end first. */
export const isWaiting = (task: Pick<Task, 'status' | 'parked'>): boolean => task.status === 'queued' && !task.parked;

/** Whether it is queued, not parked and past its backoff. Callers also check `isOver`: the sweep that expires it may be late. */
export const isClaimable = (task: Task, nowMs: number): boolean => isWaiting(task) && readyAtMs(task) <= nowMs;

/** The order within one priority, and across all priorities for the oldest task: by the time when it became claimable, then by id. */
export const compareByAge = (a: Task, b: Task): number => readyAtMs(a) - readyAtMs(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** The order in which tasks of one requirement are assigned: by priority, from urgent to low, then by age. */
export const compareClaimable = (a: Task, b: Task): number =>
  PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || compareByAge(a, b);
