/** Where a data directory is, to detect copies: its path, its inode, its machine. */
import { readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';

export interface FolderPlace {
  readonly path: string;
  /** Inode of the folder, as text. */
  readonly inode: string;
  /** When the folder was created, milliseconds; 0 if the file system does not record it. */
  readonly bornMs: number;
  /** Null if unknown: outside Linux, and in containers, which share the file of their image. */
  readonly machine: string | null;
}

const MACHINE_ID_FILE = '/etc/machine-id';
const MACHINE_ID = /^[0-9a-f]{32}$/;
/** File system type of a container's root. */
const OVERLAY_FS = 0x794c7630;

export function placeOf(folder: string, platform: string = process.platform): FolderPlace {
  const { ino, birthtimeMs } = statSync(folder, { bigint: true });
  return { path: realpathSync(folder), inode: String(ino), bornMs: Number(birthtimeMs), machine: machineId(platform) };
}

function machineId(platform: string): string | null {
  try {
    if (platform !== 'linux' || statfsSync(MACHINE_ID_FILE).type === OVERLAY_FS) return null;
    const id = readFileSync(MACHINE_ID_FILE, 'latin1').trim();
    return MACHINE_ID.test(id) ? id : null;
  } catch {
    return null; // Missing or unreadable: only the folder itself is compared.
  }
}

/** As written at an earlier start; null if invalid. */
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
 * Whether the folder is a copy: on another machine, or with another path and inode. A moved folder keeps its inode; one
 * restored from a backup keeps its path. The device number is ignored, since it changes on reboot.
 */
export function isCopyOf(before: FolderPlace, now: FolderPlace): boolean {
  if (before.machine !== null && now.machine !== null && before.machine !== now.machine) return true;
  const isItself = before.inode === now.inode && before.bornMs === now.bornMs;
  return !isItself && before.path !== now.path;
}
