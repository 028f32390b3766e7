/** Appends to the audit log's chain, whose row is locked after all others. */
import { createHash } from 'node:crypto';
import { AUDIT_START, entriesAfter, type AuditDraft, type AuditPlace } from '../../../core/domain/audit/audit-entry.ts';
import type { Row, Transaction } from '../engine.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Waits for other transactions that append, and locks the end of the chain until the commit. */
export async function appendAudit(transaction: Transaction, drafts: readonly AuditDraft[]): Promise<void> {
  if (drafts.length === 0) return;
  const [ends] = await transaction.rows('lockAuditEnds');
  const entries = entriesAfter(headIn(ends), drafts, sha256);
  await transaction.change(
    'insertAudit',
    entries.map(({ actor, details, ...entry }) => ({
      ...entry,
      actorId: actor.id,
      actorName: actor.name,
      actorRole: actor.role,
      details: JSON.stringify(details),
    })),
  );
  const { seq, hash } = entries.at(-1) ?? AUDIT_START;
  await transaction.change('moveAuditHead', { seq, hash, start: AUDIT_START.hash });
}

export const headIn = (ends: Row | undefined): AuditPlace =>
  ends === undefined ? AUDIT_START : { seq: Number(ends['seq']), hash: String(ends['hash']) };
export const anchorIn = (ends: Row | undefined): AuditPlace =>
  ends === undefined ? AUDIT_START : { seq: Number(ends['removed_seq']), hash: String(ends['removed_hash']) };
