/** What reports do to their task. Called only for reports that pass the fence. */
import { nextGeneration } from '../ids.ts';
import { refuse } from '../task/refusal.ts';
import { REJECTED_WAIT_MS, REJECTIONS_MAX, type Rules } from '../task/rules.ts';
import type { Outcome, Task, TaskSession } from '../task/task.ts';
import { withAttempt, type Usage } from '../usage.ts';
import { acceptance, acceptedEvent } from './assigning.ts';
import {
  change,
  mergeChanges,
  UNASSIGNED,
  withOutcome,
  withUsage,
  type Change,
  type EventDraft,
  type Reporter,
  type Transition,
} from './change.ts';
import { deadLetter, handBack, endAttempt } from './retrying.ts';

/** What a report may carry besides its outcome: the usage of the attempt so far, and the session that the program can resume. */
export interface AttemptUpdate extends Usage {
  readonly session?: TaskSession | undefined;
}

type Details = Readonly<Record<string, unknown>> | null;

/** `task_accepted`. A repeat changes nothing and has no event. */
export function decideAccept(task: Task, by: Reporter, nowMs: number, rules: Rules): Change {
  return task.acceptedAtMs === null ? acceptance(task, by.session, nowMs, rules) : change(task, {}, nowMs, []);
}

/** `task_progress`: renews the lease; its details are stored up to `progressPerAttempt`. */
export function decideProgress(
  task: Task,
  by: Reporter,
  report: AttemptUpdate & { readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const stored = report.details !== null && task.progressCount < rules.progressPerAttempt;
  const next = change(
    accepted.task,
    {
      deadlineAtMs: nowMs + rules.leaseMs,
      hushedAtMs: null,
      ...attemptPatch(task, by, report),
      progressCount: accepted.task.progressCount + (stored ? 1 : 0),
    },
    nowMs,
    stored ? [reportEvent(task, by, 'progress', report.details)] : [],
  );
  return mergeChanges(accepted, next);
}

/**
 * `wake_result`: success renews the lease. A wake that failed, or was not confirmed in time, has an event of its own. Either counts
 * towards `progressPerAttempt`.
 */
export function decideWoken(
  task: Task,
  by: Reporter,
  report: { readonly success: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const stored = task.progressCount < rules.progressPerAttempt;
  const patch = report.success ? { wokenAtMs: nowMs, deadlineAtMs: nowMs + rules.leaseMs, hushedAtMs: null } : {};
  const progressCount = accepted.task.progressCount + (stored ? 1 : 0);
  const events = stored ? [reportEvent(task, by, report.success ? 'woken' : 'wake_failed', report.details)] : [];
  return mergeChanges(accepted, change(accepted.task, { ...patch, progressCount }, nowMs, events));
}

/** `task_complete`: final. `result` is JSON text. A task that is not accepted yet is accepted in the same step, since a second copy of it costs as much. */
export function decideComplete(
  task: Task,
  by: Reporter,
  report: AttemptUpdate & { readonly result: string; readonly details: Details },
  nowMs: number,
): Change {
  const isAccepted = task.acceptedAtMs !== null;
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'complete', answer: 'complete' };
  const { usage, session } = attemptPatch(task, by, report);
  const completed = withUsage(reportEvent(task, by, 'completed', report.details), usage, task.generation);
  return change(
    task,
    {
      status: 'completed',
      acceptedAtMs: task.acceptedAtMs ?? nowMs,
      resent: isAccepted ? task.resent : 0,
      expiresAtMs: isAccepted ? task.expiresAtMs : null,
      deadlineAtMs: null,
      hushedAtMs: null,
      runDeadlineAtMs: null,
      handBacks: 0,
      lastError: null,
      avoid: null,
      usage,
      session,
      outcomes: withOutcome(task, outcome),
    },
    nowMs,
    isAccepted ? [completed] : [acceptedEvent(task, by.session), completed],
    { result: report.result },
  );
}

/** `task_failed`: uses up a retry; requeued with a backoff, or dead-lettered. */
export function decideFail(
  task: Task,
  by: Reporter,
  report: AttemptUpdate & { readonly error: string; readonly kind: string; readonly retryable: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const notRetryable = !report.retryable && report.kind === 'agent_failed';
  const ended = endAttempt(
    { ...accepted.task, ...attemptPatch(task, by, report) },
    reportEvent(task, by, 'failed', { ...report.details, error: report.error, kind: report.kind }),
    { error: report.error, notRetryable },
    nowMs,
    rules,
  );
  const outcome: Outcome = {
    generation: task.generation,
    agentId: by.agentId,
    report: 'failed',
    answer: ended.task.status === 'dead_letter' ? 'dead_letter' : 'retried',
  };
  return mergeChanges(accepted, { ...ended, task: { ...ended.task, outcomes: withOutcome(task, outcome) } });
}

/** `task_rejected`: before acceptance only; requeued without using up a retry. `counted`: whether it counts towards parking. */
export function decideReject(task: Task, by: Reporter, reason: string, nowMs: number, rules: Rules, counted: boolean = true): Transition {
  if (task.acceptedAtMs !== null) return refuse('invalid_state', task.generation);
  const event = reportEvent(task, by, 'rejected', { reason });
  const back = counted
    ? handBack(task, event, nowMs, rules)
    : uncounted(task, handBack({ ...task, handBacks: 0 }, event, nowMs, rules), nowMs);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'rejected', answer: 'rejected' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

/**
 * `task_rejected` by the policy of the agent: it concerns this task on this agent, and not the machine. The task goes
 * to another agent at once and not to this one again in this round. It is dead-lettered if it is for this agent alone,
 * after `REJECTIONS_MAX` agents, or if no agent accepts it in time.
 */
export function decidePolicyReject(task: Task, by: Reporter, reason: string, nowMs: number): Transition {
  if (task.acceptedAtMs !== null) return refuse('invalid_state', task.generation);
  const event = reportEvent(task, by, 'rejected', { reason, cause: POLICY });
  const rejectedBy = [...task.rejectedBy.filter((id) => id !== by.agentId), by.agentId];
  const patch: Partial<Task> = {
    rejectedBy,
    lastError: `rejected by ${by.agentId}: ${reason}`,
    outcomes: withOutcome(task, { generation: task.generation, agentId: by.agentId, report: 'rejected', answer: 'rejected' }),
  };
  if (task.requirement.assignTo !== null || rejectedBy.length >= REJECTIONS_MAX) return deadLetter(task, 'rejected', [event], nowMs, patch);
  return change(
    task,
    {
      ...UNASSIGNED,
      ...patch,
      status: 'queued',
      generation: nextGeneration(task.generation),
      eligibleAtMs: nowMs,
      expiresAtMs: task.expiresAtMs ?? nowMs + REJECTED_WAIT_MS,
    },
    nowMs,
    [event],
  );
}

/** The cause of a rejection by the policy of a sidecar. */
export const POLICY = 'policy';
/** The cause of a rejection because the tasks that the sidecar holds leave no room for this one in its journal. */
export const NO_ROOM = 'no_room';

const uncounted = (before: Task, back: Change, nowMs: number): Change => ({
  ...back,
  task: { ...back.task, handBacks: before.handBacks, eligibleAtMs: nowMs },
});

/**
 * `task_released`: not started or confirmed stopped; requeued without using up a retry. `isAgentFault`: the cause is the agent's
 * alone, and does not count towards parking.
 */
export function decideRelease(
  task: Task,
  by: Reporter,
  report: AttemptUpdate & { readonly reason: string; readonly details?: Details },
  nowMs: number,
  rules: Rules,
  isAgentFault: boolean = false,
): Change {
  const before = { ...task, ...attemptPatch(task, by, report) };
  const end = reportEvent(task, by, 'released', { ...report.details, reason: report.reason });
  const back = isAgentFault
    ? uncounted(task, handBack({ ...before, handBacks: 0 }, end, nowMs, rules), nowMs)
    : handBack(before, end, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'released', answer: 'released' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

const reportEvent = (task: Task, by: Reporter, event: EventDraft['event'], details: Details): EventDraft => ({
  event,
  agentId: by.agentId,
  generation: task.generation,
  session: by.session,
  details,
});

const attemptPatch = (task: Task, by: Reporter, report: AttemptUpdate): Pick<Task, 'usage' | 'session'> => ({
  usage: withAttempt(task.usage, { generation: task.generation, agentId: by.agentId }, report),
  session: report.session ?? task.session,
});
