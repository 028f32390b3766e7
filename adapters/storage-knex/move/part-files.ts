/** The unfinished files of backups: each run writes to a name of its own, so that two runs to one file do not disturb each other. */
import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

const RANDOM_BYTES = 6;
/** What follows the name of the finished file. SQLite keeps a journal beside a file that it changes. */
const PART_END = /^\.[0-9a-f]{12}\.part(-journal)?$/;
/** No backup runs for this long without a write, so its run was killed. */
const LEFT_MS = 86_400_000;

/** A name next to `file` that no other run uses. */
export const partOf = (file: string): string => `${file}.${randomBytes(RANDOM_BYTES).toString('hex')}.part`;

/** Removes parts of `file` that were last written a day before `nowMs`, a time of their file system. Whatever cannot be removed is left. */
export async function removeLeftParts(file: string, nowMs: number): Promise<void> {
  const [folder, base] = [path.dirname(file), path.basename(file)];
  const names = await readdir(folder).catch(() => []);
  const parts = names.filter((name) => name.startsWith(base) && PART_END.test(name.slice(base.length)));
  for (const part of parts.map((name) => path.join(folder, name))) {
    const found = await stat(part).catch(() => null);
    if (found !== null && nowMs - found.mtimeMs > LEFT_MS) await Promise.allSettled([rm(part, { force: true })]);
  }
}

/** Whether both names lead to one file, through links of any kind. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const found = (file: string) => stat(file, { bigint: true }).catch(() => null);
  const [a, b] = await Promise.all([found(one), found(other)]);
  return a !== null && b !== null && a.dev === b.dev && a.ino === b.ino;
}
