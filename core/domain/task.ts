/**
 * A task as the hub keeps it. `Task` is the small part that transitions rewrite; `TaskBody` is what the submitter said
 * and never changes, kept apart so that no transition writes it again. All times are milliseconds since 1970 (UTC).
 */
import type { AgentId, Generation, TaskId } from './ids.ts';
import type { TaskUsage } from './usage.ts';

/** The lanes, first to last. Within a lane the order is the time a task last became eligible, then its id. */
export const PRIORITIES = ['urgent', 'high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Where a task stands. `assigned` covers the whole of an assignment; `acceptedAtMs` says whether it was accepted. */
export const STATUSES = ['scheduled', 'blocked', 'queued', 'assigned', 'completed', 'cancelled', 'dead_letter'] as const;
export type Status = (typeof STATUSES)[number];

/** What a task needs of the agent that runs it. `capabilities` is sorted and without repeats. */
export interface Requirement {
  readonly capabilities: readonly string[];
  /** Only this agent may run it; null: anyone with the capabilities. */
  readonly assignTo: AgentId | null;
}

/** How an ended assignment ended by its agent's own report; repeats of the report are answered from it. */
export interface Outcome {
  readonly generation: Generation;
  readonly agentId: AgentId;
  readonly report: 'complete' | 'failed' | 'rejected' | 'released';
  /** The `status` of the acknowledgement that the first report got. */
  readonly answer: AckStatus;
}

export type AckStatus = 'accepted' | 'complete' | 'retried' | 'dead_letter' | 'rejected' | 'released' | 'late';

/** Outcomes kept with a task, oldest forgotten first: more than any round of 100 retries makes between repeats. */
export const OUTCOMES_KEPT = 128;

/** What an agent program can go on with, on the machine where it began it. */
export interface TaskSession {
  /** As the program calls it. */
  readonly id: string;
  readonly agentId: AgentId;
  /** The sidecar's machine and folder. */
  readonly instanceId: string;
}

/** Why a task stands in the dead letter. */
export type DeadReason = 'retries_spent' | 'not_retryable' | 'ttl' | 'deadline';

export interface Task {
  readonly id: TaskId;
  readonly priority: Priority;
  readonly status: Status;
  readonly generation: Generation;
  readonly requirement: Requirement;

  /** The current assignment; all null unless `status` is `assigned` (`assignedTo` stays on a completed task). */
  readonly assignedTo: AgentId | null;
  readonly assignedAtMs: number | null;
  readonly acceptedAtMs: number | null;
  /** Acceptance or lease deadline. Null unless assigned. */
  readonly deadlineAtMs: number | null;
  /** When the accepted run has lasted too long. Null unless accepted. */
  readonly runDeadlineAtMs: number | null;
  /** Whether the wake of the current assignment was reported as done. */
  readonly wokenAtMs: number | null;
  /** Progress events stored for the current assignment. */
  readonly progressCount: number;

  /** Rounds count from 1; an operator's retry begins the next. */
  readonly round: number;
  /** Attempts of this round that failed or were lost. */
  readonly retryCount: number;
  readonly maxRetries: number;
  /** Assignments in a row that ended before acceptance or were handed back. */
  readonly handBacks: number;
  /** Too many of those: waits for an operator. Only with `status` `queued`. */
  readonly parked: boolean;
  /** The agent that last failed or lost it: another one is preferred. */
  readonly avoid: AgentId | null;
  /** The last assignment that was taken back while its agent might still finish it: such a result is late, not stale. */
  readonly takenBack: { readonly agentId: AgentId; readonly generation: Generation } | null;

  /** When it last became, or becomes, eligible. In the future: waits for its backoff. */
  readonly eligibleAtMs: number | null;
  /** When the round's `ttlMs` is over; null without one, and once accepted in this round. */
  readonly expiresAtMs: number | null;
  readonly completeByMs: number | null;
  readonly runAtMs: number | null;
  readonly ttlMs: number | null;
  readonly runMaxMs: number | null;
  readonly dependsOn: readonly TaskId[];

  readonly deadReason: DeadReason | null;
  readonly lastError: string | null;
  /** What its agents used, by attempt. */
  readonly usage: TaskUsage;
  /** The session of the last attempt that told of one, for a next one on the same machine. */
  readonly session: TaskSession | null;
  readonly outcomes: readonly Outcome[];
  /** Who submitted it: a token's id, or `hub`. */
  readonly submittedBy: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** The number of this task's newest event; its events are numbered from 1 without a gap. */
  readonly eventSeq: number;
}

/** What the submitter said, unchanged for ever. `metadata` is JSON text, kept as given. */
export interface TaskBody {
  readonly description: string;
  readonly metadata: string | null;
  readonly repo: string | null;
  readonly branch: string | null;
  readonly fileHints: readonly string[];
  readonly successCriteria: readonly string[];
  readonly verificationSteps: readonly string[];
}

export const isLive = (task: Task): boolean => task.status === 'assigned';

export const isEnded = (task: Task): boolean => task.status === 'completed' || task.status === 'cancelled' || task.status === 'dead_letter';

/** One text for equal requirements; the store indexes waiting tasks by it. */
export const requirementKey = (requirement: Requirement): string => JSON.stringify([requirement.assignTo, ...requirement.capabilities]);

/** The order within a lane, and over lanes for the oldest: time of eligibility, then id. */
export function compareByAge(a: Task, b: Task): number {
  const byTime = (a.eligibleAtMs ?? a.createdAtMs) - (b.eligibleAtMs ?? b.createdAtMs);
  if (byTime !== 0) return byTime;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
