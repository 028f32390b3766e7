/** Signs tasks with the key of a submitter. What it needs is loaded when the first task is signed. */
import type { SignTask, TaskSignerOptions } from './signing-options.ts';

/** Signing rejects with `AC_USAGE` if the options are wrong or the key cannot be read. */
export function taskSigner(options: TaskSignerOptions): SignTask {
  let signing: Promise<SignTask> | null = null;
  return async (task) => {
    signing ??= import('./sign-task.ts').then(({ signTaskWith }) => signTaskWith(options));
    return (await signing)(task);
  };
}
