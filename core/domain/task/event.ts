/**
 * The history of tasks and agents: append-only events, each written in the same commit as its change. The events of one task are
 * numbered from 1 (`seq`); the store numbers all events in the order of their commits.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';

/** The names of the events of tasks. They are stored and shown, so their meaning never changes. */
export const TASK_EVENT_NAMES = [
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
/** What can happen to a task. */
export type TaskEventName = (typeof TASK_EVENT_NAMES)[number];

/** What happens to an agent: see agent-events.ts. */
export const AGENT_EVENT_NAMES = ['agent_connected', 'agent_disconnected', 'agent_draining', 'agent_paused', 'agent_resumed'] as const;
/** What can happen to an agent. */
export type AgentEventName = (typeof AGENT_EVENT_NAMES)[number];
/** Whether this is the name of an event of an agent. */
export const isAgentEventName = (name: EventName): name is AgentEventName => name.startsWith('agent_');
/** The names of the events that say whether an agent is connected. The other events of an agent say whether it may get tasks. */
export const PRESENCE_EVENT_NAMES: readonly EventName[] = ['agent_connected', 'agent_disconnected'] satisfies AgentEventName[];

/** The names of all events. */
export const EVENT_NAMES = [...TASK_EVENT_NAMES, ...AGENT_EVENT_NAMES] as const;
/** What can happen to a task or an agent. */
export type EventName = (typeof EVENT_NAMES)[number];

/** What happened to a task or an agent, as it is written in the commit of the change. */
export interface TaskEvent {
  /** For an agent's event: `agentHistoryId`. */
  readonly taskId: TaskId;
  /** The number of this event in its task, from 1; that of an agent's event only grows. */
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

const AGENT_HISTORY = 'agent:';

/** What the events of an agent have instead of a task id, since all events share one order and one store. No task has such an id. */
export const agentHistoryId = (agentId: AgentId): TaskId => `${AGENT_HISTORY}${agentId}` as TaskId;

/** Whether this happened to an agent, not to a task. */
export const isAgentEvent = ({ taskId }: Pick<TaskEvent, 'taskId'>): boolean => taskId.startsWith(AGENT_HISTORY);

/** The `taskId` of every agent event, and of no other, is at least the first of these texts and below the second. */
export const AGENT_HISTORIES = [AGENT_HISTORY, 'agent;'] as const;
