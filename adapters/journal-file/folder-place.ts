/** Where a data directory lies, as far as a copy of it lies elsewhere: its path, its place on the disk, its machine. */
import { readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';

export interface FolderPlace {
  readonly path: string;
  /** Of the folder itself; a number of its file system, as text. */
  readonly inode: string;
  /** When the folder was made, milliseconds; 0 where the file system does not say. */
  readonly bornMs: number;
  /** Null where nobody can tell: outside of Linux, and in a container, whose file is that of its image. */
  readonly machine: string | null;
}

const MACHINE_ID_FILE = '/etc/machine-id';
const MACHINE_ID = /^[0-9a-f]{32}$/;
/** The file system of a container's own files. */
const OVERLAY_FS = 0x794c7630;

export function placeOf(folder: string): FolderPlace {
  const { ino, birthtimeMs } = statSync(folder, { bigint: true });
  return { path: realpathSync(folder), inode: String(ino), bornMs: Number(birthtimeMs), machine: machineId() };
}

function machineId(): string | null {
  try {
    if (process.platform !== 'linux' || statfsSync(MACHINE_ID_FILE).type === OVERLAY_FS) return null;
    const id = readFileSync(MACHINE_ID_FILE, 'latin1').trim();
    return MACHINE_ID.test(id) ? id : null;
  } catch {
    return null; // It has none, or may not be read: then the folder alone tells.
  }
}

/** What was written at an earlier start; null when it is not what is written here. */
export function readPlace(text: string): FolderPlace | null {
  try {
    const { path, inode, bornMs, machine } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const isOne = typeof path === 'string' && typeof inode === 'string' && typeof bornMs === 'number';
    return isOne && (machine === null || typeof machine === 'string') ? { path, inode, bornMs, machine } : null;
  } catch {
    return null;
  }
}

/**
 * Whether the folder is another one than that which was there before: on another machine, or neither at its path nor itself. One that
 * was moved is itself; one that was put back from a backup is at its path. The device is left out: it changes with a start of the machine.
 */
export function isCopyOf(before: FolderPlace, now: FolderPlace): boolean {
  if (before.machine !== null && now.machine !== null && before.machine !== now.machine) return true;
  const isItself = before.inode === now.inode && before.bornMs === now.bornMs;
  return !isItself && before.path !== now.path;
}
