/** Reports of sidecars about their tasks: checked by the fence, then applied. */
import type { Agent } from '../../../domain/agent/agent.ts';
import {
  isAgentFault,
  isMachineFault,
  provesRecovery,
  roomOf,
  SIDECAR_STOPPED,
  withoutStrikes,
  withPause,
  withStrike,
  type AgentFault,
} from '../../../domain/agent/breaker.ts';
import { isOutOfRoom, notBusy, withoutRoom, withRejection } from '../../../domain/agent/busy-agents.ts';
import { checkFence } from '../../../domain/task/fencing.ts';
import type { Generation } from '../../../domain/ids.ts';
import { refuse } from '../../../domain/task/refusal.ts';
import type { AckStatus, Task, TaskSession } from '../../../domain/task/task.ts';
import { isNoUsage, NO_USAGE, withAttempt, type Usage } from '../../../domain/usage.ts';
import { change, withUsage, type Reporter, type Transition } from '../../../domain/transitions/change.ts';
import { decideLate, decideRefused } from '../../../domain/transitions/keeping-results.ts';
import * as reporting from '../../../domain/transitions/reporting.ts';
import type { Batch } from '../batch/batch.ts';
import type { ReportAnswer, ReportBody, ReportCause, ReportCommand, StopConfirmedCommand } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';

export function handleReport(batch: Batch, command: ReportCommand, context: HubContext): ReportAnswer {
  const before = batch.agent(command.from.agentId);
  if (before === undefined || before.sessionNumber !== command.from.session) return { kind: 'replaced' };
  if (command.rejectReason !== undefined) {
    const named = batch.task(command.taskId);
    keepRefused(batch, before, named, command, command.rejectReason, context);
    return refuse('not_assignee', named?.generation ?? null);
  }
  if (before.protocolVersion === 1) confirmByReport(batch, before, command);
  const agent = freesAgent(before, command.body) ? clearBusy(batch, before) : before;
  // Read only now: the confirmed stop may be of this task, in which case its event has changed the row.
  const task = batch.task(command.taskId);
  const judgement = checkFence(task ?? batch.tombstone(command.taskId), {
    kind: command.body.report,
    agentId: agent.id,
    generation: command.generation,
  });
  if (judgement.kind === 'repeat') {
    return { kind: 'acknowledged', status: judgement.answer, generation: judgement.generation, duplicate: true };
  }
  if (task === undefined || judgement.kind === 'refused') {
    const refusal = judgement.kind === 'refused' ? judgement : refuse('unknown_task', null);
    keepRefused(batch, agent, task, command, refusal.code, context);
    return refusal;
  }
  if (judgement.kind === 'late') return keepLate(batch, task, command, context);
  if (isStillWorking(agent, task, command.body)) {
    return { kind: 'acknowledged', status: 'rejected', generation: task.generation, duplicate: false };
  }
  return applyReport(batch, agent, task, command, context);
}

/** While it works, version 1 rejects every task, even the one that it is working on, which it still has. */
const isStillWorking = (agent: Agent, task: Task, body: ReportBody): boolean =>
  agent.protocolVersion === 1 && body.report === 'rejected' && task.acceptedAtMs !== null;

function applyReport(batch: Batch, agent: Agent, task: Task, command: ReportCommand, context: HubContext): ReportAnswer {
  const { body, from } = command;
  batch.dispatchWanted ||= agent.busyUntilMs !== null;
  if (body.report === 'accepted' && task.acceptedAtMs !== null) {
    batch.putAgent(agentAfter(agent, task, body, batch.nowMs, context));
    return { kind: 'acknowledged', status: 'accepted', generation: task.generation, duplicate: true };
  }
  if (body.report === 'rejected' && isCrossedReject(agent, body.reason)) return applyCrossedReject(batch, agent, task, command, context);
  const decided = decide(task, body, from, sessionOf(agent, body), batch.nowMs, context);
  if (decided.kind === 'refused') return decided;
  batch.put(decided);
  const after = agentAfter(agent, task, body, batch.nowMs, context);
  batch.dispatchWanted ||= roomOf(after) > roomOf(agent);
  batch.putAgent(after);
  const status = ackOf(body, decided.task);
  return status === null ? { kind: 'noted' } : { kind: 'acknowledged', status, generation: task.generation, duplicate: false };
}

/** The reason in the rejects of a drained sidecar. */
const DRAINING = 'draining';

/** A reject because of a drain that has ended in the meantime: the first one in a row is not the agent's fault. */
const isCrossedReject = (agent: Agent, reason: string): boolean =>
  agent.protocolVersion === 2 && reason === DRAINING && !agent.draining && agent.rejections === 0;

/** Requeues the task unchanged. The agent gets no tasks until it reports that it accepts them again, at its next ping at the latest. */
function applyCrossedReject(batch: Batch, agent: Agent, task: Task, { from }: ReportCommand, { rules }: HubContext): ReportAnswer {
  const decided = reporting.decideReject(task, from, DRAINING, batch.nowMs, rules, false);
  if (decided.kind === 'refused') return decided;
  batch.put(decided);
  batch.putAgent({ ...agent, ownDrain: DRAINING, rejections: 1 });
  return { kind: 'acknowledged', status: 'rejected', generation: task.generation, duplicate: false };
}

/** The session to resume in a later attempt: only with an `instanceId` can the hub tell that it is the same machine. */
function sessionOf(agent: Agent, body: ReportBody): TaskSession | undefined {
  const id = 'sessionId' in body ? body.sessionId : undefined;
  return id === undefined || agent.instanceId === null ? undefined : { id, agentId: agent.id, instanceId: agent.instanceId };
}

function decide(
  task: Task,
  body: ReportBody,
  by: Reporter,
  session: TaskSession | undefined,
  nowMs: number,
  { rules }: HubContext,
): Transition {
  switch (body.report) {
    case 'accepted':
      return reporting.decideAccept(task, by, nowMs, rules);
    case 'progress':
      return reporting.decideProgress(task, by, { session, ...body }, nowMs, rules);
    case 'woken':
      return reporting.decideWoken(
        task,
        by,
        { success: body.status === 'success', details: { ...body.details, status: body.status } },
        nowMs,
        rules,
      );
    case 'complete':
      return reporting.decideComplete(task, by, { session, ...body }, nowMs);
    case 'failed':
      return reporting.decideFail(task, by, { ...body, session, kind: body.failure, details: withCause(body) }, nowMs, rules);
    case 'rejected':
      return body.cause === reporting.POLICY
        ? reporting.decidePolicyReject(task, by, body.reason, nowMs)
        : reporting.decideReject(task, by, body.reason, nowMs, rules, body.cause !== reporting.NO_ROOM);
    case 'released':
      return reporting.decideRelease(task, by, { ...body, session, details: withCause(body) }, nowMs, rules, isAgentFaultOnly(body));
  }
}

/** A release before any work, for a fault of the agent: it does not count towards parking the task. */
const isAgentFaultOnly = (body: Extract<ReportBody, { report: 'released' }>): boolean =>
  isAgentFault(body.cause) && body.afterWork !== true;

/** The event details with the cause, if the runner reported one. */
const withCause = (body: Extract<ReportBody, { report: 'failed' | 'released' }>): Readonly<Record<string, unknown>> | null => {
  const { cause = null, retryAfterMs = null } = body;
  const known = {
    ...(cause === null ? {} : { cause }),
    ...(retryAfterMs === null ? {} : { retry_after_ms: retryAfterMs }),
    ...(body.report === 'released' && body.afterWork === true ? { after_work: true } : {}),
  };
  const details = body.report === 'failed' ? body.details : null;
  return details === null && Object.keys(known).length === 0 ? null : { ...details, ...known };
};

const ackOf = (body: ReportBody, after: Task): AckStatus | null => {
  switch (body.report) {
    case 'accepted':
      return 'accepted';
    case 'complete':
      return 'complete';
    case 'failed':
      return after.status === 'dead_letter' ? 'dead_letter' : 'retried';
    case 'rejected':
      return 'rejected';
    case 'released':
      return 'released';
    case 'progress':
    case 'woken':
      return null;
  }
};

/** The agent after its report: strikes, pauses and busy times. */
function agentAfter(agent: Agent, task: Task, body: ReportBody, nowMs: number, { rules }: HubContext): Agent {
  switch (body.report) {
    case 'accepted':
    case 'progress':
    case 'woken': {
      const notRejecting = agent.rejections === 0 ? agent : { ...agent, rejections: 0 };
      const free = isOutOfRoom(agent) ? notRejecting : notBusy(notRejecting);
      const used = body.report === 'progress' ? body.tokensUsed : null;
      return free.pauses > 0 && provesRecovery(free, task, used, nowMs) ? { ...free, pauses: 0 } : free;
    }
    case 'complete':
      return withoutStrikes(agent);
    case 'failed':
      if (isAgentFault(body.cause ?? null)) return withPause(agent, agentFaultOf(body, body.error), nowMs, rules.breaker);
      return isMachineFault(body.failure) ? withStrike(agent, task.id, body.error, nowMs, rules.breaker) : withoutStrikes(agent);
    case 'rejected':
      // A reject by its policy says nothing about its machine or its next task.
      if (body.cause === reporting.POLICY) return agent;
      return body.cause === reporting.NO_ROOM
        ? withoutRoom(agent, nowMs)
        : withStrike(withRejection(agent, body.reason, nowMs), task.id, `rejected: ${body.reason}`, nowMs, rules.breaker);
    case 'released':
      if (body.cause === SIDECAR_STOPPED) return agent;
      return withPause(agent, agentFaultOf(body, body.reason), nowMs, rules.breaker);
  }
}

const agentFaultOf = ({ cause = null, retryAfterMs = null }: Partial<ReportCause>, reason: string): AgentFault => ({
  cause,
  reason,
  retryAfterMs,
});

function keepLate(batch: Batch, task: Task, command: ReportCommand, context: HubContext): ReportAnswer {
  const { body, generation, from } = command;
  if (body.report !== 'complete' || generation === null) return refuse('stale_generation', task.generation);
  batch.put(decideLate(task, from, { ...body, generation }, batch.nowMs, context.digest.sha256));
  return { kind: 'acknowledged', status: 'late', generation, duplicate: false };
}

/** A version 1 sidecar deletes its copy of a result after any answer, so the hub keeps refused results, within bounds. */
function keepRefused(
  batch: Batch,
  agent: Agent,
  task: Task | undefined,
  { body, generation, from }: ReportCommand,
  reason: string,
  context: HubContext,
): void {
  if (agent.protocolVersion !== 1 || task === undefined || body.report !== 'complete') return;
  const by = { agentId: agent.id, session: from.session };
  const refused = { result: body.result, details: body.details, generation, reason };
  batch.put(decideRefused(task, by, refused, batch.nowMs, context.digest.sha256));
}

/** Whether the report ends the busy time of the agent, even if it is about another task: a run has ended, or what it returns makes room. */
const freesAgent = (agent: Agent, { report }: ReportBody): boolean =>
  report === 'complete' || report === 'failed' || (report === 'released' && isOutOfRoom(agent));

/** Ends the busy time of the agent. */
export function clearBusy(batch: Batch, agent: Agent): Agent {
  const free = notBusy(agent);
  if (free === agent) return agent;
  batch.putAgent(free);
  batch.dispatchWanted = true;
  return free;
}

export function handleStopConfirmed(batch: Batch, command: StopConfirmedCommand): void {
  const agent = batch.agent(command.from.agentId);
  if (agent === undefined || agent.sessionNumber !== command.from.session) return;
  if (isOutOfRoom(agent)) clearBusy(batch, agent);
  const details = { outcome: command.outcome, ...(command.survivors.length === 0 ? {} : { survivors: command.survivors }) };
  confirmStops(batch, agent, details, (stop) => stop.taskId === command.taskId && stop.generation === command.generation, command.used);
}

/** Ends the agent's stops that `which` selects: frees their slots and records `details` in the history. */
export function confirmStops(
  batch: Batch,
  agent: Agent,
  details: Readonly<Record<string, unknown>>,
  which: (stop: { readonly taskId: Task['id']; readonly generation: number }) => boolean = () => true,
  used: Usage = NO_USAGE,
): void {
  for (const stop of batch.stopsOf(agent.id).filter(which)) {
    batch.clearStop(stop);
    const task = batch.task(stop.taskId);
    if (task === undefined) continue;
    const generation = stop.generation as Generation;
    const usage = withAttempt(task.usage, { generation, agentId: agent.id }, used);
    const event = { event: 'stop_confirmed', agentId: agent.id, generation, session: agent.sessionNumber, details } as const;
    batch.put(change(task, { usage }, batch.nowMs, [isNoUsage(used) ? event : withUsage(event, usage, generation)]));
  }
}

/**
 * Version 1 never confirms a stop. But accepting, completing or failing a task shows that it no longer runs an earlier one.
 * Accepting the very task that it is to stop shows nothing.
 */
function confirmByReport(batch: Batch, agent: Agent, { taskId, body }: ReportCommand): void {
  if (body.report === 'complete' || body.report === 'failed') confirmStops(batch, agent, { outcome: 'reported' });
  if (body.report === 'accepted') confirmStops(batch, agent, { outcome: 'reported' }, (stop) => stop.taskId !== taskId);
}
