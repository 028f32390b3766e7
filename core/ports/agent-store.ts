/** Who may speak to the hub: agents, tokens, enrolment secrets. Lives in the same database as the tasks. */
import type { Agent } from '../domain/agent.ts';
import type { AgentId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';

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
}

/** MUST answer anything before `open` or after `close` of its storage with `AC_STORE_CLOSED`. */
export interface AgentStore {
  /**
   * Adds a token; for one of role `agent` also the agent, if it is new.
   * MUST answer `taken` and change nothing when the agent has an unrevoked token and `unlessTaken` is set.
   */
  addToken(token: TokenRecord, options?: { readonly unlessTaken?: boolean | undefined }): Promise<'added' | 'taken'>;

  /** The token with this hash, unless revoked. */
  findToken(hash: string): Promise<TokenRecord | undefined>;

  /** Tokens, newest first, revoked ones included. `after` is the last id of the page before. */
  listTokens(page: { readonly after?: string | undefined; readonly limit: number }): Promise<readonly TokenRecord[]>;

  /** Revokes by token id or agent id and answers those it revoked; none if there was nothing to revoke. */
  revokeTokens(which: { readonly id: string } | { readonly agentId: AgentId }, nowMs: number): Promise<readonly TokenRecord[]>;

  /** Those of these token ids that are revoked, each once, in no order. */
  revokedAmong(ids: readonly string[]): Promise<readonly string[]>;

  /** Adds an enrolment secret by its hash. */
  addEnrolSecret(hash: string, expiresAtMs: number): Promise<void>;

  /** Uses the secret up. MUST answer true to exactly one caller, and never after `expiresAtMs`. */
  takeEnrolSecret(hash: string, nowMs: number): Promise<boolean>;

  /** Agents by id, with their live tasks. `after` is the last id of the page before. */
  listAgents(page: { readonly after?: AgentId | undefined; readonly limit: number }): Promise<readonly AgentRow[]>;

  getAgent(id: AgentId): Promise<AgentRow | undefined>;
}

export interface AgentRow {
  readonly agent: Agent;
  readonly live: readonly Task[];
  readonly pendingStops: number;
}
