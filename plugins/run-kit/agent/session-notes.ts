/**
 * Stores what is known on this machine of a task's session, in the sidecar's data directory: what it has used and, by
 * the folder of the note, where it can be resumed. Which session to resume is the hub's decision, since it knows
 * whether another machine had the task in between. A lost note only costs a fresh start.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Session, SessionTotals } from './dialect.ts';
import { amountOf, objectOf, textOf } from './parsed-fields.ts';

/** Maximum number of notes; the oldest are removed first. */
const NOTES_MAX = 1_000;
/** How often the notes are counted, in runs. */
const COUNT_EACH = 100;

interface Note {
  readonly sessionId: string;
  /** The run that wrote it. */
  readonly runId: string;
  /** Totals of the session when that run started. */
  readonly totalsBefore: SessionTotals;
  readonly totals: SessionTotals;
}

export interface SessionNotes {
  /**
   * The session named by the request, if it is known here; for a run that already has one, the totals from before it.
   * Otherwise null.
   */
  before(request: WakeRequest): Promise<Session | null>;
  /** Stores a run's session, with what it had used before the run and has used so far. */
  keep(request: WakeRequest, session: Session, totals: SessionTotals): Promise<void>;
  /** Makes the next run for this task start afresh. */
  forget(request: WakeRequest): Promise<void>;
}

/** `folder` need not exist. Disk errors are only logged: a run is worth more than its note. */
export function sessionNotes(folder: string, log: Log): SessionNotes {
  let kept = 0;
  const pathOf = ({ taskId }: WakeRequest): string => join(folder, `${taskId}.json`);
  const tryTo = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn(`cannot ${what} the note of a session`, { error: messageOf(error) });
      return null;
    }
  };
  return {
    async before(request) {
      const note = await tryTo('read', async () => noteIn(await readFile(pathOf(request), 'utf8')));
      if (note === null) return null;
      if (note.runId === request.runId) return { id: note.sessionId, totals: note.totalsBefore };
      return note.sessionId === request.session ? { id: note.sessionId, totals: note.totals } : null;
    },
    async keep(request, session, totals) {
      const note: Note = { sessionId: session.id, runId: request.runId, totalsBefore: session.totals, totals };
      await tryTo('write', async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        if (kept % COUNT_EACH === 0) await removeOldest(folder);
        kept += 1;
        await writeFile(`${pathOf(request)}.part`, JSON.stringify(note), { mode: 0o600 });
        await rename(`${pathOf(request)}.part`, pathOf(request));
      });
    },
    async forget(request) {
      await tryTo('remove', () => rm(pathOf(request), { force: true }));
    },
  };
}

/** Null for an invalid note, for example one truncated by a full disk. */
function noteIn(text: string): Note | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // Invalid; treated as if there were none.
  }
  const { sessionId, runId, totalsBefore, totals } = objectOf(value);
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
