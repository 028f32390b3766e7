/**
 * The two copies of the state: `queue.json` and, of the save before it, `queue.json.1`. At every moment of a save at
 * least one good copy has its name, whatever step is the last one before a crash:
 *
 *   add to the ended, sync, read back          no copy names what was added yet
 *   write queue.json.next, sync, read back     queue.json is the old state
 *   link queue.json to queue.json.1            both names are the old state
 *   rename queue.json.next to queue.json       queue.json is the new state, and names what was added
 *   sync the folder                            and stays so without power
 */
import { join } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { JOURNAL_BYTES_MAX, type JournalOpened } from '../../core/ports/journal.ts';
import { endedLog, isEndedFile, NOTHING_ENDED } from './ended-log.ts';
import { JOURNAL_VERSION, pack } from './envelope.ts';
import { nextOf, prepareFile, type JournalFiles } from './journal-files.ts';
import { NEWEST, PREVIOUS, readCopy, type Copy, type StateParts } from './read-copy.ts';

export interface StateCopies {
  /** Reads the newest good copy; see the port's `open`. */
  read(nowMs: number): Promise<Pick<JournalOpened, 'state' | 'damage'>>;
  save(state: StateParts): Promise<void>;
}

type Found = Exclude<Copy, { readonly kind: 'newer' }>;
type Good = Copy & { readonly kind: 'good' };

export function stateCopies(folder: string, files: JournalFiles): StateCopies {
  const newestPath = join(folder, NEWEST);
  const previousPath = join(folder, PREVIOUS);
  const log = endedLog(folder, files);
  /** The files of what ended that may be removed once no copy names them. */
  let removable = new Set<string>();
  /** Which of them the copies name. */
  let named: { readonly newest: string | null; readonly previous: string | null } = { newest: null, previous: null };

  async function readOurs(name: string): Promise<Found> {
    const copy = await readCopy(folder, files, name);
    if (copy.kind !== 'newer') return copy;
    const path = join(folder, name);
    const message = `Cannot read the journal "${path}": it has version ${copy.version}, and this program knows ${JOURNAL_VERSION}. Start the newer agentcom, or give this one a dataDir of its own.`;
    throw new AgentcomError('AC_SCHEMA_UNKNOWN', message, { details: { path, version: copy.version } });
  }

  /** Goes on from `newest`. What a crash left over is removed, unless a copy that cannot be read might name it. */
  async function goOnFrom(newest: Good | null, previous: Copy, isDoubtful: boolean): Promise<void> {
    const names = await files.list(folder);
    log.adopt(newest?.kept ?? NOTHING_ENDED, isDoubtful, names);
    named = { newest: fileOf(newest), previous: fileOf(previous) };
    const isKnown = !isDoubtful && (previous.kind === 'good' || previous.kind === 'missing');
    removable = new Set(isKnown ? names.filter(isEndedFile) : [named.newest].filter((name) => name !== null));
    await removeUnnamed();
  }

  async function removeUnnamed(): Promise<void> {
    for (const name of removable) {
      if (name === named.newest || name === named.previous) continue;
      await files.remove(join(folder, name));
      removable.delete(name);
    }
  }

  /** What is damaged is moved away only when a good copy was found, so that a second start does not find an empty folder. */
  async function recover(newest: Found & { kind: 'bad' | 'missing' }, previous: Good, nowMs: number) {
    const aside = (path: string): string => `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(':', '-')}`;
    const setAside = newest.kind === 'bad' ? aside(newestPath) : null;
    if (newest.kind === 'bad' && newest.ended !== null) {
      const path = join(folder, newest.ended.file);
      await files.remove(aside(path)); // a link replaces nothing: of a start before this one
      await files.link(path, aside(path));
    }
    if (setAside !== null) await files.rename(newestPath, setAside);
    await files.link(previousPath, newestPath);
    await files.syncFolder(folder);
    await goOnFrom(previous, previous, true);
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

  async function putInPlace(): Promise<void> {
    const hasPrevious = await keepNewestAsPrevious();
    try {
      await files.rename(nextOf(newestPath), newestPath);
    } catch (error) {
      log.doubt();
      throw error;
    }
    try {
      await files.syncFolder(folder);
    } catch (error) {
      log.doubt();
      // The caller is told that this state was not saved, so the next start must not find it.
      if (hasPrevious) await files.rename(previousPath, newestPath);
      else await files.remove(newestPath);
      throw error;
    }
  }

  return {
    async read(nowMs) {
      const newest = await readOurs(NEWEST);
      if (newest.kind === 'good') {
        await goOnFrom(newest, await readCopy(folder, files, PREVIOUS), false);
        return { state: newest.state, damage: null };
      }
      const previous = await readOurs(PREVIOUS);
      if (newest.kind === 'missing' && previous.kind === 'missing') {
        await goOnFrom(null, previous, false);
        return { state: undefined, damage: null };
      }
      if (previous.kind === 'good') return await recover(newest, previous, nowMs);
      const message =
        `Cannot read the journal: "${newestPath}" ${whyOf(newest)}, and "${previousPath}" ${whyOf(previous)}. ` +
        'Restore what is damaged. To begin with an empty journal instead, move both away: the tasks that this sidecar held are then given out again.';
      throw new AgentcomError('AC_JOURNAL_CORRUPT', message, { details: { folder } });
    },

    async save({ text, ended }) {
      const change = log.changeTo(ended);
      const stateBytes = Buffer.byteLength(text) + change.listBytes;
      if (stateBytes > JOURNAL_BYTES_MAX) {
        const message = `Cannot save the journal: its state takes ${stateBytes} bytes, and ${JOURNAL_BYTES_MAX} are allowed. Nothing was written.`;
        throw new AgentcomError('AC_JOURNAL_WRITE', message);
      }
      const kept = await log.write(change);
      if (kept.mark !== null) removable.add(kept.mark.file);
      await prepareFile(files, newestPath, pack(text, kept.mark));
      await putInPlace();
      log.keep(kept);
      named = { newest: kept.mark?.file ?? null, previous: named.newest };
      // It was saved whatever comes of this; what stays is tried again after the next save, and at the next start.
      await Promise.allSettled([removeUnnamed()]);
    },
  };
}

const fileOf = (copy: Copy | null): string | null => (copy?.kind === 'good' ? (copy.kept.mark?.file ?? null) : null);

const whyOf = (copy: Found): string => (copy.kind === 'bad' ? copy.why : copy.kind === 'missing' ? 'is missing' : 'is fine');
