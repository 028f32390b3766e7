/** What an agent's own word does to its task. Each is called only for a report that the fence let through. */
import { refuse } from '../task/refusal.ts';
import type { Rules } from '../task/rules.ts';
import type { Outcome, Task, TaskSession } from '../task/task.ts';
import { withAttempt, type Usage } from '../usage.ts';
import { acceptance } from './assigning.ts';
import { change, joined, withOutcome, withUsage, type Change, type EventDraft, type Speaker, type Transition } from './change.ts';
import { handedBack, lostAttempt } from './again.ts';

/** What a report may say beside its own word: what the attempt used until now, and what its program can go on with. */
export interface Aside extends Usage {
  readonly session?: TaskSession | undefined;
}

type Details = Readonly<Record<string, unknown>> | null;

/** `task_accepted`. A repeat changes nothing and has no event. */
export function decideAccept(task: Task, by: Speaker, nowMs: number, rules: Rules): Change {
  return task.acceptedAtMs === null ? acceptance(task, by.session, nowMs, rules) : change(task, {}, nowMs, []);
}

/** `task_progress`: renews the lease; what it says is stored while there is room for this attempt. */
export function decideProgress(task: Task, by: Speaker, said: Aside & { readonly details: Details }, nowMs: number, rules: Rules): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const stored = said.details !== null && task.progressCount < rules.progressPerAttempt;
  const next = change(
    accepted.task,
    {
      deadlineAtMs: nowMs + rules.leaseMs,
      hushedAtMs: null,
      ...aside(task, by, said),
      progressCount: accepted.task.progressCount + (stored ? 1 : 0),
    },
    nowMs,
    stored ? [spoken(task, by, 'progress', said.details)] : [],
  );
  return joined(accepted, next);
}

/**
 * `wake_result`: success renews the lease. What failed, or was not confirmed in time, is an event of its own name. Either counts as
 * one of progress, of which an attempt stores so many.
 */
export function decideWoken(
  task: Task,
  by: Speaker,
  said: { readonly success: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const stored = task.progressCount < rules.progressPerAttempt;
  const patch = said.success ? { wokenAtMs: nowMs, deadlineAtMs: nowMs + rules.leaseMs, hushedAtMs: null } : {};
  const progressCount = accepted.task.progressCount + (stored ? 1 : 0);
  const told = stored ? [spoken(task, by, said.success ? 'woken' : 'wake_failed', said.details)] : [];
  return joined(accepted, change(accepted.task, { ...patch, progressCount }, nowMs, told));
}

/** `task_complete`: final. `result` is JSON text. */
export function decideComplete(
  task: Task,
  by: Speaker,
  said: Aside & { readonly result: string; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'complete', answer: 'complete' };
  const { usage, session } = aside(task, by, said);
  const done = change(
    accepted.task,
    {
      status: 'completed',
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
    [withUsage(spoken(task, by, 'completed', said.details), usage, task.generation)],
    { result: said.result },
  );
  return joined(accepted, done);
}

/** `task_failed`: an attempt is spent; again with backoff, or the dead letter. */
export function decideFail(
  task: Task,
  by: Speaker,
  said: Aside & { readonly error: string; readonly kind: string; readonly retryable: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const notRetryable = !said.retryable && said.kind === 'agent_failed';
  const again = lostAttempt(
    { ...accepted.task, ...aside(task, by, said) },
    spoken(task, by, 'failed', { ...said.details, error: said.error, kind: said.kind }),
    { error: said.error, notRetryable },
    nowMs,
    rules,
  );
  const outcome: Outcome = {
    generation: task.generation,
    agentId: by.agentId,
    report: 'failed',
    answer: again.task.status === 'dead_letter' ? 'dead_letter' : 'retried',
  };
  return joined(accepted, { ...again, task: { ...again.task, outcomes: withOutcome(task, outcome) } });
}

/** `task_rejected`: before acceptance only; back to the queue, no retry spent. Not `counted`: nor does it count towards parking. */
export function decideReject(task: Task, by: Speaker, reason: string, nowMs: number, rules: Rules, counted: boolean = true): Transition {
  if (task.acceptedAtMs !== null) return refuse('invalid_state', task.generation);
  const said = spoken(task, by, 'rejected', { reason });
  const back = counted
    ? handedBack(task, said, nowMs, rules)
    : uncounted(task, handedBack({ ...task, handBacks: 0 }, said, nowMs, rules), nowMs);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'rejected', answer: 'rejected' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

const uncounted = (before: Task, back: Change, nowMs: number): Change => ({
  ...back,
  task: { ...back.task, handBacks: before.handBacks, eligibleAtMs: nowMs },
});

/**
 * `task_released`: handed back, not started or confirmed stopped; no retry spent. `agentsAlone`: it says nothing of the task, and does
 * not count towards parking.
 */
export function decideRelease(
  task: Task,
  by: Speaker,
  said: Aside & { readonly reason: string; readonly details?: Details },
  nowMs: number,
  rules: Rules,
  agentsAlone: boolean = false,
): Change {
  const before = { ...task, ...aside(task, by, said) };
  const end = spoken(task, by, 'released', { ...said.details, reason: said.reason });
  const back = agentsAlone
    ? uncounted(task, handedBack({ ...before, handBacks: 0 }, end, nowMs, rules), nowMs)
    : handedBack(before, end, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'released', answer: 'released' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

const spoken = (task: Task, by: Speaker, event: EventDraft['event'], details: Details): EventDraft => ({
  event,
  agentId: by.agentId,
  generation: task.generation,
  session: by.session,
  details,
});

const aside = (task: Task, by: Speaker, said: Aside): Pick<Task, 'usage' | 'session'> => ({
  usage: withAttempt(task.usage, { generation: task.generation, agentId: by.agentId }, said),
  session: said.session ?? task.session,
});
