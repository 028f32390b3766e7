/** Read-only view of a sidecar's data directory: takes no lock and changes nothing. */
import type { Assignment } from '../domain/assignment/slot.ts';

export type JournalCopy =
  | { readonly kind: 'good'; readonly state: unknown }
  | { readonly kind: 'missing' }
  /** `why` completes the sentence "It …". */
  | { readonly kind: 'bad'; readonly why: string }
  | { readonly kind: 'newer'; readonly version: number };

export interface RefusedFile {
  readonly name: string;
  readonly bytes: number;
  /** Null if there is none. */
  readonly reason: string | null;
}

/** A snapshot. */
export interface JournalInspection {
  readonly dataDir: string;
  /** Null if the folder does not exist: no sidecar ever used it. */
  readonly found: {
    /** Users other than the owner may enter the folder. */
    readonly openToOthers: boolean;
    readonly newest: JournalCopy;
    readonly previous: JournalCopy;
    readonly instanceId: 'good' | 'missing' | 'bad';
    /** The reserve file, given up for reports when the disk is full. */
    readonly hasReserve: boolean;
    /** Names of damaged copies and ended lists that were set aside. */
    readonly setAside: readonly string[];
    readonly refused: readonly RefusedFile[];
  } | null;
  /** Whether the outbox holds the body of this report. */
  hasReport(name: Assignment): Promise<boolean>;
  /** Whether the assignment has a results folder. */
  hasResults(name: Assignment): Promise<boolean>;
}
