/**
 * Requests and responses of the HTTP API, as on the wire: snake_case, milliseconds.
 *
 * Long on purpose: types without code, one for each body.
 */
import type { SealedToken } from '../../core/protocol/enrol-proof.ts';
import type {
  AdoptBody,
  PushBody,
  RegisterBody,
  RegisterHelloBody,
  RegisterProvedBody,
  RotateBody,
  SubmitBody,
  TokenBody,
} from '../../core/protocol/http-bodies.ts';
import type { AgentPresence } from '../../core/domain/agent/agent.ts';
import type { Unbranded } from '../../core/domain/ids.ts';
import type { EventName, TaskEventName } from '../../core/domain/task/event.ts';
import type { Acceptance, Priority, Status } from '../../core/domain/task/task.ts';

/** The type of a schema, made read-only and without brands, with `undefined` allowed for optional fields. */
type Loose<Body> = {
  readonly [Key in keyof Body]:
    | (Body[Key] extends readonly (infer Item)[] | undefined ? readonly Unbranded<Item>[] : Unbranded<Body[Key]>)
    | (Record<never, never> extends Pick<Body, Key> ? undefined : never);
};

/** The body of a submit. Only `description` is required. */
export type SubmitRequest = Loose<SubmitBody>;
/** The body of `tasks.push`: the task, and the connected agent that must take it. */
export type PushRequest = Loose<PushBody>;
/** The body of `tasks.adopt`: which kept result becomes the result of the task. */
export type AdoptRequest = Loose<AdoptBody>;
/** The body of `tokens.create`. */
export type TokenRequest = Loose<TokenBody>;
/** The body of `tokens.rotate`: how long the old token still works. */
export type RotateTokenRequest = Loose<RotateBody>;
/** The body of `enrolment.register`: the secret and the agent. */
export type RegisterRequest = Loose<RegisterBody>;
/** The body of `enrolment.hello`: a random nonce, without the secret. */
export type RegisterHelloRequest = Loose<RegisterHelloBody>;
/** The body of `enrolment.registerProved`: the secret, encrypted for the hub that has proved itself. */
export type RegisterProvedRequest = Loose<RegisterProvedBody>;

/** A task as the hub has stored it. `created_at`: milliseconds since 1970. */
export interface SubmittedTask {
  readonly task_id: string;
  readonly status: Status;
  readonly priority: Priority;
  readonly created_at: number;
}

/** A task, as in lists. The client reads these fields; the hub may send more. */
export interface TaskJson {
  readonly id: string;
  readonly description: string;
  /** As submitted; `{}` if it had none. */
  readonly metadata: Readonly<Record<string, unknown>>;
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
  /** The agent that last failed or lost it; absent from older hubs. */
  readonly failed_by?: string | null | undefined;
  /** Agents whose policy rejected it; absent from older hubs. */
  readonly rejected_by?: readonly string[] | undefined;
  /** `complete_by` and `run_at` are milliseconds since 1970; all four are null if the submit did not set them. */
  readonly complete_by: number | null;
  readonly run_at: number | null;
  readonly ttl_ms: number | null;
  readonly run_max_ms: number | null;
  readonly eligible_at: number | null;
  readonly result: unknown;
  readonly tokens_used: number | null;
  /** True if an attempt that had started did not report its usage. */
  readonly usage_incomplete?: boolean | undefined;
  readonly cost_usd: number | null;
  readonly submitted_by: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly depends_on: readonly string[];
  readonly repo: string | null;
  readonly branch: string | null;
  /** Strings or arbitrary objects, like `verification_steps`. */
  readonly file_hints: readonly (string | Readonly<Record<string, unknown>>)[];
  readonly success_criteria: readonly string[];
  readonly verification_steps: readonly (string | Readonly<Record<string, unknown>>)[];
  /** The incomplete endings that count as a result; null or absent: none. */
  readonly accept?: Acceptance | null | undefined;
  /** The signature of its submitter; null or absent: none. */
  readonly signature?: string | null | undefined;
  /** The trace of its submit, by W3C Trace Context; null or absent: none. */
  readonly traceparent?: string | null | undefined;
  readonly tracestate?: string | null | undefined;
  readonly [more: string]: unknown;
}

/** Usage of one model. Unknown values are omitted. */
export interface ModelUsageJson {
  readonly model: string;
  readonly input_tokens?: number;
  readonly cached_input_tokens?: number;
  readonly output_tokens?: number;
  readonly cost_usd?: number;
}

/** The usage of one attempt. */
export interface AttemptJson {
  readonly generation: number;
  readonly agent_id: string;
  readonly tokens_used: number | null;
  readonly cost_usd: number | null;
  readonly models: readonly ModelUsageJson[];
}

/** One event of a task. `timestamp`: milliseconds since 1970. */
export interface HistoryEntry {
  readonly event: TaskEventName;
  readonly timestamp: number;
  readonly agent_id?: string | null | undefined;
  readonly generation?: number | null | undefined;
  readonly details?: Readonly<Record<string, unknown>> | null | undefined;
}

/** An entry with its number within the task, from 1, and its position in the event stream. */
export interface NumberedEntry extends HistoryEntry {
  readonly seq: number;
  readonly id: number;
}
/** `before` and `after` are entry numbers; not both at once. */
export interface TaskEventsQuery {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}
/** `before`, `after`: the query for the next page in that direction; null: there is none. */
export interface TaskEventsPage {
  readonly events: readonly NumberedEntry[];
  readonly before: number | null;
  readonly after: number | null;
}

/** A piece of the live output of a task. `n`: its position; `dropped`: characters that are missing before it. */
export interface OutputChunkJson {
  readonly n: number;
  readonly generation: number;
  readonly agent_id: string;
  readonly timestamp: number;
  /** `agent`: what the agent says; the others are the standard streams of its program. */
  readonly stream: 'agent' | 'stdout' | 'stderr';
  readonly text: string;
  readonly seq: number;
  readonly dropped: number;
}
/** `after`: a position; `search`: text in a chunk, in upper or lower case. */
export interface OutputQuery {
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
  readonly generation?: number | undefined;
  readonly stream?: OutputChunkJson['stream'] | undefined;
  readonly search?: string | undefined;
}
/** `next_after`: the `after` of the next page. A page of a filtered read may be empty although there is `more`. */
export interface OutputPage {
  readonly output: readonly OutputChunkJson[];
  readonly next_after: number;
  readonly more: boolean;
  /** How many bytes of each assignment the hub stores, and for how many milliseconds. */
  readonly kept: { readonly bytes: number; readonly ms: number };
}

/** A result that was not recorded, without its content. `timestamp`: when the hub received it, milliseconds since 1970. */
export interface KeptNameJson {
  readonly generation: number;
  readonly agent_id: string;
  readonly kind: 'late' | 'refused';
  readonly bytes: number;
  readonly sha256: string;
  readonly timestamp: number;
}
/** A result that was not recorded. `reason`: the code of the refusal; `result` and `details`: as the agent reported them. */
export interface KeptResultJson extends KeptNameJson {
  readonly task_id: string;
  readonly reason: string;
  readonly result: unknown;
  readonly details: unknown;
}

/** A task with the newest events of its history. `waiting_for`: why it is not running or, once cancelled, not stopped; otherwise null. */
export interface TaskDetail extends TaskJson {
  /** The name of the token in `submitted_by`; null: the admin token, or one that is gone. Absent from older hubs. */
  readonly submitted_by_name?: string | null | undefined;
  /** Total usage over all attempts. */
  readonly models?: readonly ModelUsageJson[] | undefined;
  /** The newest attempts that reported usage, oldest first. */
  readonly attempts?: readonly AttemptJson[] | undefined;
  /** The newest events, oldest first. */
  readonly history: readonly HistoryEntry[];
  /** Older events are those before this number; null or absent: there are none. */
  readonly history_before?: number | null | undefined;
  /** Late and refused results that the hub has kept. */
  readonly kept_results?: readonly KeptNameJson[] | undefined;
  /** Refused results of each agent: `recorded` of them are in the history, `counted` are not. `agent_id` null: all further agents together. */
  readonly refused_reports?:
    readonly { readonly agent_id: string | null; readonly recorded: number; readonly counted: number }[] | undefined;
  readonly waiting_for: WaitingForJson | null;
}

/** `kind` is absent from hubs that do not know it yet. Times are milliseconds since 1970. */
export interface WaitingForJson {
  readonly reason: string;
  readonly kind?: string | undefined;
  readonly message: string;
  readonly since?: number | undefined;
  /** When the wait ends by itself, if known. */
  readonly until?: number | undefined;
  readonly tasks?: readonly string[] | undefined;
  readonly capabilities?: readonly string[] | undefined;
  readonly agents?:
    | readonly {
        readonly agent_id: string;
        readonly blocker: string;
        readonly kind?: string | undefined;
        readonly message: string;
        readonly since?: number | undefined;
        readonly until?: number | undefined;
        readonly tasks?: readonly string[] | undefined;
      }[]
    | undefined;
  readonly agent_count?: number | undefined;
  readonly nearest?: { readonly agent_id: string; readonly lacks: readonly string[] } | undefined;
  readonly ahead?: { readonly higher: number; readonly same: number } | undefined;
  readonly [more: string]: unknown;
}

/** Runs that are still active after `deadline_ms` are stopped and released; without it the agent finishes them. */
export interface DrainRequest {
  readonly deadline_ms?: number | undefined;
}
/** The answer to a change of an agent. `change`: what was requested, such as `drain`. */
export interface AgentChanged {
  readonly agent_id: string;
  readonly change: string;
}

/** `kind` is `free` if it can get a task. `message` continues a sentence that begins with the agent. */
export interface AgentWaitingJson {
  readonly kind: string;
  readonly message: string;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly tasks?: readonly string[] | undefined;
}

/** One check of a sidecar, and what it found, in a sentence. */
export interface NamedCheckJson {
  readonly check: string;
  readonly message: string;
}
/** A sidecar's checks of whether its agent can run. `reported_at`: when the hub received them, milliseconds since 1970. */
export interface AgentChecksJson {
  readonly ok: boolean;
  readonly reported_at: number;
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
  readonly disconnected_at?: number | null | undefined;
  readonly last_seen: number | null;
  readonly protocol_version?: number | undefined;
  /** No other machine can identify as this agent. */
  readonly device_key_bound?: boolean | undefined;
  /** An operator, or its sidecar, drains it. */
  readonly draining?: boolean | undefined;
  /** Why the sidecar drains itself; null if it does not. */
  readonly draining_reason?: string | null | undefined;
  /** When tasks that still run during the drain are released; null: it finishes them. */
  readonly drain_until?: number | null | undefined;
  /** Null: not paused, or until its checks pass. */
  readonly paused_until?: number | null | undefined;
  readonly paused_reason: string | null;
  /** `checks`, `breaker`, or the failure that its runner reported: `auth`, `config`, `rate_limited`, `model_unavailable`. */
  readonly paused_cause?: string | null | undefined;
  /** The latest results of its checks; null if it never reported any. */
  readonly checks?: AgentChecksJson | null | undefined;
  readonly busy_until?: number | null | undefined;
  readonly busy_reason?: string | null | undefined;
  /** Until then no connection with this ID is accepted, because two machines use it. */
  readonly conflict_until?: number | null | undefined;
  /** The status that it reported itself; null: none since it connected. */
  readonly reported_status?: string | null | undefined;
  /** Only when a single agent is read: why it gets no tasks, or `free`. */
  readonly waiting_for?: AgentWaitingJson | undefined;
  readonly current_task: string | null;
  readonly tasks: readonly {
    readonly task_id: string;
    readonly generation: number;
    readonly assigned_at?: number | null | undefined;
    /** Null: not accepted yet. */
    readonly accepted_at?: number | null | undefined;
  }[];
  /** Runs that it must stop and has not confirmed as ended. */
  readonly pending_stops: number;
  /** Of its machine, as it last reported; null if it never did. */
  readonly resources?: Readonly<Record<string, unknown>> | null | undefined;
  readonly [more: string]: unknown;
}

/** `token` is only in the response that created it. */
export interface TokenJson {
  readonly id: string;
  /** Of an agent's token: the agent. */
  readonly name: string;
  readonly role: string;
  /** Null for a person or program. */
  readonly agent_id: string | null;
  /** The first characters of the token. */
  readonly prefix: string;
  /** The capabilities and slots that its agent may have at most; null: no limit. */
  readonly capabilities: readonly string[] | null;
  readonly max_slots: number | null;
  /** Milliseconds since 1970. */
  readonly created_at: number;
  readonly token?: string | undefined;
  /** Milliseconds since 1970; null: not revoked, does not expire, not known to have been used. */
  readonly revoked_at?: number | null | undefined;
  readonly expires_at?: number | null | undefined;
  readonly last_used_at?: number | null | undefined;
  /** The ID of the token that replaces it, once it has been rotated. */
  readonly replaced_by?: string | null | undefined;
  /** The `submitted_by` of its tasks: its ID, or that of the first token that it replaces by rotation. Absent from older hubs. */
  readonly submits_as?: string | undefined;
  readonly [more: string]: unknown;
}

/** The new token, and the one that it replaces. */
export interface RotatedTokenJson extends TokenJson {
  readonly token: string;
  readonly rotated: TokenJson;
}

/** `secret` is only in this response. `loopback_only`: no other machine reaches the hub, which has no name of a proxy either. */
export interface EnrolSecretJson {
  readonly secret: string;
  readonly expires_at: number;
  /** The fingerprint of the hub's key if its certificate is self-signed; null if it is not, or if the hub serves plain HTTP. */
  readonly fingerprint: string | null;
  readonly loopback_only: boolean;
}

/** An enrolled agent: its token, which is shown once, and where its sidecar and commands reach the hub. */
export interface Registration {
  readonly agent_id: string;
  readonly token: string;
  readonly hub_ws_url: string;
  readonly hub_api_url: string;
}

/** The hub's response to `hello`: its proof that it knows the secret. */
export interface RegisterChallenge {
  readonly hub_nonce: string;
  readonly proof: string;
}
/** A registration whose token is encrypted with the secret. */
export type SealedRegistration = Omit<Registration, 'token'> & SealedToken;

/** The response to retry, cancel and adopt. */
export interface ActAnswer {
  readonly status: Status;
  readonly [more: string]: unknown;
}

/** Whether the agent got the task at once (`pushed`), or the task waits for one of its slots (`queued`). */
export interface PushAnswer {
  readonly status: 'pushed' | 'queued';
  readonly task_id: string;
  readonly agent_id: string;
}

/** One page of a list. `limit`: the most rows; `cursor`: the `next_cursor` of the previous page. */
export interface PageQuery {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Which tasks are listed. Filters that are left out match everything. */
export interface ListQuery extends PageQuery {
  readonly status?: Status | undefined;
  readonly priority?: Priority | undefined;
  readonly assigned_to?: string | undefined;
  /** The ID of the token that submitted it, or `admin`. */
  readonly submitted_by?: string | undefined;
  /** The agent that last failed or lost it. */
  readonly failed_by?: string | undefined;
  readonly capability?: string | undefined;
  /** Text in the description or the last error, in upper or lower case. */
  readonly text?: string | undefined;
  /** Created at or after this time, milliseconds since 1970. */
  readonly since?: number | undefined;
  /** Which tasks come first; default: the newest. */
  readonly order?: 'newest' | 'oldest' | undefined;
  /** `task-` and at least four digits: at most ten tasks, by ID. Without any other filter. */
  readonly id_prefix?: string | undefined;
}

/** A page of a list; `Name` is the field with the items. */
export type Page<Name extends string, Item> = { readonly [key in Name]: readonly Item[] } & { readonly next_cursor: string | null };

/**
 * An event of the stream: a change of a task, or of an agent (`agent_…`, without `task_id`); `gap` if events were removed and are missing;
 * `dropped` if this reader was too slow and its connection ends, after which the client resumes.
 */
export interface StreamEvent {
  /** Its position in the stream, after which a stream can resume. */
  readonly id: string | null;
  readonly event: EventName | 'gap' | 'dropped';
  readonly data: Readonly<Record<string, unknown>>;
}

/** Who a token belongs to. */
export interface WhoAmIJson {
  /** ID of the token; `admin` for the admin token of the hub's config, which has no other name either. */
  readonly id: string;
  /** Its name; older hubs do not send it. */
  readonly name?: string | undefined;
  readonly role: string;
  /** Null unless it is an agent's token. */
  readonly agent_id: string | null;
  /** The `submitted_by` of its tasks: its ID, or that of the first token that it replaces by rotation. Absent from older hubs. */
  readonly submits_as?: string | undefined;
  readonly server_time: number;
}
