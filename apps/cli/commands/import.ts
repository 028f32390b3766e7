/** `agentcom import`: imports open tasks of the original hub from lists that its HTTP API returned. */
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Action, Context } from '../cli-context.ts';
import type { ImportPlan, SkippedTask } from '../moving-in/field-tasks.ts';
import type { CliEnvironment } from '../cli-environment.ts';
import { progressOn, progressText } from '../output/progress.ts';
import { utf8Text } from '../text-input.ts';

/** The largest file that can be imported, bytes. */
const FILE_BYTES_MAX = 67_108_864;

interface ImportOptions {
  readonly dryRun?: boolean;
}
interface Taken {
  readonly from: string;
  /** Null in a dry run. */
  readonly task_id: string | null;
  readonly notes: readonly string[];
}

export function addImport(program: Command, action: Action): void {
  program
    .command('import <files...>')
    .description('Submit the open tasks of the original hub, as returned by its GET /api/tasks and GET /api/tasks/dead-letter')
    .option('--dry-run', 'only print what would be imported and what would be skipped')
    .action(action(importTasks));
}

async function importTasks(context: Context, { dryRun = false }: ImportOptions, files: readonly string[]): Promise<void> {
  const { IMPORT_TASKS_MAX, planImport } = await import('../moving-in/field-tasks.ts');
  const given = (await Promise.all(files.map((file) => readTasks(context.environment, file)))).flat();
  if (given.length > IMPORT_TASKS_MAX) {
    throw new AgentcomError('AC_USAGE', `Expected at most ${IMPORT_TASKS_MAX} tasks, found ${given.length}. Import them in several runs.`);
  }
  const plan = planImport(given, Date.now());
  const taken: Taken[] = [];
  const left: SkippedTask[] = [...plan.left];
  try {
    if (dryRun) taken.push(...plan.tasks.map(({ from, notes }) => ({ from, task_id: null, notes })));
    else await submitAll(context, plan, taken, left);
  } finally {
    printSummary(context, taken, left, dryRun);
  }
  if (left.some(({ isOpen }) => isOpen)) context.exitWith(1);
}

/** Submits one task after another. A refused task is skipped, with those that depend on it; any other failure ends the import. */
async function submitAll(context: Context, { tasks }: ImportPlan, taken: Taken[], left: SkippedTask[]): Promise<void> {
  const hub = await context.hub();
  const ids = new Map<string, string>();
  const progress = progressOn(context.environment, context.output.json);
  for (const [index, { from, key, body, dependsOn, notes }] of tasks.entries()) {
    progress.at(progressText('Importing', index, tasks.length, 'tasks'));
    const missing = dependsOn.find((id) => !ids.has(id));
    if (missing !== undefined) {
      left.push({ from, reason: `it depends on ${missing}, which was not imported`, isOpen: true });
      continue;
    }
    const needs = dependsOn.flatMap((id) => ids.get(id) ?? []);
    try {
      const { task_id } = await hub.tasks.submit({ ...body, ...(needs.length === 0 ? {} : { depends_on: needs }) }, key);
      ids.set(from, task_id);
      taken.push({ from, task_id, notes });
    } catch (thrown) {
      progress.end();
      left.push({ from, reason: refusalOf(thrown), isOpen: true });
    }
  }
  progress.end();
}

/** Why the hub refused this task; other errors are rethrown. */
function refusalOf(thrown: unknown): string {
  const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : null;
  if (status === 409) return 'it was imported before with different contents';
  if (status === 400 || status === 413) return messageOf(thrown);
  throw thrown;
}

function printSummary({ output }: Context, taken: readonly Taken[], left: readonly SkippedTask[], dryRun: boolean): void {
  output.data({ taken, left: left.map(({ from, reason }) => ({ from, reason })), dry_run: dryRun });
  for (const { from, task_id, notes } of taken) {
    const note = notes.length === 0 ? '' : ` (${notes.join('; ')})`;
    output.line(task_id === null ? `${from} would be imported${note}` : `${from} is now ${task_id}${note}`);
  }
  for (const { from, reason, isOpen } of left) output.line(`${from} was skipped: ${reason}`, isOpen ? 'yellow' : 'grey');
  output.note(`${taken.length} ${dryRun ? 'would be imported' : 'imported'}, ${left.length} skipped.`);
}

async function readTasks({ cwd }: CliEnvironment, name: string): Promise<readonly unknown[]> {
  const file = resolve(cwd, name);
  const mistake = (what: string, cause?: unknown): AgentcomError =>
    new AgentcomError('AC_USAGE', `Cannot import ${file}: ${what}. Expected the output of GET /api/tasks: {"tasks": [{"id": …}, …]}.`, {
      cause,
    });
  const content = await readBounded(file).catch((thrown: unknown) => {
    throw mistake(messageOf(thrown), thrown);
  });
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (thrown) {
    throw mistake(`it is not JSON (${messageOf(thrown)})`, thrown);
  }
  const { tasksIn } = await import('../moving-in/field-tasks.ts');
  const tasks = tasksIn(value);
  if (tasks === null) throw mistake('it contains no list of tasks');
  return tasks;
}

async function readBounded(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, more than the limit of ${FILE_BYTES_MAX}`);
    const text = utf8Text(await handle.readFile());
    if (text === null) throw new Error('it is not UTF-8');
    return text.replace(/^\uFEFF/, '');
  } finally {
    await handle.close();
  }
}
