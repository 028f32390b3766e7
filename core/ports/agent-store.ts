/** Who may speak to the hub: agents, tokens, enrolment secrets. Lives in the same database as the tasks. */
import type { Agent } from '../domain/agent/agent.ts';
import type { AgentId } from '../domain/ids.ts';
import type { Task } from '../domain/task/task.ts';
import type { LockedOut } from '../domain/waiting.ts';

export const ROLES = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface TokenRecord {
  /** `tok-` and hexadecimal digits; names the token without telling it. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** The agent that it speaks for; null unless `role` is `agent`. */
  readonly agentId: AgentId | null;
  /** SHA-256 of the token, hexadecimal. The token itself is never stored. */
  readonly hash: string;
  /** Its first characters, for people to tell tokens apart. */
  readonly prefix: string;
  /** Fixes what the agent may claim; null: whatever it says. */
  readonly capabilities: readonly string[] | null;
  readonly maxSlots: number | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  /** It opens nothing from then on; null: until it is revoked. */
  readonly expiresAtMs: number | null;
  /** When it was last used, to within `TOKEN_USE_WRITE_MS`; null: never, as far as is known. */
  readonly lastUsedAtMs: number | null;
}

/** Whether it is over: it opens nothing any more. */
export const isExpired = ({ expiresAtMs }: Pick<TokenRecord, 'expiresAtMs'>, nowMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= nowMs;

/** Whether it was revoked or had expired by then. */
export const isOverBy = (token: Pick<TokenRecord, 'revokedAtMs' | 'expiresAtMs'>, atMs: number): boolean =>
  (token.revokedAtMs !== null && token.revokedAtMs <= atMs) || isExpired(token, atMs);

export interface TokenUsed {
  readonly id: string;
  readonly atMs: number;
}

/** How long an enrolment secret may be used. Milliseconds. */
export const ENROL_SECRET_MS = 900_000;

/** MUST answer anything before `open` or after `close` of its storage with `AC_STORE_CLOSED`. */
export interface AgentStore {
  /**
   * Adds a token; for one of role `agent` also the agent, if it is new.
   * With `unlessTaken` it MUST answer `taken` and change nothing when the agent has a token that is neither revoked nor, when
   * this one is made, expired; for a token of no agent, when one such has its name and role.
   */
  addToken(token: TokenRecord, options?: { readonly unlessTaken?: boolean | undefined }): Promise<'added' | 'taken'>;

  /** The token with this hash, unless revoked. An expired one is answered: the caller MUST ask `isExpired`. */
  findToken(hash: string): Promise<TokenRecord | undefined>;

  /**
   * The token whose hash begins with these hexadecimal digits, unless revoked; undefined where several do. As with `findToken`, the
   * caller MUST ask `isExpired`.
   */
  findTokenByHint(hint: string): Promise<TokenRecord | undefined>;

  /** Tokens, newest first, revoked ones included. `after` is the last id of the page before. */
  listTokens(page: { readonly after?: string | undefined; readonly limit: number }): Promise<readonly TokenRecord[]>;

  /** Revokes by token id or agent id and answers those it revoked; none if there was nothing to revoke. */
  revokeTokens(which: { readonly id: string } | { readonly agentId: AgentId }, nowMs: number): Promise<readonly TokenRecord[]>;

  /** Those of these token ids that are revoked, each once, in no order. */
  revokedAmong(ids: readonly string[]): Promise<readonly string[]>;

  /** Notes when these tokens were used, each named once. MUST keep the latest time of all that were noted, whoever noted them. */
  noteTokensUsed(used: readonly TokenUsed[]): Promise<void>;

  /**
   * Those of these agents that have had tokens and can use none of them: `revoked` when all are revoked, `expired` when some are
   * only expired.
   */
  lockedOutAmong(ids: readonly AgentId[], nowMs: number): Promise<ReadonlyMap<AgentId, LockedOut>>;

  /** Adds an enrolment secret by its hash. */
  addEnrolSecret(hash: string, expiresAtMs: number): Promise<void>;

  /**
   * The whole hash of the enrolment secret whose hash begins with these hexadecimal digits, used by nobody and not over; undefined where
   * several begin so. Uses nothing up.
   */
  findEnrolSecret(hint: string, nowMs: number): Promise<string | undefined>;

  /** Uses the secret up. MUST answer true to exactly one caller, and never after `expiresAtMs`. */
  takeEnrolSecret(hash: string, nowMs: number): Promise<boolean>;

  /** Agents by id, with their live tasks. `after` is the last id of the page before. */
  listAgents(page: { readonly after?: AgentId | undefined; readonly limit: number }): Promise<readonly AgentRow[]>;

  getAgent(id: AgentId): Promise<AgentRow | undefined>;

  /**
   * Removes an agent, with its tokens, if it is not connected, holds nothing and has no token that is good by `nowMs`; `needed`: it
   * stays, also where another transaction has it at this moment.
   */
  removeAgent(id: AgentId, nowMs: number): Promise<'removed' | 'needed' | 'unknown'>;
}

export interface AgentRow {
  readonly agent: Agent;
  readonly live: readonly Task[];
  readonly pendingStops: number;
}
