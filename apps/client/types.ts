/** What the HTTP API takes and answers, as it stands on the wire: snake_case, milliseconds. */
import type { PushBody, RegisterBody, SubmitBody, TokenBody } from '../../core/protocol/http-bodies.ts';
import type { AgentPresence } from '../../core/domain/agent.ts';
import type { EventName } from '../../core/domain/event.ts';
import type { Priority, Status } from '../../core/domain/task.ts';

/** As the schemas have it, read-only, and with optional fields that may also be given as undefined. */
type Loose<Body> = {
  readonly [Key in keyof Body]:
    | (Body[Key] extends readonly (infer Item)[] | undefined ? readonly Item[] : Body[Key])
    | (Record<never, never> extends Pick<Body, Key> ? undefined : never);
};

/** The body of a submit. Only `description` must be there. */
export type SubmitRequest = Loose<SubmitBody>;
export type PushRequest = Loose<PushBody>;
export type TokenRequest = Loose<TokenBody>;
export type RegisterRequest = Loose<RegisterBody>;

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
  readonly cost_usd: number | null;
  readonly submitted_by: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly depends_on: readonly string[];
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

/** One task, whole. `waiting_for` says why nothing happens to it; null when something does. */
export interface TaskDetail extends TaskJson {
  /** Of all attempts together. */
  readonly models?: readonly ModelUsageJson[] | undefined;
  /** The newest that said what they used, oldest first. */
  readonly attempts?: readonly AttemptJson[] | undefined;
  readonly history: readonly HistoryEntry[];
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
  readonly last_seen: number | null;
  /** Why it drains by itself; null when it does not. */
  readonly draining_reason?: string | null | undefined;
  readonly paused_reason: string | null;
  /** `checks`, `breaker`, or why its runner failed: `auth`, `config`, `rate_limited`. */
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
  readonly [more: string]: unknown;
}

export interface Registration {
  readonly agent_id: string;
  readonly token: string;
  readonly hub_ws_url: string;
  readonly hub_api_url: string;
}

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
