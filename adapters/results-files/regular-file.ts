/**
 * Opens a file that an agent left, if it is a regular one. Anything else (a link to someone's secrets, a FIFO that
 * would block, a device, a folder) is not opened, or is closed before a byte is read.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

export type Regular<T> =
  | { readonly kind: 'missing' }
  /** A link, folder, FIFO, socket or device. */
  | { readonly kind: 'not_regular' }
  /** A file that we may not read. */
  | { readonly kind: 'unreadable'; readonly why: string }
  | { readonly kind: 'file'; readonly value: T };

export interface FileFacts {
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly inode: number;
  /** Changes with the content; survives a rename. */
  readonly stamp: string;
}

// Windows has neither flag, nor FIFOs in folders, nor links that any user may create.
const READ_WITHOUT_FOLLOWING = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Opens `path`, passes it to `use`, and closes it. Rejects with `AC_DATA_DIR` on disk errors. */
export async function withRegularFile<T>(path: string, use: (file: FileFacts) => Promise<T>): Promise<Regular<T>> {
  let handle: FileHandle;
  try {
    handle = await open(path, READ_WITHOUT_FOLLOWING);
  } catch (error) {
    return notOpened(path, error);
  }
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) return { kind: 'not_regular' };
    const facts: FileFacts = {
      handle,
      sizeBytes: Number(stats.size),
      mtimeMs: Number(stats.mtimeNs) / 1e6,
      inode: Number(stats.ino),
      stamp: `${stats.ino}:${stats.size}:${stats.mtimeNs}`,
    };
    return { kind: 'file', value: await use(facts) };
  } finally {
    await handle.close();
  }
}

/** `length` bytes from `position`, or as many as there are. */
export async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function notOpened(path: string, error: unknown): Exclude<Regular<never>, { readonly kind: 'file' }> {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
  // A link (EMLINK on FreeBSD), a socket, or a device without a driver.
  if (code === 'ELOOP' || code === 'EMLINK' || code === 'ENXIO' || code === 'ENODEV') return { kind: 'not_regular' };
  if (code === 'EACCES' || code === 'EPERM') return { kind: 'unreadable', why: messageOf(error) };
  throw new AgentcomError('AC_DATA_DIR', `Cannot read "${path}": ${messageOf(error)}.`, { cause: error });
}
