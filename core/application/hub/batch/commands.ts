/**
 * Every change to a task or an agent is one of these commands, in the inbox of the TaskQueue. Each has its own answer, given
 * after the commit.
 */
import type { AuditDraft } from '../../../domain/audit/audit-entry.ts';
import type { HeldStatus } from '../../../domain/task/reconciliation.ts';
import type { StopReason } from '../../../domain/agent/agent.ts';
import type { CheckReport } from '../../../domain/agent/breaker.ts';
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import type { Refusal } from '../../../domain/task/refusal.ts';
import type { AckStatus, Priority, Status, Task, TaskBody } from '../../../domain/task/task.ts';
import type { Reporter } from '../../../domain/transitions/change.ts';
import type { Usage } from '../../../domain/usage.ts';
import type { TaskDraft } from '../../../domain/transitions/submitting.ts';
import type { CancelOutcome, FailureKind } from '../../../protocol/sidecar-frames.ts';

export type { Reporter };

/** A task as submitted; already validated. Ids are generated before the transaction. */
export type { TaskDraft };

export interface SubmitCommand {
  readonly kind: 'submit';
  /** All or none. */
  readonly drafts: readonly TaskDraft[];
  /** The token's id. */
  readonly submittedBy: string;
  readonly idempotency: Idempotency | null;
}
export interface Idempotency {
  readonly key: string;
  /** What `taskNamedBy` says of the key. */
  readonly name: TaskId | null;
  /** Of the request; null for a single task that the key names, since such a submit is compared with what is stored. */
  readonly digest: string | null;
}
export type SubmitAnswer =
  | { readonly kind: 'submitted' | 'repeated'; readonly tasks: readonly SubmittedTask[] }
  | { readonly kind: 'idempotency_mismatch' }
  /** `index` names the draft. */
  | { readonly kind: 'unknown_agent'; readonly index: number; readonly agentId: AgentId }
  | { readonly kind: 'unknown_task'; readonly index: number; readonly taskId: TaskId }
  /** Its `completeByMs` is not after `nowMs`, the time of the store. */
  | { readonly kind: 'complete_by_passed'; readonly index: number; readonly completeByMs: number; readonly nowMs: number };
export interface SubmittedTask {
  readonly id: TaskId;
  readonly status: Status;
  readonly priority: Priority;
  readonly createdAtMs: number;
}

/** An urgent task for exactly one connected agent. */
export interface PushCommand {
  readonly kind: 'push';
  readonly draft: TaskDraft & { readonly assignTo: AgentId };
  readonly submittedBy: string;
}
export type PushAnswer =
  { readonly kind: 'pushed' | 'queued'; readonly taskId: TaskId } | { readonly kind: 'agent_not_connected'; readonly agentId: AgentId };

/** A command of an operator: its entry is appended to the audit log in the same commit, unless the command is refused. */
export interface Audited {
  readonly audit?: AuditDraft | undefined;
}

/** From an operator, or a submitter for its own task. `by` is the token's id. */
export interface CancelCommand extends Audited {
  readonly kind: 'cancel';
  readonly taskId: TaskId;
  readonly by: string;
}
export interface RetryCommand extends Audited {
  readonly kind: 'retry';
  readonly taskId: TaskId;
  readonly by: string;
}
/** Adopts the late result of `generation`. */
export interface AdoptCommand extends Audited {
  readonly kind: 'adopt';
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly by: string;
}
export type OperatorAnswer = { readonly kind: 'done'; readonly status: Status; readonly generation: Generation } | Refusal;

/** What a report may carry besides its outcome. `sessionId`: the session that the agent's program can resume. */
export interface ReportExtras extends Usage {
  readonly sessionId?: string | undefined;
}

/** Why an agent failed, according to its runner; null: not reported. */
export interface ReportCause {
  readonly cause: string | null;
  readonly retryAfterMs: number | null;
}

export type ReportBody =
  | { readonly report: 'accepted' }
  | { readonly report: 'rejected'; readonly reason: string; readonly cause?: string | null | undefined }
  | ({
      readonly report: 'released';
      readonly reason: string;
      /** A tool may have run, or a file may have changed. */
      readonly afterWork?: boolean | undefined;
    } & ReportCause &
      ReportExtras)
  | ({ readonly report: 'progress'; readonly details: Readonly<Record<string, unknown>> | null } & ReportExtras)
  | {
      readonly report: 'woken';
      readonly status: 'success' | 'failed' | 'timeout';
      readonly details: Readonly<Record<string, unknown>> | null;
    }
  | ({
      readonly report: 'complete';
      /** JSON text. */
      readonly result: string;
      readonly details: Readonly<Record<string, unknown>> | null;
    } & ReportExtras)
  | ({
      readonly report: 'failed';
      readonly error: string;
      readonly failure: FailureKind;
      readonly retryable: boolean;
      readonly details: Readonly<Record<string, unknown>> | null;
    } & Partial<ReportCause> &
      ReportExtras);

export interface ReportCommand {
  readonly kind: 'report';
  readonly from: Reporter;
  readonly taskId: TaskId;
  /** Null only from version 1, where the sender is checked instead. */
  readonly generation: Generation | null;
  readonly body: ReportBody;
  /** The length of the frame's text; left out if there was no frame. */
  readonly characters?: number | undefined;
  /** Why the frame is refused before the fence: it names another agent, or is not valid. Its result may still be kept. */
  readonly rejectReason?: 'not_assignee' | 'validation_failed' | undefined;
}
export type ReportAnswer =
  | { readonly kind: 'acknowledged'; readonly status: AckStatus; readonly generation: Generation; readonly duplicate: boolean }
  | { readonly kind: 'noted' }
  | Refusal
  /** The session has been replaced: the frame gets no answer. */
  | { readonly kind: 'replaced' };

export interface HeldAssignment {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly status: HeldStatus;
  readonly storeId: string | null;
}

export interface IdentifyCommand {
  readonly kind: 'identify';
  readonly agentId: AgentId;
  readonly name: string;
  readonly protocolVersion: 1 | 2;
  readonly instanceId: string | null;
  /** The sidecar process on that machine; null or left out: not reported. */
  readonly processId?: string | null | undefined;
  /** The key of its machine, possession of which it has proved; null or left out: it has proved none. */
  readonly deviceKey?: string | null | undefined;
  /** Its journal ends with its process. Default false. */
  readonly isVolatile?: boolean | undefined;
  /** Its agent is a function of its process. Default false. */
  readonly inProcess?: boolean | undefined;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly reportedStatus: string | null;
  /** Null from version 1, which has no inventory. */
  readonly held: readonly HeldAssignment[] | null;
  /** The result of its checks of whether the agent can run; null: not reported. */
  readonly checks?: ReportedChecks | null | undefined;
  readonly hubId: string;
}
export type IdentifyAnswer =
  | {
      readonly kind: 'identified';
      readonly session: number;
      readonly held: readonly HeldAnswer[];
      /** Version 1: it has yet to report which tasks it holds. */
      readonly isSettling: boolean;
    }
  /** `freeInMs`: for how long the ID is kept for a machine that is not connected; undefined: another one is connected. */
  | { readonly kind: 'agent_id_in_use'; readonly freeInMs?: number | undefined }
  /** Its agent is bound to another device key. */
  | { readonly kind: 'invalid_device_key' };
export interface HeldAnswer {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly action: 'continue' | 'abort' | 'report';
  readonly reason: string | null;
}

export interface DisconnectCommand {
  readonly kind: 'disconnect';
  readonly from: Reporter;
  /** When the connection last received anything, in store time; left out if unknown. */
  readonly lastHeardAtMs?: number | undefined;
  /** It was closed for a frame over the limit. `reporting`: the tasks that it held as `reporting` at identify; null from version 1. */
  readonly tooLarge?: { readonly reporting: readonly TaskId[] | null } | undefined;
  /** Its process has stopped for good: what it has not accepted by now, it never will. */
  readonly isLeaving?: boolean | undefined;
}

/** The checks that a sidecar reports; the hub adds the time. */
export type ReportedChecks = Omit<CheckReport, 'atMs'>;

/** A change of the agent itself. */
export interface PresenceCommand {
  readonly kind: 'presence';
  readonly from: Reporter;
  readonly change:
    | { readonly what: 'status'; readonly status: string }
    | { readonly what: 'resources'; readonly resources: Readonly<Record<string, unknown>> }
    | { readonly what: 'restarting'; readonly reason: string }
    /** It accepts no new tasks: in answer to an operator's drain, or for a reason of its own. */
    | { readonly what: 'draining'; readonly reason: string }
    | { readonly what: 'drained' | 'resumed' }
    | { readonly what: 'checks'; readonly checks: ReportedChecks }
    /** Version 1: a ping renews the leases of its accepted tasks. */
    | { readonly what: 'ping' }
    /** Version 1: its time to report what it holds is over; it has sent a valid frame about each of these. */
    | { readonly what: 'settled'; readonly mentioned: readonly TaskId[] };
}

export interface StopConfirmedCommand {
  readonly kind: 'stop_confirmed';
  readonly from: Reporter;
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly outcome: CancelOutcome;
  readonly survivors: readonly number[];
  /** What its attempt used in total. */
  readonly used?: Usage | undefined;
}

/** Version 1 reports a task after a crash (`crash`) or a reconnect. */
export interface RecoverCommand {
  readonly kind: 'recover';
  readonly from: Reporter;
  readonly taskId: TaskId;
  /** Null only after a crash, where the sender is checked instead. */
  readonly generation: Generation | null;
  readonly after: 'reconnect' | 'crash';
  /** Whether the agent was woken before a crash; after a reconnect it continues in any case. */
  readonly wasWoken: boolean;
}
export type RecoverAnswer =
  { readonly kind: 'continue'; readonly generation: Generation } | { readonly kind: 'abort' | 'reassign' } | { readonly kind: 'replaced' };

/** Checks everything that depends on time: deadlines, absent agents, stops to resend. */
export interface SweepCommand {
  readonly kind: 'sweep';
  /** When it was posted, by both clocks: shows whether the hub stalled, or its clock jumped, before its batch began. */
  readonly posted?: { readonly atMs: number; readonly atMonotonicMs: number } | undefined;
  /** Only due tasks. A sweep without it also checks agents and hubs, and starts a removal. */
  readonly dueOnly?: boolean | undefined;
}

/** Removes some of what is past its retention. Posted by the queue itself, in a batch of its own. */
export interface RemoveOldCommand {
  readonly kind: 'remove_old';
}

/** This hub has just started: agents of no live hub are disconnected. On a shared store it also takes the hub's lease. */
export interface HubStartedCommand {
  readonly kind: 'hub_started';
}

/** The last command of this hub, on a shared store: ends its lease, so that it does not count as running. */
export interface HubStoppedCommand {
  readonly kind: 'hub_stopped';
}

/** Reads the changes that other hubs have made to these agents of this hub, and dispatches ready tasks to them. */
export interface PollCommand {
  readonly kind: 'poll';
  readonly agentIds: readonly AgentId[];
  /** Whether it also renews the lease of the hub. */
  readonly renews: boolean;
  /** Whether it takes mail. */
  readonly mail: boolean;
}
export type PollAnswer =
  /** `moreMail`: there may be more than it took. */
  | { readonly kind: 'polled'; readonly moreMail: boolean }
  /** Another hub found the lease of this one expired, removed it and marked its agents as disconnected. */
  | { readonly kind: 'lease_expired' };

/** A frame from an agent of this hub to an agent of another, or to all agents of all others (`to` null). JSON text. */
export interface MailCommand {
  readonly kind: 'mail';
  readonly id: string;
  readonly from: AgentId;
  readonly to: AgentId | null;
  readonly frame: string;
}
export type MailAnswer = { readonly kind: 'sent' | 'agent_not_connected' };

export interface AgentControlCommand extends Audited {
  readonly kind: 'agent_control';
  readonly agentId: AgentId;
  /** `resume` also ends a pause; `takeover` lets another instance use the agent id; `check` asks the sidecar to check whether its agent can run. */
  readonly change: 'drain' | 'resume' | 'takeover' | 'check';
  /** For a drain, in milliseconds: runs that last longer are stopped and released. Without it the agent finishes them. */
  readonly deadlineMs?: number | undefined;
}
export type AgentControlAnswer = { readonly kind: 'done' } | { readonly kind: 'unknown_agent' };

export type Command =
  | SubmitCommand
  | PushCommand
  | CancelCommand
  | RetryCommand
  | AdoptCommand
  | ReportCommand
  | IdentifyCommand
  | DisconnectCommand
  | PresenceCommand
  | StopConfirmedCommand
  | RecoverCommand
  | SweepCommand
  | RemoveOldCommand
  | HubStartedCommand
  | HubStoppedCommand
  | PollCommand
  | MailCommand
  | AgentControlCommand;

/** The answer to each command. */
export interface Answers {
  submit: SubmitAnswer;
  push: PushAnswer;
  cancel: OperatorAnswer;
  retry: OperatorAnswer;
  adopt: OperatorAnswer;
  report: ReportAnswer;
  identify: IdentifyAnswer;
  disconnect: { readonly kind: 'noted' };
  presence: { readonly kind: 'noted' };
  stop_confirmed: { readonly kind: 'noted' };
  recover: RecoverAnswer;
  /** `hadDuty`: this hub swept the due tasks; otherwise another hub was doing so. `more`: some agents are left for an immediate sweep. */
  sweep: { readonly kind: 'swept'; readonly hadDuty: boolean; readonly more: boolean };
  /** `more`: the batch was full, so there may be more to remove. */
  remove_old: { readonly kind: 'removed'; readonly more: boolean };
  hub_started: { readonly kind: 'noted' };
  hub_stopped: { readonly kind: 'noted' };
  poll: PollAnswer;
  mail: MailAnswer;
  agent_control: AgentControlAnswer;
}
export type AnswerTo<C extends Command> = Answers[C['kind']];

/** What the hub sends after a commit, in commit order for each agent. */
export type Outgoing =
  | {
      readonly kind: 'assign';
      readonly agentId: AgentId;
      readonly session: number;
      readonly task: Task;
      readonly body: TaskBody;
    }
  | {
      readonly kind: 'stop';
      readonly agentId: AgentId;
      readonly taskId: TaskId;
      readonly generation: Generation;
      readonly reason: StopReason;
    }
  | { readonly kind: 'drain'; readonly agentId: AgentId; readonly deadlineMs: number | null }
  | { readonly kind: 'resume' | 'check'; readonly agentId: AgentId }
  /** A frame from an agent of another hub, JSON text; `agentId` null: to all. */
  | { readonly kind: 'mail'; readonly agentId: AgentId | null; readonly frame: string }
  /** The agent has a newer session: close older ones. */
  | { readonly kind: 'close_older'; readonly agentId: AgentId; readonly session: number }
  /** A batch with frames for it may have been committed without sending them: close the connection, so that it reconnects and gets them. */
  | { readonly kind: 'close'; readonly agentId: AgentId };

/** The outcome of a command: its answer, or the failure that prevented it. */
export type Settled<C extends Command> =
  { readonly ok: true; readonly answer: AnswerTo<C> } | { readonly ok: false; readonly error: unknown };

/** The inbox. Fails with `AC_HUB_BUSY`, `AC_HUB_STOPPING` or `AC_STORE_UNAVAILABLE`; a refusal is an answer, not a failure. */
export interface CommandInbox {
  do<C extends Command>(command: C): Promise<AnswerTo<C>>;
  /** The same for several, each on its own; returns the outcomes in their order. Does not reject: one that fails does not affect the others. */
  doAll<C extends Command>(commands: readonly C[]): Promise<readonly Settled<C>[]>;
  /**
   * The same; `settled` is called once, in commit order and before the commit's frames are sent. MUST NOT throw. `isLowPriority`:
   * the command runs when nothing else waits; while other commands do, a few such commands join a batch now and then.
   */
  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void, isLowPriority?: boolean): void;
  /** Announces a command of normal priority: it counts as a waiter until the returned function is called, but only for some milliseconds. */
  expect(): () => void;
  /** Whether a command of normal priority waits for its commit, or was announced by `expect`. */
  hasWaiters(): boolean;
}
