/** Invariants of the store as a whole: agents, keys, stops, and tasks that wait although an agent is free. */
import { mayWork, roomOf } from '../agent/breaker.ts';
import type { AgentId, TaskId } from '../ids.ts';
import { mayTake } from '../task/scheduling.ts';
import { isEnded, isLive } from '../task/task.ts';
import { ofAgent, ofTask, type StoreState, type View, type Violation } from './view.ts';

/** Taken slots by agent: live assignments and unconfirmed stops. */
function slotsTaken({ tasks, stops }: StoreState): ReadonlyMap<AgentId, number> {
  const taken = new Map<AgentId, number>();
  const add = (id: AgentId): unknown => taken.set(id, (taken.get(id) ?? 0) + 1);
  for (const task of tasks) if (isLive(task) && task.assignedTo !== null) add(task.assignedTo);
  for (const stop of stops) add(stop.agentId);
  return taken;
}

/** I10: each key is unique, and its tasks exist or have left a tombstone. */
export function keysNameTasks({ state, tasks, tombstones }: Pick<View, 'state' | 'tasks' | 'tombstones'>): readonly Violation[] {
  const names = state.keys.map(({ owner, key }) => JSON.stringify([owner, key]));
  const twice = names.filter((name, place) => names.indexOf(name) !== place);
  const lost = state.keys.flatMap(({ taskIds }) => taskIds).filter((id) => !tasks.has(id) && !tombstones.has(id));
  return [
    ...twice.map((name): Violation => ({ invariant: 'I10', what: `key ${name} is there twice`, taskId: null, agentId: null })),
    ...lost.map((taskId): Violation => ({
      invariant: 'I10',
      what: 'an idempotency key refers to it, but it is not stored',
      taskId,
      agentId: null,
    })),
  ];
}

/**
 * I12: no task waits for longer than a sweep interval while an agent that may run it is free. An agent that still has to answer an assignment
 * or a stop is not: what was sent to it may be all that it can be sent for now.
 */
function noTaskWaitsBesideFreeAgent(view: View): readonly Violation[] {
  const { state, nowMs } = view;
  const sinceMs = nowMs - state.sweepMs;
  if (state.healthySinceMs > sinceMs) return [];
  const taken = slotsTaken(state);
  const unanswered = new Set<AgentId | null>([
    ...state.tasks.filter((task) => isLive(task) && task.acceptedAtMs === null).map(({ assignedTo }) => assignedTo),
    ...state.stops.map(({ agentId }) => agentId),
  ]);
  const lastOf = new Map<AgentId, number>();
  for (const event of view.events) if (event.agentId !== null) lastOf.set(event.agentId, event.atMs);
  const free = state.agents.filter((agent) => {
    const freeSinceMs = Math.max(agent.connectedAtMs ?? nowMs, lastOf.get(agent.id) ?? 0);
    const hasRoom = (taken.get(agent.id) ?? 0) < roomOf(agent) && !unanswered.has(agent.id);
    return mayWork(agent, sinceMs) && mayWork(agent, nowMs) && hasRoom && freeSinceMs < sinceMs;
  });
  return state.tasks
    .filter((task) => task.status === 'queued' && !task.parked && (task.eligibleAtMs ?? nowMs) < sinceMs)
    .flatMap((task) => {
      const agent = free.find((one) => mayTake(task, one));
      return agent === undefined ? [] : [ofTask('I12', task, `queued, while ${agent.id} may run it and has a free slot`)];
    });
}

/** I14, for the whole store: each history belongs to a task, and each agent has one row. */
function noOrphans({ state, historyOf, tasks }: View): readonly Violation[] {
  const found = [...historyOf.keys()].filter((taskId) => !tasks.has(taskId)).map(historyWithoutTask);
  const ids = state.agents.map((agent) => agent.id);
  for (const id of ids.filter((one, place) => ids.indexOf(one) !== place)) found.push(ofAgent('I14', id, 'it has two rows'));
  return found;
}

export const historyWithoutTask = (taskId: TaskId): Violation => ({
  invariant: 'I14',
  what: 'it has a history but is not stored',
  taskId,
  agentId: null,
});

/** I15: a pending stop is never for the current assignment. */
export function stopsArePast({ state, tasks }: Pick<View, 'state' | 'tasks'>): readonly Violation[] {
  return state.stops.flatMap((stop) => {
    const task = tasks.get(stop.taskId);
    if (task !== undefined && (stop.generation < task.generation || isEnded(task))) return [];
    const what = `a stop of generation ${stop.generation} is pending, but the task is ${task?.status ?? 'not stored'} in ${task?.generation}`;
    return [{ invariant: 'I15', what, taskId: stop.taskId, agentId: stop.agentId } satisfies Violation];
  });
}

export const STORE_INVARIANTS: readonly ((view: View) => readonly Violation[])[] = [
  keysNameTasks,
  noTaskWaitsBesideFreeAgent,
  noOrphans,
  stopsArePast,
];
