/** The sidecar's memory on disk: its state, the bodies of its reports, and the results that the hub refused. */
import type { Assignment } from '../domain/assignment/slot.ts';

/** The largest state, in bytes of JSON. It holds references; the bodies of reports lie beside it. */
export const JOURNAL_BYTES_MAX = 1_048_576;

export interface JournalOpened {
  /** The state saved last; undefined when there never was one. */
  readonly state: unknown;
  /**
   * What was wrong with the newest copy, for the log; null when nothing was. `setAside` is where the damaged copy lies
   * now, null when there was none.
   */
  readonly damage: { readonly message: string; readonly setAside: string | null } | null;
  /** Names this sidecar's machine and folder; made once. */
  readonly instanceId: string;
  /**
   * The folder is a copy of another sidecar's, which may live: `instanceId` is new, and the runs of the state are the other's. MUST
   * be answered again until a state was saved.
   */
  readonly isCopy?: boolean | undefined;
}

export interface Journal {
  /**
   * Locks the folder and reads the state.
   * MUST fail with `AC_JOURNAL_LOCKED` while another live process holds the folder, and take over from a dead one.
   * MUST set a corrupt copy aside, read the last good one instead and say so in `damage`; with no good one left MUST
   * fail with `AC_JOURNAL_CORRUPT`, and MUST NOT answer as if there had been no state.
   * MUST fail with `AC_JOURNAL_WRITE` when the folder cannot be made or written.
   */
  open(): Promise<JournalOpened>;

  /**
   * Saves a JSON value and answers when it would survive the loss of power.
   * MUST leave the copy before it readable when it fails (`AC_JOURNAL_WRITE`), whenever it fails. MUST refuse a state
   * over `JOURNAL_BYTES_MAX` in the same way. MUST do calls that come at the same time in their order.
   * A list of texts named `ended` at the top of the state may be long and changes little: on a disk a save SHOULD write what
   * changed of it, and not all of it. Who saves never changes such a list in place, but brings another one.
   */
  save(state: unknown): Promise<void>;

  /** Writes the body of a report, synced; over an older one of the same name. Fails with `AC_JOURNAL_WRITE`. */
  writeReport(name: Assignment, text: string): Promise<void>;
  /** The body, or null when there is none. */
  readReport(name: Assignment): Promise<string | null>;
  /** Forgets it; fine when there is none. */
  removeReport(name: Assignment): Promise<void>;
  /** Moves it to `refused/` with the reason beside it, where the operator finds it; fine when there is none. */
  refuseReport(name: Assignment, reason: string): Promise<void>;
  /**
   * How much lies in `refused/`, bytes, whoever put it there; and whether there is room: free, and for reports, for which some is
   * kept that is given up when the disk is full, and taken back here when there is enough again.
   */
  room(): Promise<{ readonly refusedBytes: number; readonly hasReserve: boolean }>;

  /** Lets go of the folder. MUST be safe to call twice and before `open`. */
  close(): Promise<void>;
}
