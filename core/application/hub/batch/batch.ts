/**
 * The working set of one transaction: what was loaded, what the commands of the batch made of it, and what is to be
 * saved and sent. Rules are in core/domain; this only keeps the books.
 */
import { newAgent, type Agent, type PendingStop } from '../../../domain/agent/agent.ts';
import type { HubMail } from '../../../domain/agent/hub-lease.ts';
import { dueAtMs, isOver } from '../../../domain/transitions/due.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import { isClaimable } from '../../../domain/task/claimable.ts';
import type { TaskEvent } from '../../../domain/task/event.ts';
import { boundedDetails } from '../../../domain/task/event-details.ts';
import type { Keeping, KeptResult } from '../../../domain/task/kept-results.ts';
import type { Tombstone } from '../../../domain/task/tombstone.ts';
import { requirementKey, type Requirement, type Task, type TaskBody } from '../../../domain/task/task.ts';
import type { Change } from '../../../domain/transitions/change.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { Digest } from '../../../ports/chance.ts';
import type {
  Changes,
  HeldCount,
  Holding,
  IdempotencyName,
  IdempotencyRecord,
  KeptKey,
  Loaded,
  StoreUnit,
} from '../../../ports/task-store.ts';
import type { Outgoing } from './commands.ts';

export class Batch {
  readonly nowMs: number;
  readonly unit: StoreUnit;
  readonly outgoing: Outgoing[] = [];
  /** Assignments to send once their bodies are loaded, at the end of the batch. */
  readonly assigned: { readonly agentId: AgentId; readonly session: number; readonly task: Task }[] = [];
  /** Whether something in this batch may let a waiting task meet a free slot. */
  dispatchWanted = false;
  /** More was due or waiting than one batch takes. */
  moreWaits = false;
  /** A sweep was in it: what is over for long is removed next. */
  removalWanted = false;
  /** Another hub had an agent that might have been given work: it is looked at again in a moment. */
  agentsTaken = false;
  /** Tasks that became completed in this batch: their dependents are looked at. */
  readonly completed: TaskId[] = [];
  /** Tasks that completed in an earlier batch, which left some of their dependents blocked. */
  readonly unblocking: TaskId[] = [];
  /** Agents whose socket another hub may still hold, though this batch gave them a session here. */
  readonly takenOver: AgentId[] = [];
  /** Frames for other hubs to send. */
  readonly mail: HubMail[] = [];

  readonly #tasks = new Map<TaskId, Task>();
  readonly #agents = new Map<AgentId, Agent>();
  /** As they were read without a lock: for answers, and for what never changes back. */
  readonly #seenTasks = new Map<TaskId, Task>();
  readonly #seenAgents = new Map<AgentId, Agent>();
  readonly #held = new Map<AgentId, Set<TaskId>>();
  readonly #stops = new Map<AgentId, Map<string, PendingStop>>();
  readonly #tombstones = new Map<TaskId, Tombstone>();
  readonly #keys = new Map<string, IdempotencyRecord>();
  readonly #bodies = new Map<TaskId, TaskBody>();

  readonly #inserted = new Set<TaskId>();
  readonly #dirtyTasks = new Set<TaskId>();
  readonly #dirtyAgents = new Set<AgentId>();
  readonly #events: TaskEvent[] = [];
  readonly #results: { readonly taskId: TaskId; readonly json: string }[] = [];
  readonly #kept = new Map<string, KeptResult>();
  readonly #keptDropped = new Map<string, KeptKey>();
  readonly #stopsSet = new Map<string, PendingStop>();
  readonly #stopsCleared = new Map<string, PendingStop>();
  readonly #newKeys: IdempotencyRecord[] = [];
  /** By how much each agent's taken slots changed. */
  readonly #taken = new Map<AgentId, number>();
  /** Taken slots by agent, as the store counted them before the batch. */
  readonly #counts = new Map<AgentId, number>();
  /** Changed tasks that wait for somebody in the store. */
  readonly #waitedBefore = new Set<TaskId>();

  readonly #digest: Digest;

  constructor(unit: StoreUnit, digest: Digest) {
    this.unit = unit;
    this.#digest = digest;
    this.nowMs = unit.nowMs;
  }

  /** Takes in what the store has; what the batch knows already is newer and stays. */
  take(loaded: Partial<Loaded>): void {
    for (const task of loaded.tasks ?? []) if (!this.#tasks.has(task.id)) this.#tasks.set(task.id, task);
    for (const tombstone of loaded.tombstones ?? []) this.#tombstones.set(tombstone.id, tombstone);
    for (const agent of loaded.agents ?? []) if (!this.#agents.has(agent.id)) this.#agents.set(agent.id, agent);
    for (const key of loaded.keys ?? []) this.#keys.set(keyOf(key), key);
  }

  /** Takes in what was read without a lock. Nothing of it is changed or given work by this batch. */
  see({ tasks, tombstones, agents }: Pick<Loaded, 'tasks' | 'tombstones' | 'agents'>): void {
    for (const task of tasks) this.#seenTasks.set(task.id, task);
    for (const tombstone of tombstones) this.#tombstones.set(tombstone.id, tombstone);
    for (const agent of agents) this.#seenAgents.set(agent.id, agent);
  }

  takeHoldings(holdings: readonly Holding[]): void {
    for (const { agentId, live, stops } of holdings) {
      this.take({ tasks: live });
      const held = this.#held.get(agentId) ?? new Set();
      for (const task of live) held.add(task.id);
      this.#held.set(agentId, held);
      if (stops.length === 0) continue;
      const known = this.#stops.get(agentId) ?? new Map<string, PendingStop>();
      for (const stop of stops) if (!known.has(stopKey(stop)) && !this.#stopsCleared.has(stopKey(stop))) known.set(stopKey(stop), stop);
      this.#stops.set(agentId, known);
    }
  }

  takeCounts(counts: readonly HeldCount[]): void {
    for (const { agentId, held } of counts) this.#counts.set(agentId, held);
  }

  task(id: TaskId): Task | undefined {
    return this.#tasks.get(id);
  }

  /** What is left of a task that was removed. */
  tombstone(id: TaskId): Tombstone | undefined {
    return this.#tombstones.get(id);
  }

  /** How a task stands as far as this batch knows: locked, seen, or what is left of it. */
  standing(id: TaskId): Task | Tombstone | undefined {
    return this.#tasks.get(id) ?? this.#seenTasks.get(id) ?? this.#tombstones.get(id);
  }

  agent(id: AgentId): Agent | undefined {
    return this.#agents.get(id);
  }

  /** The agent, also where it was only seen. */
  seenAgent(id: AgentId): Agent | undefined {
    return this.#agents.get(id) ?? this.#seenAgents.get(id);
  }

  key(name: IdempotencyName): IdempotencyRecord | undefined {
    return this.#keys.get(keyOf(name));
  }

  addKey(record: IdempotencyRecord): void {
    this.#keys.set(keyOf(record), record);
    this.#newKeys.push(record);
  }

  /** The live assignments of an agent whose holdings were taken in, as they are now. */
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

  /** A new task with its body. */
  insert(made: Change, body: TaskBody): void {
    this.#bodies.set(made.task.id, body);
    this.#inserted.add(made.task.id);
    this.put(made);
  }

  /**
   * Takes over what a transition decided of the task as the batch has it. Fails with `AC_INTERNAL` when it was decided of an
   * older state, whose events would be taken for repeats and lost.
   */
  put(made: Change): void {
    const before = this.#tasks.get(made.task.id);
    if (made.task.eventSeq - made.events.length !== (before?.eventSeq ?? 0)) {
      const found = `it ends at event ${made.task.eventSeq} after ${made.events.length}, the batch knows ${before?.eventSeq ?? 0}`;
      throw new AgentcomError('AC_INTERNAL', `A change of task ${made.task.id} was decided of an older state of it: ${found}.`);
    }
    this.#tasks.set(made.task.id, made.task);
    if (before?.status === 'queued' && !this.#dirtyTasks.has(made.task.id)) this.#waitedBefore.add(made.task.id);
    this.#dirtyTasks.add(made.task.id);
    for (const event of made.events) {
      const details = boundedDetails(event.details, this.#digest.sha256);
      this.#events.push(details === event.details ? event : { ...event, details });
    }
    if (made.keeping !== null) this.#keep(made.task.id, made.keeping);
    if (made.result !== null) this.#results.push({ taskId: made.task.id, json: made.result });
    this.#countSlots(before, made.task);
    if (made.stop !== null) this.setStop(made.stop);
    if (made.task.status === 'completed' && before?.status !== 'completed') this.completed.push(made.task.id);
    if (isClaimable(made.task, this.nowMs)) this.dispatchWanted = true;
  }

  /** Saves a task that has no event to tell, such as a moved deadline. */
  touch(task: Task): void {
    this.#tasks.set(task.id, task);
    this.#dirtyTasks.add(task.id);
  }

  putAgent(agent: Agent): void {
    if (this.#agents.get(agent.id) === agent) return;
    this.#agents.set(agent.id, agent);
    this.#dirtyAgents.add(agent.id);
  }

  /** The agent's row, or a new one for an agent that only has a token so far. */
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

  /** The order to stop goes out after the commit. */
  send(stop: PendingStop): void {
    this.outgoing.push({
      kind: 'stop',
      agentId: stop.agentId,
      taskId: stop.taskId,
      generation: stop.generation as Task['generation'],
      reason: stop.reason,
    });
  }

  /** Agents whose row or holdings this batch changed: they may have room that nobody remembers yet. */
  changedAgents(): readonly AgentId[] {
    return [...new Set([...this.#dirtyAgents, ...this.#taken.keys()])];
  }

  /** Whether a task that this batch touched still waits for somebody who may run it now. */
  get leavesWork(): boolean {
    for (const id of this.#dirtyTasks) {
      const task = this.#tasks.get(id);
      if (task !== undefined && mayBeGiven(task, this.nowMs)) return true;
    }
    return false;
  }

  /** How many tasks that wait in the store this batch has changed so far: as many rows of the waiting may be out of date. */
  get changedWaiting(): number {
    return this.#waitedBefore.size;
  }

  /** Blocked tasks that name one of these, as the batch knows them. */
  blockedOn(ids: Iterable<TaskId>): readonly Task[] {
    const named = new Set(ids);
    return [...this.#tasks.values()].filter((task) => task.status === 'blocked' && task.dependsOn.some((id) => named.has(id)));
  }

  /** Queued tasks that may be given out now, as the batch knows them, of these requirement keys. */
  claimable(keys: ReadonlySet<string>): readonly Task[] {
    return [...this.#tasks.values()].filter((task) => mayBeGiven(task, this.nowMs) && keys.has(requirementKey(task.requirement)));
  }

  /** The requirements of `waiting` and of what became eligible in this batch, each once. */
  withOwnRequirements(waiting: readonly Requirement[]): readonly Requirement[] {
    const all = new Map(waiting.map((requirement) => [requirementKey(requirement), requirement]));
    for (const id of this.#dirtyTasks) {
      const task = this.#tasks.get(id);
      if (task !== undefined && mayBeGiven(task, this.nowMs)) all.set(requirementKey(task.requirement), task.requirement);
    }
    return [...all.values()];
  }

  /** A live assignment goes to its agent after the commit: new, or once more because it was never seen or was lost. */
  push(agentId: AgentId, session: number, task: Task): void {
    this.assigned.push({ agentId, session, task });
  }

  /** The body of a task that was inserted in this batch, or was loaded by `loadBodies`. */
  body(id: TaskId): TaskBody | undefined {
    return this.#bodies.get(id);
  }

  async loadBodies(ids: readonly TaskId[]): Promise<void> {
    const missing = ids.filter((id) => !this.#bodies.has(id));
    if (missing.length === 0) return;
    for (const { taskId, body } of await this.unit.bodies(missing)) this.#bodies.set(taskId, body);
  }

  /** Taken slots by agent, as differences to before the batch. */
  get taken(): ReadonlyMap<AgentId, number> {
    return this.#taken;
  }

  /** The rows of agents that the batch knows, for the hub's memory. */
  get agents(): ReadonlyMap<AgentId, Agent> {
    return this.#agents;
  }

  /** The taken slots of an agent as they are now; undefined where it was never read how many there were. */
  takenBy(id: AgentId): number | undefined {
    if (this.#held.has(id)) return this.liveOf(id).length + this.stopsOf(id).length;
    const before = this.#counts.get(id);
    return before === undefined ? undefined : before + (this.#taken.get(id) ?? 0);
  }

  /** Agents for whom `takenBy` knows. */
  get counted(): readonly AgentId[] {
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
      updated,
      events: this.#events,
      results: this.#results,
      kept: [...this.#kept.values()],
      keptDropped: [...this.#keptDropped.values()],
      agents: [...this.#dirtyAgents].flatMap((id) => this.#agents.get(id) ?? []),
      stopsSet: [...this.#stopsSet.values()],
      stopsCleared: [...this.#stopsCleared.values()],
      keys: this.#newKeys,
      mail: this.mail,
    };
  }

  #keep(taskId: TaskId, { saved, dropped }: Keeping): void {
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
    this.#taken.set(agentId, (this.#taken.get(agentId) ?? 0) + difference);
  }
}

const mayBeGiven = (task: Task, nowMs: number): boolean => isClaimable(task, nowMs) && !isOver(task, nowMs);

const keyOf = (name: IdempotencyName): string => JSON.stringify([name.owner, name.key]);
/** The name of an assignment, of its stop and of its kept result. */
const stopKey = (stop: Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>): string =>
  `${stop.agentId} ${stop.taskId} ${stop.generation}`;
