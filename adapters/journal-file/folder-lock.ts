/**
 * The `lock` file that keeps a second sidecar off a folder: who holds it, as a process mark. A holder that no longer
 * lives is followed. The folder must be on this machine: processes elsewhere cannot be seen.
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
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { ProcessMark } from '../../core/ports/wake-runner.ts';
import type { JournalFiles } from './journal-files.ts';
import { isStillRunning, processMark } from './process-mark.ts';

export interface FolderLock {
  /** Fails with `AC_JOURNAL_LOCKED`, naming the holder, while another live process, or another journal of this one, holds the folder. */
  acquire(): Promise<void>;
  /** Fine when it is not held. */
  release(): Promise<void>;
}

/** A lock that is let go of again and again while we look at it. */
const TRIES_MAX = 10;

const CANDIDATE = /^lock\.([0-9]+)-[0-9a-f-]{36}$/;
/** A candidate, or what was left of writing one. */
const CANDIDATE_OR_REST = /^lock\.([0-9]+)-/;

export function folderLock(folder: string, files: JournalFiles): FolderLock {
  const lockPath = join(folder, 'lock');
  let heldText: Buffer | null = null;

  async function acquire(): Promise<void> {
    const mark = (await processMark(process.pid)) ?? { pid: process.pid, startTime: null, bootId: null };
    const text = Buffer.from(`${JSON.stringify({ ...mark, id: randomUUID() })}\n`);
    const candidate = `lock.${mark.pid}-${randomUUID()}`;
    const candidatePath = join(folder, candidate);
    let isTaken = false;
    await files.write(candidatePath, text);
    try {
      for (let tries = 0; tries < TRIES_MAX && !isTaken; tries += 1) isTaken = await takeOnce(candidate);
      if (isTaken) heldText = text;
    } finally {
      await files.remove(candidatePath);
    }
    if (isTaken) return await removeDeadCandidates();
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

  async function removeDeadCandidates(): Promise<void> {
    for (const name of await files.list(folder)) {
      const pid = CANDIDATE_OR_REST.exec(name)?.[1];
      if (pid !== undefined && (await processMark(Number(pid))) === null) await files.remove(join(folder, name));
    }
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
    if (holder === null || !(await isStillRunning(holder))) return;
    const message = `Cannot use "${folder}": process ${holder.pid} holds it (${lockPath}). Stop that sidecar, or give this one a dataDir of its own.`;
    throw new AgentcomError('AC_JOURNAL_LOCKED', message, { details: { folder, pid: holder.pid } });
  }

  return {
    acquire,
    async release() {
      if (heldText === null) return;
      const found = await files.read(lockPath);
      if (found?.equals(heldText) === true) await files.remove(lockPath);
      heldText = null;
    },
  };
}

/** Null for what is no mark: marks appear whole, so this one was torn by a loss of power, and its process died with it. */
function readMark(text: Buffer): ProcessMark | null {
  try {
    const mark = JSON.parse(text.toString('utf8')) as Partial<ProcessMark> | null;
    const { pid, startTime = null, bootId = null } = mark ?? {};
    return Number.isSafeInteger(pid) && (pid as number) > 0 ? { pid: pid as number, startTime, bootId } : null;
  } catch {
    return null; // torn: told to the caller as "no mark"
  }
}
