/** Files that a command writes for its user. */
import { writeFile } from 'node:fs/promises';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

/** Never replaces a file nor follows a link: it may be somebody's only copy. `cure`: what to do if the file exists. Fails with `AC_USAGE`. */
export async function writeNewFile(
  file: string,
  text: string,
  { mode, cure }: { readonly mode: number; readonly cure: string },
): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new AgentcomError(
      'AC_USAGE',
      isThere ? `${file} already exists and is left as it is. ${cure}` : `Cannot write ${file}: ${messageOf(cause)}.`,
      { cause },
    );
  }
}
