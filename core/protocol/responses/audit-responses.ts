/** The audit log on the wire. A line of an export is one entry. */
import { Type, type Static } from 'typebox';
import type { AuditEntry } from '../../domain/audit/audit-entry.ts';
import { count, orNull, text, time } from './response-fields.ts';

const place = Type.Object({ seq: count, hash: text });

export const auditEntrySchema = Type.Object({
  seq: count,
  at: time,
  actor: Type.Object({ id: orNull(text), name: orNull(text), role: text }),
  address: orNull(text),
  act: text,
  object: orNull(text),
  outcome: text,
  details: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])),
  previous: text,
  hash: text,
});
export type AuditEntryJson = Static<typeof auditEntrySchema>;

/** `GET /admin/audit` */
export const auditPageSchema = Type.Object({
  entries: Type.Array(auditEntrySchema),
  anchor: place,
  head: place,
  next_after: orNull(count),
});

export const auditEntryJson = (entry: AuditEntry): AuditEntryJson => ({
  seq: entry.seq,
  at: entry.atMs,
  actor: entry.actor,
  address: entry.address,
  act: entry.act,
  object: entry.object,
  outcome: entry.outcome,
  details: entry.details,
  previous: entry.previous,
  hash: entry.hash,
});
