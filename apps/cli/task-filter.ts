/** Which tasks a command is about: options that `list`, `retry` and `cancel` share. */
import { Option, type Command } from 'commander';
import { PRIORITIES, type Priority, type Status } from '../../core/domain/task/task.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { HubClient, ListQuery, TaskJson } from '../client/index.ts';
import { failedAttempts } from './output/task-outcome.ts';
import type { Column } from './output/text-table.ts';
import { age } from './output/time-text.ts';
import { parsePast } from './parse.ts';
import { firstLine, shortNames } from './task-names.ts';

export interface FilterOptions {
  readonly status?: Status;
  readonly priority?: Priority;
  readonly agent?: string;
  readonly submittedBy?: string;
  readonly failedBy?: string;
  readonly needs?: string;
  readonly text?: string;
  readonly since?: number;
}

export const addFilter = (command: Command, statuses: readonly Status[]): Command =>
  command
    .addOption(new Option('-s, --status <status>', 'only tasks with this status').choices([...statuses]))
    .addOption(new Option('-p, --priority <priority>', 'only tasks with this priority').choices([...PRIORITIES]))
    .option('--submitted-by <id>', 'only tasks that this token submitted: its ID, or admin (the admin token)')
    .option('--failed-by <agent>', 'only tasks that this agent was the last to fail or lose')
    .option('-n, --needs <capability>', 'only tasks that need this capability')
    .option('-t, --text <text>', 'only tasks whose description or last error contains this text (case-insensitive)')
    .option('--since <time>', 'only tasks submitted since: 2h (ago), an ISO time or milliseconds since 1970', parsePast);

export const isFiltered = ({ status, priority, agent, submittedBy, failedBy, needs, text, since }: FilterOptions): boolean =>
  [status, priority, agent, submittedBy, failedBy, needs, text, since].some((given) => given !== undefined);

export const queryOf = (options: FilterOptions): ListQuery => ({
  status: options.status,
  priority: options.priority,
  assigned_to: options.agent,
  submitted_by: options.submittedBy,
  failed_by: options.failedBy,
  capability: options.needs,
  text: options.text,
  since: options.since,
});

/** The most requests for one list, so that a search through millions of tasks ends: each request searches up to 2,000. */
const PAGES_MAX = 100;

/** Up to `limit` tasks: a hub that searches row by row may answer in short pages. */
export async function listed(
  hub: HubClient,
  query: ListQuery,
  limit: number | undefined,
): Promise<{ readonly tasks: readonly TaskJson[]; readonly next_cursor: string | null }> {
  let page = await hub.tasks.list({ ...query, limit });
  if ([query.submitted_by, query.failed_by, query.capability, query.text].every((given) => given === undefined)) return page;
  const tasks = [...page.tasks];
  for (let pages = 1; pages < PAGES_MAX && page.next_cursor !== null && tasks.length < (limit ?? LIMIT_DEFAULT); pages += 1) {
    page = await hub.tasks.list({ ...query, limit: (limit ?? LIMIT_DEFAULT) - tasks.length, cursor: page.next_cursor });
    tasks.push(...page.tasks);
  }
  return { tasks, next_cursor: page.next_cursor };
}

/** Whether the hub certainly has no such agent, which may be a typing mistake. A submitter may not ask for agents. */
export async function isUnknownAgent(hub: HubClient, agentId: string): Promise<boolean> {
  try {
    await hub.agents.get(agentId);
    return false;
  } catch (thrown) {
    const refusal = AgentcomError.is(thrown) ? thrown.details?.['error'] : undefined;
    if (refusal === 'unknown_agent' || refusal === 'forbidden') return refusal === 'unknown_agent';
    throw thrown;
  }
}

/** The hub's default. */
const LIMIT_DEFAULT = 50;

export interface TaskColumnOptions {
  /** Whether IDs are as short as these tasks allow, for a terminal. */
  readonly isShort: boolean;
  /** By the hub's clock. Default: now, by this machine's clock. */
  readonly nowMs?: number | undefined;
  /** Default: why the last attempt failed. */
  readonly reasonOf?: ((task: TaskJson) => string) | undefined;
}

export function taskColumns(
  tasks: readonly TaskJson[],
  { isShort, nowMs = Date.now(), reasonOf = lastErrorOf }: TaskColumnOptions,
): readonly Column<TaskJson>[] {
  const nameOf = isShort ? shortNames(tasks.map(({ id }) => id)) : (id: string): string => id;
  const agentOf = (task: TaskJson): string => task.assigned_to ?? task.failed_by ?? task.assign_to ?? '-';
  return [
    { title: 'TASK', cell: (task) => nameOf(task.id) },
    { title: 'STATUS', cell: (task) => task.status },
    { title: 'PRIORITY', cell: (task) => task.priority, leftOut: 3 },
    { title: 'AGENT', cell: agentOf, charactersMax: 24, charactersMin: 8, leftOut: 5 },
    { title: 'FAILED', cell: failedAttempts, leftOut: 4 },
    { title: 'TOKENS', cell: (task) => String(task.tokens_used ?? '-'), leftOut: 1 },
    { title: 'USD', cell: (task) => String(task.cost_usd ?? '-'), leftOut: 2 },
    { title: 'AGE', cell: (task) => age(task.created_at, nowMs) },
    { title: 'DESCRIPTION', cell: firstLine, charactersMax: 80, charactersMin: 16 },
    ...(tasks.some((task) => reasonOf(task) !== '') ? [{ title: 'REASON', cell: reasonOf, charactersMax: 100, charactersMin: 20 }] : []),
  ];
}

/** The last error of a completed task no longer matters. */
const lastErrorOf = ({ status, last_error: reason }: TaskJson): string =>
  status === 'completed' ? '' : ((reason ?? '').trim().split('\n')[0] ?? '');
