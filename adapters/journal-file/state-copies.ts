/**
 * The two copies of the state: `queue.json`, and `queue.json.1` from the save before. At every step of a save at least one
 * good copy has its name, wherever a crash happens:
 *
 *   write large tasks, sync, read back          no copy refers to them yet
 *   append to the ended list, sync, read back   no copy refers to the additions yet
 *   write queue.json.next, sync, read back      queue.json is the old state
 *   link queue.json to queue.json.1             both names are the old state
 *   rename queue.json.next to queue.json        queue.json is the new state and refers to the additions
 *   sync the folder                             and this survives a power loss
 */
import { join } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { JOURNAL_BYTES_MAX, type JournalOpened } from '../../core/ports/journal.ts';
import { endedLog, isEndedFile, NOTHING_ENDED, type KeptList } from './ended-log.ts';
import { ENVELOPE_VERSION, pack } from './envelope.ts';
import { HELD, isHeldFile, writeHeldTask } from './held-tasks.ts';
import { nextOf, prepareFile, type JournalFiles } from './journal-files.ts';
import { NEWEST, PREVIOUS, readCopy, type Copy, type StateParts } from './read-copy.ts';

export interface StateCopies {
  /** Reads the newest good copy; see `Journal.open`. */
  read(nowMs: number): Promise<Pick<JournalOpened, 'state' | 'damage'>>;
  save(state: StateParts): Promise<void>;
}

type Found = Exclude<Copy, { readonly kind: 'newer' }>;
type Good = Copy & { readonly kind: 'good' };

export function stateCopies(folder: string, files: JournalFiles): StateCopies {
  const newestPath = join(folder, NEWEST);
  const previousPath = join(folder, PREVIOUS);
  const log = endedLog(folder, files);
  /** Ended-list files and files of tasks to remove once no copy refers to them, relative to the folder. */
  let removable = new Set<string>();
  /** The files of these kinds that the copies refer to. */
  let named: { readonly newest: ReadonlySet<string>; readonly previous: ReadonlySet<string> } = { newest: NONE, previous: NONE };
  /** Whether the newest copy is a state whose save has failed: it replaced one that is now the previous copy, or there was none. */
  let notSaved: 'replaced' | 'alone' | null = null;
  /** The files of tasks that are known to be complete, relative to the folder. */
  const stored = new Set<string>();

  async function readOurs(name: string): Promise<Found> {
    const copy = await readCopy(folder, files, name);
    if (copy.kind !== 'newer') return copy;
    const path = join(folder, name);
    const message = `Cannot read the journal "${path}": it has version ${copy.version}, this program supports up to ${ENVELOPE_VERSION}. Start the newer agentcom, or use a different dataDir (journalDir of a worker).`;
    throw new AgentcomError('AC_SCHEMA_UNKNOWN', message, { details: { path, version: copy.version } });
  }

  /** Continues from `newest`. Orphaned files are removed, unless an unreadable copy might refer to them. */
  async function continueFrom(newest: Good | null, previous: Copy, isDoubtful: boolean): Promise<void> {
    const names = await files.list(folder);
    log.adopt(newest?.kept ?? NOTHING_ENDED, isDoubtful, names);
    named = { newest: namesIn(newest), previous: namesIn(previous) };
    stored.clear();
    for (const copy of [newest, previous]) if (copy?.kind === 'good') for (const name of copy.held) stored.add(heldPath(name));
    const isKnown = !isDoubtful && (previous.kind === 'good' || previous.kind === 'missing');
    const tasks = names.includes(HELD) ? (await files.list(join(folder, HELD))).filter(isHeldFile).map(heldPath) : [];
    removable = isKnown ? new Set([...names.filter(isEndedFile), ...tasks]) : new Set(named.newest);
    await removeUnnamed();
  }

  async function removeUnnamed(): Promise<void> {
    for (const name of removable) {
      if (named.newest.has(name) || named.previous.has(name)) continue;
      // Before the removal, which may fail after it has happened: a task that comes back is then written again.
      stored.delete(name);
      await files.remove(join(folder, name));
      removable.delete(name);
    }
  }

  /**
   * Damaged files are moved away only once a good copy was found; otherwise the next start would find an empty folder.
   */
  async function recover(newest: Found & { kind: 'bad' | 'missing' }, previous: Good, nowMs: number) {
    const aside = (path: string): string => `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(':', '-')}`;
    /** Linked, so that it stays when its own name is removed. */
    const linkAside = async (path: string): Promise<void> => {
      await files.remove(aside(path)); // A link cannot replace a file; this one is left over from an earlier start.
      await files.link(path, aside(path));
    };
    const setAside = newest.kind === 'bad' ? aside(newestPath) : null;
    if (newest.kind === 'bad' && newest.ended !== null) await linkAside(join(folder, newest.ended.file));
    if (setAside !== null) {
      await linkTasksAside(previous, linkAside);
      await files.rename(newestPath, setAside);
    }
    await files.link(previousPath, newestPath);
    await files.syncFolder(folder);
    await continueFrom(previous, previous, true);
    const message = `The journal "${newestPath}" ${whyOf(newest)}; the previous copy was read instead.`;
    return { state: previous.state, damage: { message, setAside } };
  }

  /** Those that the good copy does not name: the damaged one may. */
  async function linkTasksAside(good: Good, linkAside: (path: string) => Promise<void>): Promise<void> {
    if (!(await files.list(folder)).includes(HELD)) return;
    const held = join(folder, HELD);
    for (const name of (await files.list(held)).filter(isHeldFile)) {
      if (!good.held.includes(name)) await linkAside(join(held, name));
    }
    await files.syncFolder(held);
  }

  /** Through another name, since a link cannot replace a file, and `queue.json.1` must never be missing. */
  async function keepNewestAsPrevious(): Promise<boolean> {
    const step = nextOf(previousPath);
    await files.remove(step); // Renaming between two links of one file keeps both, and so may a crash.
    if (!(await files.link(newestPath, step))) return false;
    await files.rename(step, previousPath);
    return true;
  }

  /** Undoes a save that was reported as failed, so that the next start does not find its state. */
  async function takeBack(): Promise<void> {
    // Without a newest copy the previous one is read.
    if (notSaved === 'replaced') await files.rename(previousPath, newestPath).catch(() => files.remove(newestPath));
    else if (notSaved === 'alone') await files.remove(newestPath);
    notSaved = null;
  }

  async function commit(): Promise<void> {
    // Otherwise that state would become the previous copy, in place of one that was saved.
    await takeBack();
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
      notSaved = hasPrevious ? 'replaced' : 'alone';
      // If the disk refuses this too, the next save starts with it.
      await Promise.allSettled([takeBack()]);
      throw error;
    }
  }

  return {
    async read(nowMs) {
      const newest = await readOurs(NEWEST);
      if (newest.kind === 'good') {
        await continueFrom(newest, await readCopy(folder, files, PREVIOUS), false);
        return { state: newest.state, damage: null };
      }
      const previous = await readOurs(PREVIOUS);
      if (newest.kind === 'missing' && previous.kind === 'missing') {
        await continueFrom(null, previous, false);
        return { state: undefined, damage: null };
      }
      if (previous.kind === 'good') return await recover(newest, previous, nowMs);
      const message =
        `Cannot read the journal: "${newestPath}" ${whyOf(newest)}, and "${previousPath}" ${whyOf(previous)}. ` +
        'Restore one of them. To start with an empty journal instead, move both away: the hub then assigns the tasks of this sidecar again.';
      throw new AgentcomError('AC_JOURNAL_CORRUPT', message, { details: { folder } });
    },

    async save({ text, ended, held }) {
      const change = log.changeTo(ended);
      const stateBytes = Buffer.byteLength(text) + change.listBytes;
      if (stateBytes > JOURNAL_BYTES_MAX) {
        const message = `Cannot save the journal: its state has ${stateBytes} bytes; the maximum is ${JOURNAL_BYTES_MAX}. Nothing was written.`;
        throw new AgentcomError('AC_JOURNAL_WRITE', message);
      }
      for (const [name, task] of held) {
        const path = heldPath(name);
        if (stored.has(path)) continue;
        removable.add(path);
        await writeHeldTask(folder, files, name, task);
        stored.add(path);
      }
      const kept = await log.write(change);
      if (kept.mark !== null) removable.add(kept.mark.file);
      await prepareFile(files, newestPath, pack(text, kept.mark, held.size));
      await commit();
      log.keep(kept);
      named = { newest: namesOf(kept, [...held.keys()]), previous: named.newest };
      // The save has succeeded; files that remain are retried after the next save and at the next start.
      await Promise.allSettled([removeUnnamed()]);
    },
  };
}

const NONE: ReadonlySet<string> = new Set();
const heldPath = (name: string): string => join(HELD, name);
const namesOf = ({ mark }: KeptList, held: readonly string[]): ReadonlySet<string> =>
  new Set([...(mark === null ? [] : [mark.file]), ...held.map(heldPath)]);
const namesIn = (copy: Copy | null): ReadonlySet<string> => (copy?.kind === 'good' ? namesOf(copy.kept, copy.held) : NONE);

const whyOf = (copy: Found): string => (copy.kind === 'bad' ? copy.why : copy.kind === 'missing' ? 'is missing' : 'is fine');
