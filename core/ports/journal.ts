/** The sidecar's durable state: its journal, the bodies of its reports, and the reports that the hub refused. */
import type { AssignmentId } from '../domain/assignment/slot.ts';
import type { AgentcomError } from '../errors/agentcom-error.ts';

/** Maximum size of the state, in bytes of JSON. Report bodies are stored separately. */
export const JOURNAL_BYTES_MAX = 1_048_576;

export interface JournalOpened {
  /** The last saved state; undefined if nothing was ever saved. */
  readonly state: unknown;
  /**
   * What was wrong with the newest copy, for the log; null if nothing. `setAside`: where the damaged copy was moved; null if no file
   * was moved.
   */
  readonly damage: { readonly message: string; readonly setAside: string | null } | null;
  /** Identifies this data directory on this machine. Generated once. */
  readonly instanceId: string;
  /**
   * The directory is a copy of that of another sidecar, which may be running: `instanceId` is new, and the runs in the state belong to
   * the other sidecar. MUST stay true over restarts until a state was saved.
   */
  readonly isCopy?: boolean | undefined;
}

export interface Journal {
  /**
   * Locks the directory and reads the state.
   * MUST reject with `AC_JOURNAL_LOCKED` while another live process holds the lock, and MUST take over the lock of a dead one.
   * MUST set a corrupt copy aside, return the last good one and report the corruption in `damage`. Without a good copy it MUST reject
   * with `AC_JOURNAL_CORRUPT`, and MUST NOT return an empty state.
   * MUST reject with `AC_JOURNAL_WRITE` if the directory cannot be created or written.
   * `onLost` is called at most once, when this process has lost the directory for good: it was removed, or another process took it over.
   * Nothing can be saved after that.
   */
  open(onLost?: (error: AgentcomError) => void): Promise<JournalOpened>;

  /**
   * Saves a JSON value. Resolves once it would survive a power loss.
   * If it fails (`AC_JOURNAL_WRITE`), it MUST leave the previous copy readable. It MUST reject a state over `JOURNAL_BYTES_MAX` in the
   * same way. It MUST run concurrent calls in order.
   * The top-level field `ended` is a list of strings that may be long and changes little: an implementation on disk SHOULD write only its
   * changes. Callers never mutate that list; they pass a new one. So with the objects `task` in the list `slots`, which never change: an
   * implementation on disk SHOULD store large ones apart, and those do not count towards `JOURNAL_BYTES_MAX`.
   */
  save(state: unknown): Promise<void>;

  /** Writes and syncs the body of a report, replacing an older one. Rejects with `AC_JOURNAL_WRITE`. */
  writeReport(assignment: AssignmentId, text: string): Promise<void>;
  /** The body, or null if there is none. */
  readReport(assignment: AssignmentId): Promise<string | null>;
  /** Removes the body, if there is one. */
  removeReport(assignment: AssignmentId): Promise<void>;
  /** Moves the body to `refused/` and writes the reason beside it, for the operator. Does nothing if there is no body. */
  refuseReport(assignment: AssignmentId, reason: string): Promise<void>;
  /**
   * `refusedBytes`: the size of `refused/`. `hasReserve`: whether the disk has free space and the reserve for reports exists. The
   * reserve is given up when the disk is full, and this call restores it once there is enough space.
   */
  room(): Promise<{ readonly refusedBytes: number; readonly hasReserve: boolean }>;

  /** Releases the lock. MUST be safe to call twice and before `open`. */
  close(): Promise<void>;
}

// The inspection of a data directory, for the doctor: a read-only view, which takes no lock and changes nothing.

export type JournalCopy =
  | { readonly kind: 'good'; readonly state: unknown }
  | { readonly kind: 'missing' }
  /** `why` completes a sentence that starts with "It". */
  | { readonly kind: 'bad'; readonly why: string }
  | { readonly kind: 'newer'; readonly version: number };

export interface RefusedFile {
  readonly name: string;
  readonly bytes: number;
  /** Why the hub refused it; null if unknown. */
  readonly reason: string | null;
}

/** A snapshot of the directory. */
export interface JournalInspection {
  readonly dataDir: string;
  /** Null if the directory does not exist: no sidecar ever used it. */
  readonly found: {
    /** Whether users other than the owner can enter the directory. */
    readonly openToOthers: boolean;
    readonly newest: JournalCopy;
    readonly previous: JournalCopy;
    readonly instanceId: 'good' | 'missing' | 'bad';
    /** Whether the reserve file exists, which is given up for reports when the disk is full. */
    readonly hasReserve: boolean;
    /** The running sidecar that uses the directory; `agentId` null: its agent is unknown. */
    readonly holder: { readonly pid: number; readonly agentId: string | null } | null;
    /** Files that were set aside, relative to the data directory: damaged state copies and `ended` lists, and tasks that only such a copy needed. */
    readonly setAside: readonly { readonly name: string; readonly bytes: number }[];
    readonly refused: readonly RefusedFile[];
  } | null;
  /** Whether the outbox holds the body of this report. */
  hasReport(name: AssignmentId): Promise<boolean>;
  /** Whether the assignment has a results folder. */
  hasResults(name: AssignmentId): Promise<boolean>;
}
