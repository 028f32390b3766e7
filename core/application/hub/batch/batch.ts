/** The working set of one transaction: loaded rows, changes, and what is to be saved and sent. Its rules are in core/domain. */
import { newAgent, type Agent, type PendingStop } from '../../../domain/agent/agent.ts';
import { recordAgent } from '../../../domain/agent/agent-events.ts';
import type { HubLease, HubMail } from '../../../domain/agent/hub-lease.ts';
import { dueAtMs } from '../../../domain/transitions/due.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import { isClaimable } from '../../../domain/task/claimable.ts';
import type { TaskEvent } from '../../../domain/task/event.ts';
import { withBoundedDetails } from '../../../domain/task/event-details.ts';
import type { KeptResultsChange, KeptResult } from '../../../domain/task/kept-results.ts';
import type { Tombstone } from '../../../domain/task/tombstone.ts';
import type { Requirement, Task, TaskBody } from '../../../domain/task/task.ts';
import type { Change } from '../../../domain/transitions/change.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { Digest } from '../../../ports/chance.ts';
import type { Changes, HeldCount, Holding, KeptKey, Loaded, StoreUnit } from '../../../ports/task-store.ts';
import { BatchKeys } from './batch-keys.ts';
import type { Outgoing } from './commands.ts';
import { groupedByTask } from './events-by-task.ts';
import { NOTHING_AHEAD, type ReadAhead } from './read-ahead.ts';
import { distinctRequirements, isReady, readyOf } from './ready-tasks.ts';
import { endOf, type TaskEnd } from './task-ends.ts';

/**
 * How far the current sweeps of this hub have come through the agents that need one, by id, and the leases that expired since the first of
 * these sweeps.
 */
export interface SweepPlace {
  readonly after: AgentId | null;
  readonly expired: readonly HubLease[];
}

export class Batch {
  readonly nowMs: number;
  readonly unit: StoreUnit;
  readonly outgoing: Outgoing[] = [];
  /** Assignments to send once their bodies are loaded, at the end of the batch. */
  readonly assignments: { readonly agentId: AgentId; readonly session: number; readonly task: Task }[] = [];
  /** After this batch, a ready task may match a free slot. */
  dispatchWanted = false;
  /** More was due or ready than one batch handles. */
  hasMore = false;
  /** The batch had a full sweep: removal follows. */
  removalWanted = false;
  /**
   * A dispatch shortly after may assign more, although no event will request it: another hub had locked rows, some cannot be read, or there are
   * more requirements than one batch reads. Null: this batch dispatched nothing.
   */
  hasMoreLater: boolean | null = null;
  /** Tasks that completed in this batch: their dependents may become ready. */
  readonly completed: TaskId[] = [];
  /** Tasks that completed in an earlier batch, which left some of their dependents blocked. */
  readonly unblocking: TaskId[] = [];
  /** Agents with a new session here whose old socket another hub may still have. */
  readonly takenOver: AgentId[] = [];
  readonly mail: HubMail[] = [];
  /** Where the next full sweep continues once this batch is committed; null if the batch had none. */
  sweptTo: SweepPlace | null = null;
  ahead: ReadAhead = NOTHING_AHEAD;

  readonly #tasks = new Map<TaskId, Task>();
  readonly #agents = new Map<AgentId, Agent>();
  /** Read without a lock: for answers, and for states that are final. */
  readonly #unlockedTasks = new Map<TaskId, Task>();
  readonly #unlockedAgents = new Map<AgentId, Agent>();
  readonly #held = new Map<AgentId, Set<TaskId>>();
  readonly #stops = new Map<AgentId, Map<string, PendingStop>>();
  readonly #tombstones = new Map<TaskId, Tombstone>();
  readonly #bodies = new Map<TaskId, TaskBody>();

  readonly #inserted = new Set<TaskId>();
  #hasNamed = false;
  readonly #dirtyTasks = new Set<TaskId>();
  readonly #dirtyAgents = new Set<AgentId>();
  readonly #events: TaskEvent[] = [];
  /** Whether the events of some task are interleaved with those of other tasks or of agents. */
  #areEventsScattered = false;
  readonly ends: TaskEnd[] = [];
  readonly #results: { readonly taskId: TaskId; readonly json: string }[] = [];
  readonly #kept = new Map<string, KeptResult>();
  readonly #keptDropped = new Map<string, KeptKey>();
  readonly #stopsSet = new Map<string, PendingStop>();
  readonly #stopsCleared = new Map<string, PendingStop>();
  /** By how much each agent's taken slots changed. */
  readonly #slotDeltas = new Map<AgentId, number>();
  /** Taken slots by agent, as counted in the store before the batch. */
  readonly #counts = new Map<AgentId, number>();
  /** Changed tasks that are still queued in the store. */
  readonly #queuedBefore = new Set<TaskId>();

  readonly #digest: Digest;
  readonly keys: BatchKeys;

  /** `assumesNewKeys`: idempotency keys are not looked up. */
  constructor(unit: StoreUnit, digest: Digest, assumesNewKeys = false) {
    this.unit = unit;
    this.#digest = digest;
    this.keys = new BatchKeys(assumesNewKeys);
    this.nowMs = unit.nowMs;
  }

  /** Adds locked rows. Rows that the batch already has are newer and are kept. */
  add(loaded: Partial<Loaded>): void {
    for (const task of loaded.tasks ?? []) if (!this.#tasks.has(task.id)) this.#tasks.set(task.id, task);
    for (const tombstone of loaded.tombstones ?? []) this.#tombstones.set(tombstone.id, tombstone);
    for (const agent of loaded.agents ?? []) if (!this.#agents.has(agent.id)) this.#agents.set(agent.id, agent);
    for (const key of loaded.keys ?? []) this.keys.load(key);
  }

  /** Adds rows that were read without a lock. This batch changes none of them and assigns nothing to these agents. */
  addUnlocked({ tasks, tombstones, agents }: Pick<Loaded, 'tasks' | 'tombstones' | 'agents'>): void {
    for (const task of tasks) this.#unlockedTasks.set(task.id, task);
    for (const tombstone of tombstones) this.#tombstones.set(tombstone.id, tombstone);
    for (const agent of agents) this.#unlockedAgents.set(agent.id, agent);
  }

  addHoldings(holdings: readonly Holding[]): void {
    for (const { agentId, live, stops } of holdings) {
      this.add({ tasks: live });
      const held = this.#held.get(agentId) ?? new Set();
      for (const task of live) held.add(task.id);
      this.#held.set(agentId, held);
      if (stops.length === 0) continue;
      const known = this.#stops.get(agentId) ?? new Map<string, PendingStop>();
      for (const stop of stops) if (!known.has(stopKey(stop)) && !this.#stopsCleared.has(stopKey(stop))) known.set(stopKey(stop), stop);
      this.#stops.set(agentId, known);
    }
  }

  addCounts(counts: readonly HeldCount[]): void {
    for (const { agentId, held } of counts) this.#counts.set(agentId, held);
  }

  task(id: TaskId): Task | undefined {
    return this.#tasks.get(id);
  }

  tombstone(id: TaskId): Tombstone | undefined {
    return this.#tombstones.get(id);
  }

  /** A task as far as this batch knows it: locked, read without a lock, or only its tombstone. */
  taskSnapshot(id: TaskId): Task | Tombstone | undefined {
    return this.#tasks.get(id) ?? this.#unlockedTasks.get(id) ?? this.#tombstones.get(id);
  }

  agent(id: AgentId): Agent | undefined {
    return this.#agents.get(id);
  }

  /** The agent, also if it was read without a lock. */
  agentSnapshot(id: AgentId): Agent | undefined {
    return this.#agents.get(id) ?? this.#unlockedAgents.get(id);
  }

  /** The live assignments of an agent whose holdings were added, as they are now. */
  liveOf(agentId: AgentId): readonly Task[] {
    const ids = this.#held.get(agentId) ?? new Set<TaskId>();
    return [...ids].flatMap((id) => {
      const task = this.#tasks.get(id);
      return task?.status === 'assigned' && task.assignedTo === agentId ? [task] : [];
    });
  }

  stopsOf(agentId: AgentId): readonly PendingStop[] {
    return [...(this.#stops.get(agentId)?.values() ?? [])];
  }

  /** `isNamed`: an idempotency key names the task, so one of that ID may exist. */
  insert(made: Change, body: TaskBody, isNamed = false): void {
    this.#hasNamed ||= isNamed;
    this.#bodies.set(made.task.id, body);
    this.#inserted.add(made.task.id);
    this.put(made);
  }

  /**
   * Applies a transition. Fails with `AC_INTERNAL` when it was decided on an older state of the task: the store would mistake its
   * events for repeats and drop them.
   */
  put(made: Change): void {
    const before = this.#tasks.get(made.task.id);
    if (made.task.eventSeq - made.events.length !== (before?.eventSeq ?? 0)) {
      const found = `it ends at event ${made.task.eventSeq} after ${made.events.length}, the batch is at ${before?.eventSeq ?? 0}`;
      throw new AgentcomError('AC_INTERNAL', `A change of task ${made.task.id} was decided on an older state of it: ${found}.`);
    }
    const end = endOf(before, made);
    if (end !== null) this.ends.push(end);
    this.#tasks.set(made.task.id, made.task);
    if (before?.status === 'queued' && !this.#dirtyTasks.has(made.task.id)) this.#queuedBefore.add(made.task.id);
    if (this.#dirtyTasks.has(made.task.id)) this.#areEventsScattered ||= this.#events.at(-1)?.taskId !== made.task.id;
    else this.#dirtyTasks.add(made.task.id);
    for (const event of made.events) this.#events.push(withBoundedDetails(event, this.#digest.sha256));
    if (made.keptResults !== null) this.#keep(made.task.id, made.keptResults);
    if (made.result !== null) this.#results.push({ taskId: made.task.id, json: made.result });
    this.#countSlots(before, made.task);
    if (made.stop !== null) this.setStop(made.stop);
    if (made.task.status === 'completed' && before?.status !== 'completed') this.completed.push(made.task.id);
    if (isClaimable(made.task, this.nowMs)) this.dispatchWanted = true;
  }

  /** Saves a change that has no event, such as a moved deadline. */
  touch(task: Task): void {
    this.#tasks.set(task.id, task);
    this.#dirtyTasks.add(task.id);
  }

  putAgent(agent: Agent): void {
    const before = this.#agents.get(agent.id);
    if (before === agent) return;
    const recorded = recordAgent(before, agent, this.nowMs);
    this.#agents.set(agent.id, recorded.agent);
    this.#dirtyAgents.add(agent.id);
    for (const event of recorded.events) this.#events.push(withBoundedDetails(event, this.#digest.sha256));
  }

  /** The agent's row, or a new one for an agent that has only a token so far. */
  agentOrNew(id: AgentId): Agent {
    return this.#agents.get(id) ?? newAgent(id, id, this.nowMs);
  }

  setStop(stop: PendingStop): void {
    const stops = this.#stops.get(stop.agentId) ?? new Map<string, PendingStop>();
    const isNew = !stops.has(stopKey(stop)) && !this.#stopsSet.has(stopKey(stop));
    stops.set(stopKey(stop), stop);
    this.#stops.set(stop.agentId, stops);
    this.#stopsSet.set(stopKey(stop), stop);
    this.#stopsCleared.delete(stopKey(stop));
    if (isNew) {
      this.#add(stop.agentId, 1);
      this.send(stop);
    }
  }

  clearStop(stop: PendingStop): void {
    this.#stops.get(stop.agentId)?.delete(stopKey(stop));
    this.#stopsSet.delete(stopKey(stop));
    this.#stopsCleared.set(stopKey(stop), stop);
    this.#add(stop.agentId, -1);
    this.dispatchWanted = true;
  }

  /** Sends the stop after the commit. */
  send(stop: PendingStop): void {
    this.outgoing.push({
      kind: 'stop',
      agentId: stop.agentId,
      taskId: stop.taskId,
      generation: stop.generation as Task['generation'],
      reason: stop.reason,
    });
  }

  /** Agents whose row or slots this batch changed: they may have room that the roster does not know about yet. */
  changedAgents(): readonly AgentId[] {
    return [...new Set([...this.#dirtyAgents, ...this.#slotDeltas.keys()])];
  }

  /** Whether a task that this batch changed is ready and unassigned. */
  get hasReadyTasks(): boolean {
    for (const id of this.#dirtyTasks) {
      const task = this.#tasks.get(id);
      if (task !== undefined && isReady(task, this.nowMs)) return true;
    }
    return false;
  }

  /** How many tasks that are queued in the store this batch has changed: up to that many rows of a read may be out of date. */
  get changedQueuedCount(): number {
    return this.#queuedBefore.size;
  }

  /** Blocked tasks that depend on one of these, as the batch knows them. */
  blockedOn(ids: Iterable<TaskId>): readonly Task[] {
    const named = new Set(ids);
    return [...this.#tasks.values()].filter((task) => task.status === 'blocked' && task.dependsOn.some((id) => named.has(id)));
  }

  /** Ready tasks of these requirement keys, as the batch knows them. */
  readyTasks(keys: ReadonlySet<string>): readonly Task[] {
    return readyOf(this.#tasks.values(), keys, this.nowMs);
  }

  /** The distinct requirements of `waiting` and of the tasks that became ready in this batch. */
  withOwnRequirements(waiting: readonly Requirement[]): readonly Requirement[] {
    const changed = [...this.#dirtyTasks].map((id) => this.#tasks.get(id)).filter((task) => task !== undefined);
    return distinctRequirements(waiting, changed, this.nowMs);
  }

  /** Sends a live assignment to its agent after the commit: a new one, or one that the agent may not have received. */
  push(agentId: AgentId, session: number, task: Task): void {
    this.assignments.push({ agentId, session, task });
  }

  /** The body of a task that this batch inserted, or that `loadBodies` loaded. */
  body(id: TaskId): TaskBody | undefined {
    return this.#bodies.get(id);
  }

  async loadBodies(ids: readonly TaskId[]): Promise<void> {
    const missing = ids.filter((id) => !this.#bodies.has(id));
    if (missing.length === 0) return;
    for (const { taskId, body } of await this.unit.bodies(missing)) this.#bodies.set(taskId, body);
  }

  /** By how much each agent's taken slots changed in this batch. */
  get slotDeltas(): ReadonlyMap<AgentId, number> {
    return this.#slotDeltas;
  }

  /** The agent rows of the batch, for the roster. */
  get agents(): ReadonlyMap<AgentId, Agent> {
    return this.#agents;
  }

  /** The taken slots of an agent as they are now; undefined if they were not read from the store. */
  slotsTaken(id: AgentId): number | undefined {
    if (this.#held.has(id)) return this.liveOf(id).length + this.stopsOf(id).length;
    const before = this.#counts.get(id);
    return before === undefined ? undefined : before + (this.#slotDeltas.get(id) ?? 0);
  }

  /** Agents with a known `slotsTaken`. */
  get countedAgents(): readonly AgentId[] {
    return [...new Set([...this.#held.keys(), ...this.#counts.keys()])];
  }

  changes(): Changes {
    const inserted: Changes['inserted'][number][] = [];
    const updated: Changes['updated'][number][] = [];
    for (const id of this.#dirtyTasks) {
      const task = this.#tasks.get(id);
      if (task === undefined) continue;
      const body = this.#inserted.has(id) ? this.#bodies.get(id) : undefined;
      const due = dueAtMs(task, this.nowMs);
      if (body === undefined) updated.push({ task, dueAtMs: due });
      else inserted.push({ task, dueAtMs: due, body });
    }
    return {
      inserted,
      hasNamed: this.#hasNamed,
      updated,
      events: this.#areEventsScattered ? groupedByTask(this.#events) : this.#events,
      results: this.#results,
      kept: [...this.#kept.values()],
      keptDropped: [...this.#keptDropped.values()],
      agents: [...this.#dirtyAgents].flatMap((id) => this.#agents.get(id) ?? []),
      stopsSet: [...this.#stopsSet.values()],
      stopsCleared: [...this.#stopsCleared.values()],
      keys: this.keys.added,
      mail: this.mail,
    };
  }

  #keep(taskId: TaskId, { saved, dropped }: KeptResultsChange): void {
    for (const { generation, agentId } of dropped) {
      const key = { taskId, generation, agentId };
      this.#kept.delete(stopKey(key));
      this.#keptDropped.set(stopKey(key), key);
    }
    if (saved === null) return;
    this.#keptDropped.delete(stopKey(saved));
    this.#kept.set(stopKey(saved), saved);
  }

  #countSlots(before: Task | undefined, after: Task): void {
    const from = before?.status === 'assigned' ? before.assignedTo : null;
    const to = after.status === 'assigned' ? after.assignedTo : null;
    if (from === to) return;
    if (from !== null) {
      this.#add(from, -1);
      this.dispatchWanted = true;
    }
    if (to !== null) {
      this.#add(to, 1);
      this.#held.get(to)?.add(after.id);
    }
  }

  #add(agentId: AgentId, difference: number): void {
    this.#slotDeltas.set(agentId, (this.#slotDeltas.get(agentId) ?? 0) + difference);
  }
}

/** The key of an assignment, of its stop and of its kept result. */
const stopKey = (stop: Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>): string =>
  `${stop.agentId} ${stop.taskId} ${stop.generation}`;
