/** Validates and expands the configured argv. */
import type { ConfigProblem, WakeRequest } from '../plugin.ts';
import { codeRunner } from './code-runner.ts';

const TEMPLATE = /\$\{(TASK_ID|TASK_DESCRIPTION|TASK_JSON)\}/g;
/** Placeholders for text written by the submitter. */
const TASK_TEXT = /\$\{(?:TASK_DESCRIPTION|TASK_JSON)\}/;

/**
 * Puts the task into the arguments. Each stays one argument, and placeholders are replaced in one pass, so that
 * placeholders inside a task's text are just text. The program itself is not expanded.
 */
export function expandArgv(argv: readonly string[], request: WakeRequest): readonly string[] {
  const values: Readonly<Record<string, () => string>> = {
    TASK_ID: () => request.taskId,
    TASK_DESCRIPTION: () => request.task.description,
    TASK_JSON: () => JSON.stringify(request.task),
  };
  const expand = (argument: string): string => argument.replace(TEMPLATE, (word, name: string) => values[name]?.() ?? word);
  return argv.map((argument, index) => (index === 0 ? argument : expand(argument)));
}

/** Problems beyond the schema. */
export function argvProblems(argv: readonly string[], taskTextAsCode = false): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const [program = ''] = argv;
  if (program === '') problems.push({ path: 'argv[0]', message: 'must name a program, found an empty string' });
  if (/\$\{TASK_/.test(program))
    problems.push({
      path: 'argv[0]',
      message: 'must name a program; a task cannot choose it, so placeholders are only for what follows',
    });
  argv.forEach((argument, index) => {
    const path = `argv[${String(index)}]`;
    if (argument.includes('\0')) problems.push({ path, message: 'must not have a NUL character (U+0000)' });
    const runner = taskTextAsCode || !TASK_TEXT.test(argument) ? null : codeRunner(argv, index);
    if (runner !== null) {
      problems.push({
        path,
        message:
          `would run the text of a task as a program of "${runner}"; read the task from standard input, or pass it as a further argument ` +
          'and use "$1". Where whoever submits may run anything here, say taskTextAsCode: true',
      });
    }
  });
  return problems;
}

/** Arguments that begin with task text, without a `--` before them. */
export function openTextArguments(argv: readonly string[]): readonly number[] {
  const separator = argv.indexOf('--');
  const isOpen = (argument: string, index: number): boolean =>
    index > 0 && argument.search(TASK_TEXT) === 0 && (separator === -1 || index < separator);
  return argv.flatMap((argument, index) => (isOpen(argument, index) ? [index] : []));
}
