/** Tasks named by the first digits of their IDs. */

/** The fewest digits of a task ID that tasks are looked up by. */
export const TASK_DIGITS_MIN = 4;
const TASK_ID_BEGINNING = new RegExp(`^task-[0-9a-f]{${TASK_DIGITS_MIN},64}$`);
/** The pattern of the beginning of a task ID, as the source of a regular expression. */
export const TASK_ID_BEGINNING_PATTERN = TASK_ID_BEGINNING.source;

/** The beginning of a task ID that a person wrote, with or without `task-`, in upper or lower case; null: it is none. */
export function taskIdBeginning(text: string): string | null {
  const beginning = `task-${text.toLowerCase().replace(/^task-/, '')}`;
  return TASK_ID_BEGINNING.test(beginning) ? beginning : null;
}

/** What this beginning stands for among the tasks that were found by it: the one task with this ID, or all of them. */
export function meantBy<T extends { readonly id: string }>(beginning: string, found: readonly T[]): readonly T[] {
  const exact = found.filter(({ id }) => id === beginning);
  return exact.length > 0 ? exact : found;
}
