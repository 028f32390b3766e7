/**
 * The journal on disk, in the sidecar's data directory:
 *
 *   lock           who uses the folder            queue.json, queue.json.1   the state, and the one before
 *   instance-id    names this sidecar             ended-<n>.log              its list of what ended
 *   instance-place where it was made              outbox/, refused/          bodies of reports
 *   reserve        room for a full disk
 *
 * Calls may come at the same time; they are done one after the other, in the order of the calls.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { JOURNAL_BYTES_MAX, type Journal, type JournalOpened } from '../../core/ports/journal.ts';
import type { Log } from '../../core/ports/log.ts';
import { oneAtATime } from '../../core/ports/opening.ts';
import { folderLock } from './folder-lock.ts';
import { isCopyOf, placeOf, readPlace, type FolderPlace } from './folder-place.ts';
import { isLeftover, nodeJournalFiles, writeDurably, type JournalFiles } from './journal-files.ts';
import { inParts } from './read-copy.ts';
import { reports } from './report-files.ts';
import { stateCopies } from './state-copies.ts';

export interface FileJournalOptions {
  /** The sidecar's data directory, absolute; made, readable by its owner only, when it is missing. On this machine. */
  readonly dataDir: string;
  /** Names what is set aside by the time. */
  readonly clock: Clock;
  readonly log: Log;
  /** The steps on disk; for tests that fail them. */
  readonly files?: JournalFiles | undefined;
  /** Where the folder lies; for tests that are elsewhere. */
  readonly place?: ((dataDir: string) => FolderPlace) | undefined;
}

/** A report of the size that a hub takes, with its envelope. */
const REPORT_ROOM_BYTES = 1_048_576;
/** Names, blocks that are not full, and what is added to the ended. */
const SMALL_ROOM_BYTES = 65_536;
/** What is kept free for a report and for the largest save that tells of it, whatever the journal has come to hold. */
export const RESERVE_BYTES = JOURNAL_BYTES_MAX + REPORT_ROOM_BYTES + SMALL_ROOM_BYTES;
/** Once given up, the reserve comes back when this much is free, so that it does not take the room that it gave. */
const RESERVE_BACK_BYTES = 16_777_216;
/** With less the disk counts as full, also before a file could not be written. */
const FREE_BYTES_MIN = 1_048_576;

export const INSTANCE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A journal over `dataDir`. Nothing is opened yet; after `close` it may be opened again. */
export function fileJournal(options: FileJournalOptions): Journal {
  const { dataDir, clock, log, files = nodeJournalFiles, place = placeOf } = options;
  const outbox = join(dataDir, 'outbox');
  const refused = join(dataDir, 'refused');
  const reservePath = join(dataDir, 'reserve');
  const instancePath = join(dataDir, 'instance-id');
  const placePath = join(dataDir, 'instance-place');
  const lock = folderLock(dataDir, files, log);
  const states = stateCopies(dataDir, files);
  const bodies = reports(outbox, refused, files);
  let isOpen = false;
  let hasReserve = false;
  /** Of a copy: where it lies is noted once it has a state of its own. */
  let unwrittenPlace: FolderPlace | null = null;
  /** The list that was saved last: a task's other saves bring the same one again. */
  let ended: readonly string[] = [];
  const inTurn = oneAtATime();

  /** Runs `work` in its turn, on an open journal; what fails is passed on as `AC_JOURNAL_WRITE`, unless it has a code already. */
  function whenOpen<T>(what: string, work: () => Promise<T>): Promise<T> {
    return inTurn(async () => {
      if (!isOpen) throw new AgentcomError('AC_JOURNAL_WRITE', `Cannot ${what}: the journal in "${dataDir}" is not open.`);
      return await withContext(what, work);
    });
  }

  /** What fails in `work` says what was being done, and where. */
  async function withContext<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (AgentcomError.is(error)) throw error;
      const message = `Cannot ${what} (${dataDir}): ${messageOf(error)}. Is it a folder that this user may write, on a disk with room?`;
      throw new AgentcomError('AC_JOURNAL_WRITE', message, { cause: error });
    }
  }

  async function makeFolders(): Promise<void> {
    await files.makeFolder(dataDir);
    if (await files.isOpenToOthers(dataDir)) {
      const message = `Other users may enter the data directory "${dataDir}", which holds tasks and results. Take that away: chmod 700 "${dataDir}".`;
      throw new AgentcomError('AC_DATA_DIR', message, { details: { dataDir } });
    }
  }

  /** What a crash left half written. Only behind the lock: it might be another's work. */
  async function tidy(): Promise<void> {
    for (const folder of [outbox, refused]) {
      await files.makeFolder(folder);
      await removeLeftovers(folder, '');
    }
    for (const ours of ['queue.json', 'ended-', 'instance-', 'reserve']) await removeLeftovers(dataDir, ours);
  }

  async function removeLeftovers(folder: string, beginning: string): Promise<void> {
    for (const name of await files.list(folder)) {
      if (name.startsWith(beginning) && isLeftover(name)) await files.remove(join(folder, name));
    }
  }

  async function readInstanceId(): Promise<string> {
    const found = (await files.read(instancePath))?.toString('utf8').trim();
    if (found !== undefined && INSTANCE_ID.test(found)) return found;
    if (found !== undefined)
      log.warn('The instance id is damaged; a new one is made, and the hub may wait before it believes it.', { instancePath });
    return await makeInstanceId();
  }

  async function makeInstanceId(): Promise<string> {
    const made = randomUUID();
    await writeDurably(files, dataDir, instancePath, Buffer.from(`${made}\n`));
    return made;
  }

  /** A folder that was copied is another instance: the first one may live, with the runs that the copy names too. */
  async function identify(): Promise<Pick<JournalOpened, 'instanceId' | 'isCopy'>> {
    const known = await files.read(placePath);
    const instanceId = await readInstanceId();
    const before = known === null ? null : readPlace(known.toString('utf8'));
    const now = place(dataDir);
    unwrittenPlace = null;
    if (before === null || !isCopyOf(before, now)) {
      if (JSON.stringify(before) !== JSON.stringify(now)) await writePlace(now);
      return { instanceId };
    }
    const made = await makeInstanceId();
    unwrittenPlace = now;
    log.warn("This data directory is a copy of another sidecar's: it is an instance of its own from now on.", {
      dataDir,
      ...{ was: before, is: now, old_instance_id: instanceId, instance_id: made },
    });
    return { instanceId: made, isCopy: true };
  }

  /** Without it a copy is not known as such; that is no reason to stop. */
  async function writePlace(now: FolderPlace): Promise<void> {
    try {
      await writeDurably(files, dataDir, placePath, Buffer.from(`${JSON.stringify(now)}\n`));
    } catch (error) {
      log.warn('Where the data directory lies cannot be noted.', { placePath, error: messageOf(error) });
    }
  }

  async function giveUpReserve(): Promise<void> {
    if (!hasReserve) return;
    hasReserve = false;
    await files.remove(reservePath);
    log.warn('A file of the journal could not be written; the reserve was given up, so that reports still get through.', { dataDir });
  }

  /** Where `freeBytes` are free. To be without the reserve is no reason to stop. */
  async function takeReserve(freeBytes: number): Promise<void> {
    try {
      if ((await files.freeBytes(dataDir)) < freeBytes) return;
      await writeDurably(files, dataDir, reservePath, Buffer.alloc(RESERVE_BYTES, '.'));
      hasReserve = true;
    } catch (error) {
      log.warn('The reserve of the journal cannot be made.', { dataDir, error: messageOf(error) });
    }
  }

  async function openFolder(): Promise<JournalOpened> {
    await withContext('make the data directory', makeFolders);
    await withContext('lock the data directory', () => lock.acquire());
    try {
      return await withContext('open the journal', async () => {
        await tidy();
        const identity = await identify();
        const read = await states.read(clock.nowMs());
        hasReserve = (await files.read(reservePath))?.length === RESERVE_BYTES;
        if (!hasReserve) await takeReserve(RESERVE_BYTES);
        isOpen = true;
        return { ...read, ...identity };
      });
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  return {
    open: () => inTurn(openFolder),

    async save(state) {
      const parts = inParts(state, ended); // now: the caller may change its value while others are served
      ended = parts.ended;
      await whenOpen('save the journal', async () => {
        try {
          await states.save(parts);
        } catch (error) {
          await giveUpReserve();
          throw error;
        }
        if (unwrittenPlace !== null) await writePlace(unwrittenPlace);
        unwrittenPlace = null;
        if (!hasReserve) await takeReserve(RESERVE_BACK_BYTES);
      });
    },

    writeReport: (name, text) =>
      whenOpen('write a report', async () => {
        try {
          await bodies.write(name, text);
        } catch (error) {
          if (!hasReserve) throw error;
          await giveUpReserve();
          await bodies.write(name, text);
        }
      }),

    readReport: (name) => whenOpen('read a report', () => bodies.read(name)),
    removeReport: (name) => whenOpen('remove a report', () => bodies.remove(name)),
    refuseReport: (name, reason) => whenOpen('move a refused report', () => bodies.refuse(name, reason)),
    room: () =>
      whenOpen('measure the room of the journal', async () => {
        if (!hasReserve) await takeReserve(RESERVE_BACK_BYTES);
        const isFull = (await files.freeBytes(dataDir)) < FREE_BYTES_MIN;
        return { refusedBytes: await files.bytesIn(refused), hasReserve: hasReserve && !isFull };
      }),

    close: () =>
      inTurn(async () => {
        isOpen = false;
        await lock.release();
      }),
  };
}
