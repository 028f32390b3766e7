/** Verifies entries of the audit log, one after the other. */
import { canonicalEntry, type AuditEntry, type AuditPlace } from './audit-entry.ts';

/**
 * - `changed`: the entry is not the one that its hash was made of.
 * - `missing`: entries between the one before and this one are not there.
 * - `unlinked`: it follows another entry than the one before it, which was replaced.
 */
export interface AuditBreak {
  readonly seq: number;
  readonly fault: 'changed' | 'missing' | 'unlinked';
}

/** What is wrong with an entry that follows this place; null: nothing. `before` null: what it follows is not known. */
export function breakAt(before: AuditPlace | null, entry: AuditEntry, sha256: (text: string) => string): AuditBreak | null {
  const { seq } = entry;
  if (sha256(canonicalEntry(entry)) !== entry.hash) return { seq, fault: 'changed' };
  if (before === null) return null;
  if (seq !== before.seq + 1) return { seq, fault: 'missing' };
  return entry.previous === before.hash ? null : { seq, fault: 'unlinked' };
}
