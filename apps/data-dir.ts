/** The data directory of a hub or a sidecar, and the small secret files in it: for their owner only. */
import { constants } from 'node:fs';
import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders, modeOfOthers, readRegularFile, replaceFile } from '../adapters/kit/platform-files.ts';
import { AgentcomError, fileReasonOf, messageOf } from '../core/errors/agentcom-error.ts';

// Windows has neither of the last two flags. Without O_NONBLOCK, opening a FIFO waits for a reader.
const WRITE_WITHOUT_FOLLOWING =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Creates the directory, mode 0700. Fails with `AC_DATA_DIR`, also if it exists and others can access it: its contents are not
 * trusted, and its permissions are not changed. On Windows the permissions of the folder are not checked.
 */
export async function makeDataDir(dataDir: string, setting: string, platform: string = process.platform): Promise<void> {
  let mode: number;
  let isOpen: boolean;
  try {
    await makeFolders(dataDir, 0o700);
    mode = (await stat(dataDir)).mode;
    isOpen = modeOfOthers(mode, platform) !== 0;
    // Nothing is written into a directory that others can access, nor through a link in it.
    if (!isOpen) {
      const probe = join(dataDir, '.writable');
      await writeFile(probe, '', { mode: 0o600, flag: WRITE_WITHOUT_FOLLOWING });
      await rm(probe, { force: true });
    }
  } catch (cause) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot create or write the data directory ${dataDir}: ${messageOf(cause)}.`, {
      cause,
      hint: `Fix its permissions, or ${setting}.`,
    });
  }
  if (!isOpen) return;
  throw new AgentcomError(
    'AC_DATA_DIR',
    `The data directory ${dataDir} is accessible to other users (mode ${(mode & 0o777).toString(8)}, expected 700).`,
    { hint: `Run: chmod 700 ${dataDir}`, details: { dataDir, mode: mode & 0o777 } },
  );
}

/** What an enrollment writes, with room to spare: token, fingerprint and config. Bytes. */
const ENROLMENT_BYTES = 16_384;

/** An enrollment uses up a code before its token can be written, so it must fit. Fails with `AC_DATA_DIR` on a full disk. */
export async function mustHaveSpace(dataDir: string): Promise<void> {
  const probe = join(dataDir, '.writable');
  try {
    await writeFile(probe, Buffer.alloc(ENROLMENT_BYTES), { mode: 0o600, flag: WRITE_WITHOUT_FOLLOWING });
  } catch (cause) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot write into the data directory ${dataDir}: ${messageOf(cause)}.`, {
      cause,
      hint: 'Free some space on its disk. The code was not used.',
    });
  } finally {
    await rm(probe, { force: true });
  }
}

/** The trimmed text of a secret file; null if there is none. Fails with `AC_DATA_DIR` if others can read it. */
export async function readSecretFile(file: string, platform: string = process.platform): Promise<string | null> {
  let text: string;
  try {
    const mode = (await stat(file)).mode;
    if (modeOfOthers(mode, platform) !== 0) {
      throw new AgentcomError(
        'AC_DATA_DIR',
        `${file} contains a secret and is accessible to other users (mode ${(mode & 0o777).toString(8)}).`,
        { hint: `Run: chmod 600 ${file}` },
      );
    }
    text = readRegularFile(file).toString('utf8');
  } catch (error) {
    if (AgentcomError.is(error)) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AgentcomError('AC_DATA_DIR', `Cannot read ${file}: ${fileReasonOf(error)}.`, {
      cause: error,
      hint: 'Run this as the user that the file belongs to, or give the file to this user (`chown`).',
    });
  }
  const secret = text.trim();
  return secret === '' ? null : secret;
}

/** Writes a secret file atomically, mode 0600. Fails with `AC_DATA_DIR`. */
export async function writeSecretFile(file: string, secret: string): Promise<void> {
  const aside = `${file}.${process.pid}.next`;
  try {
    await writeFile(aside, `${secret}\n`, { mode: 0o600 });
    await replaceFile(aside, file);
  } catch (cause) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot write ${file}: ${messageOf(cause)}.`, { cause });
  }
}
