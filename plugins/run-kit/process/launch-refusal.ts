/** Why a program could not be started, in words that say what to do, and whether trying again can help. */
import { stat } from 'node:fs/promises';

export interface LaunchRefusal {
  readonly kind: 'refused';
  readonly message: string;
  /** False: the config, the machine or the task must change first. */
  readonly retryable: boolean;
  /** `limit`: it is the task that cannot be given to a program, here or on a like machine. */
  readonly cause?: 'limit' | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What Linux takes in one argument: MAX_ARG_STRLEN, 32 pages of 4 KiB, with the closing NUL. */
const ARGUMENT_BYTES_MAX = 128 * 1024;

/** `error` is what `spawn`, or making its files, threw or emitted. */
export async function explainRefusal(
  error: NodeJS.ErrnoException,
  launch: {
    readonly argv: readonly string[];
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly runDir: string;
  },
): Promise<LaunchRefusal> {
  const { argv, cwd } = launch;
  const program = JSON.stringify(argv[0] ?? '');
  const refuse = (retryable: boolean, why: string): LaunchRefusal => ({
    kind: 'refused',
    message: `Cannot start ${program}: ${why}`,
    retryable,
    details: { program: argv[0] ?? '', cwd, cause: error.code ?? error.name },
  });

  const ofTask = (why: string): LaunchRefusal => ({ ...refuse(false, why), cause: 'limit' });

  if (error.syscall?.startsWith('spawn') !== true && error.code !== 'ERR_INVALID_ARG_VALUE') {
    return refuse(true, `its files in "${launch.runDir}" cannot be made (${error.message}). Make the folder writable and free some space.`);
  }
  switch (error.code) {
    case 'ENOENT':
      if (!(await isFolder(cwd))) return refuse(false, `its folder "${cwd}" does not exist. Create it or change cwd.`);
      return refuse(
        false,
        `there is no such program in "${cwd}" or on PATH. Install it or correct argv[0]. PATH: ${launch.env['PATH'] ?? 'not set'}`,
      );
    case 'ENOTDIR':
      return refuse(false, `part of its path, or of its folder "${cwd}", is not a folder. Correct argv[0] or cwd.`);
    case 'EACCES':
      return refuse(
        false,
        `it is not an executable file, or its folder "${cwd}" may not be entered. Make it executable or correct argv[0].`,
      );
    // A config is checked for it, so it is the task's.
    case 'ERR_INVALID_ARG_VALUE':
      return ofTask('an argument or environment variable has a NUL character (U+0000), which no program can be given. Remove it.');
    case 'E2BIG':
      return bytesOf(argv) > bytesOf(Object.values(launch.env)) ? ofTask(tooLong(argv)) : refuse(false, tooLong(argv));
    default:
      return refuse(true, `${error.message}.`);
  }
}

const bytesOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);

function tooLong(argv: readonly string[]): string {
  const index = argv.findIndex((argument) => Buffer.byteLength(argument) >= ARGUMENT_BYTES_MAX);
  const what =
    index === -1
      ? 'its arguments and environment are together longer than the system takes'
      : `argv[${String(index)}] has ${String(Buffer.byteLength(argv[index] as string))} bytes`;
  return `${what}. One argument may have 128 KiB. Leave task text out of argv and read the task from standard input or from AGENTCOM_TASK_FILE.`;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false, // Whatever the reason, a program cannot be started in it.
  );
