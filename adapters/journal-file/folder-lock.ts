/**
 * The `lock` file keeps a second sidecar out of a folder. It names its holder by process mark and by a socket in the folder.
 * A dead holder is replaced: its process is gone, and its socket does not answer, which also works from another
 * container that shares the folder. The folder must be on a local disk: processes on other machines are not visible.
 *
 *   free ── link ──► held ── release ──► free
 *                     │ holder dies
 *                     ▼
 *                   stale ── take over ──► held
 *
 * Somebody may remove the folder under its holder, and another sidecar create it anew. So the holder checks its lock before each use.
 *
 * A newcomer writes its mark to a candidate file of its own and links that to `lock`. Like `open` with `wx`, the link
 * fails if `lock` exists, and nobody ever reads half a mark. To take over from a dead holder it checks for other live
 * candidates, then that the lock is still the dead one's, and renames its candidate over it. Candidates are written
 * before that check, so at least one of two newcomers sees the other, and gives up.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import type { ProcessMark } from '../../core/domain/assignment/slot.ts';
import type { JournalFiles } from './journal-files.ts';
import { isListening, listenAt, type LockSocket } from './lock-socket.ts';
import { isStillRunning, processMark } from './process-mark.ts';

export interface FolderLock {
  /**
   * Rejects with `AC_JOURNAL_LOCKED`, naming the holder, while another live process, or another journal of this one,
   * holds the folder.
   */
  acquire(): Promise<void>;
  /**
   * Rejects with `AC_JOURNAL_LOCKED` if the lock file is no longer the one that `acquire` wrote. Nor is a missing one replaced: another
   * sidecar may have used the folder meanwhile, and ended.
   */
  confirm(): Promise<void>;
  /** Does nothing if the lock is not held. */
  release(): Promise<void>;
}

export interface FolderLockDeps {
  readonly files: JournalFiles;
  readonly log: Log;
  readonly agentId?: string | undefined;
}

interface Holder extends ProcessMark {
  /** Name of the socket it listens on; null if it has none. */
  readonly socket: string | null;
  /** The agent of its sidecar; null if the mark does not name it. */
  readonly agentId: string | null;
}

/** Attempts when the lock keeps changing hands. */
const TRIES_MAX = 10;

const CANDIDATE = /^lock\.([0-9]+)-[0-9a-f-]{36}$/;
/** A candidate, or a partly written one. */
const CANDIDATE_PREFIX = /^lock\.([0-9]+)-/;
const SOCKET = /^lock-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.sock$/;

/** `agentId`: the agent of this sidecar, which is named to a process that finds the lock held. */
export function folderLock(folder: string, { files, log, agentId }: FolderLockDeps): FolderLock {
  const lockPath = join(folder, 'lock');
  let heldText: Buffer | null = null;
  let socket: LockSocket | null = null;
  let isLossLogged = false;

  async function acquire(): Promise<void> {
    const mark = (await processMark(process.pid)) ?? { pid: process.pid, startTime: null, bootId: null };
    const id = randomUUID();
    const socketName = `lock-${id}.sock`;
    const listening = await listen(socketName);
    const text = Buffer.from(`${JSON.stringify({ ...mark, id, agentId, ...(listening === null ? {} : { socket: socketName }) })}\n`);
    const candidate = `lock.${mark.pid}-${randomUUID()}`;
    const candidatePath = join(folder, candidate);
    let isTaken = false;
    try {
      await files.write(candidatePath, text);
      for (let tries = 0; tries < TRIES_MAX && !isTaken; tries += 1) isTaken = await tryTake(candidate);
      if (isTaken) [heldText, socket, isLossLogged] = [text, listening, false];
    } finally {
      if (!isTaken) await listening?.close();
      await files.remove(candidatePath);
    }
    if (isTaken) return await removeOrphans(socketName);
    throw new AgentcomError('AC_JOURNAL_LOCKED', `Cannot lock "${folder}": its lock keeps changing hands. Run only one sidecar on it.`);
  }

  /** False if the lock changed in the meantime. */
  async function tryTake(candidate: string): Promise<boolean> {
    const candidatePath = join(folder, candidate);
    if (await linkNew(candidatePath)) return true;
    const found = await files.read(lockPath);
    if (found === null) return false;
    await throwIfAlive(found);
    for (const other of await files.list(folder)) {
      if (!CANDIDATE.test(other) || other === candidate) continue;
      const rival = await files.read(join(folder, other));
      if (rival !== null) await throwIfAlive(rival);
    }
    const now = await files.read(lockPath);
    if (now?.equals(found) !== true) return false;
    await files.rename(candidatePath, lockPath);
    return true;
  }

  async function listen(name: string): Promise<LockSocket | null> {
    try {
      const listening = await listenAt(folder, name);
      if (listening === null) return null;
      return {
        async close() {
          await listening.close();
          await files.remove(join(folder, name));
        },
      };
    } catch (error) {
      const fields = { data_dir: folder, error: messageOf(error) };
      log.warn(
        'The file system of the data directory does not support sockets: a second sidecar is only detected inside this container.',
        fields,
      );
      return null;
    }
  }

  /** Removes what dead processes left behind. */
  async function removeOrphans(ownSocket: string): Promise<void> {
    for (const name of await files.list(folder)) {
      const pid = CANDIDATE_PREFIX.exec(name)?.[1];
      const isDeadSocket = SOCKET.test(name) && name !== ownSocket && !(await isListening(folder, name));
      const isDeadCandidate = pid !== undefined && (await processMark(Number(pid))) === null && (await isUnheld(name));
      if (isDeadSocket || isDeadCandidate) await files.remove(join(folder, name));
    }
  }

  /** Whether no process holds this candidate, here or in another container. */
  async function isUnheld(name: string): Promise<boolean> {
    const text = await files.read(join(folder, name));
    const mark = text === null ? null : readMark(text);
    return mark === null || !(await isAlive(folder, mark));
  }

  async function linkNew(candidatePath: string): Promise<boolean> {
    try {
      return await files.link(candidatePath, lockPath);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  async function throwIfAlive(text: Buffer): Promise<void> {
    const holder = readMark(text);
    if (holder === null || !(await isAlive(folder, holder))) return;
    const message = `Cannot use "${folder}": process ${holder.pid}, possibly in another container, holds it (${lockPath}). Stop it, or use a different dataDir (journalDir of a worker).`;
    throw new AgentcomError('AC_JOURNAL_LOCKED', message, { details: { folder, pid: holder.pid } });
  }

  async function confirm(): Promise<void> {
    const found = await files.read(lockPath);
    if (heldText !== null && found?.equals(heldText) === true) {
      isLossLogged = false;
      return;
    }
    const pid = found === null ? null : (readMark(found)?.pid ?? null);
    const what = found === null ? 'is gone, as if the folder had been removed' : `now names ${pid === null ? 'nobody' : `process ${pid}`}`;
    const message = `Cannot use "${folder}": this sidecar no longer holds it, because its lock ${what} (${lockPath}). It accepts no task, and stops if this lasts.`;
    // The caller may report only the first of many failures.
    if (!isLossLogged) log.error(message);
    isLossLogged = true;
    throw new AgentcomError('AC_JOURNAL_LOCKED', message, { details: { folder, pid } });
  }

  return {
    acquire,
    confirm,
    async release() {
      if (heldText === null) return;
      await socket?.close();
      socket = null;
      const found = await files.read(lockPath);
      if (found?.equals(heldText) === true) await files.remove(lockPath);
      heldText = null;
    },
  };
}

/** The live process that holds the folder, for the doctor; null if there is none. */
export async function lockHolder(folder: string, files: JournalFiles): Promise<Pick<Holder, 'pid' | 'agentId'> | null> {
  const text = await files.read(join(folder, 'lock'));
  const holder = text === null ? null : readMark(text);
  return holder !== null && (await isAlive(folder, holder)) ? holder : null;
}

const isAlive = async (folder: string, { socket, ...mark }: Holder): Promise<boolean> =>
  (await isStillRunning(mark)) || (socket !== null && (await isListening(folder, socket)));

/** Null if invalid. Marks are written whole, so this one was torn by a power loss and its process is gone. */
function readMark(text: Buffer): Holder | null {
  try {
    const mark = JSON.parse(text.toString('utf8')) as Partial<Holder> | null;
    const { pid, startTime = null, bootId = null, socket = null, agentId = null } = mark ?? {};
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0) return null;
    const at = typeof socket === 'string' && SOCKET.test(socket) ? socket : null;
    return { pid: pid as number, startTime, bootId, socket: at, agentId: typeof agentId === 'string' ? agentId : null };
  } catch {
    return null; // Torn: the caller treats it as no mark.
  }
}
