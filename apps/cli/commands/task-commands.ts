/** `agentcom list`, `show`, `watch`, `retry`, `cancel`, `adopt` and `stats`. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { PRIORITIES, STATUSES } from '../../../core/domain/task/task.ts';
import type { ActAnswer, HubClient, ListQuery, NumberedEntry, TaskJson } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from '../exit-codes.ts';
import { followTask, reconnectNotes, STDERR_LINES } from '../follow.ts';
import { tellEvent } from '../output/event-line.ts';
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
    .addOption(new Option('-s, --status <status>', 'only these').choices([...STATUSES]))
    .addOption(new Option('-p, --priority <lane>', 'only these').choices([...PRIORITIES]))
    .option('-a, --agent <agent>', 'only those that this agent has or completed')
    .option('-l, --limit <count>', 'how many, at most 500 (the hub: 50)', parseWhole)
    .option('--cursor <cursor>', 'go on where the page before ended')
    .action(action(list));
  program
    .command('show <task>')
    .description('Show one task with its history and what it waits for')
    .option('--all', 'the whole history, also where it is too long for one page')
    .option('--result <generation>', 'only the late or refused result that is kept of this generation, whole', parseWhole)
    .option('-a, --agent <agent>', 'with --result: of this agent, where several have one')
    .action(action(show));
  program
    .command('watch [task]')
    .description('Follow one task to its end and exit by its outcome, or everything that happens from now on')
    .option('-a, --agent <agent>', 'without a task: only what this agent does')
    .option('-t, --type <event>', 'without a task: only events of this name')
    .action(action(watch));
  program
    .command('retry <tasks...>')
    .description('Put tasks from the dead letter, or parked ones, back into the queue')
    .action(action(retry));
  program.command('cancel <tasks...>').description('Cancel tasks; a running agent is stopped').action(action(cancel));
  program
    .command('adopt <task>')
    .description('Complete a queued task with a late result that is kept of it')
    .requiredOption('-g, --generation <generation>', 'of the assignment whose result it was; show lists what is kept', parseWhole)
    .action(action(adopt));
  program.command('stats').description('Show how many tasks stand where').action(action(stats));
}

const COLUMNS: readonly Column<TaskJson>[] = [
  { title: 'TASK', cell: (task) => task.id },
  { title: 'STATUS', cell: (task) => task.status },
  { title: 'LANE', cell: (task) => task.priority },
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
  if (page.next_cursor !== null) output.note(`There are more: --cursor ${page.next_cursor}`);
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
  const { output, surroundings, exitWith } = context;
  const hub = await context.hub();
  if (taskId !== undefined) {
    await hub.tasks.get(taskId); // a task that is not there is told at once instead of being waited for
    await followTask(context, hub, taskId);
    return;
  }
  const events = hub.events({
    agentId: options.agent,
    type: options.type,
    signal: surroundings.interrupt(),
    onReconnect: reconnectNotes(output),
  });
  for await (const { event, data } of events) {
    output.data({ event: data });
    tellEvent(output, event, data, { withTask: true, stderrLines: STDERR_LINES });
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

/** Each by itself: one that is refused is told and the others go on; the first refusal decides the exit code. */
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

/** A line for each count and each group of counts; a group without any has none. */
function statsLines(counts: Readonly<Record<string, unknown>>, of = ''): readonly (readonly [name: string, text: string])[] {
  return Object.entries(counts).flatMap(([name, value]) => {
    if (typeof value !== 'object' || value === null) return [[`${of}${name}`, String(value)] as const];
    const inner = Object.entries(value);
    if (inner.some(([, count]) => typeof count === 'object')) return statsLines(Object.fromEntries(inner), `${name} `);
    return inner.length === 0 ? [] : [[`${of}${name}`, inner.map(([key, count]) => `${key} ${String(count)}`).join('  ')] as const];
  });
}
