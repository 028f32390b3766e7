/**
 * The history of a task: append-only events, each written in the same commit as its change. The events of one task are
 * numbered from 1 (`seq`); the store numbers all events in the order of their commits.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';

export const EVENT_NAMES = [
  'submitted',
  'scheduled',
  'blocked',
  'eligible',
  'assigned',
  'accepted',
  'woken',
  'wake_failed',
  'progress',
  'completed',
  'failed',
  'rejected',
  'released',
  'reclaimed',
  'lost',
  'retried',
  'dead_lettered',
  'cancelled',
  'expired',
  'stop_requested',
  'stop_confirmed',
  'late_result',
  'report_refused',
  'adopted',
  'parked',
  'unparked',
] as const;
export type EventName = (typeof EVENT_NAMES)[number];

export interface TaskEvent {
  readonly taskId: TaskId;
  /** The number of this event in its task, from 1. */
  readonly seq: number;
  readonly event: EventName;
  readonly atMs: number;
  readonly agentId: AgentId | null;
  readonly generation: Generation | null;
  /** The session of the agent if a frame caused the change; null if the hub or an operator did. */
  readonly session: number | null;
  /** A JSON object of at most `EVENT_DETAILS_BYTES_MAX` (event-details.ts); null: no details. */
  readonly details: Readonly<Record<string, unknown>> | null;
}

/** An event with its place in the order of all events of the store, from 1. */
export interface StoredEvent extends TaskEvent {
  readonly id: number;
}
