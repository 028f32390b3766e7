/** The audit log. */
import type { Requester } from './api-request.ts';

/** A place in the chain: the number of an entry, and its hash. */
export interface AuditPlaceJson {
  readonly seq: number;
  readonly hash: string;
}

/** An entry of the audit log. Times are milliseconds since 1970, hashes SHA-256 in lowercase hexadecimal. */
export interface AuditEntryJson extends AuditPlaceJson {
  readonly at: number;
  readonly actor: { readonly id: string | null; readonly name: string | null; readonly role: string };
  readonly address: string | null;
  readonly act: string;
  readonly object: string | null;
  readonly outcome: string;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
  /** The hash of the previous entry. */
  readonly previous: string;
}

/** A page of the audit log, with what it takes to verify the chain. */
export interface AuditPageJson {
  readonly entries: readonly AuditEntryJson[];
  /** The newest entry that was removed: the oldest remaining entry follows it. */
  readonly anchor: AuditPlaceJson;
  readonly head: AuditPlaceJson;
  /** `after` for the next page; null: this is the last. */
  readonly next_after: number | null;
}

/** Which page of the audit log. */
export interface AuditQuery {
  /** Only entries with a higher number. */
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

/** `hub.audit`: the audit log. */
export interface AuditClient {
  /** A page of entries, oldest first. For admins. Retried. */
  list(query?: AuditQuery): Promise<AuditPageJson>;
}

export const auditClient = ({ get }: Requester): AuditClient => ({ list: (query) => get('/admin/audit', query) });
