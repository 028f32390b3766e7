/** Files that a command writes for its user. */
import { open, unlink } from 'node:fs/promises';
import { AgentcomError, fileReasonOf, messageOf } from '../../core/errors/agentcom-error.ts';

/** Never replaces a file nor follows a link: it may be the only copy. `hint`: what to do if the file exists. Fails with `AC_USAGE`. */
export async function writeNewFile(
  file: string,
  text: string,
  { mode, hint }: { readonly mode: number; readonly hint: string },
): Promise<void> {
  try {
    await createFile(file, text, mode);
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new AgentcomError(
      'AC_USAGE',
      isThere ? `${file} already exists and was not changed. ${hint}` : `Cannot write ${file}: ${fileReasonOf(cause)}.`,
      { cause },
    );
  }
}

/** A file that could only be written in part, such as on a full disk, is removed: it would block the next attempt. */
export async function createFile(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } catch (thrown) {
    await unlink(file).catch((second: unknown) => {
      const message = `${messageOf(thrown)}. Removing what was written failed, too: ${messageOf(second)}`;
      throw new AggregateError([thrown, second], message, { cause: thrown });
    });
    throw thrown;
  } finally {
    await handle.close();
  }
}
