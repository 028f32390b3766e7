/** Invariants of the store as a whole: of agents, slots, keys and the order of events. */
import { mayWork } from '../breaker.ts';
import type { AgentId, TaskId } from '../ids.ts';
import { canRun } from '../scheduling.ts';
import { isEnded, isLive } from '../task.ts';
import { toldBy, UNTOLD, type Told } from './history-fold.ts';
import { ofAgent, ofTask, type StoreState, type View, type Violation } from './view.ts';

/** Everything that an agent has in its hands takes a slot: live assignments, and stops that it has not confirmed. */
function slotsTaken({ tasks, stops }: StoreState): ReadonlyMap<AgentId, number> {
  const taken = new Map<AgentId, number>();
  const add = (id: AgentId): unknown => taken.set(id, (taken.get(id) ?? 0) + 1);
  for (const task of tasks) if (isLive(task) && task.assignedTo !== null) add(task.assignedTo);
  for (const stop of stops) add(stop.agentId);
  return taken;
}

/** I4: at each assignment of an agent's present session its assignments and stops fit its slots. */
function slotsSuffice({ events, agents }: View): readonly Violation[] {
  const found: Violation[] = [];
  const holds = new Map<AgentId, Set<string>>();
  const told = new Map<TaskId, Told>();
  for (const event of events) {
    const before = told.get(event.taskId) ?? UNTOLD;
    const after = toldBy(before, event);
    told.set(event.taskId, after);
    const hold = (agentId: AgentId): Set<string> => holds.get(agentId) ?? new Set();
    const change = (agentId: AgentId, how: (held: Set<string>) => unknown): void => {
      const held = hold(agentId);
      how(held);
      holds.set(agentId, held);
    };
    if (before.assignedTo !== null && (after.assignedTo !== before.assignedTo || after.status !== 'assigned'))
      change(before.assignedTo, (held) => held.delete(`${event.taskId} ${before.generation}`));
    const { agentId } = event;
    if (agentId === null) continue;
    const name = `${event.taskId} ${event.generation}`;
    if (event.event === 'assigned' || event.event === 'stop_requested') change(agentId, (held) => held.add(name));
    if (event.event === 'stop_confirmed') change(agentId, (held) => held.delete(name));
    const agent = agents.get(agentId);
    if (event.event !== 'assigned' || agent === undefined || event.session !== agent.sessionNumber) continue;
    if (hold(agentId).size > agent.slots)
      found.push(ofAgent('I4', agentId, `event ${event.id} is assignment or stop ${hold(agentId).size} in ${agent.slots} slots`));
  }
  return found;
}

/** I6, of agents: a session that was replaced changes nothing any more. */
function sessionsGrow({ events, agents }: View): readonly Violation[] {
  const found: Violation[] = [];
  const latest = new Map<AgentId, number>();
  for (const { id, agentId, session, event } of events) {
    if (agentId === null || session === null) continue;
    const highest = Math.max(latest.get(agentId) ?? 0, session);
    if (session < highest) found.push(ofAgent('I6', agentId, `event ${id} ${event} is of session ${session}, after ${highest}`));
    latest.set(agentId, highest);
  }
  for (const [agentId, session] of latest) {
    const known = agents.get(agentId)?.sessionNumber ?? 0;
    if (session > known) found.push(ofAgent('I6', agentId, `session ${session} changed a task, the agent is in session ${known}`));
  }
  return found;
}

/** I10: a key is there once, and what it names exists. */
function keysNameTasks({ state, tasks }: View): readonly Violation[] {
  const names = state.keys.map(({ owner, key }) => JSON.stringify([owner, key]));
  const twice = names.filter((name, place) => names.indexOf(name) !== place);
  const lost = state.keys.flatMap(({ taskIds }) => taskIds).filter((id) => !tasks.has(id));
  return [
    ...twice.map((name): Violation => ({ invariant: 'I10', what: `key ${name} is there twice`, taskId: null, agentId: null })),
    ...lost.map((taskId): Violation => ({ invariant: 'I10', what: 'a key names it, it is not stored', taskId, agentId: null })),
  ];
}

/** I12: no task stays beside a free agent that may run it for over a sweep. */
function nobodyWaitsForNothing(view: View): readonly Violation[] {
  const { state, nowMs } = view;
  const sinceMs = nowMs - state.sweepMs;
  if (state.healthySinceMs > sinceMs) return [];
  const taken = slotsTaken(state);
  const lastOf = new Map<AgentId, number>();
  for (const event of view.events) if (event.agentId !== null) lastOf.set(event.agentId, event.atMs);
  const free = state.agents.filter((agent) => {
    const freeSinceMs = Math.max(agent.connectedAtMs ?? nowMs, lastOf.get(agent.id) ?? 0);
    return mayWork(agent, sinceMs) && mayWork(agent, nowMs) && (taken.get(agent.id) ?? 0) < agent.slots && freeSinceMs < sinceMs;
  });
  return state.tasks
    .filter((task) => task.status === 'queued' && !task.parked && (task.eligibleAtMs ?? nowMs) < sinceMs)
    .flatMap((task) => {
      const agent = free.find((one) => canRun(task.requirement, one));
      return agent === undefined ? [] : [ofTask('I12', task, `queued, while ${agent.id} may run it and has a free slot`)];
    });
}

/** I14: events are numbered once, those of a task without a gap, and the row knows the last. */
function eventsAreNumbered({ state, events, historyOf, tasks }: View): readonly Violation[] {
  const found: Violation[] = [];
  if (new Set(events.map((event) => event.id)).size !== events.length)
    found.push({ invariant: 'I14', what: 'two events have the same id', taskId: null, agentId: null });
  for (const [taskId, ofOne] of historyOf) {
    if (!tasks.has(taskId)) found.push({ invariant: 'I14', what: 'it has a history and is not stored', taskId, agentId: null });
    const gap = ofOne.findIndex((event, place) => event.seq !== place + 1);
    if (gap !== -1) found.push({ invariant: 'I14', what: `its event ${gap + 1} has number ${ofOne[gap]?.seq}`, taskId, agentId: null });
  }
  for (const task of state.tasks) {
    const last = historyOf.get(task.id)?.at(-1)?.seq ?? 0;
    if (task.eventSeq !== last) found.push(ofTask('I14', task, `it counts ${task.eventSeq} events, there are ${last}`));
  }
  const ids = state.agents.map((agent) => agent.id);
  for (const id of ids.filter((one, place) => ids.indexOf(one) !== place)) found.push(ofAgent('I14', id, 'it has two rows'));
  return found;
}

/** I15: what is to be stopped is not the present assignment. */
function stopsArePast({ state, tasks }: View): readonly Violation[] {
  return state.stops.flatMap((stop) => {
    const task = tasks.get(stop.taskId);
    if (task !== undefined && (stop.generation < task.generation || isEnded(task))) return [];
    const what = `a stop of generation ${stop.generation} waits, the task is ${task?.status ?? 'not stored'} in ${task?.generation}`;
    return [{ invariant: 'I15', what, taskId: stop.taskId, agentId: stop.agentId } satisfies Violation];
  });
}

export const STORE_INVARIANTS: readonly ((view: View) => readonly Violation[])[] = [
  slotsSuffice,
  sessionsGrow,
  keysNameTasks,
  nobodyWaitsForNothing,
  eventsAreNumbered,
  stopsArePast,
];
