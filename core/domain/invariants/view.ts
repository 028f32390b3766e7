/** The view of a store that invariants check. */
import type { Agent, PendingStop } from '../agent/agent.ts';
import { isAgentEvent, type StoredEvent } from '../task/event.ts';
import type { AgentId, TaskId } from '../ids.ts';
import type { Task } from '../task/task.ts';
import type { Tombstone } from '../task/tombstone.ts';

/** A consistent snapshot of a store's rows, and the state of its hub. */
export interface StoreState {
  readonly tasks: readonly Task[];
  readonly agents: readonly Agent[];
  readonly stops: readonly PendingStop[];
  /** Of removed tasks. Default: none. */
  readonly tombstones?: readonly Tombstone[] | undefined;
  readonly keys: readonly { readonly owner: string; readonly key: string; readonly taskIds: readonly TaskId[] }[];
  /** The time between two sweeps of the hub. */
  readonly sweepMs: number;
  /** Since when the hub has run and committed without interruption. */
  readonly healthySinceMs: number;
}

export const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10', 'I11', 'I12', 'I13', 'I14', 'I15', 'I16'] as const;
export type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  readonly invariant: Invariant;
  /** One sentence for people. */
  readonly what: string;
  readonly taskId: TaskId | null;
  readonly agentId: AgentId | null;
}

/** The store with indexes. */
export interface View {
  readonly state: StoreState;
  readonly events: readonly StoredEvent[];
  readonly nowMs: number;
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly tombstones: ReadonlyMap<TaskId, Tombstone>;
  readonly agents: ReadonlyMap<AgentId, Agent>;
  readonly historyOf: ReadonlyMap<TaskId, readonly StoredEvent[]>;
}

export function viewOf(state: StoreState, events: readonly StoredEvent[], nowMs: number): View {
  const historyOf = new Map<TaskId, StoredEvent[]>();
  for (const event of events) {
    if (isAgentEvent(event)) continue;
    const known = historyOf.get(event.taskId);
    if (known === undefined) historyOf.set(event.taskId, [event]);
    else known.push(event);
  }
  return {
    state,
    events,
    nowMs,
    tasks: new Map(state.tasks.map((task) => [task.id, task])),
    tombstones: new Map((state.tombstones ?? []).map((tombstone) => [tombstone.id, tombstone])),
    agents: new Map(state.agents.map((agent) => [agent.id, agent])),
    historyOf,
  };
}

export const history = (task: Task, view: View): readonly StoredEvent[] => view.historyOf.get(task.id) ?? [];

export const ofTask = (invariant: Violation['invariant'], task: Task, what: string): Violation => ({
  invariant,
  what,
  taskId: task.id,
  agentId: task.assignedTo,
});
export const ofAgent = (invariant: Violation['invariant'], agentId: AgentId, what: string): Violation => ({
  invariant,
  what,
  taskId: null,
  agentId,
});
