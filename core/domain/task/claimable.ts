/**
 * Which tasks may be assigned, and in which order. Stores find them by indexes and queries of their own; their contract compares the
 * results with these functions.
 */
import { PRIORITIES, type Task } from './task.ts';

/** When a queued task is or was ready: its place among those of its priority. */
export const readyAtMs = (task: Pick<Task, 'eligibleAtMs' | 'createdAtMs'>): number => task.eligibleAtMs ?? task.createdAtMs;

/** Whether it waits for an agent, now or after its backoff. */
export const isWaiting = (task: Pick<Task, 'status' | 'parked'>): boolean => task.status === 'queued' && !task.parked;

/** Whether it is ready at `nowMs`. Before it is assigned `isOver` is checked too: the sweep that expires it may be late. */
export const isClaimable = (task: Task, nowMs: number): boolean => isWaiting(task) && readyAtMs(task) <= nowMs;

/** The order within a priority, and of the oldest over all priorities: the time when it became ready, then id. */
export const compareByAge = (a: Task, b: Task): number => readyAtMs(a) - readyAtMs(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** The order in which tasks of one requirement are assigned: by priority, urgent to low, then by age. */
export const compareClaimable = (a: Task, b: Task): number =>
  PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || compareByAge(a, b);
