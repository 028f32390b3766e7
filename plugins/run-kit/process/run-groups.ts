/**
 * A control group (cgroup v2) for each run, where the system has them and lets us make some: whatever a run starts is in its group, also
 * what leaves its parent, its session and its environment behind, and all of it is killed at once. Elsewhere, as in most containers and in
 * a login of an ordinary user, there are none, and a run is found by its tree and its run id alone. So is what a program starts before it
 * could be put into its group, within some milliseconds of its own start.
 *
 *   <the sidecar's own group>/agentcom-<run id>
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RunGroups {
  /** Puts a process that has just been started into a new group of its run. False where that is not allowed. */
  add(runId: string, pid: number): boolean;
  /** The processes in the run's group; none where it has no group. `main`: its first process, by which a group elsewhere is found. */
  membersOf(runId: string, mainPid: number | null): readonly number[];
  /** SIGKILL to all of them at once: no process gets away by starting another. False where there is no group, or an older kernel. */
  kill(runId: string, mainPid: number | null): boolean;
  /** Removes the group of a run of which nothing is alive. */
  remove(runId: string, mainPid: number | null): void;
}

/** An agent may make groups in its own. */
const GROUPS_MAX = 1_000;
const PREFIX = 'agentcom-';
const RUN_ID = /^[\w.-]{1,128}$/;

/** Null where there is no cgroup v2. */
export function linuxRunGroups(): RunGroups | null {
  const mount = mountOf(readOr('/proc/self/mountinfo', ''));
  const own = pathOf('self');
  return mount === null || own === null ? null : groupsUnder(mount, own);
}

function groupsUnder(mount: string, own: string): RunGroups {
  const home = join(mount, own);
  let isAllowed = true;
  let isSwept = false;

  const nameOf = (runId: string): string => `${PREFIX}${runId}`;
  /** The folders of the run's group and of those in it, outermost first. */
  function foldersOf(runId: string, mainPid: number | null): readonly string[] {
    if (!RUN_ID.test(runId)) return [];
    const nested = foldersIn(join(home, nameOf(runId)));
    if (nested.length > 0 || mainPid === null) return nested;
    // The sidecar that started it may have been in another group than this one.
    const parts = pathOf(String(mainPid))?.split('/') ?? [];
    const place = parts.indexOf(nameOf(runId));
    return place === -1 ? [] : foldersIn(join(mount, ...parts.slice(0, place + 1)));
  }

  return {
    add(runId, pid) {
      if (!isAllowed || !RUN_ID.test(runId)) return false;
      const folder = join(home, nameOf(runId));
      // Groups of runs that ended while no sidecar lived.
      if (!isSwept) removeAll(groupsIn(home));
      isSwept = true;
      try {
        try {
          putInto(folder, pid);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
          putInto(folder, pid); // another sidecar has swept it away meanwhile
        }
        return true;
      } catch (error) {
        // ESRCH: it has ended already. Anything else will not be otherwise for the next run.
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
      // An agent of the same user may have put the sidecar itself into it.
      if (folder === undefined || folders.flatMap(pidsIn).includes(process.pid)) return false;
      try {
        writeFileSync(join(folder, 'cgroup.kill'), '1');
        return true;
      } catch {
        return false; // before Linux 5.14: they are killed one by one
      }
    },
    remove: (runId, mainPid) => removeAll(foldersOf(runId, mainPid)),
  };
}

function putInto(folder: string, pid: number): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

/** Where cgroup v2 is mounted whole: at /sys/fs/cgroup, or beside version 1 at /sys/fs/cgroup/unified. */
export function mountOf(mountinfo: string): string | null {
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, place] = before.split(' ');
    if (after.startsWith('cgroup2 ') && root === '/' && place !== undefined) return place;
  }
  return null;
}

/** The group of a process in the hierarchy of version 2; null where it is not in one that can be seen. */
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
      continue; // it has gone, or its agent closed it: what is in it is found by its run id
    }
  }
  return found;
}

/** The groups of all runs here. */
function groupsIn(home: string): readonly string[] {
  try {
    return readdirSync(home).flatMap((name) => (name.startsWith(PREFIX) ? [join(home, name)] : []));
  } catch {
    return []; // it cannot be listed, so nothing is made in it either
  }
}

/** Those of other namespaces read as 0. */
const pidsIn = (folder: string): readonly number[] =>
  readOr(join(folder, 'cgroup.procs'), '')
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0);

/** The innermost first; one in which something is alive stays. */
function removeAll(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      continue; // EBUSY: named as a survivor; ENOENT: there was none
    }
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return otherwise; // a process that has ended, a group that is gone, a system without
  }
}
