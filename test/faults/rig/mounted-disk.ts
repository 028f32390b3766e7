/** A small disk on a folder: a tmpfs, which needs root on Linux. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Why there can be no small disk here; false when there can. */
export function noSmallDisk(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a small disk needs root on Linux';
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return false;
  } catch (error) {
    return `no right to mount here: ${String(error)}`;
  }
}

export interface SmallDisk {
  fill(): void;
  /** Removes what `fill` has written. */
  makeRoom(): void;
  makeReadOnly(): void;
  /** From now on no file can be removed. False if the kernel cannot do that (Linux before 6.6). */
  forbidRemovals(): boolean;
}

/** A disk of this size on this folder. */
export function smallDisk(t: Test, folder: string, bytes: number): SmallDisk {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder]);
  t.teardown(() => execFileSync('umount', ['-l', folder]));
  const ballast = join(folder, 'ballast');
  return {
    fill() {
      const file = openSync(ballast, 'a');
      const page = Buffer.alloc(4_096);
      try {
        for (;;) writeSync(file, page);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    makeRoom: () => rmSync(ballast),
    forbidRemovals() {
      const { status } = spawnSync('chattr', ['+a', folder]);
      t.teardown(() => spawnSync('chattr', ['-a', folder]));
      return status === 0;
    },
    makeReadOnly: () => void execFileSync('mount', ['-o', 'remount,ro', folder]),
  };
}
