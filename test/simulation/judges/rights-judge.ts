/**
 * J9: what one agent sends changes no assignment of another. J10: an accepted assignment is not pushed again. J11: an
 * unaccepted one is pushed a few times only. J15: two machines with one identity replace each other a few times, not
 * forever.
 */
import type { MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import type { Clock } from '../../../core/ports/clock.ts';

export interface RightsDeps {
  readonly clock: Clock;
  readonly database: MemoryDatabase;
  readonly violated: (rule: string, what: string) => void;
}

/** Reasons that only the agent itself can cause, by what it sends when it reconnects. */
const BY_ITS_RETURN: readonly unknown[] = ['not_held', 'lost', 'recovering', 'sidecar_restarted'];
/** The hub's limit, plus what a commit adds by itself. */
const RAISED_BY_MAX = 1_010;
/** What it sent may be in flight for this long, while it is assigned something on the connection before. */
const ON_ITS_WAY_MS = 120_000;
/** How often an assignment that its agent has not accepted yet is pushed, including the first time. */
const PUSHES_MAX = 3;
/** Takeovers of an open connection within this time, and one in flight. */
const REPLACED_WITHIN_MS = 60_000;
const REPLACED_MAX = 8;

export class RightsJudge {
  readonly #deps: RightsDeps;
  /** When each agent last identified or reported that it recovers. */
  readonly #returnedMs = new Map<string, number>();
  /** Task, agent and generation → when it was assigned. */
  readonly #assignedMs = new Map<string, number>();
  /** The highest generation that each task has had. */
  readonly #generations = new Map<TaskId, number>();
  readonly #pushes = new Map<string, number>();
  readonly #replacedMs = new Map<string, readonly number[]>();

  constructor(deps: RightsDeps) {
    this.#deps = deps;
  }

  /** The agent sends a frame with which it returns. */
  returned(agentId: string): void {
    this.#returnedMs.set(agentId, this.#deps.clock.monotonicMs());
  }

  committed(events: readonly StoredEvent[]): void {
    for (const event of events) {
      if (event.event === 'assigned')
        this.#assignedMs.set(nameOf(event.taskId, event.agentId, event.generation), this.#deps.clock.monotonicMs());
      this.#isEarned(event);
      this.#isOwnRaise(event, events);
    }
  }

  #isEarned({ event, taskId, agentId, generation, session, details }: StoredEvent): void {
    const { violated } = this.#deps;
    const what = `${event} of ${taskId}.g${generation} by ${agentId}`;
    if (event === 'stop_confirmed' && session !== null && !this.#assignedMs.has(nameOf(taskId, agentId, generation)))
      violated('J9', `${what}: it never had it`);
    if (event === 'late_result' && !this.#assignedMs.has(nameOf(taskId, agentId, generation))) violated('J9', `${what}: it never had it`);
    if ((event !== 'lost' && event !== 'reclaimed') || !BY_ITS_RETURN.includes(details?.['reason'])) return;
    const assignedMs = this.#assignedMs.get(nameOf(taskId, agentId, generation)) ?? Infinity;
    if ((this.#returnedMs.get(agentId ?? '') ?? -Infinity) < assignedMs - ON_ITS_WAY_MS)
      violated('J9', `${what} (${String(details?.['reason'])}): it sent nothing since it was assigned it`);
  }

  /** An agent that reports a newer generation may raise it by a little, unless another agent has the task. */
  #isOwnRaise({ event, taskId, agentId, generation, details }: StoredEvent, events: readonly StoredEvent[]): void {
    const { violated } = this.#deps;
    const raisedTo = details?.['raised_to'];
    if (typeof raisedTo === 'number') {
      const known = this.#generations.get(taskId) ?? 0;
      if (raisedTo > known + RAISED_BY_MAX) violated('J9', `${agentId} raised ${taskId} from about ${known} to ${raisedTo}`);
    }
    const now = typeof raisedTo === 'number' ? raisedTo : (generation ?? 0);
    if (event !== 'report_refused' || typeof raisedTo === 'number')
      this.#generations.set(taskId, Math.max(now, this.#generations.get(taskId) ?? 0));
    if (details?.['reason'] !== 'store_rolled_back' || (event !== 'lost' && event !== 'reclaimed')) return;
    const speaker = events.find((one) => one.taskId === taskId && one.details?.['raised_to'] !== undefined)?.agentId;
    if (speaker !== agentId) violated('J9', `${taskId}.g${generation} was taken from ${agentId} because of what ${speaker} sent`);
  }

  /** The hub sends this assignment to an agent. */
  pushed(taskId: TaskId, generation: number, isQuiet: boolean): void {
    const task = this.#deps.database.tasks.get(taskId)?.task;
    if (task?.status === 'assigned' && task.generation === generation && task.acceptedAtMs !== null)
      this.#deps.violated('J10', `${taskId}.g${generation} was accepted by ${task.assignedTo} and is pushed again`);
    // While silence does not count it may have been the hub that went away.
    if (isQuiet) return;
    const name = nameOf(taskId, task?.assignedTo ?? null, generation);
    const times = (this.#pushes.get(name) ?? 0) + 1;
    this.#pushes.set(name, times);
    if (times > PUSHES_MAX) this.#deps.violated('J11', `${taskId}.g${generation} is pushed to ${task?.assignedTo} for the ${times}th time`);
  }

  /** A connection of the agent replaced an open one. */
  replaced(agentId: AgentId | string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const recent = [...(this.#replacedMs.get(agentId) ?? []).filter((atMs) => atMs > nowMs - REPLACED_WITHIN_MS), nowMs];
    this.#replacedMs.set(agentId, recent);
    if (recent.length > REPLACED_MAX)
      this.#deps.violated('J15', `${recent.length} connections of ${agentId} replaced an open one within ${REPLACED_WITHIN_MS} ms`);
  }
}

const nameOf = (taskId: TaskId, agentId: string | null, generation: number | null): string => `${taskId} ${agentId} ${generation}`;
