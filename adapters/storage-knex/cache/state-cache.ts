/**
 * A cache of tasks and agents as they were last committed, and of how much each agent holds, while nobody else writes to the database: a
 * task that is reported on shortly after it was assigned need not be read and parsed again. It has no ended tasks, and
 * only states that are committed or being committed; after a transaction failed in any way, it is empty.
 */
import type { Agent } from '../../../core/domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { isWaiting } from '../../../core/domain/task/claimable.ts';
import { isEnded, type Task, type TaskBody } from '../../../core/domain/task/task.ts';
import type { Changes, HeldCount } from '../../../core/ports/task-store.ts';
import { BodyCache } from './body-cache.ts';
import { ReadyQueueCache } from './ready-queue-cache.ts';
import { TwoGenerations } from './two-generations.ts';

/** The least recently saved are evicted, and read again when they are needed. The last `TASKS_MAX / 2` tasks are never evicted. */
const TASKS_MAX = 20_000;
const AGENTS_MAX = 10_000;

export class StateCache {
  /** What is assigned next. */
  readonly readyQueue = new ReadyQueueCache();
  readonly bodies = new BodyCache();
  /** Whether any task depends on another; null: not known yet. */
  hasDependencies: boolean | null = null;
  readonly #tasks = new TwoGenerations<TaskId, Task>(TASKS_MAX);
  readonly #agents = new Map<AgentId, Agent>();
  readonly #held = new Map<AgentId, number>();

  task(id: TaskId): Task | undefined {
    return this.#tasks.get(id);
  }

  agent(id: AgentId): Agent | undefined {
    return this.#agents.get(id);
  }

  /** How many live assignments and pending stops it has. */
  held(id: AgentId): number | undefined {
    return this.#held.get(id);
  }

  /** The tasks that are assigned next, as many as are worth reading at once, without those whose bodies are cached. */
  withoutBodies(): readonly TaskId[] {
    return this.readyQueue.ahead(this.bodies.readAhead).filter((id) => this.bodies.get(id) === undefined);
  }

  /** Adds what a transaction read before it saved anything. */
  takeRead(tasks: readonly Task[], counts: readonly HeldCount[]): void {
    for (const task of tasks) if (!isEnded(task) && this.#tasks.get(task.id) === undefined) this.#tasks.add(task.id, task);
    for (const { agentId, held } of counts) this.#held.set(agentId, held);
    evict(this.#held, AGENTS_MAX);
  }

  /** Applies the changes of a transaction. */
  take({ inserted, updated, agents, stopsSet, stopsCleared }: Changes): void {
    for (const { task, body } of inserted) this.#takeNew(task, body);
    const moved: Changes['updated'][number][] = [];
    for (const change of updated) {
      const { task } = change;
      const before = this.#tasks.get(task.id);
      // Which agent held it before is unknown.
      if (before === undefined) this.#held.clear();
      // A task that was assigned is not in the ready queue, and its body was dropped.
      const wasAssigned = before?.status === 'assigned';
      if (!wasAssigned) this.bodies.takeChanged(task);
      if (!wasAssigned || isWaiting(task)) moved.push(change);
      this.#takeTask(task, before ?? null);
    }
    this.readyQueue.takeChanged(moved);
    for (const { agentId } of [...stopsSet, ...stopsCleared]) this.#held.delete(agentId);
    for (const agent of agents) {
      this.#agents.delete(agent.id);
      this.#agents.set(agent.id, agent);
    }
    evict(this.#agents, AGENTS_MAX);
  }

  /** They are removed, or about to be: one that stays after all only costs a read. */
  dropAgents(ids: readonly AgentId[]): void {
    for (const id of ids) {
      this.#agents.delete(id);
      this.#held.delete(id);
    }
  }

  #takeNew(task: Task, body: TaskBody): void {
    if (task.dependsOn.length > 0) this.hasDependencies = true;
    this.bodies.takeNew(task, body);
    if (!this.readyQueue.takeNew(task)) return;
    this.#addHeld(holderOf(task), 1);
    if (!isEnded(task)) this.#tasks.add(task.id, task);
  }

  #takeTask(task: Task, before: Task | null): void {
    const from = holderOf(before);
    const to = holderOf(task);
    if (from !== to) {
      this.#addHeld(from, -1);
      this.#addHeld(to, 1);
    }
    if (isEnded(task)) this.#tasks.delete(task.id);
    else this.#tasks.set(task.id, task);
  }

  #addHeld(id: AgentId | null, difference: number): void {
    const held = id === null ? undefined : this.#held.get(id);
    if (id !== null && held !== undefined) this.#held.set(id, held + difference);
  }

  clear(): void {
    this.readyQueue.clear();
    this.bodies.clear();
    this.hasDependencies = null;
    this.#held.clear();
    this.#tasks.clear();
    this.#agents.clear();
  }
}

function evict<K>(states: Map<K, unknown>, max: number): void {
  if (states.size <= max) return;
  for (const id of states.keys()) {
    if (states.size <= max) return;
    states.delete(id);
  }
}

const holderOf = (task: Task | null): AgentId | null => (task?.status === 'assigned' ? task.assignedTo : null);
