/**
 * A control group (cgroup v2) for each run, where the system allows creating them. Whatever a run starts is in its group,
 * even if it leaves its parent, session and environment behind, and the whole group can be killed at once. Elsewhere, as
 * in most containers and ordinary logins, there are no groups, and a run is found by its process tree and run id alone.
 * The same applies to processes started in the few milliseconds before the program was put into its group.
 *
 *   <the sidecar's own group>/agentcom-<run id>
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RunCgroups {
  /** Puts a process that was just started into a new group for its run. False if that is not permitted. */
  add(runId: string, pid: number): boolean;
  /**
   * Processes in the run's group; none if it has no group. `mainPid` is the run's first process, used to find a group that is not
   * under the sidecar's own.
   */
  membersOf(runId: string, mainPid: number | null): readonly number[];
  /**
   * Sends SIGKILL to all of them at once, so that none escapes by forking. False if there is no group, or on older
   * kernels.
   */
  kill(runId: string, mainPid: number | null): boolean;
  /** Removes the group of a run that has no living processes. */
  remove(runId: string, mainPid: number | null): void;
}

/** Bounds the search, since an agent may create groups inside its own. */
const GROUPS_MAX = 1_000;
const PREFIX = 'agentcom-';
const RUN_ID = /^[\w.-]{1,128}$/;

/** Null without cgroup v2. */
export function linuxRunCgroups(): RunCgroups | null {
  const mount = mountOf(readOr('/proc/self/mountinfo', ''));
  const own = pathOf('self');
  return mount === null || own === null ? null : groupsUnder(mount, own);
}

function groupsUnder(mount: string, own: string): RunCgroups {
  const home = join(mount, own);
  let isAllowed = true;
  let isSwept = false;

  const nameOf = (runId: string): string => `${PREFIX}${runId}`;
  /** Folders of the run's group and the groups inside it, outermost first. */
  function foldersOf(runId: string, mainPid: number | null): readonly string[] {
    if (!RUN_ID.test(runId)) return [];
    const nested = foldersIn(join(home, nameOf(runId)));
    if (nested.length > 0 || mainPid === null) return nested;
    // The sidecar that started it may have been in another group.
    const parts = pathOf(String(mainPid))?.split('/') ?? [];
    const place = parts.indexOf(nameOf(runId));
    return place === -1 ? [] : foldersIn(join(mount, ...parts.slice(0, place + 1)));
  }

  return {
    add(runId, pid) {
      if (!isAllowed || !RUN_ID.test(runId)) return false;
      const folder = join(home, nameOf(runId));
      // Remove groups of runs that ended while no sidecar was running.
      if (!isSwept) removeAll(groupsIn(home));
      isSwept = true;
      try {
        try {
          putInto(folder, pid);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
          putInto(folder, pid); // Another sidecar has just removed it.
        }
        return true;
      } catch (error) {
        // ESRCH: the process has already ended. Any other error will recur for the next run.
        isAllowed = (error as NodeJS.ErrnoException).code === 'ESRCH';
        removeAll([folder]);
        return false;
      }
    },
    membersOf: (runId, mainPid) =>
      foldersOf(runId, mainPid)
        .flatMap(pidsIn)
        .filter((pid) => pid !== process.pid),
    kill(runId, mainPid) {
      const folders = foldersOf(runId, mainPid);
      const [folder] = folders;
      // An agent of the same user may have put the sidecar itself into the group.
      if (folder === undefined || folders.flatMap(pidsIn).includes(process.pid)) return false;
      try {
        writeFileSync(join(folder, 'cgroup.kill'), '1');
        return true;
      } catch {
        return false; // Before Linux 5.14: they are killed one by one.
      }
    },
    remove: (runId, mainPid) => removeAll(foldersOf(runId, mainPid)),
  };
}

function putInto(folder: string, pid: number): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

/** Where the cgroup v2 root is mounted: /sys/fs/cgroup, or beside version 1 at /sys/fs/cgroup/unified. */
export function mountOf(mountinfo: string): string | null {
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, place] = before.split(' ');
    if (after.startsWith('cgroup2 ') && root === '/' && place !== undefined) return place;
  }
  return null;
}

/** The cgroup v2 path of a process; null if it is in none that is visible here. */
function pathOf(pid: string): string | null {
  const line = readOr(`/proc/${pid}/cgroup`, '')
    .split('\n')
    .find((one) => one.startsWith('0::/'));
  return line === undefined || line.includes('/..') ? null : line.slice('0::'.length);
}

function foldersIn(outermost: string): readonly string[] {
  const found: string[] = [];
  const open = [outermost];
  for (let folder = open.shift(); folder !== undefined && found.length < GROUPS_MAX; folder = open.shift()) {
    try {
      for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) open.push(join(folder, entry.name));
      found.push(folder);
    } catch {
      continue; // It is gone, or its agent made it unreadable: its members are found by run id.
    }
  }
  return found;
}

/** The groups of all runs. */
function groupsIn(home: string): readonly string[] {
  try {
    return readdirSync(home).flatMap((name) => (name.startsWith(PREFIX) ? [join(home, name)] : []));
  } catch {
    return []; // It cannot be listed, so no group can be created in it either.
  }
}

/** Pids of other namespaces read as 0. */
const pidsIn = (folder: string): readonly number[] =>
  readOr(join(folder, 'cgroup.procs'), '')
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0);

/** Innermost first; a group with living processes stays. */
function removeAll(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      continue; // EBUSY: reported as a survivor. ENOENT: there was none.
    }
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return otherwise; // The process or group is gone, or the system has none.
  }
}
