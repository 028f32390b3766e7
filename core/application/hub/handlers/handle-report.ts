/** What sidecars say of their tasks: judged by the fence, then carried out. */
import type { Agent } from '../../../domain/agent/agent.ts';
import {
  isAgentFault,
  isMachineFault,
  isProof,
  roomOf,
  SIDECAR_STOPPED,
  withoutStrikes,
  withPause,
  withStrike,
  type Inability,
} from '../../../domain/agent/breaker.ts';
import { notBusy, withRejection } from '../../../domain/agent/busy.ts';
import { judge } from '../../../domain/task/fencing.ts';
import type { Generation } from '../../../domain/ids.ts';
import { refuse } from '../../../domain/task/refusal.ts';
import { OUTCOMES_KEPT, type AckStatus, type Task, type TaskSession } from '../../../domain/task/task.ts';
import { isNoUsage, NO_USAGE, withAttempt, type Usage } from '../../../domain/usage.ts';
import { change, withUsage, type Speaker, type Transition } from '../../../domain/transitions/change.ts';
import { decideLate, decideRefused } from '../../../domain/transitions/keeping.ts';
import * as reporting from '../../../domain/transitions/reporting.ts';
import type { Batch } from '../batch/batch.ts';
import type { ReportAnswer, ReportBody, ReportCause, ReportCommand, StopConfirmedCommand } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';

export function handleReport(batch: Batch, command: ReportCommand, context: HubContext): ReportAnswer {
  const before = batch.agent(command.from.agentId);
  if (before === undefined || before.sessionNumber !== command.from.session) return { kind: 'replaced' };
  if (command.unfit !== undefined) {
    const named = batch.task(command.taskId);
    keepRefused(batch, before, named, command, command.unfit, context);
    return refuse('not_assignee', named?.generation ?? null);
  }
  if (before.protocolVersion === 1) confirmByReport(batch, before, command);
  const agent = saysItIsFree(command.body) ? freed(batch, before) : before;
  // Only now: the confirmation may have been of this very task, and is an event of it.
  const task = batch.task(command.taskId);
  const judgement = judge(task ?? batch.tombstone(command.taskId), {
    kind: command.body.report,
    agentId: agent.id,
    generation: command.generation,
  });
  if (judgement.kind === 'repeat') {
    return { kind: 'acknowledged', status: judgement.answer, generation: command.generation ?? (0 as Generation), duplicate: true };
  }
  if (task === undefined || judgement.kind === 'refused') {
    const refusal = judgement.kind === 'refused' ? judgement : refuse('unknown_task', null);
    keepRefused(batch, agent, task, command, refusal.code, context);
    return refusal;
  }
  if (judgement.kind === 'late') return takeLate(batch, task, command, context);
  if (stillHasIt(agent, task, command.body)) {
    return { kind: 'acknowledged', status: 'rejected', generation: task.generation, duplicate: false };
  }
  return takeCurrent(batch, agent, task, command, context);
}

/** Version 1 refuses what comes while it is at work, also the very task that it is at work on: it still has it. */
const stillHasIt = (agent: Agent, task: Task, body: ReportBody): boolean =>
  agent.protocolVersion === 1 && body.report === 'rejected' && task.acceptedAtMs !== null;

function takeCurrent(batch: Batch, agent: Agent, task: Task, command: ReportCommand, context: HubContext): ReportAnswer {
  const { body, from } = command;
  batch.dispatchWanted ||= agent.busyUntilMs !== null;
  if (body.report === 'accepted' && task.acceptedAtMs !== null) {
    batch.putAgent(standing(agent, task, body, batch.nowMs, context));
    return { kind: 'acknowledged', status: 'accepted', generation: task.generation, duplicate: true };
  }
  if (body.report === 'rejected' && crossedResume(agent, body.reason)) return takeCrossed(batch, agent, task, command, context);
  const decided = decide(task, body, from, sessionOf(agent, body), batch.nowMs, context);
  if (decided.kind === 'refused') return decided;
  batch.put(decided);
  const after = standing(agent, task, body, batch.nowMs, context);
  batch.dispatchWanted ||= roomOf(after) > roomOf(agent);
  batch.putAgent(after);
  const status = ackOf(body, decided.task);
  return status === null ? { kind: 'noted' } : { kind: 'acknowledged', status, generation: task.generation, duplicate: false };
}

/** What a sidecar says while an operator drains it. */
const DRAINING = 'draining';

/** A refusal because of a drain that is over by now: the first one in a row is no fault of the agent. */
const crossedResume = (agent: Agent, reason: string): boolean =>
  agent.protocolVersion === 2 && reason === DRAINING && !agent.draining && agent.rejections === 0;

/** The task goes back as it came; the agent gets nothing until it says that it takes tasks again, at its next ping at the latest. */
function takeCrossed(batch: Batch, agent: Agent, task: Task, { from }: ReportCommand, { rules }: HubContext): ReportAnswer {
  const decided = reporting.decideReject(task, from, DRAINING, batch.nowMs, rules, false);
  if (decided.kind === 'refused') return decided;
  batch.put(decided);
  batch.putAgent({ ...agent, ownDrain: DRAINING, rejections: 1 });
  return { kind: 'acknowledged', status: 'rejected', generation: task.generation, duplicate: false };
}

/** What the agent's program can go on with, where it may be given to it again: only a machine that names itself is known to be the same. */
function sessionOf(agent: Agent, body: ReportBody): TaskSession | undefined {
  const id = 'sessionId' in body ? body.sessionId : undefined;
  return id === undefined || agent.instanceId === null ? undefined : { id, agentId: agent.id, instanceId: agent.instanceId };
}

function decide(
  task: Task,
  body: ReportBody,
  by: Speaker,
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
      return reporting.decideComplete(task, by, { session, ...body }, nowMs, rules);
    case 'failed':
      return reporting.decideFail(task, by, { ...body, session, kind: body.failure, details: withCause(body) }, nowMs, rules);
    case 'rejected':
      return reporting.decideReject(task, by, body.reason, nowMs, rules);
    case 'released':
      return reporting.decideRelease(task, by, { ...body, session, details: withCause(body) }, nowMs, rules, saysNothingOfTask(body));
  }
}

/** However long its agents can do nothing, a task that none of them has begun is not parked for it. */
const saysNothingOfTask = (body: Extract<ReportBody, { report: 'released' }>): boolean =>
  isAgentFault(body.cause) && body.afterWork !== true;

/** The history tells why, where the runner knew. */
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

/** What the report says about the machine that sent it. */
function standing(agent: Agent, task: Task, body: ReportBody, nowMs: number, { rules }: HubContext): Agent {
  switch (body.report) {
    case 'accepted':
    case 'progress':
    case 'woken': {
      const free = agent.rejections === 0 ? notBusy(agent) : { ...notBusy(agent), rejections: 0 };
      const used = body.report === 'progress' ? body.tokensUsed : null;
      return free.pauses > 0 && isProof(free, task, used, nowMs) ? { ...free, pauses: 0 } : free;
    }
    case 'complete':
      return withoutStrikes(agent);
    case 'failed':
      if (isAgentFault(body.cause ?? null)) return withPause(agent, inabilityOf(body, body.error), nowMs, rules.breaker);
      return isMachineFault(body.failure) ? withStrike(agent, task.id, body.error, nowMs, rules.breaker) : withoutStrikes(agent);
    case 'rejected':
      return withStrike(withRejection(agent, body.reason, nowMs), task.id, `rejected: ${body.reason}`, nowMs, rules.breaker);
    case 'released':
      if (body.cause === SIDECAR_STOPPED) return agent;
      return withPause(agent, inabilityOf(body, body.reason), nowMs, rules.breaker);
  }
}

const inabilityOf = ({ cause = null, retryAfterMs = null }: Partial<ReportCause>, reason: string): Inability => ({
  cause,
  reason,
  retryAfterMs,
});

function takeLate(batch: Batch, task: Task, command: ReportCommand, context: HubContext): ReportAnswer {
  const { body, generation, from } = command;
  if (body.report !== 'complete' || generation === null) return refuse('stale_generation', task.generation);
  const late = decideLate(task, from, { ...body, generation }, batch.nowMs, context.digest.sha256);
  const outcome = { generation, agentId: from.agentId, report: 'complete', answer: 'late' } as const;
  batch.put({ ...late, task: { ...late.task, outcomes: [...late.task.outcomes, outcome].slice(-OUTCOMES_KEPT) } });
  return { kind: 'acknowledged', status: 'late', generation, duplicate: false };
}

/** A version 1 sidecar deletes its copy whatever the answer: what was refused is kept apart, within bounds. */
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
  const said = { result: body.result, details: body.details, generation, reason };
  batch.put(decideRefused(task, by, said, batch.nowMs, context.digest.sha256));
}

/** The end of a run, whoever's: the agent is free of it. */
const saysItIsFree = (body: ReportBody): boolean => body.report === 'complete' || body.report === 'failed';

/** The agent, not taken as busy any more. */
export function freed(batch: Batch, agent: Agent): Agent {
  const free = notBusy(agent);
  if (free === agent) return agent;
  batch.putAgent(free);
  batch.dispatchWanted = true;
  return free;
}

export function handleStopConfirmed(batch: Batch, command: StopConfirmedCommand): void {
  const agent = batch.agent(command.from.agentId);
  if (agent === undefined || agent.sessionNumber !== command.from.session) return;
  const details = { outcome: command.outcome, ...(command.survivors.length === 0 ? {} : { survivors: command.survivors }) };
  confirmStops(batch, agent, details, (stop) => stop.taskId === command.taskId && stop.generation === command.generation, command.used);
}

/** The agent's stops that `which` names are over: their slots are free, and the history says how. */
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
 * Version 1 confirms no stop by itself: that it took on, completed or failed something says that it is free of what it
 * had before. That it takes on the very task that it is to stop says nothing of the kind.
 */
function confirmByReport(batch: Batch, agent: Agent, { taskId, body }: ReportCommand): void {
  if (body.report === 'complete' || body.report === 'failed') confirmStops(batch, agent, { outcome: 'reported' });
  if (body.report === 'accepted') confirmStops(batch, agent, { outcome: 'reported' }, (stop) => stop.taskId !== taskId);
}
