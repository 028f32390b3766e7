/**
 * The agents of this hub that may have room, by what they can run: a dispatch visits only those that can run something that waits, not
 * the thousands of others. Agents with the same capabilities are one group, since the same tasks fit all of them.
 */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Requirements } from '../../../domain/task/scheduling.ts';

interface Place {
  readonly agent: Agent;
  readonly taken: number;
  readonly group: Group;
  /** The larger, the more recently the agent reached this number of tasks. */
  readonly order: number;
}

type Places = Map<AgentId, Place>;

interface Group {
  /** The JSON text of its capabilities. */
  readonly key: string;
  readonly capabilities: readonly string[];
  /** Its agents by their number of tasks, longest at that number first. */
  readonly byTaken: Map<number, Places>;
}

export class FreeAgents {
  readonly #places: Places = new Map();
  /** By key; only groups that have an agent. */
  readonly #groups = new Map<string, Group>();
  readonly #byCapability = new Map<string, Set<Group>>();
  #orders = 0;

  /** Adds or changes an agent. It keeps its place as long as its number of tasks and its capabilities stay the same. */
  set(agent: Agent, taken: number): void {
    const before = this.#places.get(agent.id);
    const group = before?.agent.capabilities === agent.capabilities ? before.group : this.#groupOf(agent.capabilities);
    const isSame = before?.taken === taken && before.group === group;
    if (before !== undefined && !isSame) this.delete(agent.id);
    if (group.byTaken.size === 0) this.#addGroup(group);
    const place = { agent, taken, group, order: isSame ? before.order : (this.#orders += 1) };
    this.#places.set(agent.id, place);
    const level = group.byTaken.get(taken);
    if (level === undefined) group.byTaken.set(taken, new Map([[agent.id, place]]));
    else level.set(agent.id, place);
  }

  delete(id: AgentId): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const { group, taken } = place;
    const level = group.byTaken.get(taken);
    level?.delete(id);
    if (level?.size === 0) group.byTaken.delete(taken);
    if (group.byTaken.size === 0) this.#removeGroup(group);
  }

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /** All of them. */
  *[Symbol.iterator](): Generator<Agent> {
    for (const { agent } of this.#places.values()) yield agent;
  }

  /** At most `limit` such agents that can run any of these: fewest tasks first, then those longest at that number. */
  first(requirements: Requirements, limit: number, mayGet: (agent: Agent) => boolean): readonly AgentId[] {
    const found = this.#named(requirements).filter(({ agent }) => mayGet(agent));
    for (const group of this.#groupsFor(requirements)) {
      const fit = requirements.fit(group.capabilities);
      if (fit !== 'none') found.push(...firstOf(group, limit, ({ agent }) => (fit === 'all' || requirements.has(agent)) && mayGet(agent)));
    }
    const sorted = found.sort((one, other) => one.taken - other.taken || one.order - other.order);
    return [...new Set(sorted.map(({ agent }) => agent.id))].slice(0, limit);
  }

  /** Agents that a requirement names. */
  #named(requirements: Requirements): Place[] {
    return requirements.agentIds.flatMap((id) => {
      const place = this.#places.get(id);
      return place !== undefined && requirements.has(place.agent) ? [place] : [];
    });
  }

  /** The groups that may be able to run any of these. */
  #groupsFor(requirements: Requirements): Iterable<Group> {
    const { firstCapabilities } = requirements;
    if (firstCapabilities === null) return this.#groups.values();
    return new Set(firstCapabilities.flatMap((capability) => [...(this.#byCapability.get(capability) ?? [])]));
  }

  #groupOf(capabilities: readonly string[]): Group {
    const key = JSON.stringify(capabilities);
    return this.#groups.get(key) ?? { key, capabilities, byTaken: new Map<number, Places>() };
  }

  #addGroup(group: Group): void {
    this.#groups.set(group.key, group);
    for (const capability of group.capabilities) {
      const groups = this.#byCapability.get(capability);
      if (groups === undefined) this.#byCapability.set(capability, new Set([group]));
      else groups.add(group);
    }
  }

  #removeGroup(group: Group): void {
    this.#groups.delete(group.key);
    for (const capability of group.capabilities) {
      const groups = this.#byCapability.get(capability);
      groups?.delete(group);
      if (groups?.size === 0) this.#byCapability.delete(capability);
    }
  }
}

/** At most `limit` places of the group that are wanted: fewest tasks first, then those longest at that number. */
function firstOf({ byTaken }: Group, limit: number, isWanted: (place: Place) => boolean): readonly Place[] {
  const found: Place[] = [];
  for (const taken of [...byTaken.keys()].sort((a, b) => a - b))
    for (const place of byTaken.get(taken)?.values() ?? []) {
      if (isWanted(place)) found.push(place);
      if (found.length === limit) return found;
    }
  return found;
}
