/** What an agent may do to its own files and folders, whether it means harm or has a bug. */
import { chmodSync, linkSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a cell has besides the data directory of its sidecar. */
export interface Beside {
  /** Another user's folder: nothing in it may be read, changed or removed. */
  readonly elsewhere: string;
  /** Where things are moved to. */
  readonly away: string;
  /** One of each, to be linked to where it is wanted. */
  readonly fifo: string;
  readonly socket: string;
}

/** `isFolder`: a folder is expected there. */
export type Operation = (path: string, beside: Beside, isFolder: boolean) => void;

/** In bytes; sparse, so none of it is on disk. */
const HUGE_BYTES = 10 * 2 ** 30;
/** Nested folders; their path is longer than the 4,096 bytes that Linux accepts. */
const DEEP = 2_500;

let moved = 0;

/** Whatever is there is moved away; then `make` puts something else in its place. */
const instead =
  (make: (path: string, beside: Beside) => void): Operation =>
  (path, beside) => {
    moveAway(path, beside);
    mkdirSync(dirname(path), { recursive: true });
    make(path, beside);
  };

function moveAway(path: string, { away }: Beside): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) renameSync(path, join(away, `moved-${(moved += 1)}`));
}

/** Something of the expected kind exists. */
function thereIs(path: string, isFolder: boolean): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(isFolder ? path : dirname(path), { recursive: true });
  if (!isFolder) writeFileSync(path, '{}');
}

const mode =
  (bits: number): Operation =>
  (path, _beside, isFolder) => {
    thereIs(path, isFolder);
    chmodSync(path, bits);
  };

/** A path this long can be walked, but not named. */
function makeDeep(folder: string): void {
  const here = process.cwd();
  mkdirSync(folder, { recursive: true });
  process.chdir(folder);
  for (let level = 0; level < DEEP; level += 1) {
    mkdirSync('d');
    process.chdir('d');
  }
  process.chdir(here);
}

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'chmod 000': mode(0o000),
  'chmod 500': mode(0o500),
  'chmod 444': mode(0o444),
  'renamed away': (path, beside) => moveAway(path, beside),
  removed: (path) => rmSync(path, { recursive: true, force: true }),
  'a link elsewhere': instead((path, { elsewhere }) =>
    symlinkSync(path.endsWith('.json') ? join(elsewhere, 'secret.json') : elsewhere, path),
  ),
  'a link to nothing': instead((path, { elsewhere }) => symlinkSync(join(elsewhere, 'not-there'), path)),
  'a link to itself': instead((path) => symlinkSync(path, path)),
  'a link to a FIFO': instead((path, { fifo }) => symlinkSync(fifo, path)),
  'a FIFO': instead((path, { fifo }) => linkSync(fifo, path)),
  'a socket': instead((path, { socket }) => linkSync(socket, path)),
  'a file of 10 GiB': instead((path) => {
    writeFileSync(path, '');
    truncateSync(path, HUGE_BYTES);
  }),
  'a file': instead((path) => writeFileSync(path, 'not what was expected')),
  'a deep tree': (path, beside, isFolder) => {
    if (!isFolder) moveAway(path, beside);
    makeDeep(path);
  },
};
