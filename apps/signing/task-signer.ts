/** Signs tasks with the key of a submitter. What it needs is loaded with the first of them. */
import type { SignTask, TaskSignerOptions } from './signing-options.ts';

/** Its signatures reject with `AC_USAGE` if the options are wrong or the key cannot be read. */
export function taskSigner(options: TaskSignerOptions): SignTask {
  let signing: Promise<SignTask> | null = null;
  return async (task) => {
    signing ??= import('./sign-task.ts').then(({ signTaskWith }) => signTaskWith(options));
    return (await signing)(task);
  };
}
