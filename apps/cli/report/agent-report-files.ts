/**
 * The files through which an agent reports to its sidecar: `<task>.started`, `<task>.progress` (JSON lines) and `<task>.json`,
 * all in the folder of its assignment. The sidecar writes `<task>.stop` when the assignment is gone.
 */
import { constants } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { replaceFile } from '../../../adapters/kit/platform-files.ts';
import { isTaskId } from '../../../core/domain/ids.ts';
import { AgentcomError, fileReasonOf, messageOf } from '../../../core/errors/agentcom-error.ts';
import { PROGRESS_LINE_CHARACTERS_MAX, RESULT_FILE_BYTES_MAX } from '../../../core/protocol/agent-files.ts';

const FILE_MODE = 0o600;

export interface ProgressFields {
  readonly percent?: number | undefined;
  readonly message?: string | undefined;
  readonly tokens_used?: number | undefined;
}
export type ResultFields =
  | { readonly status: 'success'; readonly output: unknown; readonly tokens_used?: number | undefined }
  | { readonly status: 'failed'; readonly reason: string; readonly tokens_used?: number | undefined };

export interface AgentFiles {
  readonly taskId: string;
  /** Fails with `AC_ASSIGNMENT_GONE`. May be called twice. */
  started(): Promise<void>;
  /** Appends one line; without fields, it only checks that the assignment is not gone. Fails with `AC_ASSIGNMENT_GONE`. */
  progress(words: ProgressFields): Promise<void>;
  /**
   * Writes the result atomically. `gone`: the assignment is gone, and the result is kept for the operator.
   * Fails with `AC_ASSIGNMENT_GONE` if the folder no longer exists.
   */
  result(words: ResultFields): Promise<{ readonly gone: boolean }>;
}

/** The files of the run that has this environment; throws `AC_USAGE` outside of a run. */
export function agentFiles(env: Readonly<Record<string, string | undefined>>): AgentFiles {
  const taskId = env['AGENTCOM_TASK_ID'];
  const folder = env['AGENTCOM_RESULTS_DIR'];
  if (!isTaskId(taskId) || folder === undefined || !isAbsolute(folder)) throw outside(taskId, folder);
  const file = (kind: string): string => join(folder, `${taskId}.${kind}`);
  const refuseGone = async (): Promise<void> => {
    if (!(await exists(folder))) throw gone(taskId, `${folder} no longer exists`);
    if (await exists(file('stop'))) throw gone(taskId, 'a stop of it was requested');
  };
  return {
    taskId,
    started: async () => {
      await refuseGone();
      await writing(file('started'), () => append(file('started'), ''));
    },
    progress: async (words) => {
      await refuseGone();
      const line = JSON.stringify(words);
      if (line === '{}') return;
      if (line.length > PROGRESS_LINE_CHARACTERS_MAX)
        throw tooLong(`The progress has ${line.length} characters`, PROGRESS_LINE_CHARACTERS_MAX);
      await writing(file('progress'), () => append(file('progress'), `${line}\n`));
    },
    result: async (words) => {
      if (!(await exists(folder))) throw gone(taskId, `${folder} no longer exists`);
      const json = `${JSON.stringify(words)}\n`;
      const bytes = Buffer.byteLength(json);
      if (bytes > RESULT_FILE_BYTES_MAX) throw tooLong(`The result has ${bytes} bytes`, RESULT_FILE_BYTES_MAX);
      const isGone = await exists(file('stop'));
      await writing(file('json'), () => replace(file('json'), json));
      return { gone: isGone };
    },
  };
}

/**
 * Replaces `path` with a complete, synced file; a reader sees the old or the new one. Sidecars do not read the temporary name.
 * Anything at `path` is replaced; links are not followed.
 */
async function replace(path: string, text: string): Promise<void> {
  const aside = `${path}.${process.pid}.writing`;
  try {
    const handle = await open(aside, 'wx', FILE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await replaceFile(aside, path);
  } catch (thrown) {
    await rm(aside, { force: true });
    throw thrown;
  }
}

/** Appends with one write; fails if the file is a link. */
async function append(path: string, text: string): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, FILE_MODE);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

async function writing(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (thrown) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot write ${path}: ${messageOf(thrown)}. Check the folder's owner and the disk space.`, {
      cause: thrown,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new AgentcomError('AC_DATA_DIR', `Cannot read ${path}: ${fileReasonOf(thrown)}.`, { cause: thrown });
  }
}

const gone = (taskId: string, why: string): AgentcomError =>
  new AgentcomError('AC_ASSIGNMENT_GONE', `The assignment of ${taskId} is gone: ${why}. Stop here, and do nothing that cannot be undone.`);

const tooLong = (found: string, most: number): AgentcomError =>
  new AgentcomError('AC_USAGE', `${found}; expected at most ${most}. Put larger data into a separate file and report its location.`);

function outside(taskId: string | undefined, folder: string | undefined): AgentcomError {
  const found = `AGENTCOM_TASK_ID ${taskId === undefined ? 'not set' : JSON.stringify(taskId)}, AGENTCOM_RESULTS_DIR ${folder === undefined ? 'not set' : JSON.stringify(folder)}`;
  return new AgentcomError(
    'AC_USAGE',
    `"agentcom report" only works inside an agent's run, where AGENTCOM_TASK_ID and an absolute AGENTCOM_RESULTS_DIR are set; found ${found}.`,
  );
}
