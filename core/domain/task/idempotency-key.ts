/** The key by which a repeated submit finds the task that the first one created. Imports only types: clients in browsers use it. */
import type { TaskId } from '../ids.ts';

export const IDEMPOTENCY_KEY_CHARACTERS_MAX = 128;
/** HTTP removes a space at either end of a header, and a line of a batch keeps it: such a key would be two. */
export const IDEMPOTENCY_KEY_PATTERN = '^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$';
export const IDEMPOTENCY_KEY_WANTED = `1 to ${IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters, without a space at either end`;

const KEY = new RegExp(IDEMPOTENCY_KEY_PATTERN);

export const isIdempotencyKey = (key: string): boolean => key.length <= IDEMPOTENCY_KEY_CHARACTERS_MAX && KEY.test(key);

/**
 * A key in the form of a task ID names its task: the new task gets that ID, and the store keeps no record of the key. The clients of this
 * project make such keys: `task-`, the time as 12 hexadecimal digits, and 20 random ones.
 */
const TASK_NAME = /^task-[0-9a-f]{32}$/;
const TIME_FROM = 'task-'.length;
const TIME_DIGITS = 12;

/** How far the time in a key may be from the hub's for its task to get that ID, milliseconds; otherwise the key is kept like any other. */
export const NAME_AGE_MAX_MS = 3_600_000;
export const NAME_AHEAD_MAX_MS = 60_000;

/** The ID that a task with this key has if the key names it; null: a key of another form. */
export const taskNamedBy = (key: string): TaskId | null => (TASK_NAME.test(key) ? (key as TaskId) : null);

/** Whether the time in a name is close enough to `nowMs`. A removed task is remembered for `tombstoneMs`: an older name may have been used. */
export function isNameInTime(name: TaskId, nowMs: number, tombstoneMs: number): boolean {
  const atMs = Number.parseInt(name.slice(TIME_FROM, TIME_FROM + TIME_DIGITS), 16);
  return atMs <= nowMs + NAME_AHEAD_MAX_MS && atMs > nowMs - Math.min(NAME_AGE_MAX_MS, tombstoneMs - NAME_AHEAD_MAX_MS);
}
