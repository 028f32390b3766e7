/**
 * Which waiting task may be given to an agent, and which comes first. Stores find these with indexes and queries of their own; their
 * contract compares what they find with what stands here.
 */
import { PRIORITIES, type Task } from './task.ts';

/** From when on the task may be given out, if it waits: its place among those of its priority. */
export const readyAtMs = (task: Pick<Task, 'eligibleAtMs' | 'createdAtMs'>): number => task.eligibleAtMs ?? task.createdAtMs;

/** Whether it waits for an agent, now or later. */
export const isWaiting = (task: Pick<Task, 'status' | 'parked'>): boolean => task.status === 'queued' && !task.parked;

/** Whether an agent may be given it at `nowMs`. Whether its time is over is asked too before it is (`isOver`): its sweep may be late. */
export const isClaimable = (task: Task, nowMs: number): boolean => isWaiting(task) && readyAtMs(task) <= nowMs;

/** The order within a priority, and over all priorities for the oldest: the time from which on it may be given out, then id. */
export const compareByAge = (a: Task, b: Task): number => readyAtMs(a) - readyAtMs(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** The order in which tasks of one requirement are given out: priorities from urgent to low, each by age. */
export const compareClaimable = (a: Task, b: Task): number =>
  PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || compareByAge(a, b);
