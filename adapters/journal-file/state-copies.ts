/**
 * The two copies of the state: `queue.json` and, of the save before it, `queue.json.1`. At every moment of a save at
 * least one good copy has its name, whatever step is the last one before a crash:
 *
 *   write queue.json.next, sync, read back     queue.json is the old state
 *   link queue.json to queue.json.1            both names are the old state
 *   rename queue.json.next to queue.json       queue.json is the new state
 *   sync the folder                            and stays so without power
 */
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { JOURNAL_BYTES_MAX, type JournalOpened } from '../../core/ports/journal.ts';
import { JOURNAL_VERSION, pack, unpack, type Unpacked } from './envelope.ts';
import { nextOf, prepareFile, type JournalFiles } from './journal-files.ts';

type Copy = Unpacked | { readonly kind: 'missing' };

export interface StateCopies {
  /** Reads the newest good copy; see the port's `open`. */
  read(nowMs: number): Promise<Pick<JournalOpened, 'state' | 'damage'>>;
  /** `stateText` is JSON. */
  save(stateText: string): Promise<void>;
}

export function stateCopies(folder: string, files: JournalFiles): StateCopies {
  const newestPath = join(folder, 'queue.json');
  const previousPath = join(folder, 'queue.json.1');

  async function readCopy(path: string): Promise<Copy> {
    let bytes: Buffer | null;
    try {
      bytes = await files.read(path);
    } catch (error) {
      return { kind: 'bad', why: `cannot be read (${messageOf(error)})` };
    }
    const copy: Copy = bytes === null ? { kind: 'missing' } : unpack(bytes);
    if (copy.kind === 'newer') {
      const message = `Cannot read the journal "${path}": it has version ${copy.version}, and this program knows ${JOURNAL_VERSION}. Start the newer agentcom, or give this one a dataDir of its own.`;
      throw new AgentcomError('AC_SCHEMA_UNKNOWN', message, { details: { path, version: copy.version } });
    }
    return copy;
  }

  /** The damaged copy is moved away only when a good one was found, so that a second start does not find an empty folder. */
  async function recover(newest: Copy & { kind: 'bad' | 'missing' }, previous: Copy & { kind: 'good' }, nowMs: number) {
    const setAside = newest.kind === 'bad' ? `${newestPath}.corrupt-${new Date(nowMs).toISOString().replaceAll(':', '-')}` : null;
    if (setAside !== null) await files.rename(newestPath, setAside);
    await files.link(previousPath, newestPath);
    await files.syncFolder(folder);
    const message = `The journal "${newestPath}" ${whyOf(newest)}; the copy of the save before it was read instead.`;
    return { state: previous.state, damage: { message, setAside } };
  }

  /** By way of another name, since a link replaces nothing and `queue.json.1` must not be missing in between. */
  async function keepNewestAsPrevious(): Promise<boolean> {
    const step = nextOf(previousPath);
    await files.remove(step); // renaming between two names of one file leaves both, and so may a crash
    if (!(await files.link(newestPath, step))) return false;
    await files.rename(step, previousPath);
    return true;
  }

  return {
    async read(nowMs) {
      const newest = await readCopy(newestPath);
      if (newest.kind === 'good') return { state: newest.state, damage: null };
      const previous = await readCopy(previousPath);
      if (newest.kind === 'missing' && previous.kind === 'missing') return { state: undefined, damage: null };
      const damaged = newest as Copy & { kind: 'bad' | 'missing' };
      if (previous.kind === 'good') return await recover(damaged, previous, nowMs);
      const message =
        `Cannot read the journal: "${newestPath}" ${whyOf(newest)}, and "${previousPath}" ${whyOf(previous)}. ` +
        'Restore one of them. To begin with an empty journal instead, move both away: the tasks that this sidecar held are then given out again.';
      throw new AgentcomError('AC_JOURNAL_CORRUPT', message, { details: { folder } });
    },

    async save(stateText) {
      const stateBytes = Buffer.byteLength(stateText);
      if (stateBytes > JOURNAL_BYTES_MAX) {
        const message = `Cannot save the journal: its state takes ${stateBytes} bytes, and ${JOURNAL_BYTES_MAX} are allowed. Nothing was written.`;
        throw new AgentcomError('AC_JOURNAL_WRITE', message);
      }
      const bytes = pack(stateText);
      await prepareFile(files, newestPath, bytes);
      const hasPrevious = await keepNewestAsPrevious();
      await files.rename(nextOf(newestPath), newestPath);
      try {
        await files.syncFolder(folder);
      } catch (error) {
        // The caller is told that this state was not saved, so the next start must not find it.
        if (hasPrevious) await files.rename(previousPath, newestPath);
        else await files.remove(newestPath);
        throw error;
      }
    },
  };
}

const whyOf = (copy: Copy): string => (copy.kind === 'bad' ? copy.why : copy.kind === 'missing' ? 'is missing' : 'is fine');
