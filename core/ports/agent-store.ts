/** Identity and access: agents, tokens and enrollment secrets, in the same database as the tasks. */
import type { Agent } from '../domain/agent/agent.ts';
import type { AuditDraft } from '../domain/audit/audit-entry.ts';
import type { AgentId } from '../domain/ids.ts';
import type { Task } from '../domain/task/task.ts';
import type { LockedOut } from '../domain/waiting/agent-waiting.ts';

/** What a token may be for; docs/http-api.md says what each role may do. */
export const ROLES = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const;
/** What a token may do; see `ROLES`. */
export type Role = (typeof ROLES)[number];

/** A token as stored. Times are milliseconds since 1970 (UTC). */
export interface TokenRecord {
  /** `tok-` and hexadecimal digits; identifies the token without revealing it. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** The agent that it identifies; null unless `role` is `agent`. */
  readonly agentId: AgentId | null;
  /** SHA-256 of the token, hexadecimal. The token itself is never stored. */
  readonly hash: string;
  /** The first characters of the token, so that people can tell tokens apart. */
  readonly prefix: string;
  /** The capabilities that the agent may claim; null: any. */
  readonly capabilities: readonly string[] | null;
  readonly maxSlots: number | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  /** When it expires; null: never. */
  readonly expiresAtMs: number | null;
  /** When it was last used, accurate to `TOKEN_USE_WRITE_MS`; null: no use is known. */
  readonly lastUsedAtMs: number | null;
  /** The id of the token that replaces it, since it was rotated; null: none. */
  readonly replacedBy: string | null;
  /** The id of the first of the tokens that it replaces, one after the other: its tasks are submitted as by that one. Null: it replaces none. */
  readonly submitsAs: string | null;
}

/** The `submittedBy` of its tasks. */
export const submitterId = ({ id, submitsAs }: Pick<TokenRecord, 'id' | 'submitsAs'>): string => submitsAs ?? id;

/** Whether it has expired. */
export const isExpired = ({ expiresAtMs }: Pick<TokenRecord, 'expiresAtMs'>, nowMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= nowMs;

/** Whether it was revoked or expired by `atMs`. */
export const isOverBy = (token: Pick<TokenRecord, 'revokedAtMs' | 'expiresAtMs'>, atMs: number): boolean =>
  (token.revokedAtMs !== null && token.revokedAtMs <= atMs) || isExpired(token, atMs);

/** When a token ends: what connections that use it must know. */
export type TokenEnd = Pick<TokenRecord, 'id' | 'revokedAtMs' | 'expiresAtMs'>;

/** A use of a token, and when it was. */
export interface TokenUsed {
  readonly id: string;
  readonly atMs: number;
}

/** How long an enrollment secret is valid, milliseconds. */
export const ENROL_SECRET_MS = 900_000;

/**
 * Every call before `open` or after `close` of its storage MUST fail with `AC_STORE_CLOSED`. If `audit` is given, it MUST be appended to the
 * audit log in the commit of the change, and MUST NOT be if nothing is changed.
 */
export interface AgentStore {
  /**
   * Adds a token; if its role is `agent`, also the agent, unless it exists.
   * With `unlessTaken` it MUST return `taken` and change nothing if the agent already has a valid token (not revoked, and not expired at
   * `createdAtMs`). For a token without an agent: if a valid token without an agent has the same name and role.
   */
  addToken(
    token: TokenRecord,
    options?: { readonly unlessTaken?: boolean | undefined; readonly audit?: AuditDraft | undefined },
  ): Promise<'added' | 'taken'>;

  /** The token with this hash, unless revoked. It may be expired: the caller MUST check `isExpired`. */
  findToken(hash: string): Promise<TokenRecord | undefined>;

  /**
   * The token that is not revoked and whose hash starts with these hexadecimal digits; undefined if there are several. It may be
   * expired: the caller MUST check `isExpired`.
   */
  findTokenByHint(hint: string): Promise<TokenRecord | undefined>;

  /** A page of all tokens, newest first, including revoked ones. `after`: the last id of the previous page. */
  listTokens(page: { readonly after?: string | undefined; readonly limit: number }): Promise<readonly TokenRecord[]>;

  /**
   * Revokes a token by its id, or all tokens of an agent. Returns the tokens that it revoked: those not revoked before. `audit`: the entry
   * for each.
   */
  revokeTokens(
    which: { readonly id: string } | { readonly agentId: AgentId },
    nowMs: number,
    audit?: (revoked: TokenRecord) => AuditDraft,
  ): Promise<readonly TokenRecord[]>;

  /**
   * Adds `successor`, which replaces the token with this id: sets the `replacedBy` of that token and, unless it expires earlier, its
   * `expiresAtMs`. Returns the replaced token in its new state. MUST return undefined and change nothing if it is unknown, revoked, expired at
   * the `createdAtMs` of `successor`, or already replaced.
   */
  rotateToken(id: string, successor: TokenRecord, expiresAtMs: number, audit?: AuditDraft): Promise<TokenRecord | undefined>;

  /** The token with this id, even if it is revoked or expired; undefined if there is none. */
  getToken(id: string): Promise<TokenRecord | undefined>;

  /** Those of these token ids that are revoked or have an expiry, past or future, each once, in any order. */
  endsAmong(ids: readonly string[]): Promise<readonly TokenEnd[]>;

  /** Records when these tokens were used; no token is listed twice. MUST keep the latest time recorded by any hub. */
  noteTokensUsed(used: readonly TokenUsed[]): Promise<void>;

  /**
   * Those of these agents that have tokens but no valid one: `revoked` if all their tokens are revoked, `expired` if at least one is
   * expired but not revoked.
   */
  lockedOutAmong(ids: readonly AgentId[], nowMs: number): Promise<ReadonlyMap<AgentId, LockedOut>>;

  /** Stores the hash of a new enrollment secret. */
  addEnrolSecret(hash: string, expiresAtMs: number, audit?: AuditDraft): Promise<void>;

  /**
   * The full hash of the unused, unexpired enrollment secret whose hash starts with these hexadecimal digits; undefined if there are
   * several. Does not use the secret up.
   */
  findEnrolSecret(hint: string, nowMs: number): Promise<string | undefined>;

  /** Uses the secret up. MUST return true to exactly one caller, and never after `expiresAtMs`. */
  takeEnrolSecret(hash: string, nowMs: number, audit?: AuditDraft): Promise<boolean>;

  /** A page of all agents, by id, with their live tasks. `after`: the last id of the previous page. */
  listAgents(page: { readonly after?: AgentId | undefined; readonly limit: number }): Promise<readonly AgentRow[]>;

  getAgent(id: AgentId): Promise<AgentRow | undefined>;

  /**
   * Removes an agent with its tokens. Returns `needed` and changes nothing if the agent is connected, has live tasks or pending stops,
   * has a token that is valid at `nowMs` or no token at all, or is locked by another transaction.
   */
  removeAgent(id: AgentId, nowMs: number, audit?: AuditDraft): Promise<'removed' | 'needed' | 'unknown'>;
}

/** An agent as lists show it. */
export interface AgentRow {
  readonly agent: Agent;
  /** The tasks that are assigned to it. */
  readonly live: readonly Task[];
  readonly pendingStops: number;
}
