/**
 * Who gets what: lanes urgent to low, within a lane first in first out; each 16th assignment of an agent takes the
 * oldest task it may run, of any lane. Pure: tasks and free agents in, pairs out.
 */
import type { AgentId } from '../ids.ts';
import { compareByAge } from './claimable.ts';
import { OLDEST_EVERY } from './rules.ts';
import { PRIORITIES, requirementKey, type Requirement, type Task } from './task.ts';

/** An agent with room. */
export interface FreeAgent {
  readonly id: AgentId;
  readonly capabilities: readonly string[];
  /** Slots that are free now, at least 1. */
  readonly free: number;
  /** Assignments it ever got. */
  readonly assignedCount: number;
}

export interface Pair {
  readonly task: Task;
  readonly agentId: AgentId;
}

/** Whether the agent is allowed and able to run such a task. */
export const canRun = (requirement: Requirement, agent: { readonly id: AgentId; readonly capabilities: readonly string[] }): boolean =>
  (requirement.assignTo === null || requirement.assignTo === agent.id) &&
  requirement.capabilities.every((capability) => agent.capabilities.includes(capability));

/** What an agent must have at least for a requirement: its id where it is for one agent alone, else the first capability of its list. */
const leastNeed = ({ assignTo, capabilities: [first] }: Requirement): string =>
  assignTo !== null ? `agent ${assignTo}` : first === undefined ? '' : `capability ${first}`;

/**
 * Requirements by what an agent must have for them at least, so that an agent is compared with those that it may meet and not
 * with the thousands of others that wait.
 */
export class Requirements {
  readonly #byNeed = new Map<string, Requirement[]>();

  constructor(requirements: Iterable<Requirement>) {
    for (const requirement of requirements) {
      const need = leastNeed(requirement);
      const same = this.#byNeed.get(need);
      if (same === undefined) this.#byNeed.set(need, [requirement]);
      else same.push(requirement);
    }
  }

  /** Whether there is one that the agent can run. */
  has(agent: Pick<FreeAgent, 'id' | 'capabilities'>): boolean {
    return this.#of(agent).next().done !== true;
  }

  /** Those that one of these agents can run, each once. */
  ofAny(agents: readonly Pick<FreeAgent, 'id' | 'capabilities'>[]): ReadonlySet<Requirement> {
    const found = new Set<Requirement>();
    for (const agent of agents) for (const requirement of this.#of(agent)) found.add(requirement);
    return found;
  }

  *#of(agent: Pick<FreeAgent, 'id' | 'capabilities'>): Generator<Requirement> {
    yield* this.#byNeed.get('') ?? [];
    for (const requirement of this.#byNeed.get(`agent ${agent.id}`) ?? []) if (canRun(requirement, agent)) yield requirement;
    for (const capability of agent.capabilities)
      for (const requirement of this.#byNeed.get(`capability ${capability}`) ?? []) if (canRun(requirement, agent)) yield requirement;
  }
}

/**
 * Pairs waiting tasks with free slots, a slot of each agent in turn, in the order in which they are to be assigned.
 * `candidates` are, for each requirement and lane, the first ones waiting; a task that prefers another agent goes to one
 * that has room, and only if there is none to the agent it would avoid.
 */
export function decidePairs(candidates: readonly Task[], agents: readonly FreeAgent[]): readonly Pair[] {
  const waiting = new Waiting(candidates);
  const pairs: Pair[] = [];
  const rooms = agents.map((agent) => ({ agent, free: agent.free, count: agent.assignedCount }));
  for (const heedAvoid of [true, false]) {
    let gave = true;
    while (gave) {
      gave = false;
      for (const room of rooms) {
        if (waiting.left === 0) return pairs;
        if (room.free === 0) continue;
        const others = (): readonly FreeAgent[] =>
          heedAvoid ? rooms.filter((other) => other !== room && other.free > 0).map((other) => other.agent) : [];
        const task = waiting.take(room.agent, (room.count + 1) % OLDEST_EVERY === 0, others);
        if (task === null) continue;
        pairs.push({ task, agentId: room.agent.id });
        room.free -= 1;
        room.count += 1;
        gave = true;
      }
    }
  }
  return pairs;
}

/** The waiting tasks by requirement and lane, each in order, taken from the front. */
class Waiting {
  /** How many nobody has taken. */
  left: number;
  readonly #groups = new Map<string, { readonly requirement: Requirement; readonly lanes: Task[][] }>();

  constructor(tasks: readonly Task[]) {
    this.left = tasks.length;
    for (const task of [...tasks].sort(compareByAge)) {
      const key = requirementKey(task.requirement);
      const group = this.#groups.get(key) ?? { requirement: task.requirement, lanes: PRIORITIES.map(() => []) };
      this.#groups.set(key, group);
      group.lanes[PRIORITIES.indexOf(task.priority)]?.push(task);
    }
  }

  /** Takes the agent's next: the first of the highest lane, or the oldest of all. `others` could run what avoids it; asked only where something does. */
  take(agent: FreeAgent, oldest: boolean, others: () => readonly FreeAgent[]): Task | null {
    let best: { readonly lane: Task[]; readonly index: number; readonly task: Task; readonly rank: number } | null = null;
    for (const group of this.#groups.values()) {
      if (!canRun(group.requirement, agent)) continue;
      for (const [rank, lane] of group.lanes.entries()) {
        const index = lane.findIndex((task) => task.avoid !== agent.id || !others().some((other) => canRun(group.requirement, other)));
        const task = lane[index];
        if (task === undefined) continue;
        const isBetter = best === null || (oldest || rank === best.rank ? compareByAge(task, best.task) < 0 : rank < best.rank);
        if (isBetter) best = { lane, index, task, rank };
      }
    }
    if (best === null) return null;
    best.lane.splice(best.index, 1);
    this.left -= 1;
    return best.task;
  }
}
