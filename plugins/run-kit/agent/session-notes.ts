/**
 * Stores, per task, the agent session and the usage that it has reported so far. Sessions that can only be resumed in
 * one place are kept in a folder of their own. The hub decides whether a session is resumed, since it knows whether
 * the task ran on another machine in between. If a note is lost, the agent starts a new session.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Session, SessionTotals } from './dialect.ts';
import { amountOf, objectOf, textOf } from './parsed-fields.ts';
import { unlessMissing } from '../process/run-files.ts';

/** Maximum number of notes; the oldest are removed first. */
const NOTES_MAX = 1_000;
/** Old notes are pruned once per this many saves. */
const PRUNE_EVERY = 100;

interface Note {
  readonly sessionId: string;
  /** The run that saved it. */
  readonly runId: string;
  /** Usage of the session before that run. */
  readonly totalsBefore: SessionTotals;
  /** Usage of the session so far. */
  readonly totals: SessionTotals;
}

export interface SessionNotes {
  /**
   * The session that this run resumes, with its usage before the run; null if the run starts a new one. If the run has
   * already saved its session, returns that session with the usage before the run.
   */
  load(request: WakeRequest): Promise<Session | null>;
  /** Stores a run's session: in `session` with its usage before the run, in `totals` its usage so far. */
  save(request: WakeRequest, session: Session, totals: SessionTotals): Promise<void>;
  /** The next run for this task starts a new session. */
  remove(request: WakeRequest): Promise<void>;
}

/** `folder` need not exist. Disk errors are only logged: they must not fail the run. */
export function sessionNotes(folder: string, log: Log): SessionNotes {
  let saves = 0;
  const pathOf = ({ taskId }: WakeRequest): string => join(folder, `${taskId}.json`);
  const logFailure = async <T>(action: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      log.warn(`session note: ${action} failed`, { error: messageOf(error) });
      return null;
    }
  };
  return {
    async load(request) {
      return sessionOf(await logFailure('load', () => readNote(pathOf(request))), request);
    },
    async save(request, session, totals) {
      const note: Note = { sessionId: session.id, runId: request.runId, totalsBefore: session.totals, totals };
      await logFailure('save', async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        // Renamed, so that a crash leaves no half-written note. Not synced to disk: a lost note costs little.
        await writeFile(`${pathOf(request)}.part`, JSON.stringify(note), { mode: 0o600 });
        await rename(`${pathOf(request)}.part`, pathOf(request));
      });
      if (saves % PRUNE_EVERY === 0) await logFailure('prune', () => prune(folder));
      saves += 1;
    },
    async remove(request) {
      await logFailure('remove', () => rm(pathOf(request), { force: true }));
    },
  };
}

function sessionOf(note: Note | null, { runId, session }: WakeRequest): Session | null {
  if (note === null) return null;
  if (note.runId === runId) return { id: note.sessionId, totals: note.totalsBefore };
  return note.sessionId === session ? { id: note.sessionId, totals: note.totals } : null;
}

/** Null for a missing note, and for an invalid one, for example one truncated by a full disk. */
async function readNote(path: string): Promise<Note | null> {
  const text = await unlessMissing(() => readFile(path, 'utf8'));
  return text === null ? null : parseNote(text);
}

function parseNote(text: string): Note | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // Invalid.
  }
  const { sessionId, runId, totalsBefore, totals } = objectOf(value);
  const id = textOf(sessionId);
  const run = textOf(runId);
  if (id === null || run === null) return null;
  return { sessionId: id, runId: run, totalsBefore: totalsOf(totalsBefore), totals: totalsOf(totals) };
}

const totalsOf = (value: unknown): SessionTotals =>
  Object.fromEntries(Object.entries(objectOf(value)).map(([name, count]) => [name, amountOf(count)]));

/** Removes the oldest files, including those that a crash left half-written. Other runs may remove files meanwhile. */
async function prune(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= NOTES_MAX) return;
  const files = await Promise.all(names.map(async (name) => ({ name, found: await unlessMissing(() => stat(join(folder, name))) })));
  const dated = files.flatMap(({ name, found }) => (found === null ? [] : [{ name, atMs: found.mtimeMs }]));
  const oldest = dated.sort((a, b) => a.atMs - b.atMs).slice(0, Math.max(0, dated.length - NOTES_MAX));
  await Promise.all(oldest.map(({ name }) => rm(join(folder, name), { force: true })));
}
