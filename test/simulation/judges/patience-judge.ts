/**
 * How long things may take, by time that passes and not by any clock that can be set: J11, no task waits next to a
 * free agent that may run it; J12, what a dead machine has goes to others.
 */
import type { MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import type { Agent } from '../../../core/domain/agent/agent.ts';
import { roomOf } from '../../../core/domain/agent/breaker.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { requirementKey, type Task } from '../../../core/domain/task/task.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Changes } from '../../../core/ports/task-store.ts';

/** The current state of a hub. */
export interface HubState {
  /** The id of its process; null while it takes no commands. */
  readonly hubId: string | null;
  /** Since when nothing but clocks has gone wrong with it, by the world's time; Infinity while something is wrong. */
  readonly wellSinceMs: number;
}

export interface PatienceDeps {
  readonly clock: Clock;
  readonly database: MemoryDatabase;
  readonly timing: HubTiming;
  readonly hubs: () => readonly HubState[];
  /** Since when the agent is disconnected; undefined if it is connected. */
  readonly awaySinceMs: (agentId: AgentId) => number | undefined;
  readonly violated: (rule: string, what: string) => void;
}

/** Between two checks. */
export const LOOK_MS = 10_000;
/** Until a hub notices that a connection is gone that neither side closed. */
const NOTICED_MS = 90_000;
/** How often an assignment that its agent does not accept is pushed. */
const PUSHES = 3;

export class PatienceJudge {
  readonly #deps: PatienceDeps;
  /** Since when each task has been waiting in its current way, and how. */
  readonly #waits = new Map<TaskId, { readonly how: string; readonly sinceMs: number }>();
  /** Until when each agent is paused, broken or busy, by the world's time. */
  readonly #heldUntilMs = new Map<AgentId, number>();
  readonly #freeSince = new Map<AgentId, { readonly count: number; readonly sinceMs: number }>();

  constructor(deps: PatienceDeps) {
    this.#deps = deps;
  }

  /** `nowMs`: the store's time of the commit that its rows come from. */
  committed({ inserted, updated, agents }: Changes, nowMs: number): void {
    const atMs = this.#deps.clock.monotonicMs();
    for (const { task } of [...inserted, ...updated]) {
      const how = howOf(task);
      if (how === null) this.#waits.delete(task.id);
      else if (this.#waits.get(task.id)?.how !== how)
        this.#waits.set(task.id, { how, sinceMs: atMs + (task.status === 'queued' ? Math.max(0, (task.eligibleAtMs ?? 0) - nowMs) : 0) });
    }
    for (const { pausedUntilMs, brokenUntilMs, busyUntilMs, id } of agents)
      this.#heldUntilMs.set(id, atMs + Math.max(0, (pausedUntilMs ?? 0) - nowMs, (brokenUntilMs ?? 0) - nowMs, (busyUntilMs ?? 0) - nowMs));
  }

  look(): void {
    const { database } = this.#deps;
    const free = this.#free();
    const waiting: Task[] = [];
    for (const { task } of database.current.values()) {
      if (task.status === 'assigned') this.#assigned(task);
      else if (task.status === 'queued' && !task.parked) waiting.push(task);
    }
    if (free.length > 0) this.#queued(waiting, free);
  }

  /** J11, for tasks that wait for an agent. */
  #queued(waiting: readonly Task[], free: readonly { readonly agent: Agent; readonly sinceMs: number }[]): void {
    const { clock, timing, violated } = this.#deps;
    const boundMs = 2 * timing.sweepMs + LOOK_MS;
    const nowMs = clock.monotonicMs();
    const freeFor = new Map<string, number>();
    for (const task of waiting) {
      const { sinceMs } = this.#waits.get(task.id) ?? { sinceMs: nowMs };
      if (nowMs - sinceMs <= boundMs) continue;
      const key = requirementKey(task.requirement);
      const freeSinceMs = freeFor.get(key) ?? Math.min(...free.filter(({ agent }) => mayRun(task, agent)).map((one) => one.sinceMs));
      freeFor.set(key, freeSinceMs);
      const waitedMs = nowMs - Math.max(sinceMs, freeSinceMs);
      if (waitedMs > boundMs) {
        const name = free.find(({ agent, sinceMs: since }) => since === freeSinceMs && mayRun(task, agent))?.agent.id;
        return violated('J11', `${task.id} is queued for ${Math.round(waitedMs)} ms next to ${name}, which is free and may run it`);
      }
    }
  }

  /** J11, for what is not accepted; J12, for what a disconnected agent has. */
  #assigned(task: Task): void {
    const { clock, timing, awaySinceMs, violated } = this.#deps;
    const nowMs = clock.monotonicMs();
    const wellSinceMs = Math.max(...this.#deps.hubs().map((hub) => hub.wellSinceMs));
    const quietMs = Math.max(timing.quietAfterStartMs, timing.reconnectGraceMs);
    const since = this.#waits.get(task.id)?.sinceMs ?? nowMs;
    const absentMs = awaySinceMs(task.assignedTo as AgentId);
    if (task.acceptedAtMs === null) {
      const waitedMs = nowMs - Math.max(since, wellSinceMs);
      const boundMs = PUSHES * (timing.acceptMs + timing.reconnectGraceMs) + quietMs + 2 * timing.sweepMs + NOTICED_MS;
      if (waitedMs > boundMs)
        violated(
          'J11',
          `${task.id}.g${task.generation} is assigned to ${task.assignedTo}, which has not accepted it for ${Math.round(waitedMs)} ms`,
        );
    }
    if (absentMs === undefined) return;
    const goneMs = nowMs - Math.max(absentMs, since, wellSinceMs);
    if (goneMs > timing.reconnectGraceMs + quietMs + 2 * timing.sweepMs + NOTICED_MS)
      violated('J12', `${task.assignedTo} is disconnected for ${Math.round(goneMs)} ms and still has ${task.id}.g${task.generation}`);
  }

  /** Agents that could have been assigned something since some time, by the checks so far. */
  #free(): readonly { readonly agent: Agent; readonly sinceMs: number }[] {
    const { clock, database, hubs } = this.#deps;
    const nowMs = clock.monotonicMs();
    const wellSince = new Map(hubs().map((hub) => [hub.hubId, hub.wellSinceMs]));
    const taken = new Map<string, number>();
    /** What was sent to them may be all that they can be sent for now. */
    const unanswered = new Set<string>();
    const add = (id: string): unknown => taken.set(id, (taken.get(id) ?? 0) + 1);
    for (const { task } of database.current.values()) {
      if (task.status !== 'assigned') continue;
      add(task.assignedTo as string);
      if (task.acceptedAtMs === null) unanswered.add(task.assignedTo as string);
    }
    for (const stop of database.stops.values()) {
      add(stop.agentId);
      unanswered.add(stop.agentId);
    }
    const free: { agent: Agent; sinceMs: number }[] = [];
    for (const agent of database.agents.values()) {
      const isFree =
        agent.connected &&
        !agent.draining &&
        agent.ownDrain === null &&
        (agent.checks?.failed ?? []).length === 0 &&
        (this.#heldUntilMs.get(agent.id) ?? 0) <= nowMs &&
        (taken.get(agent.id) ?? 0) < roomOf(agent) &&
        !unanswered.has(agent.id);
      const before = this.#freeSince.get(agent.id);
      if (!isFree) this.#freeSince.delete(agent.id);
      else if (before?.count !== agent.assignedCount) this.#freeSince.set(agent.id, { count: agent.assignedCount, sinceMs: nowMs });
      const known = this.#freeSince.get(agent.id);
      if (known !== undefined) free.push({ agent, sinceMs: Math.max(known.sinceMs, wellSince.get(agent.hubId) ?? Infinity) });
    }
    return free;
  }
}

/** How it waits: a new description begins a new wait. */
function howOf(task: Task): string | null {
  if (task.status === 'queued') return task.parked ? null : `queued ${task.generation} ${task.eligibleAtMs}`;
  return task.status === 'assigned' ? `assigned ${task.generation}` : null;
}

const mayRun = ({ requirement: { assignTo, capabilities } }: Task, agent: Agent): boolean =>
  (assignTo === null || assignTo === agent.id) && capabilities.every((capability) => agent.capabilities.includes(capability));
