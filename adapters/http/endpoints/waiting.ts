/** Reads what is needed to explain why a task is not running, and why an agent gets no tasks. */
import type { AgentId } from '../../../core/domain/ids.ts';
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import { PRIORITIES, type Task } from '../../../core/domain/task/task.ts';
import { explainAgent, type AgentLoad, type AgentWaiting } from '../../../core/domain/waiting/agent-waiting.ts';
import { unconfirmedStop } from '../../../core/domain/waiting/unconfirmed-stop.ts';
import { explainWaiting, type TasksAhead, type WaitingFor, type WaitingView } from '../../../core/domain/waiting/waiting-for.ts';
import type { AgentRow } from '../../../core/ports/agent-store.ts';
import type { HttpApiDeps } from '../deps.ts';
import type { AllAgents } from './all-agents.ts';

type Deps = Pick<HttpApiDeps, 'tasks' | 'agents' | 'clock' | 'quietUntilMs'>;

type MaySee = (other: Task) => boolean;

export interface Waiting {
  /** `events`: the newest of its history, oldest first. `maySee`: whether the explanation may name this other task. */
  ofTask(task: Task, events: readonly TaskEvent[], maySee: MaySee): Promise<WaitingFor | null>;
  ofAgent(row: AgentRow): Promise<AgentWaiting>;
}

export function waiting({ tasks, agents, clock, quietUntilMs }: Deps, everyAgent: AllAgents): Waiting {
  const explain = (task: Task, view: Partial<WaitingView> = {}): WaitingFor | null =>
    explainWaiting(task, { dependencies: [], agents: [], nowMs: clock.nowMs(), quietUntilMs: quietUntilMs(), ...view });

  const rowOf = async (id: AgentId): Promise<readonly AgentRow[]> => {
    const row = await agents.getAgent(id);
    return row === undefined ? [] : [row];
  };
  const rowsFor = async (task: Task): Promise<readonly AgentRow[]> => {
    const only = task.status === 'assigned' ? task.assignedTo : task.requirement.assignTo;
    return only === null ? everyAgent() : rowOf(only);
  };

  /** Counts by priority, whatever the tasks require: counting only competitors would need an index of its own. */
  const aheadOf = async ({ priority }: Task): Promise<TasksAhead> => {
    const { queuedByPriority } = await tasks.stats();
    const above = PRIORITIES.slice(0, PRIORITIES.indexOf(priority));
    return { higher: above.reduce((sum, one) => sum + queuedByPriority[one], 0), same: Math.max(0, queuedByPriority[priority] - 1) };
  };

  return {
    async ofTask(task, events, maySee) {
      const seenLoad = (row: AgentRow): AgentLoad => ({ ...loadOf(row), live: row.live.filter(maySee) });
      if (task.status === 'cancelled') {
        const stopping = unconfirmedStop(events);
        return stopping === null ? null : explain(task, { agents: (await rowOf(stopping)).map(seenLoad) });
      }
      if (task.status === 'blocked') return explain(task, { dependencies: await tasks.peek(task.dependsOn) });
      if (task.status !== 'queued' && task.status !== 'assigned') return explain(task);
      const loads = (await rowsFor(task)).map(seenLoad);
      const first = explain(task, { agents: loads });
      if (task.status === 'assigned' || first?.agents === undefined) return first;
      // Only for the offline agents that the explanation names, which are few.
      const offline = first.agents.flatMap(({ agentId, blocker }) => (blocker === 'offline' ? [agentId] : []));
      const isBusy = first.agents.some(({ kind }) => kind === 'slots_taken');
      const [lockedOut, ahead] = await Promise.all([
        offline.length === 0 ? null : agents.lockedOutAmong(offline, clock.nowMs()),
        isBusy ? aheadOf(task) : undefined,
      ]);
      const known = lockedOut === null ? loads : loads.map((load) => ({ ...load, lockedOut: lockedOut.get(load.agent.id) }));
      return explain(task, { agents: known, ahead });
    },

    async ofAgent(row) {
      const { id, connected } = row.agent;
      const nowMs = clock.nowMs();
      const lockedOut = connected ? undefined : (await agents.lockedOutAmong([id], nowMs)).get(id);
      return explainAgent({ ...loadOf(row), lockedOut }, nowMs);
    },
  };
}

const loadOf = (row: AgentRow): AgentLoad => ({
  agent: row.agent,
  live: row.live,
  liveCount: row.live.length,
  stopCount: row.pendingStops,
});
