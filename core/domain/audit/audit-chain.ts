/** Verifies entries of the audit log, one by one. */
import { canonicalEntry, type AuditEntry, type AuditPlace } from './audit-entry.ts';

/**
 * - `changed`: the entry does not match its own hash.
 * - `missing`: entries between the previous one and this one are missing.
 * - `unlinked`: its link does not match the previous entry, which was replaced.
 */
export interface AuditBreak {
  readonly seq: number;
  readonly fault: 'changed' | 'missing' | 'unlinked';
}

/** What is wrong with an entry that follows `before`; null: nothing. `before` null: what it follows is unknown. */
export function breakAt(before: AuditPlace | null, entry: AuditEntry, sha256: (text: string) => string): AuditBreak | null {
  const { seq } = entry;
  if (sha256(canonicalEntry(entry)) !== entry.hash) return { seq, fault: 'changed' };
  if (before === null) return null;
  if (seq !== before.seq + 1) return { seq, fault: 'missing' };
  return entry.previous === before.hash ? null : { seq, fault: 'unlinked' };
}
