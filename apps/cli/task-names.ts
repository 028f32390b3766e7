/** How people name tasks: by the beginning of the ID, or as `@last`. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { isTaskId } from '../../core/domain/ids.ts';
import type { HubClient, TaskJson } from '../client/index.ts';
import type { Context } from './cli-context.ts';
import { keepLastTask, lastTask } from './state/last-task.ts';
import { stateFolder } from './state/state-folder.ts';

const LAST = '@last';
const BEFORE_DIGITS = 'task-';
/** Digits of our IDs. */
const DIGITS = 32;
/** The fewest digits in a list: of the time and the count within a millisecond, which no other task of the same hub has. */
const SHORT_DIGITS_MIN = 16;

/** The ID of the task that `name` means. Throws `AC_USAGE` if it means none or several, and lists these. */
export async function taskNamed(context: Context, hub: HubClient, name: string): Promise<string> {
  if (isTaskId(name)) return name;
  if (name === LAST) return lastOf(context, hub);
  const { meantBy, TASK_DIGITS_MIN, taskIdBeginning } = await import('../../core/domain/task/task-beginning.ts');
  const beginning = taskIdBeginning(name);
  if (beginning === null) {
    throw new AgentcomError(
      'AC_USAGE',
      `Expected a task as task-… or the first digits of its ID, at least ${TASK_DIGITS_MIN} (0-9, a-f), or ${LAST}; found ${JSON.stringify(name)}.`,
    );
  }
  const { tasks } = await hub.tasks.list({ id_prefix: beginning });
  const [only, ...others] = meantBy(beginning, tasks);
  if (only === undefined) throw new AgentcomError('AC_USAGE', `No task has an ID that begins with ${beginning}.`);
  if (others.length === 0) return only.id;
  const candidates = tasks.map((task) => `  ${task.id}  ${task.status}  ${firstLine(task)}`);
  throw new AgentcomError(
    'AC_USAGE',
    [`More than one task has an ID that begins with ${beginning}. Add digits:`, ...candidates].join('\n'),
    { details: { candidates: tasks.map(({ id }) => id) } },
  );
}

async function lastOf({ environment }: Context, hub: HubClient): Promise<string> {
  const folder = stateFolder(environment.env);
  const taskId = folder === null ? null : await lastTask(folder, hub.url);
  if (taskId !== null) return taskId;
  const where = folder === null ? 'there is no home: set AGENTCOM_STATE_DIR' : `nothing is kept for ${hub.url} in ${folder.path}`;
  throw new AgentcomError('AC_USAGE', `${LAST} is the task that you last submitted or acted on, but ${where}. Name the task.`);
}

/** Keeps the task as `@last`. */
export async function isLast({ environment }: Context, hub: HubClient, taskId: string | undefined): Promise<void> {
  const folder = stateFolder(environment.env);
  if (folder !== null && taskId !== undefined) await keepLastTask(folder, hub.url, taskId);
}

/** The shortest names that tell these tasks apart, all of one length. */
export function shortNames(taskIds: readonly string[]): (taskId: string) => string {
  const digits = taskIds.map((id) => id.slice(BEFORE_DIGITS.length));
  let length = SHORT_DIGITS_MIN;
  while (length < DIGITS && new Set(digits.map((each) => each.slice(0, length))).size < new Set(digits).size) length += 1;
  return (id) => id.slice(BEFORE_DIGITS.length, BEFORE_DIGITS.length + length);
}

export const firstLine = ({ description }: Pick<TaskJson, 'description'>): string => description.trim().split('\n')[0] ?? '';
