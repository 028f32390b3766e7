/**
 * What is known here of the session that an agent's program had for a task, in files of the sidecar's data directory:
 * what it had used, and, by their folder, where it can be gone on with. Which session that is to be says the hub, which
 * knows whether another machine had the task in between. A lost note costs a fresh start, nothing else.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Session, SessionTotals } from './dialect.ts';
import { amountOf, objectOf, textOf } from './parsed-fields.ts';

/** Notes that are kept; the oldest go first. */
const NOTES_MAX = 1_000;
/** How often the notes are counted: each so many runs. */
const COUNT_EACH = 100;

interface Note {
  readonly sessionId: string;
  /** The run that wrote it. */
  readonly runId: string;
  /** Of the session when that run began. */
  readonly totalsBefore: SessionTotals;
  readonly totals: SessionTotals;
}

export interface SessionNotes {
  /** The session that the request names, if it is known here; for a run that has one itself, what was before that. Else null. */
  before(request: WakeRequest): Promise<Session | null>;
  /** Keeps the session that a run has, with what it had used before the run and has by now. */
  keep(request: WakeRequest, session: Session, totals: SessionTotals): Promise<void>;
  /** The next run for this task begins afresh. */
  forget(request: WakeRequest): Promise<void>;
}

/** `folder` need not exist. Failures of the disk are logged: a run is worth more than its note. */
export function sessionNotes(folder: string, log: Log): SessionNotes {
  let kept = 0;
  const pathOf = ({ taskId }: WakeRequest): string => join(folder, `${taskId}.json`);
  const trying = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn(`cannot ${what} the note of a session`, { error: messageOf(error) });
      return null;
    }
  };
  return {
    async before(request) {
      const note = await trying('read', async () => noteIn(await readFile(pathOf(request), 'utf8')));
      if (note === null) return null;
      if (note.runId === request.runId) return { id: note.sessionId, totals: note.totalsBefore };
      return note.sessionId === request.session ? { id: note.sessionId, totals: note.totals } : null;
    },
    async keep(request, session, totals) {
      const note: Note = { sessionId: session.id, runId: request.runId, totalsBefore: session.totals, totals };
      await trying('write', async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        if (kept % COUNT_EACH === 0) await removeOldest(folder);
        kept += 1;
        await writeFile(`${pathOf(request)}.part`, JSON.stringify(note), { mode: 0o600 });
        await rename(`${pathOf(request)}.part`, pathOf(request));
      });
    },
    async forget(request) {
      await trying('remove', () => rm(pathOf(request), { force: true }));
    },
  };
}

/** Null for what is no note: one that was cut off by a full disk. */
function noteIn(text: string): Note | null {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return null; // Not a note; as if there were none.
  }
  const { sessionId, runId, totalsBefore, totals } = objectOf(said);
  if (textOf(sessionId) === null || textOf(runId) === null) return null;
  return { sessionId: sessionId as string, runId: runId as string, totalsBefore: totalsOf(totalsBefore), totals: totalsOf(totals) };
}

const totalsOf = (value: unknown): SessionTotals =>
  Object.fromEntries(Object.entries(objectOf(value)).map(([name, count]) => [name, amountOf(count)]));

async function removeOldest(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= NOTES_MAX) return;
  const dated = await Promise.all(names.map(async (name) => ({ name, atMs: (await stat(join(folder, name))).mtimeMs })));
  const oldest = dated.sort((a, b) => a.atMs - b.atMs).slice(0, names.length - NOTES_MAX);
  await Promise.all(oldest.map(({ name }) => rm(join(folder, name), { force: true })));
}
