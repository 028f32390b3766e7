/** Commands of operators, and the sweep. */
import { withStrike } from '../../../domain/agent/breaker.ts';
import { decideSweep } from '../../../domain/transitions/due.ts';
import { refuse } from '../../../domain/task/refusal.ts';
import type { Agent, PendingStop } from '../../../domain/agent/agent.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Transition } from '../../../domain/transitions/change.ts';
import { decideAdopt, decideRetry } from '../../../domain/transitions/operating.ts';
import { decideCancel } from '../../../domain/transitions/taking-back.ts';
import type { Batch } from '../batch/batch.ts';
import type { AdoptCommand, CancelCommand, OperatorAnswer, RetryCommand } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { isV1RunOver } from './handle-held.ts';
import { confirmStops } from './handle-report.ts';
import { markDisconnected } from './handle-session.ts';
import { dependenciesMet } from './handle-submit.ts';
import { quietMsOf } from '../batch/quiet-period.ts';

export const handleCancel = (batch: Batch, command: CancelCommand): OperatorAnswer =>
  applyTransition(batch, batch.task(command.taskId), (task) => decideCancel(task, command.by, batch.nowMs));

export const handleRetry = (batch: Batch, command: RetryCommand): OperatorAnswer =>
  applyTransition(batch, batch.task(command.taskId), (task) =>
    decideRetry(task, command.by, dependenciesMet(batch, task.dependsOn), batch.nowMs),
  );

/** `result` was read before the batch: JSON text, null when that generation has no late result. */
export const handleAdopt = (batch: Batch, command: AdoptCommand, result: string | null): OperatorAnswer =>
  applyTransition(batch, batch.task(command.taskId), (task) =>
    result === null ? refuse('invalid_state', task.generation) : decideAdopt(task, { ...command, result }, batch.nowMs),
  );

function applyTransition(batch: Batch, task: Task | undefined, decide: (task: Task) => Transition): OperatorAnswer {
  if (task === undefined) return refuse('unknown_task', null);
  const decided = decide(task);
  if (decided.kind === 'refused') return decided;
  batch.put(decided);
  return { kind: 'done', status: decided.task.status, generation: decided.task.generation };
}

/** Handles everything that is due: tasks, disconnected agents, unconfirmed stops. `due` and `active`: as they were loaded. */
export function sweep(batch: Batch, due: readonly Task[], active: readonly Agent[], context: HubContext): void {
  for (const loaded of active) {
    const agent = batch.agent(loaded.id) ?? loaded;
    // An agent that identified in this batch has a new session; its socket is registered after the commit.
    const isOld = agent.sessionNumber === loaded.sessionNumber;
    if (isOld && agent.connected && agent.hubId === context.hubId && !context.isHere(agent.id, agent.sessionNumber))
      markDisconnected(batch, agent, context);
    sweepStops(batch, batch.agent(agent.id) ?? agent, context);
  }
  for (const { id } of due) {
    const task = batch.task(id);
    if (task === undefined) continue;
    if (task.dependentsAfter !== null) batch.unblocking.push(id);
    else sweepTask(batch, task, context);
  }
  batch.dispatchWanted = true;
}

function sweepTask(batch: Batch, task: Task, context: HubContext): void {
  const agent = task.assignedTo === null ? undefined : batch.agent(task.assignedTo);
  const view = {
    agentAway: agent === undefined || isAwayWith(agent, task, context),
    quietUntilMs: context.quietPeriod.untilMs,
    quietMs: quietMsOf(context.timing),
    // Since its last change, which is the sweep that postponed its deadline: `hushedAtMs` includes the disturbances before that.
    disturbedMs: task.hushedAtMs === null ? 0 : context.quietPeriod.disturbedMsSince(task.updatedAtMs),
  };
  const decided = decideSweep(task, view, batch.nowMs, context.rules);
  if (decided === null) return batch.touch(task);
  batch.put(decided);
  const reason = decided.events.find((event) => event.event === 'lost' || event.event === 'reclaimed')?.details?.['reason'];
  if (agent !== undefined && (reason === 'not_accepted' || reason === 'lease_expired')) {
    batch.putAgent(withStrike(agent, task.id, reason, batch.nowMs, context.rules.breaker));
  }
}

/**
 * Whether the agent is away and the task waits for its return. A version 1 run that had reached its limit when its agent left was given no
 * time to return (`markDisconnected`): it ends because of that limit, not because of an absence that may have been shorter than the grace.
 */
const isAwayWith = (agent: Agent, task: Task, context: HubContext): boolean =>
  !agent.connected && !isV1RunOver(agent, task, agent.disconnectedAtMs ?? 0, context);

/** Sends stops that another hub requested for agents of this one. */
export function sendPendingStops(batch: Batch, agent: Agent): void {
  for (const stop of batch.stopsOf(agent.id)) if (stop.sentAtMs === null) resend(batch, stop);
}

function resend(batch: Batch, stop: PendingStop): void {
  batch.setStop({ ...stop, sentAtMs: batch.nowMs });
  batch.send(stop);
}

function sweepStops(batch: Batch, agent: Agent, { timing }: HubContext): void {
  const stops = batch.stopsOf(agent.id);
  if (stops.length === 0) return;
  if (!agent.connected) {
    const awayMs = batch.nowMs - (agent.disconnectedAtMs ?? batch.nowMs);
    if (awayMs >= timing.reconnectGraceMs) confirmStops(batch, agent, { outcome: 'agent_away' });
    return;
  }
  for (const stop of stops) {
    if (stop.requestedAtMs > batch.nowMs) {
      // The clock went back: restart the times of the stop, or it would keep its slot until the clock has caught up.
      const restarted = { ...stop, requestedAtMs: batch.nowMs, sentAtMs: batch.nowMs };
      batch.setStop(restarted);
      batch.send(restarted);
      continue;
    }
    // Version 1 never confirms a stop. Its sidecar drops the task at once but does not stop the agent, which gets this time to finish.
    if (agent.protocolVersion === 1 && batch.nowMs >= stop.requestedAtMs + timing.killGraceMs + timing.v1StopMs) {
      confirmStops(batch, agent, { outcome: 'unconfirmed' }, (one) => one.taskId === stop.taskId && one.generation === stop.generation);
    } else if (batch.nowMs >= (stop.sentAtMs ?? stop.requestedAtMs) + timing.stopResendMs) {
      resend(batch, stop);
    }
  }
}
