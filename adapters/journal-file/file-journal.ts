/**
 * The journal on disk, in the sidecar's data directory:
 *
 *   lock           the process using the folder   queue.json, queue.json.1   the state, and the previous one
 *   instance-id    identifies this sidecar        ended-<n>.log              list of ended assignments
 *   instance-place where it was created           outbox/, refused/          bodies of reports
 *   reserve        space for a full disk          held/                      large tasks
 *
 * Concurrent calls run one at a time, in call order.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import { JOURNAL_BYTES_MAX, type Journal, type JournalOpened } from '../../core/ports/journal.ts';
import type { Log } from '../../core/ports/log.ts';
import { oneAtATime } from '../../core/ports/timing/one-at-a-time.ts';
import { folderLock, lockHolder } from './folder-lock.ts';
import { isCopyOf, placeOf, readPlace, type FolderPlace } from './folder-place.ts';
import { isTemporary, nodeJournalFiles, writeDurably, type JournalFiles } from './journal-files.ts';
import { HELD, stateTexts } from './held-tasks.ts';
import { inParts } from './read-copy.ts';
import { reports } from './report-files.ts';
import { stateCopies } from './state-copies.ts';

export interface FileJournalOptions {
  /**
   * The sidecar's data directory, absolute; created if missing, readable by its owner only. Must be on a local disk.
   */
  readonly dataDir: string;
  /** The agent whose journal it is, which is named to a process that finds the folder in use. */
  readonly agentId?: string | undefined;
  /** For the names of files that are set aside, and for how long the folder may be missing. */
  readonly clock: Clock;
  readonly log: Log;
  /** Disk operations; replaced in tests that make them fail. */
  readonly files?: JournalFiles | undefined;
  /** Where the folder is; replaced in tests. */
  readonly place?: ((dataDir: string) => FolderPlace) | undefined;
}

/** One report of the size that a hub accepts, with its envelope. */
const REPORT_ROOM_BYTES = 1_048_576;
/** File names, partly filled blocks, and additions to the ended list. */
const SMALL_ROOM_BYTES = 65_536;
/** Reserved for one report plus the largest save that records it, however large the journal is. */
export const RESERVE_BYTES = JOURNAL_BYTES_MAX + REPORT_ROOM_BYTES + SMALL_ROOM_BYTES;
/** Free space needed to restore the reserve; more than its size, so that it does not take the space it gave up. */
const RESERVE_BACK_BYTES = 16_777_216;
/** How long the folder may be missing, such as while its disk is mounted anew, before it counts as lost. */
const MISSING_MS = 10_000;
/** Below this the disk counts as full, even if no write has failed yet. */
const FREE_BYTES_MIN = 1_048_576;

export const INSTANCE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A journal over `dataDir`. Opens nothing yet; may be reopened after `close`. */
export function fileJournal(options: FileJournalOptions): Journal {
  const { dataDir, agentId, clock, log, files = nodeJournalFiles, place = placeOf } = options;
  const outbox = join(dataDir, 'outbox');
  const refused = join(dataDir, 'refused');
  const reservePath = join(dataDir, 'reserve');
  const instancePath = join(dataDir, 'instance-id');
  const placePath = join(dataDir, 'instance-place');
  const lock = folderLock(dataDir, { files, log, agentId });
  const states = stateCopies(dataDir, files);
  const bodies = reports(outbox, refused, files);
  let isOpen = false;
  let hasReserve = false;
  /** For a copied folder: its place, recorded once it has saved a state of its own. */
  let unsavedPlace: FolderPlace | null = null;
  /** The last saved list; saves that do not change it pass the same array. */
  let ended: readonly string[] = [];
  let onLost: ((error: AgentcomError) => void) | undefined;
  /** Runs from when the lock was first missed until it is checked once more. */
  let missing: Timer | null = null;
  const textOf = stateTexts();
  const serialized = oneAtATime();

  /** Runs `work` in turn on an open journal whose folder is still ours. Errors without a code become `AC_JOURNAL_WRITE`. */
  function whenOpen<T>(what: string, work: () => Promise<T>): Promise<T> {
    return serialized(async () => {
      if (!isOpen) throw new AgentcomError('AC_JOURNAL_WRITE', `Cannot ${what}: the journal in "${dataDir}" is not open.`);
      return await withContext(what, async () => {
        await confirmLock();
        return await work();
      });
    });
  }

  async function confirmLock(): Promise<void> {
    try {
      await lock.confirm();
    } catch (error) {
      if (AgentcomError.is(error)) missing ??= clock.after(MISSING_MS, () => void serialized(notifyIfLost));
      throw error;
    }
  }

  /** A disk that cannot be read for the moment is no loss: only a lock that is gone, or another process's, is. */
  async function notifyIfLost(): Promise<void> {
    missing = null;
    const [confirmed] = await Promise.allSettled([isOpen ? lock.confirm() : undefined]);
    if (confirmed.status === 'fulfilled' || !AgentcomError.is(confirmed.reason)) return;
    onLost?.(lostError(dataDir, confirmed.reason));
    onLost = undefined;
  }

  /** Adds what was being done, and where, to errors without a code. */
  async function withContext<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (AgentcomError.is(error)) throw error;
      const hint = isDiskFull(error)
        ? `Free at least ${RESERVE_BACK_BYTES / 1_048_576} MiB of that disk.`
        : 'Check free disk space and permissions.';
      const message = `Cannot ${what} (${dataDir}): ${messageOf(error)}. ${hint}`;
      throw new AgentcomError('AC_JOURNAL_WRITE', message, { cause: error });
    }
  }

  async function makeFolders(): Promise<void> {
    await files.makeFolder(dataDir);
    if (await files.isOpenToOthers(dataDir)) {
      const message = `Other users may enter the data directory "${dataDir}", which contains tasks and results. Fix that with: chmod 700 "${dataDir}".`;
      throw new AgentcomError('AC_DATA_DIR', message, { details: { dataDir } });
    }
  }

  /** Removes what a crash left half written. Needs the lock: the files might be another process's. */
  async function removeOrphans(): Promise<void> {
    for (const folder of [outbox, refused]) {
      await files.makeFolder(folder);
      await removeTemporaryFiles(folder, '');
    }
    if ((await files.list(dataDir)).includes(HELD)) await removeTemporaryFiles(join(dataDir, HELD), '');
    for (const ours of ['queue.json', 'ended-', 'instance-', 'reserve']) await removeTemporaryFiles(dataDir, ours);
  }

  async function removeTemporaryFiles(folder: string, beginning: string): Promise<void> {
    for (const name of await files.list(folder)) {
      if (name.startsWith(beginning) && isTemporary(name)) await files.remove(join(folder, name));
    }
  }

  async function readInstanceId(): Promise<string> {
    const found = (await files.read(instancePath))?.toString('utf8').trim();
    if (found !== undefined && INSTANCE_ID.test(found)) return found;
    if (found !== undefined)
      log.warn('The instance ID is damaged; generated a new one, which the hub may take a while to accept.', { instancePath });
    return await newInstanceId();
  }

  async function newInstanceId(): Promise<string> {
    const made = randomUUID();
    await writeDurably(files, dataDir, instancePath, Buffer.from(`${made}\n`));
    return made;
  }

  /** A copied folder becomes a new instance, since the original may be running, with the same runs. */
  async function identify(): Promise<Pick<JournalOpened, 'instanceId' | 'isCopy'>> {
    const known = await files.read(placePath);
    const instanceId = await readInstanceId();
    const before = known === null ? null : readPlace(known.toString('utf8'));
    const now = place(dataDir);
    unsavedPlace = null;
    if (before === null || !isCopyOf(before, now)) {
      if (JSON.stringify(before) !== JSON.stringify(now)) await savePlace(now);
      return { instanceId };
    }
    const made = await newInstanceId();
    unsavedPlace = now;
    log.warn("This data directory is a copy of another sidecar's; it now has an instance ID of its own.", {
      dataDir,
      ...{ was: before, is: now, old_instance_id: instanceId, instance_id: made },
    });
    return { instanceId: made, isCopy: true };
  }

  /** Without this file a copy is not detected; that is no reason to stop. */
  async function savePlace(now: FolderPlace): Promise<void> {
    try {
      await writeDurably(files, dataDir, placePath, Buffer.from(`${JSON.stringify(now)}\n`));
    } catch (error) {
      log.warn('Cannot record the location of the data directory.', { placePath, error: messageOf(error) });
    }
  }

  async function giveUpReserve(): Promise<void> {
    if (!hasReserve) return;
    hasReserve = false;
    await files.remove(reservePath);
    log.warn('Could not write a journal file; released the reserve so that reports can still be written.', { dataDir });
  }

  /** Creates the reserve if `freeBytes` are free. Running without it is no reason to stop. */
  async function takeReserve(freeBytes: number): Promise<void> {
    try {
      if ((await files.freeBytes(dataDir)) < freeBytes) return;
      await writeDurably(files, dataDir, reservePath, Buffer.alloc(RESERVE_BYTES, '.'));
      hasReserve = true;
    } catch (error) {
      log.warn('Cannot create the disk reserve of the journal.', { dataDir, error: messageOf(error) });
    }
  }

  /** A full disk must not keep a sidecar from starting: what it holds would not be reported. Its reserve has room for a lock. */
  async function lockFolder(): Promise<void> {
    try {
      await lock.acquire();
    } catch (error) {
      if (!isDiskFull(error) || (await lockHolder(dataDir, files)) !== null || (await files.read(reservePath)) === null) throw error;
      await files.remove(reservePath);
      await lock.acquire();
    }
  }

  async function openFolder(notifyLost: typeof onLost): Promise<JournalOpened> {
    await withContext('create the data directory', makeFolders);
    await withContext('lock the data directory', lockFolder);
    try {
      return await withContext('open the journal', async () => {
        await removeOrphans();
        const identity = await identify();
        const read = await states.read(clock.nowMs());
        hasReserve = (await files.read(reservePath))?.length === RESERVE_BYTES;
        if (!hasReserve) await takeReserve(RESERVE_BYTES);
        isOpen = true;
        onLost = notifyLost;
        return { ...read, ...identity };
      });
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  return {
    open: (notifyLost) => serialized(() => openFolder(notifyLost)),

    async save(state) {
      const parts = inParts(state, ended, textOf); // Taken now, because the caller may change its value while other calls are served.
      ended = parts.ended;
      await whenOpen('save the journal', async () => {
        try {
          await states.save(parts);
        } catch (error) {
          await giveUpReserve();
          throw error;
        }
        if (unsavedPlace !== null) await savePlace(unsavedPlace);
        unsavedPlace = null;
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
      whenOpen('measure disk usage', async () => {
        if (!hasReserve) await takeReserve(RESERVE_BACK_BYTES);
        const isFull = (await files.freeBytes(dataDir)) < FREE_BYTES_MIN;
        return { refusedBytes: await files.bytesIn(refused), hasReserve: hasReserve && !isFull };
      }),

    close: () =>
      serialized(async () => {
        isOpen = false;
        missing?.cancel();
        missing = null;
        await lock.release();
      }),
  };
}

const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** If another process has the folder, starting again is no remedy; if it was removed, it is. */
function lostError(dataDir: string, { code, message, details }: AgentcomError): AgentcomError {
  if (details?.['pid'] !== null) return new AgentcomError(code, message, { details });
  return new AgentcomError(
    'AC_DATA_DIR',
    `The data directory "${dataDir}" of this running sidecar, or the lock in it, was removed. Start the sidecar again: it makes a new one, and the hub assigns its tasks anew.`,
    { details: { dataDir } },
  );
}
