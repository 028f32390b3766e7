/**
 * The journal in memory, for tests and the simulation. It keeps what a disk would keep: journals made by `reopen`
 * share the same memory, and data that was not yet synced when its process crashed is lost or kept, as the test
 * chooses.
 */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import { assignmentText } from '../../../../core/ports/assignment-name.ts';
import { JOURNAL_BYTES_MAX, type Journal, type JournalOpened } from '../../../../core/ports/journal.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import { HELD_TASK_COUNTED_BYTES_MAX } from '../../../../core/protocol/fields.ts';
import { oneAtATime } from '../../../../core/ports/timing/one-at-a-time.ts';

export interface MemoryJournalOptions {
  /** Default `instance-memory`. */
  readonly instanceId?: string | undefined;
  /** Awaited in each write between its beginning and its end, where a crash may occur; by default one turn of the loop. */
  readonly sync?: (() => Promise<void>) | undefined;
}

export interface MemoryJournal extends Journal {
  /** Fails the `nth` call of `save` or `writeReport` from now on, 1 being the next one. */
  failWrite(nth: number): void;
  /**
   * The process dies, as after `kill -9`: data being written is lost, or kept with `keepUnsynced`; its calls never
   * resolve; another process may take the folder.
   */
  crash(options?: { readonly keepUnsynced?: boolean | undefined }): void;
  /** The next process on the same memory. */
  reopen(): MemoryJournal;
  /** A journal on a copy of the memory, as after a data folder was copied: the same instance, not locked. */
  copied(sync?: MemoryJournalOptions['sync']): MemoryJournal;
  /** The memory is gone for good, as a folder that was removed: nothing can be written to it, and its holder is notified. */
  lose(): void;
  /** From now on nothing can be opened on this memory, as on a folder without write permission. */
  refuseWrites(): void;
  /** Damages the newest copy of the state, or both. */
  damage(which: 'newest' | 'both'): void;
  /** The reports that the hub refused, each with its reason, by `<task_id>.g<generation>`. */
  refused(): ReadonlyMap<string, { readonly text: string; readonly reason: string }>;
}

interface Memory {
  newest: string | 'damaged' | null;
  previous: string | 'damaged' | null;
  readonly outbox: Map<string, string>;
  readonly refused: Map<string, { readonly text: string; readonly reason: string }>;
  holder: object | null;
  isReadOnly: boolean;
}

/** A `Journal` over its own memory. */
export const memoryJournal = (options: MemoryJournalOptions = {}): MemoryJournal =>
  journalOver({ newest: null, previous: null, outbox: new Map(), refused: new Map(), holder: null, isReadOnly: false }, options);

const DAMAGED = 'damaged';

const withoutLargeTasks = (name: string, value: unknown): unknown =>
  name === 'task' && JSON.stringify(value).length > HELD_TASK_COUNTED_BYTES_MAX ? {} : value;

function journalOver(memory: Memory, options: MemoryJournalOptions): MemoryJournal {
  const { instanceId = 'instance-memory', sync = () => Promise.resolve() } = options;
  const me = {};
  let onLost: ((error: AgentcomError) => void) | undefined;
  let isCrashed = false;
  let writesUntilFailure: number | null = null;
  /** The effect of a write in progress once it is synced. */
  let unsynced: (() => void) | null = null;
  const inTurn = oneAtATime();

  /** Calls of a dead process never resolve. */
  const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

  function whenOpen<T>(work: () => Promise<T>): Promise<T> {
    return inTurn(() => {
      if (isCrashed) return never<T>();
      if (memory.holder !== me) return Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', 'The journal in memory is not open.'));
      return work();
    });
  }

  async function write(act: () => void): Promise<void> {
    unsynced = act;
    await sync();
    if (isCrashed) return await never();
    unsynced = null;
    if (writesUntilFailure !== null && --writesUntilFailure === 0) {
      writesUntilFailure = null;
      throw new AgentcomError('AC_JOURNAL_WRITE', 'This write to the journal in memory was told to fail.');
    }
    act();
  }

  function openMemory(): Promise<JournalOpened> {
    if (memory.holder !== null) {
      return Promise.reject(new AgentcomError('AC_JOURNAL_LOCKED', 'Another journal holds this memory. Close it, or let it crash.'));
    }
    const { newest, previous } = memory;
    if (newest === DAMAGED && (previous === DAMAGED || previous === null)) {
      return Promise.reject(new AgentcomError('AC_JOURNAL_CORRUPT', 'No good copy of the journal in memory is left.'));
    }
    if (memory.isReadOnly) {
      return Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', 'This memory was told to refuse every write.'));
    }
    memory.holder = me;
    const damage = newest === DAMAGED ? { message: 'The newest copy in memory was damaged.', setAside: 'memory' } : null;
    memory.newest = newest === DAMAGED ? previous : newest;
    const state: unknown = memory.newest === null ? undefined : JSON.parse(memory.newest);
    return Promise.resolve({ state, damage, instanceId });
  }

  return {
    open: (notifyLost) =>
      inTurn(() => {
        onLost = notifyLost;
        return openMemory();
      }),

    save: (state) => {
      const text = JSON.stringify(state);
      return whenOpen(() => {
        if (utf8Bytes(text) > JOURNAL_BYTES_MAX && utf8Bytes(JSON.stringify(state, withoutLargeTasks)) > JOURNAL_BYTES_MAX) {
          return Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', `The state takes more than ${JOURNAL_BYTES_MAX} bytes.`));
        }
        return write(() => {
          memory.previous = memory.newest;
          memory.newest = text;
        });
      });
    },

    writeReport: (assignment, text) => whenOpen(() => write(() => void memory.outbox.set(assignmentText(assignment), text))),
    readReport: (assignment) => whenOpen(() => Promise.resolve(memory.outbox.get(assignmentText(assignment)) ?? null)),
    removeReport: (assignment) => whenOpen(() => Promise.resolve(void memory.outbox.delete(assignmentText(assignment)))),
    refuseReport: (assignment, reason) => whenOpen(() => Promise.resolve(refuse(memory, assignment, reason))),
    room: () =>
      whenOpen(() => {
        const sizes = [...memory.refused.values()].map(({ text, reason }) => utf8Bytes(text) + utf8Bytes(reason));
        return Promise.resolve({ refusedBytes: sizes.reduce((sum, bytes) => sum + bytes, 0), hasReserve: true });
      }),

    close: () =>
      inTurn(() => {
        if (memory.holder === me) memory.holder = null;
        return Promise.resolve();
      }),

    failWrite(nth) {
      writesUntilFailure = nth;
    },

    crash({ keepUnsynced = false } = {}) {
      isCrashed = true;
      if (keepUnsynced) unsynced?.();
      unsynced = null;
      if (memory.holder === me) memory.holder = null;
    },

    reopen: () => journalOver(memory, options),
    copied: (itsSync) =>
      journalOver(
        { ...memory, outbox: new Map(memory.outbox), refused: new Map(memory.refused), holder: null },
        { ...options, sync: itsSync },
      ),

    lose() {
      memory.holder = null;
      onLost?.(new AgentcomError('AC_DATA_DIR', 'The journal in memory was told to be lost.'));
    },

    refuseWrites() {
      memory.isReadOnly = true;
    },

    damage(which) {
      memory.newest = DAMAGED;
      if (which === 'both') memory.previous = DAMAGED;
    },

    refused: () => memory.refused,
  };
}

function refuse(memory: Memory, assignment: AssignmentId, reason: string): void {
  const key = assignmentText(assignment);
  const text = memory.outbox.get(key);
  if (text === undefined) return;
  memory.outbox.delete(key);
  memory.refused.set(key, { text, reason });
}
