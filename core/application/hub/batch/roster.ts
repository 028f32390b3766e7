/**
 * What this hub remembers about its connected agents: which of them may have room. This avoids reading full agents from the store, but
 * decides nothing, since every dispatch counts again inside its transaction.
 */
import { presenceOf, type Agent } from '../../../domain/agent/agent.ts';
import { mayWork, roomOf } from '../../../domain/agent/breaker.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Requirements } from '../../../domain/task/scheduling.ts';
import type { RequirementGroup } from '../../../domain/task/task.ts';
import type { HubLoad } from '../../../ports/hub-metrics.ts';
import type { WaitingRequirements } from '../../../ports/task-store.ts';
import type { Batch, SweepPlace } from './batch.ts';
import type { Outgoing } from './commands.ts';
import { FreeAgents } from './free-agents.ts';

/** For how long there are assumed to be too many requirements, without asking the store again. Milliseconds. */
const MANY_REQUIREMENTS_MS = 10_000;

/** `isAll`: there are no others. */
export interface RequirementGroups {
  readonly named: readonly { readonly name: string; readonly group: RequirementGroup }[];
  readonly isAll: boolean;
}

interface Entry {
  readonly agent: Agent;
  readonly taken: number;
}

/** When the last of its pauses and busy times ends; 0: it has none. */
const unavailableUntilMs = ({ pausedUntilMs, brokenUntilMs, busyUntilMs }: Agent): number =>
  Math.max(pausedUntilMs ?? 0, brokenUntilMs ?? 0, busyUntilMs ?? 0);

export class Roster {
  readonly #entries = new Map<AgentId, Entry>();
  /** The connected agents that seem to have room. */
  readonly #free = new FreeAgents();
  /** Until when agents are paused or busy. */
  readonly #unavailable = new Map<AgentId, number>();
  /** The earliest of these; it may be that of an agent that has become available since. */
  #nextAvailableMs = Infinity;
  readonly #hubId: string;
  /** Where the next call of `groups` starts when there are more than its limit. */
  #groupsFrom = 0;
  /** The groups that were not read to their end, by name: the key after which the next read of each continues. */
  readonly #readTo = new Map<string, string>();
  #manyRequirementsUntilMs = 0;

  #swept: SweepPlace = { after: null, expired: [] };

  constructor(hubId: string) {
    this.#hubId = hubId;
  }

  /** Where the next full sweep continues. */
  get swept(): SweepPlace {
    return this.#swept;
  }

  /**
   * Applies the agents of a committed batch, and returns the frames that must be sent to them for it, whichever hub made the change:
   * operators' drain, resume and check, and the close of a session that a newer one elsewhere has replaced.
   */
  apply(batch: Batch): readonly Outgoing[] {
    const notices: Outgoing[] = [];
    for (const agent of batch.agents.values()) {
      // Unchanged: most agents with room that a dispatch considered got no task.
      if (this.#entries.get(agent.id)?.agent === agent) continue;
      this.#addNotices(agent, batch.nowMs, notices);
      const isHere = agent.connected && agent.hubId === this.#hubId;
      this.#setUnavailable(agent.id, isHere ? unavailableUntilMs(agent) : 0, batch.nowMs);
      this.#put(agent.id, isHere ? { agent, taken: this.slotsTaken(agent.id) } : null);
    }
    for (const [id, difference] of batch.slotDeltas) this.#setTaken(id, (taken) => taken + difference);
    for (const id of batch.countedAgents) this.#setTaken(id, (taken) => batch.slotsTaken(id) ?? taken);
    this.#swept = batch.sweptTo ?? this.#swept;
    return notices;
  }

  #addNotices(agent: Agent, nowMs: number, notices: Outgoing[]): void {
    const before = this.#entries.get(agent.id)?.agent;
    const { id: agentId, sessionNumber: session, drainUntilMs } = agent;
    if (agent.hubId !== this.#hubId) {
      if (before !== undefined) notices.push({ kind: 'close_older', agentId, session });
      return;
    }
    if (!agent.connected) return;
    // Nothing has been sent to a new session yet: it may be another process, or may have missed the last frame.
    const isNew = before?.sessionNumber !== session;
    if (!isNew && before.checksAsked !== agent.checksAsked) notices.push({ kind: 'check', agentId });
    if (isNew ? !agent.draining : before.orders === agent.orders) return;
    const deadlineMs = drainUntilMs === null ? null : Math.max(0, drainUntilMs - nowMs);
    notices.push(agent.draining ? { kind: 'drain', agentId, deadlineMs } : { kind: 'resume', agentId });
  }

  /** Whether any agent seems to have room. */
  hasFree(nowMs: number): boolean {
    this.#endUnavailable(nowMs);
    return !this.#free.isEmpty;
  }

  /** There are more requirements than one batch considers. */
  foundManyRequirements(nowMs: number): void {
    this.#manyRequirementsUntilMs = nowMs + MANY_REQUIREMENTS_MS;
  }

  hasManyRequirements(nowMs: number): boolean {
    return nowMs < this.#manyRequirementsUntilMs && nowMs + MANY_REQUIREMENTS_MS >= this.#manyRequirementsUntilMs;
  }

  /** At most `limit` such agents that seem to have room for one of these: fewest tasks first, then those longest at that number. */
  free(requirements: Requirements, nowMs: number, limit: number, mayGet: (agent: Agent) => boolean): readonly AgentId[] {
    this.#endUnavailable(nowMs);
    return this.#free.first(requirements, limit, mayGet);
  }

  /**
   * Groups of requirements that free agents, and the agents in `beside`, may be able to run: at most `limit` of the latter, which may have
   * become free a moment ago, and at most `limit` others. When there are more, the next call returns the next ones. Each begins where the last
   * read of it ended.
   */
  groups(beside: readonly Agent[], nowMs: number, limit: number): RequirementGroups {
    const groups = new Map<string, RequirementGroup>();
    const add = ({ id, capabilities }: Agent): void => {
      groups.set(`agent ${id}`, { agentId: id });
      for (const capability of capabilities) groups.set(`capability ${capability}`, { capability });
    };
    this.#endUnavailable(nowMs);
    for (const agent of beside) if (groups.size < limit) add(agent);
    const first = groups.size;
    for (const agent of this.#free) add(agent);
    for (const agent of beside) add(agent);
    if (groups.size === 0) return { named: [], isAll: true };
    const named = [...groups];
    const others = named.slice(first);
    const from = others.length > limit ? this.#groupsFrom % others.length : 0;
    this.#groupsFrom = from + limit;
    const next = [...others.slice(from), ...others.slice(0, from)].slice(0, limit);
    const all: readonly (readonly [string, RequirementGroup])[] = [['none', { capability: null }], ...named.slice(0, first), ...next];
    for (const name of this.#readTo.keys()) if (name !== 'none' && !groups.has(name)) this.#readTo.delete(name);
    return {
      named: all.map(([name, group]) => ({ name, group: { ...group, after: this.#readTo.get(name) } })),
      isAll: next.length === others.length,
    };
  }

  /** Remembers how far these groups were read. Returns whether requirements of some are still unread. */
  readGroups({ named, isAll }: RequirementGroups, found: WaitingRequirements): boolean {
    for (const [nth, { name }] of named.entries()) {
      const key = found.isAll ? null : found.readTo?.[nth];
      if (key === null || key === undefined) this.#readTo.delete(name);
      else this.#readTo.set(name, key);
    }
    return !isAll || !found.isAll || named.some(({ group }) => group.after !== undefined);
  }

  /** When the next agent stops being paused or busy, including those in `changed`; null when none is paused or busy. */
  nextPauseEndMs(nowMs: number, changed: readonly Agent[] = []): number | null {
    this.#endUnavailable(nowMs);
    const ends = changed.map(unavailableUntilMs).filter((untilMs) => untilMs > nowMs);
    const next = ends.reduce((earliest, untilMs) => Math.min(earliest, untilMs), this.#nextAvailableMs);
    return next === Infinity ? null : next;
  }

  /** How many slots of the agent seem to be taken. */
  slotsTaken(id: AgentId): number {
    return this.#entries.get(id)?.taken ?? 0;
  }

  /** The agent, if it is connected to this hub. */
  get(id: AgentId): Agent | undefined {
    return this.#entries.get(id)?.agent;
  }

  /** The connected agents of this hub by what they do, and their slots. */
  load(nowMs: number): Pick<HubLoad, 'agents' | 'slots'> {
    const agents = { idle: 0, working: 0, stopping: 0, draining: 0, paused: 0 };
    const slots = { taken: 0, all: 0 };
    for (const { agent, taken } of this.#entries.values()) {
      const presence = presenceOf(agent, taken, nowMs);
      if (presence !== 'offline') agents[presence] += 1;
      slots.taken += taken;
      slots.all += agent.slots;
    }
    return { agents, slots };
  }

  /** The connected agents of this hub. */
  connected(): readonly Agent[] {
    return [...this.#entries.values()].map((entry) => entry.agent);
  }

  #setTaken(id: AgentId, next: (taken: number) => number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const taken = Math.max(0, next(entry.taken));
    if (taken !== entry.taken) this.#put(id, { ...entry, taken });
  }

  /** Sets its entry; null removes it. */
  #put(id: AgentId, entry: Entry | null): void {
    if (entry === null) this.#entries.delete(id);
    else this.#entries.set(id, entry);
    // Judged as if its pauses were over: until then it is in `#unavailable`.
    const hasRoom = entry !== null && entry.taken < roomOf(entry.agent) && mayWork(entry.agent, Infinity);
    if (hasRoom && !this.#unavailable.has(id)) this.#free.set(entry.agent, entry.taken);
    else this.#free.delete(id);
  }

  #setUnavailable(id: AgentId, untilMs: number, nowMs: number): void {
    if (untilMs <= nowMs) return void this.#unavailable.delete(id);
    this.#unavailable.set(id, untilMs);
    this.#nextAvailableMs = Math.min(this.#nextAvailableMs, untilMs);
  }

  /** Agents whose pauses and busy times are over have room again. */
  #endUnavailable(nowMs: number): void {
    if (nowMs < this.#nextAvailableMs) return;
    this.#nextAvailableMs = Infinity;
    for (const [id, untilMs] of [...this.#unavailable]) {
      this.#setUnavailable(id, untilMs, nowMs);
      if (untilMs <= nowMs) this.#put(id, this.#entries.get(id) ?? null);
    }
  }
}
