/** A sidecar's data directory as it lies there, opened only to be looked at: nothing is locked, mended or written. */
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
  /** Null when none lies beside it. */
  readonly reason: string | null;
}

/** What was found at one moment. */
export interface JournalInspection {
  readonly dataDir: string;
  /** Null when there is no such folder: no sidecar was ever started on it. */
  readonly found: {
    /** Others than its owner may enter the folder. */
    readonly openToOthers: boolean;
    readonly newest: JournalCopy;
    readonly previous: JournalCopy;
    readonly instanceId: 'good' | 'missing' | 'bad';
    /** The file that is given up for reports when the disk is full. */
    readonly hasReserve: boolean;
    /** Damaged copies, and lists of what ended, that were set aside, by name. */
    readonly setAside: readonly string[];
    readonly refused: readonly RefusedFile[];
  } | null;
  /** Whether the body of that report lies in the outbox. */
  hasReport(name: Assignment): Promise<boolean>;
  /** Whether the assignment has its results folder. */
  hasResults(name: Assignment): Promise<boolean>;
}
