/** Reports when an agent has finished writing one of its files. */
import { basename, resolve } from 'node:path';
import { watch } from 'chokidar';
import { readAgentFileName } from './assignment-paths.ts';

export interface FolderWatch {
  /** Idempotent. */
  close(): Promise<void>;
}

export interface FolderWatchOptions {
  readonly folder: string;
  /** How long a file must keep its size to count as written, milliseconds. */
  readonly stabilityMs: number;
  onChange(): void;
  onError(error: unknown): void;
}

/** Maximum interval between size checks of a file being written. */
const SIZE_CHECK_MS = 100;

/**
 * One watcher per folder, closed when no longer needed: a chokidar watcher never forgets an ignored folder. Only the
 * folder itself and the known file names are watched, so other files in it cost nothing.
 */
export function watchFolder({ folder, stabilityMs, onChange, onError }: FolderWatchOptions): FolderWatch {
  const root = resolve(folder);
  const watcher = watch(root, {
    depth: 0,
    followSymlinks: false,
    ignorePermissionErrors: true,
    awaitWriteFinish: { stabilityThreshold: stabilityMs, pollInterval: Math.min(SIZE_CHECK_MS, stabilityMs) },
    ignored: (path) => resolve(path) !== root && readAgentFileName(basename(path)) === null,
  });
  watcher.on('all', onChange);
  watcher.on('error', onError);
  return { close: () => watcher.close() };
}
