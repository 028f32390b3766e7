/** Sessions and the state of agents: identify, disconnect, presence, operator control. */
import type { Agent } from '../../../domain/agent/agent.ts';
import { NO_PAUSE, withChecks } from '../../../domain/agent/breaker.ts';
import { isOutOfRoom, notBusy, settling } from '../../../domain/agent/busy-agents.ts';
import { decideReplacement } from '../../../domain/agent/session-replacement.ts';
import { absent, runEndMs } from '../../../domain/transitions/assigning.ts';
import { decideAccept, decideFail } from '../../../domain/transitions/reporting.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Batch } from '../batch/batch.ts';
import type {
  AgentControlCommand,
  DisconnectCommand,
  IdentifyAnswer,
  IdentifyCommand,
  PresenceCommand,
  RecoverAnswer,
  RecoverCommand,
  Reporter,
  AgentControlAnswer,
} from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import {
  answerHeld,
  continueAssignment,
  isV1RunOver,
  reclaim,
  reclaimUnmentioned,
  resumeWithoutInventory,
  type Reconnection,
} from './handle-held.ts';
import { confirmStops, clearBusy } from './handle-report.ts';

export function handleIdentify(batch: Batch, command: IdentifyCommand, context: HubContext): IdentifyAnswer {
  const before = batch.agentOrNew(command.agentId);
  const { deviceKey = null } = before;
  if (deviceKey !== null && deviceKey !== command.deviceKey) return { kind: 'invalid_device_key' };
  const keptForMs = keptForOtherMs(before, command, batch.nowMs, context);
  if (keptForMs > 0) return { kind: 'agent_id_in_use', freeInMs: before.connected ? undefined : keptForMs };
  const isOpenAlive = isConnectionAlive(before, batch.nowMs, context);
  const reconnection = reconnectionOf(before, command);
  const missingTask = command.held === null ? undefined : missingFrom(batch, before, command.held);
  const replacing = decideReplacement(
    before,
    { instanceId: command.instanceId, processId: command.processId ?? null, isOpenAlive, missingTask },
    batch.nowMs,
  );
  if (replacing.kind === 'refused') {
    if (before.instanceId !== null && before.instanceId === command.instanceId) {
      const isStale = reconnection === 'same_process';
      context.log.warn(
        isStale
          ? STALE_IDENTIFY
          : 'two processes use the same agent ID and instance ID: do they use the same data directory, or a copy of it?',
        {
          agent_id: before.id,
          instance_id: command.instanceId,
          task_id: missingTask?.id ?? null,
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
    inProcess: command.inProcess === true,
    ...(command.deviceKey === undefined || command.deviceKey === null ? {} : { deviceKey: command.deviceKey }),
    protocolVersion: command.protocolVersion,
    reportedStatus: command.reportedStatus,
    ownDrain: null,
  };
  const checked = withChecks(
    identified,
    command.checks === null || command.checks === undefined ? null : { ...command.checks, atMs: batch.nowMs },
  );
  // What left it no room may have ended meanwhile without a report.
  const returned = isOutOfRoom(checked) ? notBusy(checked) : checked;
  const agent = command.protocolVersion === 1 ? settling(returned, batch.nowMs) : returned;
  batch.putAgent(agent);
  if (before.hubId !== null && before.hubId !== command.hubId) batch.takenOver.push(agent.id);
  batch.dispatchWanted = true;
  batch.outgoing.push({ kind: 'close_older', agentId: agent.id, session: agent.sessionNumber });
  const held = command.held === null ? [] : answerHeld(batch, agent, { held: command.held, reconnection }, context);
  if (command.held === null) resumeWithoutInventory(batch, agent, context);
  for (const stop of batch.stopsOf(agent.id)) batch.send(stop);
  return { kind: 'identified', session: agent.sessionNumber, held, isSettling: command.held === null };
}

const STALE_IDENTIFY = 'refused an identify that omits a task its own process has accepted since: it was sent over an earlier connection';

function reconnectionOf(before: Agent, { instanceId, processId, isVolatile }: IdentifyCommand): Reconnection {
  if (before.instanceId !== null && before.instanceId !== instanceId) return 'other_machine';
  // After a takeover only its process tells whether it is still the machine that has its assignments.
  const isUnbound = before.instanceId === null && instanceId !== null && isKnown(before.processId);
  if (isUnbound && before.processId !== processId) return 'other_machine';
  if (!isKnown(before.processId) || !isKnown(processId)) return 'unknown_process';
  if (before.processId === processId) return 'same_process';
  return isVolatile === true ? 'restarted_without_journal' : 'restarted';
}

const isKnown = (id: string | null | undefined): boolean => id !== null && id !== undefined;

/** Whether the open connection is alive. One at another hub counts as alive: that hub reports when it dies. */
function isConnectionAlive(agent: Agent, nowMs: number, { hubId, isHere, lastHeardAtMs, timing }: HubContext): boolean {
  if (agent.hubId !== hubId) return true;
  if (!isHere(agent.id, agent.sessionNumber)) return false;
  const heardAtMs = lastHeardAtMs?.(agent.id) ?? null;
  return heardAtMs === null || nowMs - heardAtMs <= timing.heartbeatMs;
}

/** A task that the agent has accepted and that its inventory does not name. */
const missingFrom = (batch: Batch, agent: Agent, held: NonNullable<IdentifyCommand['held']>): Task | undefined =>
  batch
    .liveOf(agent.id)
    .find((task) => task.acceptedAtMs !== null && !held.some((one) => one.taskId === task.id && one.generation === task.generation));

/** For how long the id is kept for another machine, which is connected or may return; 0: it is not. */
function keptForOtherMs(agent: Agent, command: IdentifyCommand, nowMs: number, { timing }: HubContext): number {
  if (agent.instanceId === null || command.instanceId === null || agent.instanceId === command.instanceId) return 0;
  return agent.connected ? Infinity : Math.max(0, (agent.disconnectedAtMs ?? 0) + timing.reconnectGraceMs - nowMs);
}

export function handleDisconnect(batch: Batch, command: DisconnectCommand, context: HubContext): void {
  const agent = current(batch, command.from);
  if (agent === undefined) return;
  if (command.tooLarge !== undefined) failOversized(batch, agent, command, context);
  if (command.isLeaving === true) requeueUnaccepted(batch, agent, context);
  const heardAtMs = Math.max(agent.lastHeardAtMs ?? 0, Math.min(command.lastHeardAtMs ?? 0, batch.nowMs));
  markDisconnected(batch, { ...(batch.agent(agent.id) ?? agent), lastHeardAtMs: heardAtMs === 0 ? null : heardAtMs }, context);
}

/** They were on their way when the agent left: nobody holds them, so that no other agent has to wait for the reconnect grace. */
function requeueUnaccepted(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id))
    if (task.acceptedAtMs === null) reclaim(batch, agent.id, task, 'disconnected', context, { stop: false, isStrike: false });
}

/**
 * The connection was closed for a frame over the limit. If that can only have been the result of a task, the attempt has
 * failed: version 1 deletes its copy of the result, and version 2 would send the same frame after each reconnect.
 */
function failOversized(batch: Batch, agent: Agent, { from, tooLarge }: DisconnectCommand, context: HubContext): void {
  const [task, ...others] = batch.liveOf(agent.id).filter(({ acceptedAtMs }) => acceptedAtMs !== null);
  const reporting = tooLarge?.reporting ?? null;
  if (task === undefined || others.length > 0 || (reporting !== null && !reporting.includes(task.id))) return;
  const error =
    `the report was a frame over the limit of ${context.limits.frameBytes} bytes: ` +
    'write less into the result, or raise limits.frameBytes in the config of the hub';
  const failure = { error, kind: 'result_too_large', retryable: true, tokensUsed: null, costUsd: null, details: null };
  batch.put(decideFail(task, from, failure, batch.nowMs, context.rules));
}

/**
 * The agent has been away since `sinceMs`: the deadline of each of its tasks becomes the end of the reconnect grace, or of the quiet
 * period if that is later. A version 2 run that reaches its limit meanwhile gets at most one more grace over all absences;
 * version 1 keeps no result to wait for.
 */
export function markDisconnected(batch: Batch, agent: Agent, context: HubContext, sinceMs: number = batch.nowMs): void {
  batch.putAgent({ ...agent, connected: false, disconnectedAtMs: sinceMs, lastHeardAtMs: agent.lastHeardAtMs ?? sinceMs });
  const untilMs = Math.max(sinceMs + context.timing.reconnectGraceMs, context.quietPeriod.untilMs);
  for (const task of batch.liveOf(agent.id)) {
    if (!isV1RunOver(agent, task, sinceMs, context)) batch.touch(absent(task, { untilMs, runUntilMs: runUntilMs(agent, task, context) }));
  }
}

/** How far an absence may postpone the end of a run. */
function runUntilMs(agent: Agent, task: Task, { rules, timing, quietPeriod }: HubContext): number {
  if (agent.protocolVersion === 1 || task.acceptedAtMs === null) return quietPeriod.untilMs;
  return Math.max(runEndMs(task, task.acceptedAtMs, rules) + timing.reconnectGraceMs, quietPeriod.untilMs);
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
      // What it reports in answer to an operator's drain is not a drain of its own, and must not outlast the operator's.
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
      reclaimUnmentioned(batch, agent, change.mentioned, context);
  }
}

/** Version 1 sends nothing else between wake and result: its pings renew the leases, up to `v1RunMaxMs` after acceptance. */
function renewByPing(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs !== null) continueAssignment(batch, agent, task, context);
  }
}

/** Version 1 reports a task after a crash (`task_recovering`) or a reconnect (`state_report`). */
export function handleRecover(batch: Batch, command: RecoverCommand, context: HubContext): RecoverAnswer {
  const before = current(batch, command.from);
  if (before === undefined) return { kind: 'replaced' };
  const agent = clearBusy(batch, before);
  const task = batch.task(command.taskId);
  const isGone = command.after === 'crash' ? 'reassign' : 'abort';
  if (task === undefined || !isOwn(task, agent, command)) return { kind: isGone };
  if (command.after === 'crash' && !command.wasWoken) {
    reclaim(batch, agent.id, task, 'recovering', context);
    return { kind: 'reassign' };
  }
  // An agent that continues a task has accepted it, even if the accept was lost.
  if (task.acceptedAtMs === null) batch.put(decideAccept(task, command.from, batch.nowMs, context.rules));
  else continueAssignment(batch, agent, task, context);
  return { kind: 'continue', generation: task.generation };
}

/** Without a generation, the command is about an assignment that was accepted, or made before the agent reconnected; never one made since. */
function isOwn(task: Task, agent: Agent, { generation }: RecoverCommand): boolean {
  if (task.status !== 'assigned' || task.assignedTo !== agent.id) return false;
  if (generation !== null) return task.generation === generation;
  return task.acceptedAtMs !== null || (task.assignedAtMs ?? 0) < (agent.connectedAtMs ?? 0);
}

export function handleAgentControl(batch: Batch, command: AgentControlCommand): AgentControlAnswer {
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
        // If its own reason to drain still applies, it reports it again.
        ownDrain: null,
        ...NO_PAUSE,
        // Checks that failed are kept until its sidecar, which checks again when it is resumed, reports others.
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
      batch.putAgent({ ...agent, instanceId: null, deviceKey: null, replacedAtMs: [], conflictUntilMs: null });
  }
  return { kind: 'done' };
}

/** Clears its reported status `drained`. */
const notDrained = (agent: Agent): Agent => (agent.reportedStatus === 'drained' ? { ...agent, reportedStatus: null } : agent);

/** The agent's row, if the frame comes from its current session. */
const current = (batch: Batch, from: Reporter): Agent | undefined => {
  const agent = batch.agent(from.agentId);
  return agent?.sessionNumber === from.session ? agent : undefined;
};
