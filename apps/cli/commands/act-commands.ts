/** `agentcom retry` and `cancel`: on tasks by name, or on all that a filter finds, after a preview. */
import type { Command } from 'commander';
import { STATUSES, type Status } from '../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { isEndedStatus } from '../../client/ended-status.ts';
import type { ActAnswer, HubClient, TaskJson } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from '../exit-codes.ts';
import { addFilter, isFiltered, queryOf, taskColumns, type FilterOptions } from '../task-filter.ts';
import { stillRuns } from '../output/task-outcome.ts';
import { progressOn, progressText } from '../output/progress.ts';
import { isLast, taskNamed } from '../task-names.ts';

interface ActOptions extends FilterOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
}

interface Act {
  readonly name: 'retry' | 'cancel';
  readonly run: (hub: HubClient, taskId: string) => Promise<ActAnswer>;
  /** Printed between a task and its new status. */
  readonly verb: string;
  /** Printed after its new status. */
  readonly note?: (hub: HubClient, taskId: string) => Promise<string>;
  /** The statuses that it applies to: the default of a filter without a status. */
  readonly statuses: readonly Status[];
}

const RETRY: Act = { name: 'retry', run: (hub, taskId) => hub.tasks.retry(taskId), verb: 'is again', statuses: ['dead_letter'] };
const CANCEL: Act = {
  name: 'cancel',
  run: (hub, taskId) => hub.tasks.cancel(taskId),
  verb: 'is',
  note: async (hub, taskId) => stillRuns(await hub.tasks.get(taskId)),
  statuses: STATUSES.filter((status) => !isEndedStatus(status)),
};

/** The most tasks of one call; the next call handles the rest. */
const TASKS_MAX = 10_000;
const PAGE_TASKS = 500;
/** Rows of the preview. */
const SHOWN_TASKS = 10;
/** Concurrent requests. */
const AT_ONCE = 4;

export function addActs(program: Command, action: Action): void {
  const add = (act: Act, description: string, all: string): Command =>
    addFilter(program.command(`${act.name} [tasks...]`).description(description), act.statuses)
      .option('--all', all)
      .option('-y, --yes', 'with a filter: do not ask for confirmation')
      .action(action((context, options: ActOptions, names: readonly string[]) => run(context, act, options, names)));
  add(RETRY, 'Requeue tasks that are dead-lettered or parked: these, or all that match the filters', 'all dead-lettered tasks');
  add(CANCEL, 'Cancel tasks and stop their agents: these, or all that match the filters', 'all tasks that have not ended').option(
    '-a, --agent <agent>',
    'only tasks that this agent has',
  );
}

async function run(context: Context, act: Act, options: ActOptions, names: readonly string[]): Promise<void> {
  const hasFilter = options.all === true || isFiltered(options);
  if (hasFilter === names.length > 0) {
    throw new AgentcomError(
      'AC_USAGE',
      `Name the tasks to ${act.name}, or select them with filters, such as --since 1h, or with --all, but not both.`,
    );
  }
  if (hasFilter) return actOnFound(context, act, options);
  return actOnEach(context, act, names);
}

/** Acts on each task; a failure is printed and the rest continue. The first failure decides the exit code. */
async function actOnEach(context: Context, { run: runOn, verb, note }: Act, names: readonly string[]): Promise<void> {
  const { output, exitWith } = context;
  const client = await context.hub();
  let firstFailure: unknown;
  for (const name of names) {
    try {
      const taskId = await taskNamed(context, client, name);
      const answer = await runOn(client, taskId);
      output.data({ task_id: taskId, ...answer });
      output.line(`${taskId} ${verb} ${answer.status}${output.json ? '' : ((await note?.(client, taskId)) ?? '')}`);
      await isLast(context, client, taskId);
    } catch (thrown) {
      firstFailure ??= thrown;
      output.error(thrown);
    }
  }
  if (firstFailure !== undefined) exitWith(exitCodeOf(firstFailure));
}

/** Shows the tasks found, asks for confirmation, and acts on them. Tasks that changed in the meantime are counted and left as they are. */
async function actOnFound(context: Context, act: Act, options: ActOptions): Promise<void> {
  const { output, environment, exitWith } = context;
  const client = await context.hub();
  const { ids, first, isAll } = await found(client, act, options);
  if (ids.length === 0) return output.line(`No task to ${act.name} was found.`);
  const count = `${ids.length} ${ids.length === 1 ? 'task' : 'tasks'}`;
  if (options.yes !== true) {
    output.table(taskColumns(first, { isShort: environment.stdout.isTTY === true }), first);
    if (ids.length > first.length) output.line(`and ${ids.length - first.length} more`);
    const answer = await confirmed(context, `${act.name === 'retry' ? 'Retry' : 'Cancel'} ${count}?`);
    if (answer === null) {
      throw new AgentcomError('AC_USAGE', `Found ${count} to ${act.name}; nothing was done. Pass --yes to ${act.name} them.`, {
        details: { count: ids.length, task_ids: ids.slice(0, SHOWN_TASKS) },
      });
    }
    if (!answer) {
      output.note('Nothing was done.');
      return exitWith(EXIT_INTERRUPTED);
    }
  }
  const { done, left, failure } = await actOnAll(context, client, act, ids);
  output.line(`${done} of ${count}: ${act.name === 'retry' ? 'queued again' : 'cancelled'}.`, 'green');
  if (left > 0) output.note(`${left} had changed in the meantime and were left as they are.`);
  if (!isAll) output.note(`There are more: a call takes at most ${TASKS_MAX}. Run it again.`);
  if (failure !== null) throw failure;
}

interface Found {
  readonly ids: readonly string[];
  readonly first: readonly TaskJson[];
  readonly isAll: boolean;
}

async function found(hub: HubClient, { statuses }: Act, options: FilterOptions): Promise<Found> {
  const ids: string[] = [];
  const first: TaskJson[] = [];
  for (const status of options.status === undefined ? statuses : [options.status]) {
    for (let cursor: string | undefined; ;) {
      const page = await hub.tasks.list({ ...queryOf(options), status, limit: PAGE_TASKS, cursor });
      ids.push(...page.tasks.map(({ id }) => id));
      first.push(...page.tasks.slice(0, SHOWN_TASKS - first.length));
      if (ids.length > TASKS_MAX) return { ids: ids.slice(0, TASKS_MAX), first, isAll: false };
      if (page.next_cursor === null) break;
      cursor = page.next_cursor;
    }
  }
  return { ids, first, isAll: true };
}

/** Null if there is no terminal to ask on. */
async function confirmed({ environment, output }: Context, question: string): Promise<boolean | null> {
  const { stdin, stderr } = environment;
  if (output.json || stderr.isTTY !== true || !('isTTY' in stdin) || stdin.isTTY !== true) return null;
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: stdin, signal: environment.interrupt() });
  stderr.write(`${question} [y/N] `);
  const answer = await new Promise<string>((resolve) => lines.once('line', resolve).once('close', () => resolve('')));
  lines.close();
  return /^y(es)?$/i.test(answer.trim());
}

interface Acted {
  readonly done: number;
  readonly left: number;
  /** The error that ended it early; null if there was none. */
  readonly failure: Error | null;
}

async function actOnAll(context: Context, hub: HubClient, act: Act, ids: readonly string[]): Promise<Acted> {
  const { output, environment } = context;
  const progress = progressOn(environment, output.json);
  let [next, done, left] = [0, 0, 0];
  let failure = null as Error | null;
  const work = async (): Promise<void> => {
    while (failure === null) {
      const taskId = ids[next];
      if (taskId === undefined) return;
      next += 1;
      try {
        output.data({ task_id: taskId, ...(await act.run(hub, taskId)) });
        done += 1;
      } catch (thrown) {
        if (isChanged(thrown)) left += 1;
        else failure ??= thrown as Error;
      }
      progress.at(progressText(act.name === 'retry' ? 'Retrying' : 'Cancelling', done + left, ids.length, 'tasks'));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  progress.end();
  return { done, left, failure };
}

/** The task ended, was retried or was removed after it was found. */
function isChanged(thrown: unknown): boolean {
  const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : null;
  return status === 409 || status === 404;
}
