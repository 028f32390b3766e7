/** What sidecars say of their tasks: judged by the fence, then carried out. */
import type { Agent } from '../../domain/agent.ts';
import { isMachineFault, withoutStrikes, withPause, withRejection, withStrike } from '../../domain/breaker.ts';
import { judge } from '../../domain/fencing.ts';
import type { Generation } from '../../domain/ids.ts';
import { refuse, type Refusal } from '../../domain/refusal.ts';
import { OUTCOMES_KEPT, type AckStatus, type Task } from '../../domain/task.ts';
import { change, type Change, type Transition } from '../../domain/transitions/change.ts';
import * as reporting from '../../domain/transitions/reporting.ts';
import type { Batch } from './batch.ts';
import type { ReportAnswer, ReportBody, ReportCommand, StopConfirmedCommand } from './commands.ts';
import type { HubContext } from './context.ts';

/** How long an agent that handed a task back without saying when to come again gets nothing, milliseconds. */
const RELEASE_PAUSE_MS = 60_000;

export function handleReport(batch: Batch, command: ReportCommand, context: HubContext): ReportAnswer {
  const agent = batch.agent(command.from.agentId);
  if (agent === undefined || agent.sessionNumber !== command.from.session) return { kind: 'replaced' };
  if (agent.protocolVersion === 1 && endsStop(command.body)) confirmStops(batch, agent, { outcome: 'reported' });
  const task = batch.task(command.taskId);
  const judgement = judge(task, { kind: command.body.report, agentId: agent.id, generation: command.generation });
  if (judgement.kind === 'repeat') {
    return { kind: 'acknowledged', status: judgement.answer, generation: command.generation ?? (0 as Generation), duplicate: true };
  }
  if (task === undefined || judgement.kind === 'refused') {
    return keepRefused(batch, agent, task, command, judgement.kind === 'refused' ? judgement : refuse('unknown_task', null));
  }
  if (judgement.kind === 'late') return takeLate(batch, task, command);
  return takeCurrent(batch, agent, task, command, context);
}

function takeCurrent(batch: Batch, agent: Agent, task: Task, command: ReportCommand, context: HubContext): ReportAnswer {
  const { body, from } = command;
  const decided = decide(task, body, from, batch.nowMs, context);
  if (decided.kind === 'refused') return decided;
  const repeated = body.report === 'accepted' && task.acceptedAtMs !== null;
  batch.put(decided);
  batch.putAgent(standing(agent, task, body, batch.nowMs, context));
  batch.dispatchWanted ||= agent.pausedUntilMs !== null;
  const status = ackOf(body, decided.task);
  return status === null ? { kind: 'noted' } : { kind: 'acknowledged', status, generation: task.generation, duplicate: repeated };
}

function decide(task: Task, body: ReportBody, by: reporting.Speaker, nowMs: number, { rules }: HubContext): Transition {
  switch (body.report) {
    case 'accepted':
      return reporting.decideAccept(task, by, nowMs, rules);
    case 'progress':
      return reporting.decideProgress(task, by, body, nowMs, rules);
    case 'woken':
      return reporting.decideWoken(
        task,
        by,
        { success: body.status === 'success', details: { ...body.details, status: body.status } },
        nowMs,
        rules,
      );
    case 'complete':
      return reporting.decideComplete(task, by, body, nowMs, rules);
    case 'failed':
      return reporting.decideFail(task, by, { ...body, kind: body.failure }, nowMs, rules);
    case 'rejected':
      return reporting.decideReject(task, by, body.reason, nowMs, rules);
    case 'released':
      return reporting.decideRelease(task, by, body.reason, nowMs, rules);
  }
}

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
    case 'woken':
      return agent.rejections === 0 ? agent : { ...agent, rejections: 0, pausedUntilMs: null, pausedReason: null };
    case 'complete':
      return withoutStrikes(agent);
    case 'failed':
      return isMachineFault(body.failure) ? withStrike(agent, task.id, body.error, nowMs, rules.breaker) : withoutStrikes(agent);
    case 'rejected':
      return withStrike(withRejection(agent, body.reason, nowMs), task.id, `rejected: ${body.reason}`, nowMs, rules.breaker);
    case 'released':
      return withPause(agent, nowMs + (body.retryAfterMs ?? RELEASE_PAUSE_MS), body.reason);
  }
}

function takeLate(batch: Batch, task: Task, command: ReportCommand): ReportAnswer {
  const { body, generation, from } = command;
  if (body.report !== 'complete' || generation === null) return refuse('stale_generation', task.generation);
  const late = reporting.decideLate(task, from, { result: body.result, details: body.details, generation }, batch.nowMs);
  const outcome = { generation, agentId: from.agentId, report: 'complete', answer: 'late' } as const;
  batch.put({ ...late, task: { ...late.task, outcomes: [...late.task.outcomes, outcome].slice(-OUTCOMES_KEPT) } });
  return { kind: 'acknowledged', status: 'late', generation, duplicate: false };
}

/** A version 1 sidecar deletes its copy whatever the answer: what was refused is kept whole in the history. */
function keepRefused(batch: Batch, agent: Agent, task: Task | undefined, command: ReportCommand, refusal: Refusal): ReportAnswer {
  if (agent.protocolVersion === 1 && task !== undefined && command.body.report === 'complete') {
    const details = { ...command.body.details, reason: refusal.code, result: command.body.result };
    batch.put(
      change(task, {}, batch.nowMs, [
        { event: 'report_refused', agentId: agent.id, generation: command.generation, session: command.from.session, details },
      ]),
    );
  }
  return refusal;
}

export function handleStopConfirmed(batch: Batch, command: StopConfirmedCommand): void {
  const agent = batch.agent(command.from.agentId);
  if (agent === undefined || agent.sessionNumber !== command.from.session) return;
  const details = { outcome: command.outcome, ...(command.survivors.length === 0 ? {} : { survivors: command.survivors }) };
  confirmStops(batch, agent, details, (stop) => stop.taskId === command.taskId && stop.generation === command.generation);
}

/** The agent's stops that `which` names are over: their slots are free, and the history says how. */
export function confirmStops(
  batch: Batch,
  agent: Agent,
  details: Readonly<Record<string, unknown>>,
  which: (stop: { readonly taskId: Task['id']; readonly generation: number }) => boolean = () => true,
): void {
  for (const stop of batch.stopsOf(agent.id).filter(which)) {
    batch.clearStop(stop);
    const task = batch.task(stop.taskId);
    if (task === undefined) continue;
    const told: Change = change(task, {}, batch.nowMs, [
      { event: 'stop_confirmed', agentId: agent.id, generation: stop.generation as Generation, session: agent.sessionNumber, details },
    ]);
    batch.put(told);
  }
}

/** From version 1, which confirms no stop by itself, these say that it is free of what it had. */
const endsStop = (body: ReportBody): boolean => body.report === 'accepted' || body.report === 'complete' || body.report === 'failed';
