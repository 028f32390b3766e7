/**
 * The streams of a run as files in its `runDir`. Pipes would break with the sidecar, and the agent with them at its next
 * line; files let it work on and let the next sidecar read on.
 */
import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';

/** Standard output and error of one run together; a run beyond it is stopped. */
export const RUN_STREAMS_BYTES_MAX = 256 * 1024 * 1024;
/** How much of the end of standard error is told. */
export const STDERR_TAIL_BYTES = 64 * 1024;
const PRIVATE = 0o600;
const ASKED = 'asked';

export interface RunFiles {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export const runFiles = (runDir: string): RunFiles => ({
  stdin: join(runDir, 'stdin'),
  stdout: join(runDir, 'stdout'),
  stderr: join(runDir, 'stderr'),
});

/** Open files, by their numbers. */
export interface OpenStreams {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  /** Closes our copies; the child has its own. */
  close(): void;
}

/**
 * Makes the three files anew, so that nothing that an earlier run left or linked there is written to, and opens them. Each step
 * takes the kernel some microseconds; by the thread pool they took a millisecond together before an agent starts.
 */
export function openStreams(runDir: string, input: string): OpenStreams {
  const files = runFiles(runDir);
  const opened: number[] = [];
  const close = (): void => {
    for (const file of opened.splice(0)) closeSync(file);
  };
  const openNext = (path: string, flags: string): number => {
    const file = openSync(path, flags, PRIVATE);
    opened.push(file);
    return file;
  };
  try {
    // The one that tells that all are open goes first and comes last.
    for (const path of [files.stderr, files.stdout, files.stdin]) rmSync(path, { force: true });
    writeFileSync(files.stdin, input, { flag: 'wx', mode: PRIVATE });
    const stdin = openNext(files.stdin, 'r');
    const stdout = openNext(files.stdout, 'ax');
    const stderr = openNext(files.stderr, 'ax');
    return { stdin, stdout, stderr, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Makes the file of standard error anew and opens it, for a run whose other streams are pipes. Answers its number. */
export function openErrorStream(runDir: string): number {
  const { stderr } = runFiles(runDir);
  rmSync(stderr, { force: true });
  return openSync(stderr, 'ax', PRIVATE);
}

/**
 * Whether `openStreams` has got to its end there. While it has not, no process was started on this try. A folder that cannot be
 * looked into was changed by somebody since.
 */
export async function wereStreamsOpened(runDir: string): Promise<boolean> {
  try {
    return (await unlessMissing(() => lstat(runFiles(runDir).stderr))) !== null;
  } catch {
    return true;
  }
}

/** Says in its folder that its runner was asked to wake it: from then on there may be a process, which a plugin starts as it likes. */
export function noteAsked(runDir: string): void {
  writeFileSync(join(runDir, ASKED), '', { mode: PRIVATE });
}

/** Whether its runner was asked. A folder that cannot be looked into was changed by somebody since. */
export const wasAsked = (runDir: string): Promise<boolean> =>
  unlessMissing(() => lstat(join(runDir, ASKED))).then(
    (found) => found !== null,
    () => true,
  );

/** How much the run has written so far. Fails where its folder cannot be looked into. */
export async function streamedBytes(runDir: string): Promise<number> {
  const { stdout, stderr } = runFiles(runDir);
  const sizes = await Promise.all([stdout, stderr].map((path) => unlessMissing(async () => (await lstat(path)).size)));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** The last `bytesMax` of a file as text, from a whole character on; empty when there is no such regular file that we may read. */
export async function tailOf(path: string, bytesMax: number): Promise<string> {
  // The agent may write here, so a link or a FIFO in the file's place must neither be followed nor block us.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  if (file === null) return '';
  try {
    const found = await file.stat();
    if (!found.isFile()) return '';
    const buffer = Buffer.alloc(Math.min(found.size, bytesMax));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, found.size - buffer.length);
    return fromWholeCharacter(buffer.subarray(0, bytesRead), found.size > bytesMax).toString('utf8');
  } finally {
    await file.close();
  }
}

/** Skips up to three bytes 10xxxxxx: the rest of a UTF-8 character that was cut. */
function fromWholeCharacter(bytes: Buffer, isCut: boolean): Buffer {
  let start = 0;
  while (isCut && start < 3 && start < bytes.length && ((bytes[start] as number) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}

/** Null for a file that is missing, or that is a link where none is followed. */
async function unlessMissing<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ELOOP') throw error;
    return null;
  }
}
