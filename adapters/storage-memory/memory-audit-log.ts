/** `AuditLog` in memory. */
import { createHash } from 'node:crypto';
import { entriesAfter, type AuditDraft, type AuditPlace } from '../../core/domain/audit/audit-entry.ts';
import type { StoreClock } from '../../core/domain/store-clock.ts';
import { removableEntries, type AuditLog } from '../../core/ports/storage.ts';
import { keptCopy } from './kept-copy.ts';
import type { InTurn, MemoryDatabase } from './memory-database.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Synchronous, so that nothing else is appended in between. */
export function appendAudit(database: MemoryDatabase, drafts: readonly AuditDraft[]): void {
  database.audit.push(...entriesAfter(headOf(database), drafts, sha256).map(keptCopy));
}

const headOf = ({ audit, auditAnchor }: MemoryDatabase): AuditPlace => {
  const { seq, hash } = audit.at(-1) ?? auditAnchor;
  return { seq, hash };
};

export function memoryAuditLog(use: () => MemoryDatabase, inTurn: InTurn, clock: () => StoreClock | null): AuditLog {
  const write = async <T>(work: (database: MemoryDatabase) => T): Promise<T> => {
    const database = use();
    return inTurn(database, async () => work(database));
  };
  return {
    append: (drafts) => write((database) => appendAudit(database, drafts)),
    read: async ({ after, limit }) => {
      const database = use();
      const entries = database.audit.filter(({ seq }) => seq > after).slice(0, limit);
      return { entries, anchor: database.auditAnchor, head: headOf(database) };
    },
    remove: (old) =>
      write((database) => {
        const nowMs = clock()?.removableMs() ?? null;
        if (nowMs === null) return 0;
        const removed = removableEntries(database.audit.slice(0, old.limit), headOf(database), { ...old, nowMs });
        const last = removed.at(-1);
        if (last === undefined) return 0;
        database.auditAnchor = { seq: last.seq, hash: last.hash };
        database.audit.splice(0, removed.length);
        return removed.length;
      }),
  };
}
