/** Explains why a program could not be started, what to do about it, and whether a retry can help. */
import { stat } from 'node:fs/promises';
import { shownPath } from './find-program.ts';

export interface LaunchFailure {
  readonly kind: 'failed';
  readonly message: string;
  /** False: the config, the machine or the task has to change first. */
  readonly retryable: boolean;
  /** `limit`: this task cannot be passed to any program, neither here nor on a similar machine. */
  readonly cause?: 'limit' | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Linux's limit for one argument: MAX_ARG_STRLEN, 32 pages of 4 KiB including the closing NUL. */
const ARGUMENT_BYTES_MAX = 128 * 1024;

/** Whether this is an expected launch error: a system error, or an argument that cannot be passed to any program. */
export const isLaunchError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && ('syscall' in error || ('code' in error && EXPECTED_CODE.test(String(error.code))));

/** Node's own codes, for errors without a system call. */
const EXPECTED_CODE = /^ERR_(?:INVALID_ARG_VALUE|FS_\w+)$/;

/** `error` is what `spawn`, or creating the run's files, threw or emitted. */
export async function explainLaunchFailure(
  error: NodeJS.ErrnoException,
  launch: {
    readonly argv: readonly string[];
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly runDir: string;
  },
): Promise<LaunchFailure> {
  const { argv, cwd } = launch;
  const program = JSON.stringify(argv[0] ?? '');
  const failure = (retryable: boolean, why: string): LaunchFailure => ({
    kind: 'failed',
    message: `Cannot start ${program}: ${why}`,
    retryable,
    details: { program: argv[0] ?? '', cwd, cause: error.code ?? error.name },
  });

  const causedByTask = (why: string): LaunchFailure => ({ ...failure(false, why), cause: 'limit' });

  if (error.syscall?.startsWith('spawn') !== true && error.code !== 'ERR_INVALID_ARG_VALUE') {
    return failure(
      true,
      `its files in "${launch.runDir}" cannot be created (${error.message}). Make the folder writable and free some space.`,
    );
  }
  switch (error.code) {
    case 'ENOENT':
      if (!(await isFolder(cwd))) return failure(false, `its folder "${cwd}" does not exist. Create it or change cwd.`);
      return failure(
        false,
        `there is no such program in "${cwd}" or on PATH. Install it or correct argv[0]. ${shownPath(launch.env['PATH'])}`,
      );
    case 'ENOTDIR':
      return failure(false, `part of its path, or of its folder "${cwd}", is not a folder. Correct argv[0] or cwd.`);
    case 'EACCES':
      return failure(
        false,
        `it is not an executable file, or its folder "${cwd}" may not be entered. Make it executable or correct argv[0].`,
      );
    // The config was validated against NUL characters, so this one comes from the task.
    case 'ERR_INVALID_ARG_VALUE':
      return causedByTask('an argument or environment variable has a NUL character (U+0000), which no program can be given. Remove it.');
    case 'E2BIG':
      return bytesOf(argv) > bytesOf(Object.values(launch.env)) ? causedByTask(tooLong(argv)) : failure(false, tooLong(argv));
    default:
      return failure(true, `${error.message}.`);
  }
}

const bytesOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);

function tooLong(argv: readonly string[]): string {
  const index = argv.findIndex((argument) => Buffer.byteLength(argument) >= ARGUMENT_BYTES_MAX);
  const what =
    index === -1
      ? 'its arguments and environment together exceed the system limit'
      : `argv[${String(index)}] has ${String(Buffer.byteLength(argv[index] as string))} bytes`;
  return `${what}. The limit for one argument is 128 KiB. Keep task text out of argv and read the task from standard input or from AGENTCOM_TASK_FILE.`;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false, // Whatever the reason, a program cannot be started in it.
  );
