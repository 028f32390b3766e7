/**
 * The streams of a run, as files in its `runDir`. Pipes would break with the sidecar, and the agent with them on its
 * next line; with files it keeps working, and the next sidecar continues reading.
 */
import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { RUN_STREAM_FILES } from '../../../core/ports/result-inbox.ts';

/** Maximum size of a run's standard output and error together; a run that exceeds it is stopped. */
export const RUN_STREAMS_BYTES_MAX = 256 * 1024 * 1024;
/** Size of the reported stderr tail. */
export const STDERR_TAIL_BYTES = 64 * 1024;
const PRIVATE = 0o600;
const WAKE_REQUESTED = 'asked';

/** The files that are the standard streams of a run; absolute. */
export interface RunFiles {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** The standard streams of the run in this folder. Creates nothing. */
export const runFiles = (runDir: string): RunFiles => ({
  stdin: join(runDir, RUN_STREAM_FILES.stdin),
  stdout: join(runDir, RUN_STREAM_FILES.stdout),
  stderr: join(runDir, RUN_STREAM_FILES.stderr),
});

/** File descriptors. */
export interface OpenStreams {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  /** Closes our descriptors; the child has its own. */
  close(): void;
}

/**
 * Creates the three files anew, so that nothing left or linked there by an earlier run is written to, and opens them.
 * Synchronous: each step takes microseconds, while the thread pool would add a millisecond in total before an agent
 * starts.
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
    // The stderr file marks all three as open, so it is removed first and created last.
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

/** Creates and opens the stderr file, for a run whose other streams are pipes. Returns its descriptor. */
export function openErrorStream(runDir: string): number {
  const { stderr } = runFiles(runDir);
  rmSync(stderr, { force: true });
  return openSync(stderr, 'ax', PRIVATE);
}

/**
 * Whether `openStreams` completed. If not, no process was started in this attempt. A folder that cannot be read was
 * tampered with, so assume it did.
 */
export async function wereStreamsOpened(runDir: string): Promise<boolean> {
  try {
    return (await unlessMissing(() => lstat(runFiles(runDir).stderr))) !== null;
  } catch {
    return true;
  }
}

/**
 * Records that the runner was asked to wake the run: from now on there may be a process, which a plugin starts in its
 * own way.
 */
export function markWakeRequested(runDir: string): void {
  writeFileSync(join(runDir, WAKE_REQUESTED), '', { mode: PRIVATE });
}

/** Whether the runner was asked to wake the run. A folder that cannot be read was tampered with, so assume it was. */
export const wasWakeRequested = (runDir: string): Promise<boolean> =>
  unlessMissing(() => lstat(join(runDir, WAKE_REQUESTED))).then(
    (found) => found !== null,
    () => true,
  );

/** Bytes written by the run so far. Rejects if its folder cannot be read. */
export async function streamedBytes(runDir: string): Promise<number> {
  const { stdout, stderr } = runFiles(runDir);
  const sizes = await Promise.all([stdout, stderr].map((path) => unlessMissing(async () => (await lstat(path)).size)));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/**
 * The last `bytesMax` bytes of a file as text, starting at a whole character; empty if there is no such readable
 * regular file.
 */
export async function tailOf(path: string, bytesMax: number): Promise<string> {
  // The agent may write here: a link must not be followed, and a FIFO must not block us.
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

/** Skips up to three continuation bytes (10xxxxxx) of a truncated UTF-8 character. */
function fromWholeCharacter(bytes: Buffer, isCut: boolean): Buffer {
  let start = 0;
  while (isCut && start < 3 && start < bytes.length && ((bytes[start] as number) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}

/** Null for a file that is missing, or that is a link. */
export async function unlessMissing<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ELOOP') throw error;
    return null;
  }
}
