/** What `agentcom top` shows about a hub, as read at one moment. */
import { PRIORITIES, STATUSES, type Priority, type Status } from '../../../core/domain/task/task.ts';
import type { AgentJson, HubClient, TaskDetail, TaskJson } from '../../client/index.ts';

export interface HubState {
  readonly statuses: Readonly<Record<Status, number>>;
  /** Queued tasks, and since when the longest-waiting one of them that can be assigned has been ready. */
  readonly queue: Readonly<Record<Priority, { readonly queued: number; readonly oldestReadyMs: number | null }>>;
  readonly agents: readonly AgentJson[];
  /** How many agents were not read. */
  readonly moreAgents: number;
}

export interface Attention {
  /** The newest. */
  readonly deadLetters: readonly TaskJson[];
  /** Queued tasks, then blocked ones, each longest-waiting first, with the reason. */
  readonly waiting: readonly TaskDetail[];
}

/** The most agents that are read, the first by ID. */
const AGENTS_MAX = 500;
const DEAD_LETTERS_MAX = 5;
/** The most tasks of each status whose reason to wait is read. */
const WAITING_MAX = 4;

const numberIn = (value: unknown, name: string): number | null => {
  const found: unknown = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
  return typeof found === 'number' ? found : null;
};

export async function readHubState(hub: HubClient): Promise<HubState> {
  const [stats, page] = await Promise.all([hub.tasks.stats(), hub.agents.list({ limit: AGENTS_MAX })]);
  const queueOf = (priority: Priority) => ({
    queued: numberIn(stats['queued_by_priority'], priority) ?? 0,
    oldestReadyMs: numberIn(stats['oldest_ready'], priority),
  });
  const { agents } = stats;
  const allAgents = typeof agents === 'object' && agents !== null ? Object.values(agents as Record<string, number>) : [];
  return {
    statuses: Object.fromEntries(STATUSES.map((status) => [status, numberIn(stats, status) ?? 0])) as Record<Status, number>,
    queue: Object.fromEntries(PRIORITIES.map((priority) => [priority, queueOf(priority)])) as HubState['queue'],
    agents: page.agents,
    moreAgents: page.next_cursor === null ? 0 : Math.max(1, allAgents.reduce((sum, count) => sum + count, 0) - page.agents.length),
  };
}

/** A few tasks, each of which a person may have to look at. A task that ends in the meantime is left out. */
export async function readAttention(hub: HubClient): Promise<Attention> {
  const oldest = async (status: Status): Promise<readonly TaskDetail[]> => {
    const { tasks } = await hub.tasks.list({ status, order: 'oldest', limit: WAITING_MAX });
    const details = await Promise.all(tasks.map(({ id }) => hub.tasks.get(id).catch(() => null)));
    return details.filter((task): task is TaskDetail => task !== null && task.waiting_for !== null && task.status === status);
  };
  const [dead, queued, blocked] = await Promise.all([
    hub.tasks.list({ status: 'dead_letter', limit: DEAD_LETTERS_MAX }),
    oldest('queued'),
    oldest('blocked'),
  ]);
  return { deadLetters: dead.tasks, waiting: [...queued, ...blocked] };
}

/** The version of the hub, and by how much its clock is ahead of this one, milliseconds. */
export async function readHubClock(hub: HubClient): Promise<{ readonly version: string; readonly aheadMs: number }> {
  const askedMs = Date.now();
  const health = await hub.health();
  const hereMs = (askedMs + Date.now()) / 2;
  const serverMs = numberIn(health, 'server_time');
  return { version: String(health['version'] ?? ''), aheadMs: serverMs === null ? 0 : Math.round(serverMs - hereMs) };
}
