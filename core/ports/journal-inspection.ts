/** A read-only view of a sidecar's data directory. It takes no lock and changes nothing. */
import type { AssignmentId } from '../domain/assignment/slot.ts';

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
    /** File names of the damaged state copies and `ended` lists that were set aside. */
    readonly setAside: readonly string[];
    readonly refused: readonly RefusedFile[];
  } | null;
  /** Whether the outbox holds the body of this report. */
  hasReport(name: AssignmentId): Promise<boolean>;
  /** Whether the assignment has a results folder. */
  hasResults(name: AssignmentId): Promise<boolean>;
}
