/** Tells when an agent finished writing one of its files into a folder. */
import { basename, resolve } from 'node:path';
import { watch } from 'chokidar';
import { readAgentFileName } from './assignment-paths.ts';

export interface FolderWatch {
  /** Twice is fine. */
  close(): Promise<void>;
}

export interface FolderWatchOptions {
  readonly folder: string;
  /** How long a file must keep its size to count as written. */
  readonly stabilityMs: number;
  onChange(): void;
  onError(error: unknown): void;
}

/** How often the size of a file being written is looked at, at most. */
const SIZE_LOOK_MS = 100;

/**
 * One watcher for each folder, closed when it is no longer wanted: a watcher told to leave a folder out remembers it for
 * ever. Only the folder and the names that agents use are watched, so that a folder full of other files costs nothing.
 */
export function watchFolder({ folder, stabilityMs, onChange, onError }: FolderWatchOptions): FolderWatch {
  const root = resolve(folder);
  const watcher = watch(root, {
    depth: 0,
    followSymlinks: false,
    ignorePermissionErrors: true,
    awaitWriteFinish: { stabilityThreshold: stabilityMs, pollInterval: Math.min(SIZE_LOOK_MS, stabilityMs) },
    ignored: (path) => resolve(path) !== root && readAgentFileName(basename(path)) === null,
  });
  watcher.on('all', onChange);
  watcher.on('error', onError);
  return { close: () => watcher.close() };
}
