/** What an agent's own word does to its task. Each is called only for a report that the fence let through. */
import { refuse } from '../refusal.ts';
import type { Rules } from '../rules.ts';
import type { Outcome, Task } from '../task.ts';
import { acceptance } from './assigning.ts';
import { change, joined, withOutcome, type Change, type EventDraft, type Speaker, type Transition } from './change.ts';
import { handedBack, lostAttempt } from './again.ts';

/** Numbers a report may carry; null: it did not say. */
export interface Usage {
  readonly tokensUsed: number | null;
  readonly costUsd: number | null;
}

type Details = Readonly<Record<string, unknown>> | null;

/** `task_accepted`. A repeat changes nothing and has no event. */
export function decideAccept(task: Task, by: Speaker, nowMs: number, rules: Rules): Change {
  return task.acceptedAtMs === null ? acceptance(task, by.session, nowMs, rules) : change(task, {}, nowMs, []);
}

/** `task_progress`: renews the lease; what it says is stored while there is room for this attempt. */
export function decideProgress(task: Task, by: Speaker, said: Usage & { readonly details: Details }, nowMs: number, rules: Rules): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const stored = said.details !== null && task.progressCount < rules.progressPerAttempt;
  const next = change(
    accepted.task,
    { deadlineAtMs: nowMs + rules.leaseMs, ...usage(accepted.task, said), progressCount: accepted.task.progressCount + (stored ? 1 : 0) },
    nowMs,
    stored ? [{ ...spoken(task, by, 'progress'), details: said.details }] : [],
  );
  return joined(accepted, next);
}

/** `wake_result`: success renews the lease. */
export function decideWoken(
  task: Task,
  by: Speaker,
  said: { readonly success: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const patch = said.success ? { wokenAtMs: nowMs, deadlineAtMs: nowMs + rules.leaseMs } : {};
  return joined(accepted, change(accepted.task, patch, nowMs, [{ ...spoken(task, by, 'woken'), details: said.details }]));
}

/** `task_complete`: final. `result` is JSON text. */
export function decideComplete(
  task: Task,
  by: Speaker,
  said: Usage & { readonly result: string; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'complete', answer: 'complete' };
  const done = change(
    accepted.task,
    {
      status: 'completed',
      deadlineAtMs: null,
      runDeadlineAtMs: null,
      handBacks: 0,
      lastError: null,
      avoid: null,
      ...usage(accepted.task, said),
      outcomes: withOutcome(task, outcome),
    },
    nowMs,
    [{ ...spoken(task, by, 'completed'), details: said.details }],
    { result: said.result },
  );
  return joined(accepted, done);
}

/** `task_failed`: an attempt is spent; again with backoff, or the dead letter. */
export function decideFail(
  task: Task,
  by: Speaker,
  said: Usage & { readonly error: string; readonly kind: string; readonly retryable: boolean; readonly details: Details },
  nowMs: number,
  rules: Rules,
): Change {
  const accepted = decideAccept(task, by, nowMs, rules);
  const notRetryable = !said.retryable && said.kind === 'agent_failed';
  const again = lostAttempt(
    { ...accepted.task, ...usage(accepted.task, said) },
    { ...spoken(task, by, 'failed'), details: { ...said.details, error: said.error, kind: said.kind } },
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

/** `task_rejected`: before acceptance only; back to the queue, no retry spent. */
export function decideReject(task: Task, by: Speaker, reason: string, nowMs: number, rules: Rules): Transition {
  if (task.acceptedAtMs !== null) return refuse('invalid_state', task.generation);
  const back = handedBack(task, { ...spoken(task, by, 'rejected'), details: { reason } }, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'rejected', answer: 'rejected' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

/** `task_released`: handed back, not started or confirmed stopped; no retry spent. */
export function decideRelease(task: Task, by: Speaker, reason: string, nowMs: number, rules: Rules): Change {
  const back = handedBack(task, { ...spoken(task, by, 'released'), details: { reason } }, nowMs, rules);
  const outcome: Outcome = { generation: task.generation, agentId: by.agentId, report: 'released', answer: 'released' };
  return { ...back, task: { ...back.task, outcomes: withOutcome(task, outcome) } };
}

/** A finished result that came after the assignment was taken back: kept whole in the history, changes nothing else. */
export const decideLate = (
  task: Task,
  by: Speaker,
  said: { readonly result: string; readonly details: Details; readonly generation: Task['generation'] },
  nowMs: number,
): Change =>
  change(task, {}, nowMs, [
    {
      event: 'late_result',
      agentId: by.agentId,
      generation: said.generation,
      session: by.session,
      details: { ...said.details, result: said.result },
    },
  ]);

const spoken = (task: Task, by: Speaker, event: EventDraft['event']): EventDraft => ({
  event,
  agentId: by.agentId,
  generation: task.generation,
  session: by.session,
});

const usage = (task: Task, said: Usage): Pick<Task, 'tokensUsed' | 'costUsd'> => ({
  tokensUsed: said.tokensUsed ?? task.tokensUsed,
  costUsd: said.costUsd ?? task.costUsd,
});
