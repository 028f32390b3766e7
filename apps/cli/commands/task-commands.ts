/** `agentcom list`, `show`, `watch`, `retry`, `cancel`, `adopt` and `stats`. */
import { Option, type Command } from 'commander';
import { EVENT_NAMES } from '../../../core/domain/task/event.ts';
import { STATUSES } from '../../../core/domain/task/task.ts';
import type { HubClient, NumberedEntry } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { followTask, reconnectNotes } from '../follow.ts';
import { printEvent, printEventTitles } from '../output/event-line.ts';
import { age } from '../output/time-text.ts';
import { parseWhole } from '../parse.ts';
import { addFilter, isUnknownAgent, listed, queryOf, taskColumns, type FilterOptions } from '../task-filter.ts';
import { isLast, taskNamed } from '../task-names.ts';
import { addActs } from './act-commands.ts';
import { showTask } from '../output/task-page.ts';
import { resultText } from '../output/task-outcome.ts';

interface ListOptions extends FilterOptions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly oldestFirst?: boolean;
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
  addFilter(program.command('list').description('List tasks, newest first'), STATUSES)
    .option('-a, --agent <agent>', 'only tasks that this agent has or completed')
    .option('-l, --limit <count>', 'how many, at most 500 (default: 50)', parseWhole)
    .option('--oldest-first', 'list the oldest first')
    .option('--cursor <cursor>', 'continue after the previous page')
    .action(action(list));
  program
    .command('show <task>')
    .description('Show one task with its history and why it is waiting')
    .option('--all', 'print the whole history')
    .option('--result <generation>', 'print only the late or refused result that was kept for this generation', parseWhole)
    .option('-a, --agent <agent>', 'with --result: the agent, if several have one')
    .action(action(show));
  program
    .command('watch [task]')
    .description('Follow one task to its end and exit with its outcome, or follow all events from now on')
    .option('-a, --agent <agent>', 'without a task: only events of this agent')
    .addOption(new Option('-t, --type <event>', 'without a task: only events of this type').choices([...EVENT_NAMES]))
    .action(action(watch));
  addActs(program, action);
  program
    .command('adopt <task>')
    .description('Complete a queued task with a late result that was kept for it')
    .requiredOption('-g, --generation <generation>', 'the generation of the late result, as listed by show', parseWhole)
    .action(action(adopt));
  program.command('stats').description('Count the tasks in each state').action(action(stats));
}

async function list({ output, hub, environment }: Context, options: ListOptions): Promise<void> {
  const client = await hub();
  const page = await listed(
    client,
    { ...queryOf(options), cursor: options.cursor, order: options.oldestFirst === true ? 'oldest' : undefined },
    options.limit,
  );
  output.data(page);
  output.table(taskColumns(page.tasks, { isShort: environment.stdout.isTTY === true }), page.tasks);
  if (page.next_cursor !== null) output.note(`Next page: --cursor ${page.next_cursor}`);
  if (page.tasks.length > 0) return;
  for (const agentId of [options.agent, options.failedBy])
    if (agentId !== undefined && (await isUnknownAgent(client, agentId))) output.note(noAgent(agentId));
}

const noAgent = (agentId: string): string => `The hub has no agent ${JSON.stringify(agentId)}: \`agentcom agents\` lists them.`;

async function show(context: Context, options: ShowOptions, name: string): Promise<void> {
  const { output } = context;
  const client = await context.hub();
  const taskId = await taskNamed(context, client, name);
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

async function watch(context: Context, options: WatchOptions, name: string | undefined): Promise<void> {
  const { output, environment, exitWith } = context;
  const hub = await context.hub();
  if (name !== undefined) {
    const taskId = await taskNamed(context, hub, name);
    await hub.tasks.get(taskId); // fails at once if there is no such task
    await followTask(context, hub, taskId);
    return;
  }
  if (options.agent !== undefined && (await isUnknownAgent(hub, options.agent)))
    output.note(`${noAgent(options.agent)} Waiting for one of that name.`);
  const events = hub.events({
    agentId: options.agent,
    type: options.type,
    signal: environment.interrupt(),
    onReconnect: reconnectNotes(output),
  });
  printEventTitles(output, true);
  for await (const { event, data } of events) {
    output.data({ event: data });
    printEvent(output, event, data, { withTask: true });
  }
  exitWith(EXIT_INTERRUPTED);
}

async function adopt(context: Context, { generation }: { readonly generation: number }, name: string): Promise<void> {
  const { output } = context;
  const client = await context.hub();
  const taskId = await taskNamed(context, client, name);
  const answer = await client.tasks.adopt(taskId, { generation });
  await isLast(context, client, taskId);
  output.data(answer);
  output.line(`${taskId} is ${answer.status}, with the result of generation ${String(generation)}`);
}

async function stats({ output, hub }: Context): Promise<void> {
  const counts = await (await hub()).tasks.stats();
  output.data(counts);
  for (const [name, value] of statsLines({ ...counts, oldest_ready: agesIn(counts['oldest_ready']) }))
    output.line(`${(STATS_LABELS[name] ?? name).padEnd(STATS_LABEL_CHARACTERS)}  ${value}`);
}

/** Times as ages; those that are not set are omitted. */
function agesIn(times: unknown): Readonly<Record<string, string>> {
  const known = Object.entries(times ?? {}).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  return Object.fromEntries(known.map(([name, timeMs]) => [name, age(timeMs, Date.now())]));
}

/** Labels of counts for people, where they differ from the names. */
const STATS_LABELS: Readonly<Record<string, string>> = { queued_by_priority: 'queued by priority', oldest_ready: 'oldest ready' };
const STATS_LABEL_CHARACTERS = 18;

/** A line for each count and each group of counts; empty groups are omitted. */
function statsLines(counts: Readonly<Record<string, unknown>>, of = ''): readonly (readonly [name: string, text: string])[] {
  return Object.entries(counts).flatMap(([name, value]) => {
    if (typeof value !== 'object' || value === null) return [[`${of}${name}`, String(value)] as const];
    const inner = Object.entries(value);
    if (inner.some(([, count]) => typeof count === 'object')) return statsLines(Object.fromEntries(inner), `${name} `);
    return inner.length === 0 ? [] : [[`${of}${name}`, inner.map(([key, count]) => `${key} ${String(count)}`).join('  ')] as const];
  });
}
