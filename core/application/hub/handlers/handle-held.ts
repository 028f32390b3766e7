/** Reconciles the assignments of a returning agent with its inventory: each continues, is resent, or is reclaimed. */
import type { Agent } from '../../../domain/agent/agent.ts';
import { withStrike } from '../../../domain/agent/breaker.ts';
import { decideAhead, decideHeld, decideMissing, isCurrent, type AheadDecision } from '../../../domain/task/reconciliation.ts';
import { SENDINGS_MAX } from '../../../domain/task/rules.ts';
import { resumedDeadline } from '../../../domain/transitions/assigning.ts';
import { decideAccept } from '../../../domain/transitions/reporting.ts';
import type { ReclaimReason } from '../../../domain/transitions/reclaim-reason.ts';
import { decideRaise, decideReclaim } from '../../../domain/transitions/taking-back.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Batch } from '../batch/batch.ts';
import type { HeldAnswer, HeldAssignment } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { confirmStops } from './handle-report.ts';

/** How a new connection relates to the previous one of its agent. */
export type Reconnection =
  | 'other_machine'
  /** The same machine and the same process: only the connection is new. */
  | 'same_process'
  /** The same machine but another process, with the journal of the previous one: the sidecar itself restarted. */
  | 'restarted'
  /** As before, but the journal ended with the previous process: an assignment that the new one does not hold may have begun there. */
  | 'restarted_without_journal'
  /** The agent's first connection, or one that does not tell which process it is from. */
  | 'unknown_process';

/**
 * Version 2: answers every held assignment. Those that the agent should hold but does not are resent or reclaimed. A different machine
 * does not get the same generation again: the previous machine may still have it, with a report under way.
 */
export function answerHeld(
  batch: Batch,
  agent: Agent,
  { held, reconnection }: { readonly held: readonly HeldAssignment[]; readonly reconnection: Reconnection },
  context: HubContext,
): readonly HeldAnswer[] {
  const ahead: { one: HeldAssignment; decision: AheadDecision }[] = [];
  const answers = held.map((one): HeldAnswer => {
    const name = { taskId: one.taskId, generation: one.generation };
    const aheadDecision = applyAhead(batch, agent, one, context);
    if (aheadDecision !== 'nothing') ahead.push({ one, decision: aheadDecision });
    if (aheadDecision === 'refuse' && one.status !== 'reporting') return { ...name, action: 'abort', reason: 'generation_too_far' };
    const task = batch.task(one.taskId);
    const decision = decideHeld(task, one, agent.id);
    switch (decision.action) {
      case 'report':
        // Its report is under way; until it arrives, the assignment continues.
        if (task !== undefined && isCurrent(task, one, agent.id)) confirmHeld(batch, agent, task, context);
        return { ...name, action: 'report', reason: null };
      case 'continue':
        if (task !== undefined) confirmHeld(batch, agent, task, context);
        return { ...name, action: 'continue', reason: null };
      case 'lost':
        if (task !== undefined) reclaim(batch, agent.id, task, 'lost', context);
        return { ...name, action: 'abort', reason: 'lost' };
      case 'abort':
        return { ...name, action: 'abort', reason: decision.reason };
    }
  });
  if (ahead.length > 0) logAhead(agent, ahead, context);
  const isHeld = (task: { readonly taskId: Task['id']; readonly generation: number }): boolean =>
    held.some((one) => one.taskId === task.taskId && one.generation === task.generation && one.status !== 'unknown');
  for (const task of batch.liveOf(agent.id)) {
    if (isHeld({ taskId: task.id, generation: task.generation })) continue;
    if (decideMissing(task, reconnection === 'restarted_without_journal') === 'lost')
      // A process forgets only what was answered. So the store has gone back in time, which is no fault of the machine.
      reclaim(batch, agent.id, task, 'not_held', context, { stop: false, isStrike: reconnection !== 'same_process' });
    else if (reconnection === 'other_machine') requeue(batch, task, context);
    else resendAssignment(batch, agent, task, { isRestarted: reconnection === 'restarted', context });
  }
  confirmStops(batch, agent, { outcome: 'not_held' }, (stop) => !isHeld(stop));
  return answers;
}

/**
 * An agent that holds its assignment has accepted it, even if the accept was lost: from now on the lease and the run limit apply.
 * Otherwise a sidecar that dies after each reconnect, before its next frame, would keep the task forever.
 */
function confirmHeld(batch: Batch, agent: Agent, task: Task, { rules }: HubContext): void {
  const by = { agentId: agent.id, session: agent.sessionNumber };
  if (task.acceptedAtMs === null) batch.put(decideAccept(task, by, batch.nowMs, rules));
  else batch.touch(resumedDeadline(task, batch.nowMs, rules));
}

/** Applies a held generation above the stored one, if it is plausible. */
function applyAhead(batch: Batch, agent: Agent, held: HeldAssignment, context: HubContext): AheadDecision {
  const task = batch.task(held.taskId);
  const decision = decideAhead(task, held, agent.id);
  if (task === undefined) return decision;
  const { generation } = held;
  if (decision === 'raise') {
    batch.put(decideRaise(task, { generation, by: { agentId: agent.id, session: agent.sessionNumber } }, batch.nowMs, context.rules));
  }
  if (decision === 'fence') batch.touch({ ...task, generationFloor: generation });
  return decision;
}

/** One log line for each kind, even if many tasks are held. A warning, since a false claim can cause it as well as a rolled-back store. */
function logAhead(
  agent: Agent,
  ahead: readonly { readonly one: HeldAssignment; readonly decision: AheadDecision }[],
  { log }: HubContext,
): void {
  const warn = (message: string, of: readonly AheadDecision[]): void => {
    const named = ahead
      .filter(({ decision }) => of.includes(decision))
      .map(({ one }) => ({ task_id: one.taskId, generation: one.generation }));
    if (named.length > 0) log.warn(message, { agent_id: agent.id, count: named.length, held: named.slice(0, LOGGED_MAX) });
  };
  warn('a sidecar holds a generation above the stored one: the store was rolled back', ['raise', 'fence']);
  warn('a sidecar claims a generation too far above the stored one, which is refused: its journal is damaged, or the claim is false', [
    'refuse',
  ]);
}

/** Assignments that one log line names. */
const LOGGED_MAX = 20;

/** Version 1 has no inventory: assignments that it never accepted are resent; it is expected to report the others. */
export function resumeWithoutInventory(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs === null) resendAssignment(batch, agent, task, { isRestarted: false, context });
    else continueAssignment(batch, agent, task, context);
  }
}

/**
 * A version 1 sidecar has had enough time to report the tasks that it accepted. Those that it did not mention are lost: a result may have been
 * sent into the dead connection, and a second run under the same generation could not be distinguished from the first.
 */
export function reclaimUnmentioned(batch: Batch, agent: Agent, mentioned: readonly TaskId[], context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs !== null && !mentioned.includes(task.id)) reclaim(batch, agent.id, task, 'not_held', context);
  }
}

/** Continues the assignment with a new lease, unless a version 1 run has reached `v1RunMaxMs`. */
export function continueAssignment(batch: Batch, agent: Agent, task: Task, context: HubContext): void {
  if (!isV1RunOver(agent, task, batch.nowMs, context)) batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
}

/** Whether a version 1 run has lasted as long as pings and reconnects may renew it. */
export const isV1RunOver = (agent: Agent, task: Task, nowMs: number, { timing }: HubContext): boolean =>
  agent.protocolVersion === 1 && task.acceptedAtMs !== null && nowMs > task.acceptedAtMs + timing.v1RunMaxMs;

/**
 * Resends an assignment that was apparently never accepted, with a new accept deadline, since the absence may not have been
 * the agent's fault. An agent that returns without it yet again may be crashing because of it: another agent gets the task, and the
 * machine gets a strike. The count is in the row, so it survives a restart of the hub. In a quiet period nothing is reclaimed
 * from a process that kept running: it may have been the hub that went away each time.
 */
function resendAssignment(
  batch: Batch,
  agent: Agent,
  task: Task,
  { isRestarted, context }: { readonly isRestarted: boolean; readonly context: HubContext },
): void {
  const sent = task.resent + 1;
  if (sent >= SENDINGS_MAX && (isRestarted || batch.nowMs >= context.quietPeriod.untilMs)) {
    // Version 1 has no inventory: it may be working on the task after all.
    const stop = agent.protocolVersion === 1;
    return reclaim(batch, agent.id, task, isRestarted ? 'sidecar_restarted' : 'not_accepted', context, { sent, stop });
  }
  const again = { ...resumedDeadline(task, batch.nowMs, context.rules), resent: sent };
  batch.touch(again);
  batch.push(agent.id, agent.sessionNumber, again);
}

/** Requeues an assignment that was apparently never accepted, under a new generation and without using up a retry. */
function requeue(batch: Batch, task: Task, { rules }: HubContext): void {
  const decided = decideReclaim(task, { reason: 'not_held', stop: false }, batch.nowMs, rules);
  if (decided.kind === 'changed') batch.put(decided);
}

/** Reclaims a task that the agent no longer has, so it needs no stop unless `stop` is set. Its machine gets a strike unless `isStrike` is false. */
export function reclaim(
  batch: Batch,
  agentId: AgentId,
  task: Task,
  reason: ReclaimReason,
  context: HubContext,
  { isStrike = true, ...how }: { readonly stop: boolean; readonly sent?: number; readonly isStrike?: boolean } = { stop: false },
): void {
  const decided = decideReclaim(task, { reason, ...how }, batch.nowMs, context.rules);
  if (decided.kind === 'refused') return;
  batch.put(decided);
  if (!isStrike) return;
  const strike = reason === 'not_accepted' || reason === 'sidecar_restarted' ? reason : 'lost';
  batch.putAgent(withStrike(batch.agentOrNew(agentId), task.id, strike, batch.nowMs, context.rules.breaker));
}
