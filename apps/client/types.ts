/** What the HTTP API takes and answers, as it stands on the wire: snake_case, milliseconds. */
import type { SealedToken } from '../../core/protocol/enrol-proof.ts';
import type {
  AdoptBody,
  PushBody,
  RegisterBody,
  RegisterHelloBody,
  RegisterProvedBody,
  SubmitBody,
  TokenBody,
} from '../../core/protocol/http-bodies.ts';
import type { AgentPresence } from '../../core/domain/agent/agent.ts';
import type { EventName } from '../../core/domain/task/event.ts';
import type { Acceptance, Priority, Status } from '../../core/domain/task/task.ts';

/** As the schemas have it, read-only, and with optional fields that may also be given as undefined. */
type Loose<Body> = {
  readonly [Key in keyof Body]:
    | (Body[Key] extends readonly (infer Item)[] | undefined ? readonly Item[] : Body[Key])
    | (Record<never, never> extends Pick<Body, Key> ? undefined : never);
};

/** The body of a submit. Only `description` must be there. */
export type SubmitRequest = Loose<SubmitBody>;
export type PushRequest = Loose<PushBody>;
export type AdoptRequest = Loose<AdoptBody>;
export type TokenRequest = Loose<TokenBody>;
export type RegisterRequest = Loose<RegisterBody>;
export type RegisterHelloRequest = Loose<RegisterHelloBody>;
export type RegisterProvedRequest = Loose<RegisterProvedBody>;

export interface SubmittedTask {
  readonly task_id: string;
  readonly status: Status;
  readonly priority: Priority;
  readonly created_at: number;
}

/** A task as lists have it. The client reads these fields; the hub may send more. */
export interface TaskJson {
  readonly id: string;
  readonly description: string;
  readonly priority: Priority;
  readonly status: Status;
  readonly assigned_to: string | null;
  readonly assigned_at: number | null;
  readonly accepted_at: number | null;
  readonly generation: number;
  readonly retry_count: number;
  readonly max_retries: number;
  readonly needed_capabilities: readonly string[];
  readonly assign_to: string | null;
  readonly last_error: string | null;
  readonly eligible_at: number | null;
  readonly result: unknown;
  readonly tokens_used: number | null;
  /** An attempt that had begun did not say what it used. */
  readonly usage_incomplete?: boolean | undefined;
  readonly cost_usd: number | null;
  readonly submitted_by: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly depends_on: readonly string[];
  readonly repo: string | null;
  readonly branch: string | null;
  /** Each a text, or an object of the submitter's own making; so are `verification_steps`. */
  readonly file_hints: readonly (string | Readonly<Record<string, unknown>>)[];
  readonly success_criteria: readonly string[];
  readonly verification_steps: readonly (string | Readonly<Record<string, unknown>>)[];
  /** Ends of an agent that count as a result; null or absent: none. */
  readonly accept?: Acceptance | null | undefined;
  readonly [more: string]: unknown;
}

/** What was used of one model; what nobody said is left out. */
export interface ModelUsageJson {
  readonly model: string;
  readonly input_tokens?: number;
  readonly cached_input_tokens?: number;
  readonly output_tokens?: number;
  readonly cost_usd?: number;
}

/** What one attempt used. */
export interface AttemptJson {
  readonly generation: number;
  readonly agent_id: string;
  readonly tokens_used: number | null;
  readonly cost_usd: number | null;
  readonly models: readonly ModelUsageJson[];
}

export interface HistoryEntry {
  readonly event: EventName;
  readonly timestamp: number;
  readonly agent_id?: string | null | undefined;
  readonly generation?: number | null | undefined;
  readonly details?: Readonly<Record<string, unknown>> | null | undefined;
}

/** An entry with its number among those of its task, from 1, and its place in the order of all events. */
export interface NumberedEntry extends HistoryEntry {
  readonly seq: number;
  readonly id: number;
}
/** `before` and `after`: numbers of entries, not given together. */
export interface TaskEventsQuery {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}
/** `before`, `after`: what to ask for the next page in that direction; null: there is none. */
export interface TaskEventsPage {
  readonly events: readonly NumberedEntry[];
  readonly before: number | null;
  readonly after: number | null;
}

export interface KeptNameJson {
  readonly generation: number;
  readonly agent_id: string;
  readonly kind: 'late' | 'refused';
  readonly bytes: number;
  readonly sha256: string;
  readonly timestamp: number;
}
export interface KeptResultJson extends KeptNameJson {
  readonly task_id: string;
  readonly reason: string;
  readonly result: unknown;
  readonly details: unknown;
}

/** One task, whole but for older events of its history. `waiting_for` says why nothing happens to it; null when something does. */
export interface TaskDetail extends TaskJson {
  /** Of all attempts together. */
  readonly models?: readonly ModelUsageJson[] | undefined;
  /** The newest that said what they used, oldest first. */
  readonly attempts?: readonly AttemptJson[] | undefined;
  /** The newest of it, oldest first. */
  readonly history: readonly HistoryEntry[];
  /** The number before which there are older events; null or absent: these are all. */
  readonly history_before?: number | null | undefined;
  /** Late and refused results that are kept apart. */
  readonly kept_results?: readonly KeptNameJson[] | undefined;
  /** How often results of an agent were refused: `told` in the history, `counted` beyond. `agent_id` null: of further agents. */
  readonly refused_reports?: readonly { readonly agent_id: string | null; readonly told: number; readonly counted: number }[] | undefined;
  readonly waiting_for: { readonly reason: string; readonly message: string; readonly [more: string]: unknown } | null;
}

/** What is still at work `deadline_ms` later is stopped and handed back; without it the agent finishes what it has. */
export interface DrainRequest {
  readonly deadline_ms?: number | undefined;
}
export interface AgentChanged {
  readonly agent_id: string;
  readonly change: string;
}

export interface NamedCheckJson {
  readonly check: string;
  readonly message: string;
}
export interface AgentChecksJson {
  readonly ok: boolean;
  readonly told_at: number;
  readonly failed: readonly NamedCheckJson[];
  readonly passed: readonly NamedCheckJson[];
}

/** The client reads these fields; the hub may send more. */
export interface AgentJson {
  readonly agent_id: string;
  readonly name: string;
  readonly status: AgentPresence;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly connected: boolean;
  readonly connected_at: number | null;
  readonly last_seen: number | null;
  /** Why it drains by itself; null when it does not. */
  readonly draining_reason?: string | null | undefined;
  readonly paused_reason: string | null;
  /** `checks`, `breaker`, or why its runner failed: `auth`, `config`, `rate_limited`, `model_unavailable`. */
  readonly paused_cause?: string | null | undefined;
  /** What it found when it last looked whether its program could run; null when it never said. */
  readonly checks?: AgentChecksJson | null | undefined;
  readonly busy_reason?: string | null | undefined;
  readonly current_task: string | null;
  readonly tasks: readonly { readonly task_id: string; readonly generation: number }[];
  /** Runs that it was told to stop and whose end it has not confirmed. */
  readonly pending_stops: number;
  readonly [more: string]: unknown;
}

/** `token` is there once only, in the answer that made it. */
export interface TokenJson {
  readonly id: string;
  readonly role: string;
  readonly token?: string | undefined;
  /** Milliseconds since 1970; null: it is not revoked, has no end, was not used as far as is known. */
  readonly revoked_at?: number | null | undefined;
  readonly expires_at?: number | null | undefined;
  readonly last_used_at?: number | null | undefined;
  readonly [more: string]: unknown;
}

/** `secret` is there once only. */
export interface EnrolSecretJson {
  readonly secret: string;
  /** Milliseconds since 1970. */
  readonly expires_at: number;
}

export interface Registration {
  readonly agent_id: string;
  readonly token: string;
  readonly hub_ws_url: string;
  readonly hub_api_url: string;
}

/** The hub's answer to `hello`: its proof that it knows the secret. */
export interface RegisterChallenge {
  readonly hub_nonce: string;
  readonly proof: string;
}
/** With the token sealed under the secret. */
export type SealedRegistration = Omit<Registration, 'token'> & SealedToken;

/** What a retry, a cancel or a similar act is answered with. */
export interface ActAnswer {
  readonly status: Status;
  readonly [more: string]: unknown;
}

export interface PushAnswer {
  readonly status: 'pushed' | 'queued';
  readonly task_id: string;
  readonly agent_id: string;
}

export interface PageQuery {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface ListQuery extends PageQuery {
  readonly status?: string | undefined;
  readonly priority?: string | undefined;
  readonly assigned_to?: string | undefined;
}

/** A page of a list under its own name. */
export type Page<Name extends string, Item> = { readonly [key in Name]: readonly Item[] } & { readonly next_cursor: string | null };

/** An event of the stream: a change of a task, or `gap` when older ones are gone. */
export interface StreamEvent {
  /** Its place in the order of all events; streams resume by it. */
  readonly id: string | null;
  readonly event: EventName | 'gap';
  readonly data: Readonly<Record<string, unknown>>;
}

/** Who a token speaks for. */
export interface WhoAmIJson {
  /** Of the token. */
  readonly id: string;
  readonly role: string;
  /** Of a token of an agent; null otherwise. */
  readonly agent_id: string | null;
  readonly server_time: number;
}
