/** The sidecar's durable state: its journal, the bodies of its reports, and the reports that the hub refused. */
import type { Assignment } from '../domain/assignment/slot.ts';

/** Maximum size of the state, in bytes of JSON. Report bodies are stored separately. */
export const JOURNAL_BYTES_MAX = 1_048_576;

export interface JournalOpened {
  /** The last saved state; undefined if none was ever saved. */
  readonly state: unknown;
  /**
   * What was wrong with the newest copy, for the log; null if nothing. `setAside` is where the damaged copy was moved,
   * null if there was none.
   */
  readonly damage: { readonly message: string; readonly setAside: string | null } | null;
  /** Identifies this data directory on this machine; generated once. */
  readonly instanceId: string;
  /**
   * The folder is a copy of another sidecar's, which may be running: `instanceId` is new, and the runs in the state
   * belong to the other. MUST be returned again until a state was saved.
   */
  readonly isCopy?: boolean | undefined;
}

export interface Journal {
  /**
   * Locks the folder and reads the state.
   * MUST reject with `AC_JOURNAL_LOCKED` while another live process holds the folder, and take over from a dead one.
   * MUST set a corrupt copy aside, return the last good one and report it in `damage`. With no good copy left MUST
   * reject with `AC_JOURNAL_CORRUPT`, and MUST NOT return an empty state.
   * MUST reject with `AC_JOURNAL_WRITE` if the folder cannot be created or written.
   */
  open(): Promise<JournalOpened>;

  /**
   * Saves a JSON value; resolves once it would survive a power loss.
   * On failure (`AC_JOURNAL_WRITE`) MUST leave the previous copy readable. MUST reject a state over `JOURNAL_BYTES_MAX`
   * in the same way. MUST run concurrent calls in order.
   * A top-level list of strings named `ended` may be long and changes little: an implementation on disk SHOULD write
   * only its changes. Callers never mutate that list, but pass a new one.
   */
  save(state: unknown): Promise<void>;

  /** Writes and syncs the body of a report, replacing an older one. Rejects with `AC_JOURNAL_WRITE`. */
  writeReport(name: Assignment, text: string): Promise<void>;
  /** The body, or null if there is none. */
  readReport(name: Assignment): Promise<string | null>;
  /** Removes the body, if there is one. */
  removeReport(name: Assignment): Promise<void>;
  /** Moves the body to `refused/`, with the reason beside it, for the operator. Does nothing if there is none. */
  refuseReport(name: Assignment, reason: string): Promise<void>;
  /**
   * `refusedBytes`: size of `refused/`, in bytes. `hasReserve`: the disk has free space, and the reserve for reports
   * exists. The reserve is given up when the disk is full, and restored by this call once there is enough space.
   */
  room(): Promise<{ readonly refusedBytes: number; readonly hasReserve: boolean }>;

  /** Releases the folder. MUST be safe to call twice and before `open`. */
  close(): Promise<void>;
}
