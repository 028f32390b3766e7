/**
 * Which agent gets which task: by priority, urgent to low, and FIFO within a priority; each 16th assignment of an agent takes the
 * oldest task it may run, of any priority. Pure: tasks and free agents in, pairs out.
 */
import type { AgentId } from '../ids.ts';
import { compareByAge } from './claimable.ts';
import { OLDEST_EVERY } from './rules.ts';
import { PRIORITIES, requirementKey, waitingRequirement, type Requirement, type Task } from './task.ts';

/** An agent with free slots. */
export interface FreeAgent {
  readonly id: AgentId;
  readonly capabilities: readonly string[];
  /** Slots that are free now, at least 1. */
  readonly free: number;
  /** Assignments it has ever had. */
  readonly assignedCount: number;
}

export interface Pair {
  readonly task: Task;
  readonly agentId: AgentId;
}

/** Whether the agent may and can run such a task. */
export const canRun = (requirement: Requirement, agent: { readonly id: AgentId; readonly capabilities: readonly string[] }): boolean =>
  (requirement.assignTo === null || requirement.assignTo === agent.id) &&
  requirement.except?.includes(agent.id) !== true &&
  requirement.capabilities.every((capability) => agent.capabilities.includes(capability));

/** Whether this agent may be given this task: it can run it, and has not rejected it. */
export const mayTake = (
  task: Pick<Task, 'requirement' | 'rejectedBy'>,
  agent: { readonly id: AgentId; readonly capabilities: readonly string[] },
): boolean => canRun(waitingRequirement(task), agent);

const mayAnyTake = (task: Task, agents: readonly FreeAgent[]): boolean => agents.some((agent) => mayTake(task, agent));

/** An index key of a requirement: the agent id if it is for one agent only, else its first capability. */
const indexKeyOf = ({ assignTo, capabilities: [first] }: Requirement): string =>
  assignTo !== null ? `agent ${assignTo}` : first === undefined ? '' : capabilityKey(first);
const capabilityKey = (capability: string): string => `capability ${capability}`;

/**
 * Requirements by index key, so that an agent is compared only with those that it may meet and not with thousands of others.
 */
export class Requirements {
  readonly #byKey = new Map<string, Requirement[]>();
  readonly #agentIds = new Set<AgentId>();
  readonly #firstCapabilities = new Set<string>();

  constructor(requirements: Iterable<Requirement>) {
    for (const requirement of requirements) {
      const key = indexKeyOf(requirement);
      const same = this.#byKey.get(key);
      if (same === undefined) this.#byKey.set(key, [requirement]);
      else same.push(requirement);
      const [first] = requirement.capabilities;
      if (requirement.assignTo !== null) this.#agentIds.add(requirement.assignTo);
      else if (first !== undefined) this.#firstCapabilities.add(first);
    }
  }

  /** The agents that at least one of the requirements names in `assignTo`. */
  get agentIds(): readonly AgentId[] {
    return [...this.#agentIds];
  }

  /** An agent that is not among `agentIds` can run none of them without one of these capabilities; null: one of them needs no capability. */
  get firstCapabilities(): readonly string[] | null {
    return this.#byKey.has('') ? null : [...this.#firstCapabilities];
  }

  /** Which agents with these capabilities can run any of the requirements that are not for one agent alone. `some`: not the excepted ones. */
  fit(capabilities: readonly string[]): 'all' | 'some' | 'none' {
    let fit: 'some' | 'none' = 'none';
    for (const key of ['', ...capabilities.map(capabilityKey)])
      for (const { capabilities: wanted, except = [] } of this.#byKey.get(key) ?? []) {
        if (!wanted.every((capability) => capabilities.includes(capability))) continue;
        if (except.length === 0) return 'all';
        fit = 'some';
      }
    return fit;
  }

  /** Whether the agent can run any of them. */
  has(agent: Pick<FreeAgent, 'id' | 'capabilities'>): boolean {
    return this.#of(agent).next().done !== true;
  }

  /** The requirements that any of these agents can run, each once. */
  ofAny(agents: readonly Pick<FreeAgent, 'id' | 'capabilities'>[]): ReadonlySet<Requirement> {
    const found = new Set<Requirement>();
    for (const agent of agents) for (const requirement of this.#of(agent)) found.add(requirement);
    return found;
  }

  *#of(agent: Pick<FreeAgent, 'id' | 'capabilities'>): Generator<Requirement> {
    for (const requirement of this.#byKey.get('') ?? []) if (canRun(requirement, agent)) yield requirement;
    for (const requirement of this.#byKey.get(`agent ${agent.id}`) ?? []) if (canRun(requirement, agent)) yield requirement;
    for (const capability of agent.capabilities)
      for (const requirement of this.#byKey.get(capabilityKey(capability)) ?? []) if (canRun(requirement, agent)) yield requirement;
  }
}

/**
 * Pairs ready tasks with free slots, taking one slot of each agent in turn, in the order of assignment. `candidates`
 * are the first ready tasks of each requirement and priority. A task that avoids an agent goes to another one with a
 * free slot, and to that agent only if there is no other. It never goes to an agent that has rejected it.
 */
export function decidePairs(candidates: readonly Task[], agents: readonly FreeAgent[]): readonly Pair[] {
  const ready = new ReadyTasks(candidates);
  const pairs: Pair[] = [];
  const rooms = agents.map((agent) => ({ agent, free: agent.free, count: agent.assignedCount }));
  for (const heedAvoid of [true, false]) {
    let hasPaired = true;
    while (hasPaired) {
      hasPaired = false;
      for (const room of rooms) {
        if (ready.left === 0) return pairs;
        if (room.free === 0) continue;
        const others = (): readonly FreeAgent[] =>
          heedAvoid ? rooms.filter((other) => other !== room && other.free > 0).map((other) => other.agent) : [];
        const task = ready.take(room.agent, (room.count + 1) % OLDEST_EVERY === 0, others);
        if (task === null) continue;
        pairs.push({ task, agentId: room.agent.id });
        room.free -= 1;
        room.count += 1;
        hasPaired = true;
      }
    }
  }
  return pairs;
}

/** Ready tasks by requirement and priority, each in order. */
class ReadyTasks {
  /** Tasks that are not taken yet. */
  left: number;
  readonly #groups = new Map<string, { readonly requirement: Requirement; readonly byPriority: Task[][] }>();

  constructor(tasks: readonly Task[]) {
    this.left = tasks.length;
    for (const task of [...tasks].sort(compareByAge)) {
      const requirement = waitingRequirement(task);
      const key = requirementKey(requirement);
      let group = this.#groups.get(key);
      if (group === undefined) this.#groups.set(key, (group = { requirement, byPriority: PRIORITIES.map(() => []) }));
      group.byPriority[PRIORITIES.indexOf(task.priority)]?.push(task);
    }
  }

  /** Takes the agent's next task: of the highest priority, or the oldest of all. `others` is called only if a task avoids the agent. */
  take(agent: FreeAgent, oldest: boolean, others: () => readonly FreeAgent[]): Task | null {
    let best: { readonly tasks: Task[]; readonly index: number; readonly task: Task; readonly rank: number } | null = null;
    for (const group of this.#groups.values()) {
      if (!canRun(group.requirement, agent)) continue;
      for (let rank = 0; rank < PRIORITIES.length; rank += 1) {
        const tasks = group.byPriority[rank] ?? [];
        let index = 0;
        let task = tasks[index];
        while (task?.avoid === agent.id && mayAnyTake(task, others())) task = tasks[(index += 1)];
        if (task === undefined) continue;
        const isBetter = best === null || (oldest || rank === best.rank ? compareByAge(task, best.task) < 0 : rank < best.rank);
        if (isBetter) best = { tasks, index, task, rank };
      }
    }
    if (best === null) return null;
    best.tasks.splice(best.index, 1);
    this.left -= 1;
    return best.task;
  }
}
