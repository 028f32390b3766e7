/**
 * The states of tasks and agents as they were last committed, of a database that nobody else writes: what is reported on
 * a moment after it was given out need not be read and parsed again. Only what is committed is in it, and nothing that has
 * ended; after a transaction that failed, however it did, it is empty.
 */
import type { Agent } from '../../core/domain/agent.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import { isEnded, type Task } from '../../core/domain/task.ts';
import type { Changes } from '../../core/ports/task-store.ts';

/** Those that were saved longest ago are let go, and read when they are needed. */
const TASKS_MAX = 10_000;
const AGENTS_MAX = 10_000;

export class RecentStates {
  readonly #tasks = new Map<TaskId, Task>();
  readonly #agents = new Map<AgentId, Agent>();

  task(id: TaskId): Task | undefined {
    return this.#tasks.get(id);
  }

  agent(id: AgentId): Agent | undefined {
    return this.#agents.get(id);
  }

  /** Takes over what was committed. */
  take({ inserted, updated, agents }: Pick<Changes, 'inserted' | 'updated' | 'agents'>): void {
    for (const { task } of [...inserted, ...updated]) {
      this.#tasks.delete(task.id);
      if (!isEnded(task)) this.#tasks.set(task.id, task);
    }
    for (const agent of agents) {
      this.#agents.delete(agent.id);
      this.#agents.set(agent.id, agent);
    }
    letGo(this.#tasks, TASKS_MAX);
    letGo(this.#agents, AGENTS_MAX);
  }

  clear(): void {
    this.#tasks.clear();
    this.#agents.clear();
  }
}

function letGo<K>(states: Map<K, unknown>, max: number): void {
  for (const id of states.keys()) {
    if (states.size <= max) return;
    states.delete(id);
  }
}
