/**
 * A task as the hub keeps it. `Task` is the small part that transitions rewrite; `TaskBody` is what the submitter said
 * and never changes, kept apart so that no transition writes it again. All times are milliseconds since 1970 (UTC).
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';
import type { KeptAside } from './kept-results.ts';
import type { TaskUsage } from '../usage.ts';

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
  /** The next assignment's generation is above this: a sidecar holds it from before the store was rolled back (a backup was restored). 0: nothing is known. */
  readonly generationFloor: Generation;
  readonly requirement: Requirement;

  /** The current assignment; all null unless `status` is `assigned` (`assignedTo` stays on a completed task). */
  readonly assignedTo: AgentId | null;
  readonly assignedAtMs: number | null;
  readonly acceptedAtMs: number | null;
  /** Acceptance or lease deadline. Null unless assigned. */
  readonly deadlineAtMs: number | null;
  /** When that deadline was first put off because it fell in a quiet time; null while it is as its agent's last word made it. */
  readonly hushedAtMs: number | null;
  /** When the accepted run has lasted too long. Null unless accepted. */
  readonly runDeadlineAtMs: number | null;
  /** Whether the wake of the current assignment was reported as done. */
  readonly wokenAtMs: number | null;
  /** How often the current assignment was sent again, before its agent accepted it. */
  readonly resent: number;
  /** Events of progress and of wakes stored for the current assignment. */
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
  /** Dependents with an id after this are still to be unblocked; `''`: all of them. Null unless completed, and once none is left. */
  readonly dependentsAfter: TaskId | '' | null;

  readonly deadReason: DeadReason | null;
  readonly lastError: string | null;
  /** What its agents used, by attempt. */
  readonly usage: TaskUsage;
  /** The session of the last attempt that told of one, for a next one on the same machine. */
  readonly session: TaskSession | null;
  readonly outcomes: readonly Outcome[];
  /** Late and refused results that are kept apart, and how often each agent's results were refused. */
  readonly kept: KeptAside;
  /** Who submitted it: a token's id, or `hub`. */
  readonly submittedBy: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** The number of this task's newest event; its events are numbered from 1 without a gap. */
  readonly eventSeq: number;
}

/** A hint or a step: a sentence, or an object of the submitter's own making that is handed on as it is. */
export type Note = string | Readonly<Record<string, unknown>>;

/** Ends of an agent that are a failure unless the submitter takes them as a result: not a word, an answer that was cut off, its model's refusal. */
export const ACCEPTABLE = ['empty', 'truncated', 'refused'] as const;
export type Acceptable = (typeof ACCEPTABLE)[number];
/** Those that a task takes. */
export type Acceptance = { readonly [End in Acceptable]?: true };

/** Of what was said, without what means nothing; undefined where that is all. */
export function acceptanceIn(said: { readonly [End in Acceptable]?: boolean } = {}): Acceptance | undefined {
  const taken = ACCEPTABLE.filter((end) => said[end] === true);
  return taken.length === 0 ? undefined : Object.fromEntries(taken.map((end) => [end, true as const]));
}

/** What the submitter said, unchanged for ever. `metadata` is JSON text, kept as given. */
export interface TaskBody {
  readonly description: string;
  readonly metadata: string | null;
  readonly repo: string | null;
  readonly branch: string | null;
  readonly fileHints: readonly Note[];
  readonly successCriteria: readonly string[];
  readonly verificationSteps: readonly Note[];
  /** Left out where it takes none of them. */
  readonly accept?: Acceptance;
}

/** How many characters a note takes as JSON, its quotes left out where it is a text. */
export const noteCharacters = (note: Note): number => (typeof note === 'string' ? note.length : JSON.stringify(note).length);

/** About how long a body is as JSON, in characters. */
export const bodyCharacters = (body: TaskBody): number =>
  Object.values(body).reduce<number>((sum, part: TaskBody[keyof TaskBody]) => {
    if (part === null || part === undefined) return sum;
    if (typeof part === 'string') return sum + part.length;
    if (Array.isArray(part)) return (part as readonly Note[]).reduce<number>((length, note) => length + noteCharacters(note), sum);
    return sum + JSON.stringify(part).length;
  }, 0);

export const isLive = (task: Task): boolean => task.status === 'assigned';

export const isEnded = (task: Task): boolean => task.status === 'completed' || task.status === 'cancelled' || task.status === 'dead_letter';

/** One text for equal requirements; the store indexes waiting tasks by it. */
export const requirementKey = (requirement: Requirement): string => JSON.stringify([requirement.assignTo, ...requirement.capabilities]);

/** Some requirements: those for one agent alone, or for anybody with this as the first of their capabilities (null: with none). */
export type RequirementGroup = { readonly agentId: AgentId } | { readonly capability: string | null };

/** The keys of a group, in the order of their characters: all from `from` on and before `until`. */
export function keysOfGroup(group: RequirementGroup): { readonly from: string; readonly until: string } {
  const none = 'capability' in group && group.capability === null;
  const from = none ? '[null]' : 'agentId' in group ? `[${JSON.stringify(group.agentId)}` : `[null,${JSON.stringify(group.capability)}`;
  // What follows is a comma or the bracket that closes, and the caret is the next character.
  return { from, until: `${from}^` };
}

/** A task with its body and result. */
export interface TaskRow {
  readonly task: Task;
  readonly body: TaskBody;
  /** JSON text. */
  readonly result: string | null;
}
