/** `AuditLog` over an engine. */
import type { AuditDetails, AuditEntry } from '../../../core/domain/audit/audit-entry.ts';
import { removableEntries, type AuditLog, type AuditPage } from '../../../core/ports/storage.ts';
import type { OpenEngine, Row } from '../engine.ts';
import { anchorIn, appendAudit, headIn } from './append-audit.ts';

export function knexAuditLog(use: () => OpenEngine): AuditLog {
  return {
    append: async (drafts) => use().write(null, (transaction) => appendAudit(transaction, drafts)),

    read: async ({ after, limit }) =>
      use().read(async (db) => {
        const [ends] = (await db('audit_ends').limit(1)) as Row[];
        const rows = (await db('audit_log').where('seq', '>', after).orderBy('seq').limit(limit)) as Row[];
        return auditPageIn(rows, ends);
      }),

    remove: async (old) =>
      use().write(null, async (transaction) => {
        if (transaction.removableMs === null) return 0;
        const [ends] = await transaction.rows('lockAuditEnds');
        const oldest = (await transaction.rows('oldestAudit', { limit: old.limit })).map((row) => ({
          seq: Number(row['seq']),
          hash: String(row['hash']),
          atMs: Number(row['at']),
        }));
        const removed = removableEntries(oldest, headIn(ends), { ...old, nowMs: transaction.removableMs });
        const last = removed.at(-1);
        if (last === undefined) return 0;
        await transaction.change('removeAudit', { seq: last.seq });
        await transaction.change('moveAuditAnchor', { seq: last.seq, hash: last.hash });
        return removed.length;
      }),
  };
}

/** From rows of `audit_log` and the row of `audit_ends`, which does not exist before the first entry. */
export const auditPageIn = (rows: readonly Row[], ends: Row | undefined): AuditPage => ({
  entries: rows.map(entryIn),
  anchor: anchorIn(ends),
  head: headIn(ends),
});

const textOrNull = (value: unknown): string | null => (value === null ? null : String(value));

const entryIn = (row: Row): AuditEntry => ({
  seq: Number(row['seq']),
  atMs: Number(row['at']),
  actor: { id: textOrNull(row['actor_id']), name: textOrNull(row['actor_name']), role: String(row['actor_role']) },
  address: textOrNull(row['address']),
  act: String(row['act']),
  object: textOrNull(row['object']),
  outcome: String(row['outcome']),
  details: detailsIn(String(row['details'])),
  previous: String(row['previous']),
  hash: String(row['hash']),
});

/** Text that is not JSON was tampered with: the entry is shown with that text, and its hash reveals the change. */
function detailsIn(text: string): AuditDetails {
  try {
    return JSON.parse(text) as AuditDetails;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return { unreadable: text.slice(0, 256) };
    throw thrown;
  }
}
