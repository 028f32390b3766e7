/** `agentcom list`, `show`, `watch`, `retry`, `cancel`, `adopt` and `stats`. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { PRIORITIES, STATUSES } from '../../../core/domain/task/task.ts';
import type { ActAnswer, HubClient, ListQuery, NumberedEntry, TaskJson } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from '../exit-codes.ts';
import { followTask, reconnectNotes, STDERR_LINES } from '../follow.ts';
import { printEvent } from '../output/event-line.ts';
import type { Column } from '../output/text-table.ts';
import { age } from '../output/time-text.ts';
import { parseWhole } from '../parse.ts';
import { showTask } from '../output/task-page.ts';
import { resultText } from '../output/task-outcome.ts';

interface ListOptions {
  readonly status?: string;
  readonly priority?: string;
  readonly agent?: string;
  readonly limit?: number;
  readonly cursor?: string;
}
interface ShowOptions {
  readonly all?: boolean;
  readonly result?: number;
  readonly agent?: string;
}
interface WatchOptions {
  readonly agent?: string;
  readonly type?: string;
}

export function addTasks(program: Command, action: Action): void {
  program
    .command('list')
    .description('List tasks, newest first')
    .addOption(new Option('-s, --status <status>', 'only tasks with this status').choices([...STATUSES]))
    .addOption(new Option('-p, --priority <priority>', 'only tasks with this priority').choices([...PRIORITIES]))
    .option('-a, --agent <agent>', 'only tasks that this agent has or completed')
    .option('-l, --limit <count>', 'how many, at most 500 (default: 50)', parseWhole)
    .option('--cursor <cursor>', 'continue after the previous page')
    .action(action(list));
  program
    .command('show <task>')
    .description('Show one task with its history and why it is waiting')
    .option('--all', 'the whole history, however long')
    .option('--result <generation>', 'only the late or refused result that was kept for this generation', parseWhole)
    .option('-a, --agent <agent>', 'with --result: the agent, if several have one')
    .action(action(show));
  program
    .command('watch [task]')
    .description('Follow one task to its end and exit with its outcome, or follow all events from now on')
    .option('-a, --agent <agent>', 'without a task: only events of this agent')
    .option('-t, --type <event>', 'without a task: only events of this type')
    .action(action(watch));
  program.command('retry <tasks...>').description('Requeue tasks that are dead-lettered or parked').action(action(retry));
  program.command('cancel <tasks...>').description('Cancel tasks and stop their agents').action(action(cancel));
  program
    .command('adopt <task>')
    .description('Complete a queued task with a late result that was kept for it')
    .requiredOption('-g, --generation <generation>', 'the generation of the late result, as listed by show', parseWhole)
    .action(action(adopt));
  program.command('stats').description('Count the tasks in each state').action(action(stats));
}

const COLUMNS: readonly Column<TaskJson>[] = [
  { title: 'TASK', cell: (task) => task.id },
  { title: 'STATUS', cell: (task) => task.status },
  { title: 'PRIORITY', cell: (task) => task.priority },
  { title: 'AGENT', cell: (task) => task.assigned_to ?? task.assign_to ?? '-', charactersMax: 24 },
  { title: 'RETRIES', cell: (task) => `${task.retry_count}/${task.max_retries}` },
  { title: 'TOKENS', cell: (task) => String(task.tokens_used ?? '-') },
  { title: 'USD', cell: (task) => String(task.cost_usd ?? '-') },
  { title: 'AGE', cell: (task) => age(task.created_at, Date.now()) },
  { title: 'DESCRIPTION', cell: (task) => task.description.trim().split('\n')[0] ?? '', charactersMax: 80 },
];

async function list({ output, hub }: Context, options: ListOptions): Promise<void> {
  const query: ListQuery = {
    status: options.status,
    priority: options.priority,
    assigned_to: options.agent,
    limit: options.limit,
    cursor: options.cursor,
  };
  const page = await (await hub()).tasks.list(query);
  output.data(page);
  output.table(COLUMNS, page.tasks);
  if (page.next_cursor !== null) output.note(`Next page: --cursor ${page.next_cursor}`);
}

async function show({ output, hub }: Context, options: ShowOptions, taskId: string): Promise<void> {
  const client = await hub();
  if (options.result !== undefined) {
    const kept = await client.tasks.keptResult(taskId, options.result, options.agent);
    output.data(kept);
    return output.block(resultText(kept.result));
  }
  const newest = await client.tasks.get(taskId);
  const task = options.all === true ? { ...newest, history: await wholeHistory(client, taskId), history_before: null } : newest;
  output.data(task);
  showTask(output, task);
}

async function wholeHistory(client: HubClient, taskId: string): Promise<readonly NumberedEntry[]> {
  const entries: NumberedEntry[] = [];
  for await (const entry of client.tasks.history(taskId)) entries.push(entry);
  return entries;
}

async function watch(context: Context, options: WatchOptions, taskId: string | undefined): Promise<void> {
  const { output, environment, exitWith } = context;
  const hub = await context.hub();
  if (taskId !== undefined) {
    await hub.tasks.get(taskId); // fails at once if there is no such task
    await followTask(context, hub, taskId);
    return;
  }
  const events = hub.events({
    agentId: options.agent,
    type: options.type,
    signal: environment.interrupt(),
    onReconnect: reconnectNotes(output),
  });
  for await (const { event, data } of events) {
    output.data({ event: data });
    printEvent(output, event, data, { withTask: true, stderrLines: STDERR_LINES });
  }
  exitWith(EXIT_INTERRUPTED);
}

async function adopt({ output, hub }: Context, { generation }: { readonly generation: number }, taskId: string): Promise<void> {
  const answer = await (await hub()).tasks.adopt(taskId, { generation });
  output.data(answer);
  output.line(`${taskId} is ${answer.status}, with the result of generation ${String(generation)}`);
}

const retry = (context: Context, _options: object, taskIds: readonly string[]): Promise<void> =>
  actOnEach(context, taskIds, (hub, taskId) => hub.tasks.retry(taskId), 'is again');
const cancel = (context: Context, _options: object, taskIds: readonly string[]): Promise<void> =>
  actOnEach(context, taskIds, (hub, taskId) => hub.tasks.cancel(taskId), 'is');

/** Acts on each; a refusal is printed and the others continue. The first refusal decides the exit code. */
async function actOnEach(
  { output, hub, exitWith }: Context,
  taskIds: readonly string[],
  act: (client: HubClient, taskId: string) => Promise<ActAnswer>,
  verb: string,
): Promise<void> {
  const client = await hub();
  let firstFailure: unknown;
  for (const taskId of taskIds) {
    try {
      const answer = await act(client, taskId);
      output.data({ task_id: taskId, ...answer });
      output.line(`${taskId} ${verb} ${answer.status}`);
    } catch (thrown) {
      firstFailure ??= thrown;
      output.error(thrown);
    }
  }
  if (firstFailure !== undefined) exitWith(exitCodeOf(firstFailure));
}

async function stats({ output, hub }: Context): Promise<void> {
  const counts = await (await hub()).tasks.stats();
  output.data(counts);
  for (const [name, value] of statsLines(counts)) output.line(`${name.padEnd(17)} ${value}`);
}

/** A line for each count and each group of counts; empty groups are omitted. */
function statsLines(counts: Readonly<Record<string, unknown>>, of = ''): readonly (readonly [name: string, text: string])[] {
  return Object.entries(counts).flatMap(([name, value]) => {
    if (typeof value !== 'object' || value === null) return [[`${of}${name}`, String(value)] as const];
    const inner = Object.entries(value);
    if (inner.some(([, count]) => typeof count === 'object')) return statsLines(Object.fromEntries(inner), `${name} `);
    return inner.length === 0 ? [] : [[`${of}${name}`, inner.map(([key, count]) => `${key} ${String(count)}`).join('  ')] as const];
  });
}
