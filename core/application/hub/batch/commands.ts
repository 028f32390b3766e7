/**
 * Everything that wants to change a task is one of these, put into the TaskQueue's inbox. Each has its own answer, given
 * after the commit.
 */
import type { HeldStatus } from '../../../domain/task/reconciliation.ts';
import type { AgentChecks, StopReason } from '../../../domain/agent/agent.ts';
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import type { Refusal } from '../../../domain/task/refusal.ts';
import type { AckStatus, Priority, Status, Task, TaskBody } from '../../../domain/task/task.ts';
import type { Usage } from '../../../domain/usage.ts';
import type { TaskDraft } from '../../../domain/transitions/submitting.ts';
import type { CancelOutcome, FailureKind } from '../../../protocol/sidecar-frames.ts';

/** A task as a submitter asks for it; already validated. Ids are made before the transaction. */
export type { TaskDraft };

export interface SubmitCommand {
  readonly kind: 'submit';
  /** All or none. */
  readonly drafts: readonly TaskDraft[];
  /** The token's id. */
  readonly submittedBy: string;
  readonly idempotency: { readonly key: string; readonly digest: string } | null;
}
export type SubmitAnswer =
  | { readonly kind: 'submitted' | 'repeated'; readonly tasks: readonly SubmittedTask[] }
  | { readonly kind: 'idempotency_mismatch' }
  /** `index` names the draft. */
  | { readonly kind: 'unknown_agent'; readonly index: number; readonly agentId: AgentId }
  | { readonly kind: 'unknown_task'; readonly index: number; readonly taskId: TaskId };
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

/** What an operator, or a submitter for its own task, asks. `by` is the token's id. */
export interface CancelCommand {
  readonly kind: 'cancel';
  readonly taskId: TaskId;
  readonly by: string;
}
export interface RetryCommand {
  readonly kind: 'retry';
  readonly taskId: TaskId;
  readonly by: string;
}
/** `{generation}` adopts a late result. */
export interface AdoptCommand {
  readonly kind: 'adopt';
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly by: string;
}
export type OperatorAnswer = { readonly kind: 'done'; readonly status: Status; readonly generation: Generation } | Refusal;

/** Who sends a report: judged again inside the transaction against the agent's row. */
export interface Reporter {
  readonly agentId: AgentId;
  readonly session: number;
}

/** What a report may say beside its own word. `sessionId`: what its agent's program can go on with. */
export interface ReportAside extends Usage {
  readonly sessionId?: string | undefined;
}

/** Why an agent failed, as its runner has it; null: it did not say. */
export interface ReportCause {
  readonly cause: string | null;
  readonly retryAfterMs: number | null;
}

export type ReportBody =
  | { readonly report: 'accepted' }
  | { readonly report: 'rejected'; readonly reason: string }
  | ({
      readonly report: 'released';
      readonly reason: string;
      /** A tool may have run, or a file may have changed. */
      readonly afterWork?: boolean | undefined;
    } & ReportCause &
      ReportAside)
  | ({ readonly report: 'progress'; readonly details: Readonly<Record<string, unknown>> | null } & ReportAside)
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
    } & ReportAside)
  | ({
      readonly report: 'failed';
      readonly error: string;
      readonly failure: FailureKind;
      readonly retryable: boolean;
      readonly details: Readonly<Record<string, unknown>> | null;
    } & Partial<ReportCause> &
      ReportAside);

export interface ReportCommand {
  readonly kind: 'report';
  readonly from: Reporter;
  readonly taskId: TaskId;
  /** Null only from version 1, where the sender stands for it. */
  readonly generation: Generation | null;
  readonly body: ReportBody;
  /** Of the frame's text; left out where it came otherwise. */
  readonly characters?: number | undefined;
  /** The frame is refused whatever the fence says: it names another agent, or is not valid. Its result may have to be kept. */
  readonly unfit?: 'not_assignee' | 'validation_failed' | undefined;
}
export type ReportAnswer =
  | { readonly kind: 'acknowledged'; readonly status: AckStatus; readonly generation: Generation; readonly duplicate: boolean }
  | { readonly kind: 'noted' }
  | Refusal
  /** The session is not current any more: nothing is answered. */
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
  /** Names the process of that machine; null or left out: it does not say. */
  readonly processId?: string | null | undefined;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly reportedStatus: string | null;
  /** Null from version 1, which has no inventory. */
  readonly held: readonly HeldAssignment[] | null;
  /** Whether its agent could run, as it found; null: it does not say. */
  readonly checks?: SaidChecks | null | undefined;
  readonly hubId: string;
}
export type IdentifyAnswer =
  | {
      readonly kind: 'identified';
      readonly session: number;
      readonly held: readonly HeldAnswer[];
      /** Version 1: it has yet to say what it holds. */
      readonly expectsWord: boolean;
    }
  | { readonly kind: 'agent_id_in_use' };
export interface HeldAnswer {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly action: 'continue' | 'abort' | 'report';
  readonly reason: string | null;
}

export interface DisconnectCommand {
  readonly kind: 'disconnect';
  readonly from: Reporter;
  /** When its last sign of life came, by the store's clock; left out where nobody knows. */
  readonly heardAtMs?: number | undefined;
  /** It was closed for a frame over the limit. `reporting`: what it said at identify that it would report; null from version 1. */
  readonly tooLarge?: { readonly reporting: readonly TaskId[] | null } | undefined;
}

/** What a sidecar found when it looked; the hub notes when. */
export type SaidChecks = Omit<AgentChecks, 'atMs'>;

/** A word about the agent itself. */
export interface PresenceCommand {
  readonly kind: 'presence';
  readonly from: Reporter;
  readonly change:
    | { readonly what: 'status'; readonly status: string }
    | { readonly what: 'resources'; readonly resources: Readonly<Record<string, unknown>> }
    | { readonly what: 'restarting'; readonly reason: string }
    /** It takes nothing new; the answer to an operator's drain, or for a reason of its own. */
    | { readonly what: 'draining'; readonly reason: string }
    | { readonly what: 'drained' | 'resumed' }
    | { readonly what: 'checks'; readonly checks: SaidChecks }
    /** Version 1: a ping renews the leases of its accepted tasks. */
    | { readonly what: 'ping' }
    /** Version 1: its time to say what it holds is over; of the accepted tasks that it has, it has spoken of these. */
    | { readonly what: 'settled'; readonly spokenOf: readonly TaskId[] };
}

export interface StopConfirmedCommand {
  readonly kind: 'stop_confirmed';
  readonly from: Reporter;
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly outcome: CancelOutcome;
  readonly survivors: readonly number[];
  /** What its attempt used to the end. */
  readonly used?: Usage | undefined;
}

/** Version 1's word of a task after a crash (`crash`) or a reconnect. */
export interface RecoverCommand {
  readonly kind: 'recover';
  readonly from: Reporter;
  readonly taskId: TaskId;
  /** Null only after a crash, where the sender stands for it. */
  readonly generation: Generation | null;
  readonly after: 'reconnect' | 'crash';
  /** Whether it says that the agent was woken; it goes on after a reconnect in any case. */
  readonly wasWoken: boolean;
}
export type RecoverAnswer =
  { readonly kind: 'continue'; readonly generation: Generation } | { readonly kind: 'abort' | 'reassign' } | { readonly kind: 'replaced' };

/** Time has passed: deadlines, absences, stops to send again. */
export interface SweepCommand {
  readonly kind: 'sweep';
  /** When it was asked for, by both clocks: whether the hub stood still, or its clock jumped, before its batch began. */
  readonly asked?: { readonly atMs: number; readonly atMonotonicMs: number } | undefined;
  /** Only tasks whose time has come; agents, hubs and what is over for long are looked at by the next one without it. */
  readonly dueOnly?: boolean | undefined;
}

/** Removes some of what has been over for long. The queue gives it to itself, in a batch of its own. */
export interface RemoveOldCommand {
  readonly kind: 'remove_old';
}

/** This hub has just started: whoever is connected to no living hub is away. On a shared store it makes the hub's lease too. */
export interface HubStartedCommand {
  readonly kind: 'hub_started';
}

/** Reads what other hubs have decided about these agents of this hub, and which tasks they may run. */
export interface PollCommand {
  readonly kind: 'poll';
  readonly agentIds: readonly AgentId[];
  /** The hub's lease is renewed too. */
  readonly renews: boolean;
}
export type PollAnswer =
  | { readonly kind: 'polled' }
  /** Another hub found the lease of this one ended, removed it and noted its agents as away. */
  | { readonly kind: 'lease_expired' };

/** A frame from an agent of this hub to one of another, or to all of all others (`to` null). JSON text. */
export interface MailCommand {
  readonly kind: 'mail';
  readonly id: string;
  readonly from: AgentId;
  readonly to: AgentId | null;
  readonly frame: string;
}
export type MailAnswer = { readonly kind: 'sent' | 'agent_not_connected' };

export interface AgentStandingCommand {
  readonly kind: 'agent_standing';
  readonly agentId: AgentId;
  /** `resume` also ends a pause; `takeover` lets another instance take the identity; `check` asks it to look whether its agent could run. */
  readonly change: 'drain' | 'resume' | 'takeover' | 'check';
  /** Of a drain: what is still at work after this long is stopped and handed back, milliseconds. Without it the agent finishes what it has. */
  readonly deadlineMs?: number | undefined;
}
export type StandingAnswer = { readonly kind: 'done' } | { readonly kind: 'unknown_agent' };

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
  | PollCommand
  | MailCommand
  | AgentStandingCommand;

/** What each command is answered with. */
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
  /** `hadDuty`: what is due was looked at here, not by another hub at this moment. `more`: agents are left for a sweep at once. */
  sweep: { readonly kind: 'swept'; readonly hadDuty: boolean; readonly more: boolean };
  /** `more`: the removal was full, so that there may be more to remove. */
  remove_old: { readonly kind: 'removed'; readonly more: boolean };
  hub_started: { readonly kind: 'noted' };
  poll: PollAnswer;
  mail: MailAnswer;
  agent_standing: StandingAnswer;
}
export type AnswerTo<C extends Command> = Answers[C['kind']];

/** What leaves the hub after a commit, in commit order for each agent. */
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
  /** The agent has a newer session: close what is older. */
  | { readonly kind: 'close_older'; readonly agentId: AgentId; readonly session: number }
  /** A batch that concerned it may have been committed, and was not sent: close its connection, so that it reconnects and is sent it. */
  | { readonly kind: 'close'; readonly agentId: AgentId };

/** What became of a command: its answer, or the failure that kept it from being carried out. */
export type Settled<C extends Command> =
  { readonly ok: true; readonly answer: AnswerTo<C> } | { readonly ok: false; readonly error: unknown };

/** The inbox. Fails with `AC_HUB_BUSY`, `AC_HUB_STOPPING` or `AC_STORE_UNAVAILABLE`; any refusal is an answer. */
export interface CommandInbox {
  do<C extends Command>(command: C): Promise<AnswerTo<C>>;
  /**
   * The same; `settled` is called once, in commit order and before what the commit sends out. MUST NOT throw. `behind`: these
   * go when nothing else waits, and a few of them with one batch of many, however much else does.
   */
  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void, behind?: boolean): void;
  /** A command that is not behind is about to be posted: somebody waits, until what this answers is called, for some milliseconds at most. */
  expect(): () => void;
  /** Whether a command that is not behind waits for its commit, or is about to be posted. */
  isAwaited(): boolean;
}
