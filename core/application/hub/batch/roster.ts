/**
 * What this hub remembers of its connected agents: who may have room. It saves asking the store about agents that are
 * full; it never decides, since every dispatch counts again inside its transaction.
 */
import type { Agent } from '../../../domain/agent/agent.ts';
import { mayWork, roomOf } from '../../../domain/agent/breaker.ts';
import type { HubLease } from '../../../domain/agent/hub-lease.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Requirements } from '../../../domain/task/scheduling.ts';
import type { RequirementGroup } from '../../../domain/task/task.ts';
import type { Batch } from './batch.ts';
import type { Outgoing } from './commands.ts';

interface Entry {
  readonly agent: Agent;
  readonly taken: number;
}

/** Where the sweeps of this hub are among the agents that need one, by id, and the leases that expired since the first of them. */
export interface SweepPlace {
  readonly after: AgentId | null;
  readonly expired: readonly HubLease[];
}

const heldBackUntil = ({ pausedUntilMs, brokenUntilMs, busyUntilMs }: Agent): readonly number[] =>
  [pausedUntilMs, brokenUntilMs, busyUntilMs].filter((until) => until !== null);

export class Roster {
  readonly #entries = new Map<AgentId, Entry>();
  /** Their ids by how many tasks each has, who came to have so many first in front: thousands that are idle are not gone through. */
  readonly #byTaken = new Map<number, Set<AgentId>>();
  /** Those of them that are held back until some time: few, so that nobody has to look through all. */
  readonly #heldBack = new Map<AgentId, readonly number[]>();
  readonly #hubId: string;
  /** Where the next `groups` begin, when there are more than are asked for. */
  #groupsFrom = 0;
  /** Until when more requirements are taken to wait than one look takes in. */
  manyRequirementsUntilMs = 0;

  swept: SweepPlace = { after: null, expired: [] };

  constructor(hubId: string) {
    this.#hubId = hubId;
  }

  /**
   * Takes over what a committed batch made of the agents, and answers what they are to be told of it, whoever decided it:
   * operators' orders, and that a newer session took their place elsewhere.
   */
  learn(batch: Batch): readonly Outgoing[] {
    const told: Outgoing[] = [];
    for (const agent of batch.agents.values()) {
      this.#tell(agent, batch.nowMs, told);
      const untilMs = heldBackUntil(agent);
      this.#put(agent.id, agent.connected && agent.hubId === this.#hubId ? { agent, taken: this.takenBy(agent.id) } : null);
      if (this.#entries.has(agent.id) && untilMs.length > 0) this.#heldBack.set(agent.id, untilMs);
      else this.#heldBack.delete(agent.id);
    }
    for (const [id, difference] of batch.taken) this.#setTaken(id, (taken) => taken + difference);
    for (const id of batch.counted) this.#setTaken(id, (taken) => batch.takenBy(id) ?? taken);
    return told;
  }

  #tell(agent: Agent, nowMs: number, told: Outgoing[]): void {
    const before = this.#entries.get(agent.id)?.agent;
    const { id: agentId, sessionNumber: session, drainUntilMs } = agent;
    if (agent.hubId !== this.#hubId) {
      if (before !== undefined) told.push({ kind: 'close_older', agentId, session });
      return;
    }
    if (!agent.connected) return;
    // A new session was told nothing yet: it may be another process, or have missed the word.
    const isNew = before?.sessionNumber !== session;
    if (!isNew && before.checksAsked !== agent.checksAsked) told.push({ kind: 'check', agentId });
    if (isNew ? !agent.draining : before.orders === agent.orders) return;
    const deadlineMs = drainUntilMs === null ? null : Math.max(0, drainUntilMs - nowMs);
    told.push(agent.draining ? { kind: 'drain', agentId, deadlineMs } : { kind: 'resume', agentId });
  }

  /** Agents believed to have room for one of these, those with the fewest tasks first and then who has had so few for longest, at most `limit`. */
  free(requirements: Requirements, nowMs: number, limit: number): readonly AgentId[] {
    const free: AgentId[] = [];
    for (const taken of [...this.#byTaken.keys()].sort((a, b) => a - b)) {
      for (const id of this.#byTaken.get(taken) ?? []) {
        const agent = this.get(id);
        if (agent === undefined || taken >= roomOf(agent) || !mayWork(agent, nowMs)) continue;
        if (requirements.has(agent)) free.push(id);
        if (free.length === limit) return free;
      }
    }
    return free;
  }

  /**
   * The groups of requirements that agents with room can run some of, and these agents beside them; at most `limit`, others the next time
   * where there are more.
   */
  groups(beside: readonly Agent[], nowMs: number, limit: number): readonly RequirementGroup[] {
    const capabilities = new Set<string>();
    const agentIds = new Set<AgentId>();
    const add = (agent: Agent): void => {
      agentIds.add(agent.id);
      for (const capability of agent.capabilities) capabilities.add(capability);
    };
    for (const { agent, taken } of this.#entries.values()) if (taken < roomOf(agent) && mayWork(agent, nowMs)) add(agent);
    for (const agent of beside) add(agent);
    if (agentIds.size === 0) return [];
    const named: RequirementGroup[] = [
      ...[...capabilities].map((capability) => ({ capability })),
      ...[...agentIds].map((agentId) => ({ agentId })),
    ];
    const from = named.length > limit ? this.#groupsFrom % named.length : 0;
    this.#groupsFrom = from + limit;
    return [{ capability: null }, ...[...named.slice(from), ...named.slice(0, from)].slice(0, limit)];
  }

  /** When the next pause or busy time of an agent ends, these included, as they are now; null when there is none. */
  nextPauseEndMs(nowMs: number, changed: readonly Agent[] = []): number | null {
    let next: number | null = null;
    for (const untilMs of [...this.#heldBack.values(), ...changed.map(heldBackUntil)]) {
      for (const until of untilMs) if (until > nowMs && (next === null || until < next)) next = until;
    }
    return next;
  }

  /** Tasks that the agent is believed to have in its hands. */
  takenBy(id: AgentId): number {
    return this.#entries.get(id)?.taken ?? 0;
  }

  /** The agent, if it is connected to this hub. */
  get(id: AgentId): Agent | undefined {
    return this.#entries.get(id)?.agent;
  }

  /** The connected agents of this hub. */
  connected(): readonly Agent[] {
    return [...this.#entries.values()].map((entry) => entry.agent);
  }

  #setTaken(id: AgentId, next: (taken: number) => number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#put(id, { ...entry, taken: Math.max(0, next(entry.taken)) });
  }

  /** Its entry from now on; null for none. */
  #put(id: AgentId, entry: Entry | null): void {
    const before = this.#entries.get(id);
    if (before !== undefined && before.taken !== entry?.taken) {
      const same = this.#byTaken.get(before.taken);
      same?.delete(id);
      if (same?.size === 0) this.#byTaken.delete(before.taken);
    }
    if (entry === null) return void this.#entries.delete(id);
    this.#entries.set(id, entry);
    const same = this.#byTaken.get(entry.taken);
    if (same === undefined) this.#byTaken.set(entry.taken, new Set([id]));
    else same.add(id);
  }
}
