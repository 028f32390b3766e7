/**
 * A task as stored by the hub. `Task` is the small part that transitions rewrite; `TaskBody` is what was submitted. It never
 * changes, and is stored separately so that no transition rewrites it. All times are milliseconds since 1970 (UTC).
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';
import type { KeptResults } from './kept-results.ts';
import type { TaskUsage } from '../usage.ts';
import type { TraceContext } from './trace-context.ts';

/** Highest first. Within a priority tasks are ordered by the time they last became eligible, then by id. */
export const PRIORITIES = ['urgent', 'high', 'normal', 'low'] as const;
/** How urgent a task is; see `PRIORITIES`. */
export type Priority = (typeof PRIORITIES)[number];

/** `assigned` covers a whole assignment; `acceptedAtMs` shows whether it was accepted. */
export const STATUSES = ['scheduled', 'blocked', 'queued', 'assigned', 'completed', 'cancelled', 'dead_letter'] as const;
/** Where a task is in its life cycle; see `STATUSES`. */
export type Status = (typeof STATUSES)[number];

/** What a task requires of its agent. `capabilities` is sorted and without repeats. */
export interface Requirement {
  readonly capabilities: readonly string[];
  /** Only this agent may run it; null: any agent with the capabilities. */
  readonly assignTo: AgentId | null;
  /** These agents, in sorted order, may not run it; see `waitingRequirement`. Not part of what a submitter asks for. */
  readonly except?: readonly AgentId[] | undefined;
}

/** How a report of its agent ended an assignment; repeats of the report are answered from it. */
export interface Outcome {
  readonly generation: Generation;
  readonly agentId: AgentId;
  readonly report: 'complete' | 'failed' | 'rejected' | 'released';
  /** The `status` of the acknowledgement that the first report got. */
  readonly answer: AckStatus;
}

/** The outcome of an agent's report, as it is sent to the sidecar. */
export type AckStatus = 'accepted' | 'complete' | 'retried' | 'dead_letter' | 'rejected' | 'released' | 'late';

/** Outcomes kept with a task, the oldest dropped first: more than any round of 100 retries makes between repeats. */
export const OUTCOMES_KEPT = 128;

/** A session that an agent program can resume, on the machine where it began. */
export interface TaskSession {
  /** The program's id of the session. */
  readonly id: string;
  readonly agentId: AgentId;
  /** The sidecar's machine and data directory. */
  readonly instanceId: string;
}

/** Why a task is in the dead-letter queue. */
export type DeadReason = 'retries_spent' | 'not_retryable' | 'rejected' | 'ttl' | 'deadline';

/** Times and limits of a task, as submitted. Null: not given. */
export interface TaskTerms {
  /** The queue dead-letters it if it is not completed by then. */
  readonly completeByMs: number | null;
  /** It is not assigned before this time. */
  readonly runAtMs: number | null;
  /** How long it may wait for its acceptance in each round, from the time it is first eligible. */
  readonly ttlMs: number | null;
  /** How long one run may last, from acceptance. Null: as the hub's config says. */
  readonly runMaxMs: number | null;
}

/** The terms of a task that was submitted without any. */
export const NO_TERMS: TaskTerms = { completeByMs: null, runAtMs: null, ttlMs: null, runMaxMs: null };

/** The part of a task that transitions rewrite. */
export interface Task extends TaskTerms {
  readonly id: TaskId;
  readonly priority: Priority;
  readonly status: Status;
  readonly generation: Generation;
  /** The next assignment's generation is above this one, which a sidecar holds from before the store was rolled back. 0: none known. */
  readonly generationFloor: Generation;
  readonly requirement: Requirement;

  /** The current assignment; all null unless `status` is `assigned` (`assignedTo` stays on a completed task). */
  readonly assignedTo: AgentId | null;
  readonly assignedAtMs: number | null;
  readonly acceptedAtMs: number | null;
  /** Acceptance or lease deadline. Null unless assigned. */
  readonly deadlineAtMs: number | null;
  /**
   * When a sweep first postponed that deadline because of a quiet period, plus the length of the disturbances until it last did so; null
   * if it has not since the agent's last frame. So one absence is granted one quiet period, not one for each disturbance of the hub.
   */
  readonly hushedAtMs: number | null;
  /** When the accepted run exceeds its limit. Null unless accepted. */
  readonly runDeadlineAtMs: number | null;
  /** When the wake of the current assignment was reported successful. */
  readonly wokenAtMs: number | null;
  /** How often the current assignment was resent before its agent accepted it. */
  readonly resent: number;
  /** Progress and wake events stored for the current assignment. */
  readonly progressCount: number;

  /** Counts from 1; an operator's retry begins the next round. */
  readonly round: number;
  /** Attempts of this round that failed or were lost. */
  readonly retryCount: number;
  readonly maxRetries: number;
  /** Assignments in a row that ended before acceptance or were released. */
  readonly handBacks: number;
  /** After too many of those it waits for an operator. Only with `status` `queued`. */
  readonly parked: boolean;
  /** The agent that last failed or lost it: another agent is preferred. */
  readonly avoid: AgentId | null;
  /** Agents whose policy rejected it: it is not assigned to them again in this round. At most `REJECTIONS_MAX`. */
  readonly rejectedBy: readonly AgentId[];
  /** The last assignment that was reclaimed while its agent might still finish it: such a result is late, not stale. */
  readonly takenBack: { readonly agentId: AgentId; readonly generation: Generation } | null;

  /** When it last became, or becomes, eligible. In the future during a backoff. */
  readonly eligibleAtMs: number | null;
  /** When the round's `ttlMs` ends; null without one, and once accepted in this round. */
  readonly expiresAtMs: number | null;
  readonly dependsOn: readonly TaskId[];
  /** Dependents with a higher id are still to be unblocked; `''`: all of them. Null unless completed, and once none is left. */
  readonly dependentsAfter: TaskId | '' | null;

  readonly deadReason: DeadReason | null;
  readonly lastError: string | null;
  /** Usage by attempt. */
  readonly usage: TaskUsage;
  /** The session of the last attempt that reported one, for the next attempt on the same machine. */
  readonly session: TaskSession | null;
  readonly outcomes: readonly Outcome[];
  /** Late and refused results, and how often the results of each agent were refused. */
  readonly kept: KeptResults;
  /** Who submitted it: a token's id, or `hub`. */
  readonly submittedBy: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** The number of this task's newest event; its events are numbered from 1 without a gap. */
  readonly eventSeq: number;
}

/** A hint or a step: a sentence, or an object of the submitter that is passed on unchanged. */
export type Note = string | Readonly<Record<string, unknown>>;

/** Agent endings that fail the task unless the submitter accepts them as a result: no answer, a truncated one, a refusal by the model. */
export const ACCEPTABLE = ['empty', 'truncated', 'refused'] as const;
/** How an agent may end without a full answer; see `ACCEPTABLE`. */
export type Acceptable = (typeof ACCEPTABLE)[number];
/** The endings that a task accepts. */
export type Acceptance = { readonly [End in Acceptable]?: true };

/** Without the entries that are false; undefined if none is left. */
export function acceptanceIn(flags: { readonly [End in Acceptable]?: boolean } = {}): Acceptance | undefined {
  const accepted = ACCEPTABLE.filter((end) => flags[end] === true);
  return accepted.length === 0 ? undefined : Object.fromEntries(accepted.map((end) => [end, true as const]));
}

/** The task as submitted; never changes. `metadata` is JSON text, stored as given. */
export interface TaskBody extends TraceContext {
  readonly description: string;
  readonly metadata: string | null;
  readonly repo: string | null;
  readonly branch: string | null;
  readonly fileHints: readonly Note[];
  readonly successCriteria: readonly string[];
  readonly verificationSteps: readonly Note[];
  /** Left out if it accepts none. */
  readonly accept?: Acceptance;
  /** The signature of its submitter, a JWS. Left out if it has none. Sidecars verify it; the hub only stores it. */
  readonly signature?: string;
}

/** The length of a note: of the text, or of the JSON of an object. */
export const noteCharacters = (note: Note): number => (typeof note === 'string' ? note.length : JSON.stringify(note).length);

/** About how long a body is as JSON, in characters. */
export function bodyCharacters(body: TaskBody): number {
  let characters = 0;
  // Takes V8 an eighth of the time of `Object.values` with a callback.
  for (const name in body) characters += partCharacters(body[name as keyof TaskBody]);
  return characters;
}

function partCharacters(part: TaskBody[keyof TaskBody]): number {
  if (part === null || part === undefined) return 0;
  if (typeof part === 'string') return part.length;
  if (!Array.isArray(part)) return JSON.stringify(part).length;
  let characters = 0;
  for (const note of part as readonly Note[]) characters += noteCharacters(note);
  return characters;
}

/** Whether an agent has the task now. */
export const isLive = (task: Task): boolean => task.status === 'assigned';

/** Whether the task is completed, cancelled or in the dead-letter queue. */
export const isEnded = (task: Task): boolean => task.status === 'completed' || task.status === 'cancelled' || task.status === 'dead_letter';

/**
 * What a waiting task requires: what its submitter asked for, and none of the agents that have rejected it. So tasks that an agent has rejected
 * wait in a queue of their own and hold up no others for that agent, however many there are.
 */
export const waitingRequirement = ({ requirement, rejectedBy }: Pick<Task, 'requirement' | 'rejectedBy'>): Requirement =>
  rejectedBy.length === 0 ? requirement : { ...requirement, except: [...rejectedBy].sort() };

/** The same text for equal requirements; the store indexes queued tasks by it. */
export const requirementKey = ({ assignTo, capabilities, except }: Requirement): string => {
  const key = assignTo === null && capabilities.length === 0 ? NO_REQUIREMENT : JSON.stringify([assignTo, ...capabilities]);
  return except === undefined ? key : key + JSON.stringify(except);
};
const NO_REQUIREMENT = '[null]';

/** The requirement with this key. Throws a `SyntaxError` if it is not a key. */
export function requirementOf(key: string): Requirement {
  const [[assignTo = null, ...capabilities], except] = listsOf(key);
  return except === undefined ? { assignTo, capabilities } : { assignTo, capabilities, except };
}

function listsOf(key: string): readonly [wanted: readonly [AgentId | null, ...string[]], except?: readonly AgentId[]] {
  try {
    return [JSON.parse(key) as [AgentId | null, ...string[]]];
  } catch {
    // Two lists. The second has only IDs of agents, which contain no brackets. If there is none, parsing the empty rest throws.
    const second = key.lastIndexOf('][') + 1;
    return [JSON.parse(key.slice(0, second)) as [AgentId | null, ...string[]], JSON.parse(key.slice(second)) as readonly AgentId[]];
  }
}

/** A group of requirements: those for one agent only, or those whose first capability is this (null: without any). `after`: only the keys after this one. */
export type RequirementGroup = ({ readonly agentId: AgentId } | { readonly capability: string | null }) & {
  readonly after?: string | undefined;
};

/** The range of keys of a group, in character order: from `from`, before `until`. */
export function keysOfGroup(group: RequirementGroup): { readonly from: string; readonly until: string } {
  const from = beginningOf(group);
  // A key continues with a comma or a bracket, or ends; the caret sorts after these, and the space before them.
  return { from: group.after === undefined ? from : `${group.after} `, until: `${from}^` };
}

/** What the keys of a group begin with. */
function beginningOf(group: RequirementGroup): string {
  if ('agentId' in group) return `[${JSON.stringify(group.agentId)}`;
  return group.capability === null ? NO_REQUIREMENT : `[null,${JSON.stringify(group.capability)}`;
}

/** For each of these groups, the last of its keys in `keys`; null: there is none. */
export function lastKeys(keys: readonly string[], groups: readonly RequirementGroup[]): readonly (string | null)[] {
  const last = new Map<string, string>();
  for (const key of keys) last.set(BEGINNING.exec(key)?.[0] ?? key, key);
  return groups.map((group) => last.get(beginningOf(group)) ?? null);
}
/** No requirement, or the first text of a key's list: that of an agent, or of a capability. */
const BEGINNING = /^\[(?:null\]|(?:null,)?"(?:[^"\\]|\\.)*")/;

/** A task with its body and result. */
export interface TaskRow {
  readonly task: Task;
  readonly body: TaskBody;
  /** JSON text. */
  readonly result: string | null;
}
