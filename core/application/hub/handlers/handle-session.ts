/** Agents that come, go and speak of themselves. */
import type { Agent } from '../../../domain/agent/agent.ts';
import { NO_PAUSE, withChecks } from '../../../domain/agent/breaker.ts';
import { notBusy, settling } from '../../../domain/agent/busy.ts';
import { decideReplacing } from '../../../domain/agent/replacing.ts';
import { absent, runEndMs } from '../../../domain/transitions/assigning.ts';
import { decideAccept, decideFail } from '../../../domain/transitions/reporting.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Batch } from '../batch/batch.ts';
import type {
  AgentStandingCommand,
  DisconnectCommand,
  IdentifyAnswer,
  IdentifyCommand,
  PresenceCommand,
  RecoverAnswer,
  RecoverCommand,
  Reporter,
  StandingAnswer,
} from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { answerHeld, goOn, isSpent, takeBack, takeSilentReturn, takeUnspoken } from './handle-held.ts';
import { confirmStops, freed } from './handle-report.ts';

export function handleIdentify(batch: Batch, command: IdentifyCommand, context: HubContext): IdentifyAnswer {
  const before = batch.agentOrNew(command.agentId);
  if (isHeldByAnother(before, command, batch.nowMs, context)) return { kind: 'agent_id_in_use' };
  const isHeard = wasJustHeard(before, batch.nowMs, context);
  const lacks = command.held === null ? undefined : lackedBy(batch, before, command.held);
  const replacing = decideReplacing(
    before,
    { instanceId: command.instanceId, processId: command.processId ?? null, isHeard, lacks },
    batch.nowMs,
  );
  if (replacing.kind === 'refused') {
    if (before.instanceId !== null && before.instanceId === command.instanceId) {
      const isLate = isKnown(before.processId) && before.processId === command.processId;
      context.log.warn(
        isLate ? CAME_LATE : 'two processes speak for one agent with the same instance id: do they use the same data directory, or a copy?',
        {
          agent_id: before.id,
          instance_id: command.instanceId,
          task_id: lacks?.id ?? null,
        },
      );
    }
    batch.putAgent(replacing.agent);
    return { kind: 'agent_id_in_use' };
  }
  const identified: Agent = {
    ...replacing.agent,
    name: command.name,
    capabilities: command.capabilities,
    slots: command.slots,
    sessionNumber: before.sessionNumber + 1,
    hubId: command.hubId,
    connected: true,
    connectedAtMs: batch.nowMs,
    disconnectedAtMs: null,
    lastHeardAtMs: batch.nowMs,
    instanceId: command.instanceId,
    processId: command.processId ?? null,
    protocolVersion: command.protocolVersion,
    reportedStatus: command.reportedStatus,
    ownDrain: null,
  };
  const checked = withChecks(
    identified,
    command.checks === null || command.checks === undefined ? null : { ...command.checks, atMs: batch.nowMs },
  );
  const agent = command.protocolVersion === 1 ? settling(checked, batch.nowMs) : checked;
  batch.putAgent(agent);
  if (before.hubId !== null && before.hubId !== command.hubId) batch.takenOver.push(agent.id);
  batch.dispatchWanted = true;
  batch.outgoing.push({ kind: 'close_older', agentId: agent.id, session: agent.sessionNumber });
  const isOtherMachine = before.instanceId !== null && before.instanceId !== command.instanceId;
  const isRestarted = !isOtherMachine && isKnown(before.processId) && isKnown(agent.processId) && before.processId !== agent.processId;
  const held = command.held === null ? [] : answerHeld(batch, agent, { held: command.held, isOtherMachine, isRestarted }, context);
  if (command.held === null) takeSilentReturn(batch, agent, context);
  for (const stop of batch.stopsOf(agent.id)) batch.send(stop);
  return { kind: 'identified', session: agent.sessionNumber, held, expectsWord: command.held === null };
}

const CAME_LATE = 'an identify lacks what its own process has accepted since, and is refused: it was sent over an earlier connection';

const isKnown = (id: string | null | undefined): boolean => id !== null && id !== undefined;

/** Whether the open connection lives. Of one at another hub that is not known here, and that hub says so when it dies. */
function wasJustHeard(agent: Agent, nowMs: number, { hubId, isHere, heardAtMs, timing }: HubContext): boolean {
  if (agent.hubId !== hubId) return true;
  if (!isHere(agent.id, agent.sessionNumber)) return false;
  const heardMs = heardAtMs?.(agent.id) ?? null;
  return heardMs === null || nowMs - heardMs <= timing.heartbeatMs;
}

/** What the agent has accepted and this inventory does not name. */
const lackedBy = (batch: Batch, agent: Agent, held: NonNullable<IdentifyCommand['held']>): Task | undefined =>
  batch
    .liveOf(agent.id)
    .find((task) => task.acceptedAtMs !== null && !held.some((one) => one.taskId === task.id && one.generation === task.generation));

const isHeldByAnother = (agent: Agent, command: IdentifyCommand, nowMs: number, { timing }: HubContext): boolean =>
  agent.instanceId !== null &&
  command.instanceId !== null &&
  agent.instanceId !== command.instanceId &&
  (agent.connected || (agent.disconnectedAtMs ?? 0) > nowMs - timing.reconnectGraceMs);

export function handleDisconnect(batch: Batch, command: DisconnectCommand, context: HubContext): void {
  const agent = current(batch, command.from);
  if (agent === undefined) return;
  if (command.tooLarge !== undefined) failOversized(batch, agent, command, context);
  const heardMs = Math.max(agent.lastHeardAtMs ?? 0, Math.min(command.heardAtMs ?? 0, batch.nowMs));
  takeAway(batch, { ...(batch.agent(agent.id) ?? agent), lastHeardAtMs: heardMs === 0 ? null : heardMs }, context);
}

/**
 * Its connection was closed for a frame over the limit. Where that can only have been the end of a task, the attempt has
 * failed: version 1 deletes its copy of the result, and version 2 would send the same frame at each return.
 */
function failOversized(batch: Batch, agent: Agent, { from, tooLarge }: DisconnectCommand, context: HubContext): void {
  const [task, ...others] = batch.liveOf(agent.id).filter(({ acceptedAtMs }) => acceptedAtMs !== null);
  const reporting = tooLarge?.reporting ?? null;
  if (task === undefined || others.length > 0 || (reporting !== null && !reporting.includes(task.id))) return;
  const error =
    `the report was a frame over the limit of ${context.limits.frameBytes} bytes: ` +
    'write less into the result, or raise limits.frameBytes in the config of the hub';
  const said = { error, kind: 'result_too_large', retryable: true, tokensUsed: null, costUsd: null, details: null };
  batch.put(decideFail(task, from, said, batch.nowMs, context.rules));
}

/**
 * The agent is away since `sinceMs`: each of its deadlines is the end of the grace from then on, unless silence does not
 * count yet. A version 2 run that passes its limit meanwhile has at most one grace more, over all absences; version 1 keeps
 * no result, so that there is nothing to wait for.
 */
export function takeAway(batch: Batch, agent: Agent, context: HubContext, sinceMs: number = batch.nowMs): void {
  batch.putAgent({ ...agent, connected: false, disconnectedAtMs: sinceMs, lastHeardAtMs: agent.lastHeardAtMs ?? sinceMs });
  const untilMs = Math.max(sinceMs + context.timing.reconnectGraceMs, context.silence.countsFromMs);
  for (const task of batch.liveOf(agent.id)) {
    if (!isSpent(agent, task, sinceMs, context)) batch.touch(absent(task, { untilMs, runUntilMs: runUntilMs(agent, task, context) }));
  }
}

/** How far an absence may put off the end of a run. */
function runUntilMs(agent: Agent, task: Task, { rules, timing, silence }: HubContext): number {
  if (agent.protocolVersion === 1 || task.acceptedAtMs === null) return silence.countsFromMs;
  return Math.max(runEndMs(task, task.acceptedAtMs, rules) + timing.reconnectGraceMs, silence.countsFromMs);
}

export function handlePresence(batch: Batch, command: PresenceCommand, context: HubContext): void {
  const agent = current(batch, command.from);
  if (agent === undefined) return;
  const { change } = command;
  switch (change.what) {
    case 'status':
      batch.putAgent({ ...agent, reportedStatus: change.status });
      if (agent.protocolVersion === 1 && change.status === 'idle') confirmStops(batch, agent, { outcome: 'idle' });
      return;
    case 'resources':
      return batch.putAgent({ ...agent, resources: change.resources });
    case 'restarting':
      return batch.putAgent({ ...agent, reportedStatus: change.reason === '' ? 'restarting' : `restarting: ${change.reason}` });
    case 'draining':
      // The answer to an operator's drain is no reason of its own, and must not outlast that.
      return agent.draining ? undefined : batch.putAgent({ ...agent, ownDrain: change.reason });
    case 'drained':
      return batch.putAgent({ ...agent, reportedStatus: 'drained' });
    case 'resumed':
      batch.dispatchWanted = true;
      return batch.putAgent({ ...notDrained(agent), ownDrain: null });
    case 'checks':
      batch.dispatchWanted ||= change.checks.failed.length === 0;
      return batch.putAgent(withChecks(agent, { ...change.checks, atMs: batch.nowMs }));
    case 'ping':
      return renewByPing(batch, agent, context);
    case 'settled':
      batch.dispatchWanted = true;
      takeUnspoken(batch, agent, change.spokenOf, context);
  }
}

/** Version 1 says nothing else between wake and result: its pings renew, up to `v1RunMaxMs` after acceptance. */
function renewByPing(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs !== null) goOn(batch, agent, task, context);
  }
}

/** Version 1's word after a crash (`task_recovering`) or a reconnect (`state_report`). */
export function handleRecover(batch: Batch, command: RecoverCommand, context: HubContext): RecoverAnswer {
  const before = current(batch, command.from);
  if (before === undefined) return { kind: 'replaced' };
  const agent = freed(batch, before);
  const task = batch.task(command.taskId);
  const isGone = command.after === 'crash' ? 'reassign' : 'abort';
  if (task === undefined || !isOwn(task, agent, command)) return { kind: isGone };
  if (command.after === 'crash' && !command.wasWoken) {
    takeBack(batch, agent.id, task, 'recovering', context);
    return { kind: 'reassign' };
  }
  // Whoever goes on with a task has accepted it, whatever became of the frame that said so.
  if (task.acceptedAtMs === null) batch.put(decideAccept(task, command.from, batch.nowMs, context.rules));
  else goOn(batch, agent, task, context);
  return { kind: 'continue', generation: task.generation };
}

/** Without a generation it speaks of what it accepted, or had before it came back; never of what was on its way since. */
function isOwn(task: Task, agent: Agent, { generation }: RecoverCommand): boolean {
  if (task.status !== 'assigned' || task.assignedTo !== agent.id) return false;
  if (generation !== null) return task.generation === generation;
  return task.acceptedAtMs !== null || (task.assignedAtMs ?? 0) < (agent.connectedAtMs ?? 0);
}

export function handleStanding(batch: Batch, command: AgentStandingCommand): StandingAnswer {
  const agent = batch.agent(command.agentId);
  if (agent === undefined) return { kind: 'unknown_agent' };
  switch (command.change) {
    case 'drain':
      batch.putAgent({
        ...agent,
        draining: true,
        drainUntilMs: command.deadlineMs === undefined ? null : batch.nowMs + command.deadlineMs,
        orders: agent.orders + 1,
      });
      break;
    case 'resume':
      batch.putAgent({
        ...notDrained(notBusy(agent)),
        draining: false,
        drainUntilMs: null,
        orders: agent.orders + 1,
        // Where the reason of its own still holds, it says so again.
        ownDrain: null,
        ...NO_PAUSE,
        checks: null,
        brokenUntilMs: null,
        brokenReason: null,
        strikes: [],
        breakerTrips: 0,
        rejections: 0,
      });
      batch.dispatchWanted = true;
      break;
    case 'check':
      batch.putAgent({ ...agent, checksAsked: agent.checksAsked + 1 });
      break;
    case 'takeover':
      batch.putAgent({ ...agent, instanceId: null, replacedAtMs: [], conflictUntilMs: null });
  }
  return { kind: 'done' };
}

/** Drained, as it said, is what it is no more. */
const notDrained = (agent: Agent): Agent => (agent.reportedStatus === 'drained' ? { ...agent, reportedStatus: null } : agent);

/** The agent's row, if what is said comes from its current session. */
const current = (batch: Batch, from: Reporter): Agent | undefined => {
  const agent = batch.agent(from.agentId);
  return agent?.sessionNumber === from.session ? agent : undefined;
};
