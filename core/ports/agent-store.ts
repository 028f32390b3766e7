/** Identity and access: agents, tokens, enrolment secrets. In the same database as the tasks. */
import type { Agent } from '../domain/agent/agent.ts';
import type { AgentId } from '../domain/ids.ts';
import type { Task } from '../domain/task/task.ts';
import type { LockedOut } from '../domain/waiting.ts';

export const ROLES = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface TokenRecord {
  /** `tok-` and hexadecimal digits; identifies the token without revealing it. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** Its agent; null unless `role` is `agent`. */
  readonly agentId: AgentId | null;
  /** SHA-256 of the token, hexadecimal. The token itself is never stored. */
  readonly hash: string;
  /** Its first characters, so that people can tell tokens apart. */
  readonly prefix: string;
  /** The capabilities that the agent may claim; null: any. */
  readonly capabilities: readonly string[] | null;
  readonly maxSlots: number | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  /** When it expires; null: never. */
  readonly expiresAtMs: number | null;
  /** When it was last used, accurate to `TOKEN_USE_WRITE_MS`; null: never, as far as is known. */
  readonly lastUsedAtMs: number | null;
}

/** Whether it has expired. */
export const isExpired = ({ expiresAtMs }: Pick<TokenRecord, 'expiresAtMs'>, nowMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= nowMs;

/** Whether it was revoked or expired by `atMs`. */
export const isOverBy = (token: Pick<TokenRecord, 'revokedAtMs' | 'expiresAtMs'>, atMs: number): boolean =>
  (token.revokedAtMs !== null && token.revokedAtMs <= atMs) || isExpired(token, atMs);

export interface TokenUsed {
  readonly id: string;
  readonly atMs: number;
}

/** How long an enrolment secret may be used. Milliseconds. */
export const ENROL_SECRET_MS = 900_000;

/** Every call before `open` or after `close` of its storage MUST fail with `AC_STORE_CLOSED`. */
export interface AgentStore {
  /**
   * Adds a token; for one of role `agent` also the agent, if it is new.
   * With `unlessTaken` it MUST return `taken` and change nothing if the agent already has a token that is neither revoked nor, at
   * `createdAtMs`, expired; for a token without an agent, if such a token has the same name and role.
   */
  addToken(token: TokenRecord, options?: { readonly unlessTaken?: boolean | undefined }): Promise<'added' | 'taken'>;

  /** The token with this hash, unless revoked. It may be expired: the caller MUST check `isExpired`. */
  findToken(hash: string): Promise<TokenRecord | undefined>;

  /**
   * The token whose hash begins with these hexadecimal digits, unless revoked; undefined if several do. As with `findToken`, the
   * caller MUST check `isExpired`.
   */
  findTokenByHint(hint: string): Promise<TokenRecord | undefined>;

  /** Tokens, newest first, revoked ones included. `after` is the last id of the page before. */
  listTokens(page: { readonly after?: string | undefined; readonly limit: number }): Promise<readonly TokenRecord[]>;

  /** Revokes by token id or agent id and returns the revoked tokens; none if there was nothing to revoke. */
  revokeTokens(which: { readonly id: string } | { readonly agentId: AgentId }, nowMs: number): Promise<readonly TokenRecord[]>;

  /** The revoked ones among these token ids, each once, in no order. */
  revokedAmong(ids: readonly string[]): Promise<readonly string[]>;

  /** Records when these tokens were used, each listed once. MUST keep the latest time recorded by any hub. */
  noteTokensUsed(used: readonly TokenUsed[]): Promise<void>;

  /**
   * The agents among these that have had tokens and have no valid one: `revoked` if all are revoked, `expired` if some have only
   * expired.
   */
  lockedOutAmong(ids: readonly AgentId[], nowMs: number): Promise<ReadonlyMap<AgentId, LockedOut>>;

  /** Adds an enrolment secret by its hash. */
  addEnrolSecret(hash: string, expiresAtMs: number): Promise<void>;

  /**
   * The full hash of the unused, unexpired enrolment secret whose hash begins with these hexadecimal digits; undefined if several do.
   * Does not use it up.
   */
  findEnrolSecret(hint: string, nowMs: number): Promise<string | undefined>;

  /** Uses the secret up. MUST return true to exactly one caller, and never after `expiresAtMs`. */
  takeEnrolSecret(hash: string, nowMs: number): Promise<boolean>;

  /** Agents by id, with their live tasks. `after` is the last id of the page before. */
  listAgents(page: { readonly after?: AgentId | undefined; readonly limit: number }): Promise<readonly AgentRow[]>;

  getAgent(id: AgentId): Promise<AgentRow | undefined>;

  /**
   * Removes an agent with its tokens, unless it is connected, holds a task or has a valid token at `nowMs`. `needed`: it stays, also
   * if another transaction has locked it.
   */
  removeAgent(id: AgentId, nowMs: number): Promise<'removed' | 'needed' | 'unknown'>;
}

export interface AgentRow {
  readonly agent: Agent;
  readonly live: readonly Task[];
  readonly pendingStops: number;
}
