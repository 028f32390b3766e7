/**
 * The invariants after one commit: those of the whole store (`checkInvariants`), applied to the tasks that it changed
 * and what these refer to, and those that can be seen only at this moment: slots, order and sender of each change.
 */
import type { MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { Agent } from '../../../core/domain/agent/agent.ts';
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import {
  checkInvariants,
  checkTasks,
  stopsArePast,
  viewOf,
  type StoreState,
  type Violation,
} from '../../../core/domain/invariants/invariants.ts';
import { OLDEST_EVERY } from '../../../core/domain/task/rules.ts';
import { compareByAge } from '../../../core/domain/task/claimable.ts';
import { PRIORITIES, type Requirement, type Task } from '../../../core/domain/task/task.ts';
import type { Changes } from '../../../core/ports/task-store.ts';

/** What a commit did, and what was seen before it. */
export interface Step {
  readonly database: MemoryDatabase;
  readonly changes: Changes;
  readonly events: readonly StoredEvent[];
  /** By the store's clock, when the batch was created. */
  readonly nowMs: number;
  /** Whether this batch could have assigned the task; null: any waiting task. With several hubs, rows locked by another are skipped. */
  readonly couldGo: ((id: TaskId) => boolean) | null;
  readonly sweepMs: number;
  /** The newest session of each agent that changed something; kept up to date here. */
  readonly sessions: Map<AgentId, number>;
}

export interface Found {
  readonly rule: string;
  readonly what: string;
}

/** Everything that is wrong since this commit. */
export function checkStep(step: Step): readonly Found[] {
  return [...changedTasks(step), ...keysNameTasks(step), ...assignments(step), ...senders(step)];
}

/** The whole store, periodically and at the end. `healthySinceMs`: since when all of its hubs have been healthy, by the store's clock. */
export function checkWhole(database: MemoryDatabase, nowMs: number, sweepMs: number, healthySinceMs: number): readonly Found[] {
  const state: StoreState = {
    tasks: [...database.tasks.values()].map(({ task }) => task),
    agents: [...database.agents.values()],
    stops: [...database.stops.values()],
    keys: [...database.keys.values()],
    sweepMs,
    healthySinceMs,
  };
  return checkInvariants(state, database.events, nowMs).map(foundBy);
}

const foundBy = ({ invariant, what, taskId, agentId }: Violation): Found => ({
  rule: invariant,
  what: `${taskId ?? agentId ?? ''}: ${what}`,
});

function changedTasks({ database, changes, nowMs, sweepMs }: Step): readonly Found[] {
  const near = new Map<TaskId, Task>();
  const visit = (id: TaskId): void => {
    const kept = database.tasks.get(id);
    if (kept === undefined || near.has(id)) return;
    near.set(id, kept.task);
    for (const dependency of kept.task.dependsOn) visit(dependency);
  };
  for (const { task } of changes.inserted) visit(task.id);
  for (const { task } of changes.updated) visit(task.id);
  if (near.size === 0) return [];
  const state: StoreState = {
    tasks: [...near.values()],
    agents: [...database.agents.values()],
    stops: [...database.stops.values()].filter((stop) => near.has(stop.taskId)),
    keys: [],
    sweepMs,
    // What takes time to go wrong is checked with the whole store.
    healthySinceMs: nowMs,
  };
  const events = [...near.keys()].flatMap((id) => database.eventsOf.get(id) ?? []);
  const view = viewOf(state, events, nowMs);
  return [...checkTasks(state.tasks, view), ...stopsArePast(view)].map(foundBy);
}

/** I10, for the keys of this commit. */
const keysNameTasks = ({ database, changes }: Step): readonly Found[] =>
  changes.keys
    .filter(({ taskIds }) => taskIds.some((id) => !database.tasks.has(id)))
    .map(({ key }) => ({ rule: 'I10', what: `the key ${key} names a task that is not stored` }));

/** I4 and I13, for the assignments of this commit. */
function assignments(step: Step): readonly Found[] {
  const { database, events } = step;
  const assigned = events.filter(({ event }) => event === 'assigned');
  const found: Found[] = [];
  for (const [place, { taskId, agentId, generation }] of assigned.entries()) {
    const agent = agentId === null ? undefined : database.agents.get(agentId);
    const task = database.tasks.get(taskId)?.task;
    if (agent === undefined || task === undefined) continue;
    const name = `${taskId}.g${generation} to ${agentId}`;
    const taken = slotsTaken(database, agent.id);
    if (taken > agent.slots) found.push({ rule: 'I4', what: `${name}: it has ${taken} assignments and stops in ${agent.slots} slots` });
    if (!mayRun(task.requirement, agent)) found.push({ rule: 'I13', what: `${name}: it may not run it` });
    const later = assigned.slice(place + 1).filter((other) => other.agentId === agentId).length;
    found.push(...outOfOrder(step, task, agent, agent.assignedCount - later));
  }
  return found;
}

/** Deliberately repeated here: the rule that checks the hub must not be the hub's own. */
const mayRun = ({ assignTo, capabilities }: Requirement, agent: Agent): boolean =>
  (assignTo === null || assignTo === agent.id) && capabilities.every((capability) => agent.capabilities.includes(capability));

function slotsTaken(database: MemoryDatabase, agentId: AgentId): number {
  let taken = 0;
  for (const { task } of database.current.values()) if (task.status === 'assigned' && task.assignedTo === agentId) taken += 1;
  for (const stop of database.stops.values()) if (stop.agentId === agentId) taken += 1;
  return taken;
}

/** Its `ttl_ms` or `complete_by` has passed: it is not assigned, and waits for a sweep to end it. */
const isOver = ({ expiresAtMs, completeByMs }: Task, nowMs: number): boolean =>
  (expiresAtMs ?? Infinity) <= nowMs || (completeByMs ?? Infinity) <= nowMs;

/**
 * I13: of the tasks still waiting after the commit none had precedence over this one: in its lane, or, with each 16th
 * assignment of the agent, in all lanes.
 */
function outOfOrder({ database, nowMs, couldGo }: Step, given: Task, agent: Agent, count: number): readonly Found[] {
  const isOldest = count % OLDEST_EVERY === 0;
  const lane = PRIORITIES.indexOf(given.priority);
  if (isOver(given, nowMs)) return [{ rule: 'I13', what: `${given.id} went to ${agent.id} although it had expired` }];
  for (const { task } of database.current.values()) {
    if (task.status !== 'queued' || task.parked || (task.eligibleAtMs ?? 0) > nowMs || isOver(task, nowMs)) continue;
    if (couldGo !== null && !couldGo(task.id)) continue;
    if (task.avoid === agent.id || !mayRun(task.requirement, agent)) continue;
    const otherLane = PRIORITIES.indexOf(task.priority);
    const isFirst = isOldest ? compareByAge(task, given) < 0 : otherLane < lane || (otherLane === lane && compareByAge(task, given) < 0);
    if (!isFirst) continue;
    const rule = isOldest ? 'the oldest task goes with each 16th assignment' : 'lanes, and age within a lane';
    return [{ rule: 'I13', what: `${given.id} went to ${agent.id} (its ${count}th) before ${task.id}: ${rule}` }];
  }
  return [];
}

/** I6: what a session did belongs to the newest session that did anything, and to none that was over before this commit. */
function senders({ database, changes, events, sessions }: Step): readonly Found[] {
  const found: Found[] = [];
  for (const { event, agentId, session, taskId } of events) {
    if (agentId === null || session === null) continue;
    const newest = sessions.get(agentId) ?? 0;
    if (session < newest)
      found.push({ rule: 'I6', what: `${event} of ${taskId} came from session ${session} of ${agentId}, which is in session ${newest}` });
    sessions.set(agentId, Math.max(newest, session));
  }
  for (const { id } of changes.agents) sessions.set(id, Math.max(sessions.get(id) ?? 0, database.agents.get(id)?.sessionNumber ?? 0));
  return found;
}
