/** What the audit log records of a request: who asked, from where. */
import type { AuditAct, AuditDetails, AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { Principal } from './authenticate.ts';
import type { ApiRequest } from './request.ts';

export interface AuditedAct {
  readonly act: AuditAct;
  readonly object: string | null;
  readonly details?: AuditDetails | undefined;
}

/** `by` is null if the caller is unknown, as in an enrollment. */
export const auditDraft = (
  { address }: Pick<ApiRequest, 'address'>,
  by: Pick<Principal, 'id' | 'name' | 'role'> | null,
  atMs: number,
  { act, object, details = {} }: AuditedAct,
): AuditDraft => ({
  atMs,
  actor: by === null ? { id: null, name: null, role: 'none' } : { id: by.id, name: by.name, role: by.role },
  address,
  act,
  object,
  outcome: 'done',
  details,
});
