/**
 * The disk of a sidecar's journal: real files whose Nth step fails, is cut short, or is the last before the process
 * dies. It also knows what a power failure would leave of the folders: the names as of the last sync of their folder.
 * File contents are synced by their writer, before the file gets its name.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { unpack } from '../../../adapters/journal-file/envelope.ts';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import type { JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import { CallCount } from './call-count.ts';

/**
 * `fails`: the step is not done and fails. `sync fails`: it is done and fails. `short`: a write is cut in half
 * silently. `killed`: the process dies there. `power`: the machine does, and unsynced data is lost.
 */
export const DISK_FAULTS = ['fails', 'sync fails', 'short', 'killed', 'power'] as const;
export type DiskFault = (typeof DISK_FAULTS)[number];

/** Not part of the state: the lock of the folder, and reserved room. */
const NOT_KEPT = /^(lock|reserve)/;

export class Disk {
  readonly count = new CallCount();
  fault: DiskFault = 'fails';
  /** Called where the process dies. */
  onDeath: () => void = () => undefined;
  readonly #dataDir: string;
  /** Folder → name → contents, as of the last sync. */
  readonly #synced = new Map<string, ReadonlyMap<string, Buffer>>();

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  readonly files: JournalFiles = {
    makeFolder: (path) => this.#step('other', () => nodeJournalFiles.makeFolder(path)),
    isOpenToOthers: (path) => this.#step('other', () => nodeJournalFiles.isOpenToOthers(path)),
    list: (folder) => this.#step('other', () => nodeJournalFiles.list(folder)),
    read: (path) => this.#step('other', () => nodeJournalFiles.read(path)),
    write: (path, bytes) =>
      this.#step(
        'write',
        () => nodeJournalFiles.write(path, bytes),
        () => nodeJournalFiles.write(path, bytes.subarray(0, bytes.length / 2)),
      ),
    append: (path, at, bytes) =>
      this.#step(
        'write',
        () => this.#appended(path, at, bytes),
        () => this.#appended(path, at, bytes.subarray(0, bytes.length / 2)),
      ),
    readFrom: (path, at) => this.#step('other', () => nodeJournalFiles.readFrom(path, at)),
    link: (from, to) => this.#step('other', () => nodeJournalFiles.link(from, to)),
    rename: (from, to) => this.#step('other', () => nodeJournalFiles.rename(from, to)),
    remove: (path) => this.#step('other', () => nodeJournalFiles.remove(path)),
    syncFolder: (path) =>
      this.#step('other', async () => {
        await nodeJournalFiles.syncFolder(path);
        this.#synced.set(path, namesIn(path));
      }),
    bytesIn: (folder) => this.#step('other', () => nodeJournalFiles.bytesIn(folder)),
    freeBytes: (path) => this.#step('other', () => nodeJournalFiles.freeBytes(path)),
  };

  /** Data appended to a file whose name was synced also survives a power failure. */
  async #appended(path: string, at: number, bytes: Buffer): Promise<void> {
    await nodeJournalFiles.append(path, at, bytes);
    const [folder, name] = [dirname(path), basename(path)];
    const names = this.#synced.get(folder);
    if (names?.has(name) === true) this.#synced.set(folder, new Map([...names, [name, readFileSync(path)]]));
  }

  async #step<T>(what: 'write' | 'other', whole: () => Promise<T>, half: () => Promise<T> = whole): Promise<T> {
    if (this.fault === 'short' && what !== 'write') return await whole();
    if (!this.count.hits()) return await whole();
    switch (this.fault) {
      case 'short':
        return await half();
      case 'sync fails':
        await whole();
        throw failure('EIO');
      case 'fails':
        throw failure('ENOSPC');
      case 'killed':
      case 'power':
        this.count.disarm();
        this.onDeath();
        return await new Promise<T>(() => undefined);
    }
  }

  /** Unsynced data is lost. */
  losePower(): void {
    for (const [folder, names] of this.#synced) {
      for (const name of namesIn(folder).keys()) rmSync(join(folder, name));
      for (const [name, bytes] of names) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
    }
  }

  /** Whether a power failure would leave this assignment in the journal. */
  holds(name: AssignmentId): boolean {
    const bytes = this.#synced.get(this.#dataDir)?.get('queue.json');
    const read = bytes === undefined ? null : unpack(bytes);
    if (read?.kind !== 'good') return false;
    const { slots, outbox } = read.state as JournalState;
    return [...slots, ...outbox].some(({ taskId, generation }) => taskId === name.taskId && generation === name.generation);
  }

  /** Whether it would leave the body of its report. */
  holdsReport(name: AssignmentId): boolean {
    return this.#synced.get(join(this.#dataDir, 'outbox'))?.has(`${assignmentText(name)}.json`) === true;
  }
}

const failure = (code: string): Error => Object.assign(new Error(`${code}: planted`), { code });

function namesIn(folder: string): ReadonlyMap<string, Buffer> {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && !NOT_KEPT.test(entry.name));
  return new Map(files.map(({ name }) => [name, readFileSync(join(folder, name))]));
}
