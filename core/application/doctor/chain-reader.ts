/** Verifies the chain of the audit log: of a hub, of an export of it, or in a store. */
import { breakAt, type AuditBreak } from '../../domain/audit/audit-chain.ts';
import type { AuditEntry, AuditPlace } from '../../domain/audit/audit-entry.ts';

/** The result of verifying a chain of entries. */
export interface VerifiedChain {
  readonly count: number;
  readonly first: number | null;
  readonly last: AuditPlace | null;
  /** Null: the chain is intact. */
  readonly fault: string | null;
}

const FAULTS: Readonly<Record<AuditBreak['fault'], string>> = {
  changed: 'was changed after it was recorded: its hash does not match its content',
  missing: 'does not follow the entry before it: entries between them were removed',
  unlinked: 'is linked to a different entry than the one before it, which was replaced',
};

/** Verifies entries one by one, up to the first break. `wanted`: an entry that must be among them. */
export class ChainReader {
  #before: AuditPlace | null;
  #first: number | null = null;
  #count = 0;
  #fault: string | null = null;
  #isFound = false;
  readonly #wanted: AuditPlace | null;
  readonly #sha256: (text: string) => string;

  /** `before` null: the entry before the first one is not known. */
  constructor(before: AuditPlace | null, sha256: (text: string) => string, wanted: AuditPlace | null = null) {
    this.#before = before;
    this.#sha256 = sha256;
    this.#wanted = wanted;
    this.#isFound = wanted === null || (before?.seq === wanted.seq && before.hash === wanted.hash);
  }

  get isBroken(): boolean {
    return this.#fault !== null;
  }

  add(entry: AuditEntry): void {
    if (this.isBroken) return;
    const found = breakAt(this.#before, entry, this.#sha256);
    if (found !== null) return void (this.#fault = `Entry ${found.seq} ${FAULTS[found.fault]}.`);
    this.#first ??= entry.seq;
    this.#count += 1;
    this.#before = { seq: entry.seq, hash: entry.hash };
    if (entry.seq === this.#wanted?.seq) this.#isFound = entry.hash === this.#wanted.hash;
  }

  /** `head`: the newest entry that the hub knows of; null: unknown. */
  end(head: AuditPlace | null): VerifiedChain {
    const last = this.#before;
    let fault = this.#fault;
    if (fault === null && head !== null && (head.seq !== last?.seq || head.hash !== last.hash))
      fault = `The chain ends at entry ${last?.seq ?? 0}, and the hub recorded ${head.seq} entries: the newest ones were removed or replaced.`;
    if (fault === null && !this.#isFound)
      fault = `Entry ${this.#wanted?.seq ?? 0} with the given hash was not found: the chain was rewritten or truncated, or is a different one.`;
    return { count: this.#count, first: this.#first, last, fault };
  }
}
