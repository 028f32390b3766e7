/**
 * The `lock` file that keeps a second sidecar off a folder: who holds it, as a process mark and the name of a socket beside it. A
 * holder that no longer lives is followed: its process is not there, and nobody answers at its socket, which can also be asked from
 * another container that has the folder. The folder must be on this machine: what runs elsewhere cannot be seen.
 *
 *   free ── link ──► held ── release ──► free
 *                     │ holder dies
 *                     ▼
 *                   stale ── follow ──► held
 *
 * A newcomer writes its mark under a name of its own, a candidate, and links it to `lock`: like an open with `wx`, the
 * link fails when there is one, and nobody ever sees half a mark. To follow a dead holder it looks for other live
 * candidates, then whether the lock is still that of the dead one, and renames its own over it. Candidates are written
 * before they look, so of two that come at once at least one sees the other; who sees another is refused.
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
  /** Fails with `AC_JOURNAL_LOCKED`, naming the holder, while another live process, or another journal of this one, holds the folder. */
  acquire(): Promise<void>;
  /** Fine when it is not held. */
  release(): Promise<void>;
}

interface Holder extends ProcessMark {
  /** The name of the socket that it listens at; null where it has none. */
  readonly socket: string | null;
}

/** A lock that is let go of again and again while we look at it. */
const TRIES_MAX = 10;

const CANDIDATE = /^lock\.([0-9]+)-[0-9a-f-]{36}$/;
/** A candidate, or what was left of writing one. */
const CANDIDATE_OR_REST = /^lock\.([0-9]+)-/;
const SOCKET = /^lock-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.sock$/;

export function folderLock(folder: string, files: JournalFiles, log: Log): FolderLock {
  const lockPath = join(folder, 'lock');
  let heldText: Buffer | null = null;
  let socket: LockSocket | null = null;

  async function acquire(): Promise<void> {
    const mark = (await processMark(process.pid)) ?? { pid: process.pid, startTime: null, bootId: null };
    const id = randomUUID();
    const socketName = `lock-${id}.sock`;
    const listening = await listen(socketName);
    const text = Buffer.from(`${JSON.stringify({ ...mark, id, ...(listening === null ? {} : { socket: socketName }) })}\n`);
    const candidate = `lock.${mark.pid}-${randomUUID()}`;
    const candidatePath = join(folder, candidate);
    let isTaken = false;
    try {
      await files.write(candidatePath, text);
      for (let tries = 0; tries < TRIES_MAX && !isTaken; tries += 1) isTaken = await takeOnce(candidate);
      if (isTaken) [heldText, socket] = [text, listening];
    } finally {
      if (!isTaken) await listening?.close();
      await files.remove(candidatePath);
    }
    if (isTaken) return await removeLeftovers(socketName);
    throw new AgentcomError('AC_JOURNAL_LOCKED', `Cannot lock "${folder}": its lock changes hands all the time. Start one sidecar on it.`);
  }

  /** False when the lock changed meanwhile. */
  async function takeOnce(candidate: string): Promise<boolean> {
    const candidatePath = join(folder, candidate);
    if (await linkNew(candidatePath)) return true;
    const found = await files.read(lockPath);
    if (found === null) return false;
    await refuseIfAlive(found);
    for (const other of await files.list(folder)) {
      if (!CANDIDATE.test(other) || other === candidate) continue;
      const rival = await files.read(join(folder, other));
      if (rival !== null) await refuseIfAlive(rival);
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
      const told = { data_dir: folder, error: messageOf(error) };
      log.warn('The file system of the data directory has no sockets: a second sidecar on it is noticed in this container only.', told);
      return null;
    }
  }

  /** What those left behind that died. */
  async function removeLeftovers(ownSocket: string): Promise<void> {
    for (const name of await files.list(folder)) {
      const pid = CANDIDATE_OR_REST.exec(name)?.[1];
      const isDeadSocket = SOCKET.test(name) && name !== ownSocket && !(await isListening(folder, name));
      const isDeadCandidate = pid !== undefined && (await processMark(Number(pid))) === null && (await isUnheld(name));
      if (isDeadSocket || isDeadCandidate) await files.remove(join(folder, name));
    }
  }

  /** Whether a candidate is of nobody, here or in another container. */
  async function isUnheld(name: string): Promise<boolean> {
    const text = await files.read(join(folder, name));
    const mark = text === null ? null : readMark(text);
    return mark === null || !(await isHeldBy(mark));
  }

  async function linkNew(candidatePath: string): Promise<boolean> {
    try {
      return await files.link(candidatePath, lockPath);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  async function refuseIfAlive(text: Buffer): Promise<void> {
    const holder = readMark(text);
    if (holder === null || !(await isHeldBy(holder))) return;
    const message = `Cannot use "${folder}": process ${holder.pid}, perhaps of another container, holds it (${lockPath}). Stop that sidecar, or give this one a dataDir of its own.`;
    throw new AgentcomError('AC_JOURNAL_LOCKED', message, { details: { folder, pid: holder.pid } });
  }

  const isHeldBy = async ({ socket: at, ...mark }: Holder): Promise<boolean> =>
    (await isStillRunning(mark)) || (at !== null && (await isListening(folder, at)));

  return {
    acquire,
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

/** Null for what is no mark: marks appear whole, so this one was torn by a loss of power, and its process died with it. */
function readMark(text: Buffer): Holder | null {
  try {
    const mark = JSON.parse(text.toString('utf8')) as Partial<Holder> | null;
    const { pid, startTime = null, bootId = null, socket = null } = mark ?? {};
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0) return null;
    return { pid: pid as number, startTime, bootId, socket: typeof socket === 'string' && SOCKET.test(socket) ? socket : null };
  } catch {
    return null; // torn: told to the caller as "no mark"
  }
}
