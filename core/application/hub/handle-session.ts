/** Agents that come, go and speak of themselves. */
import type { Agent } from '../../domain/agent.ts';
import { NO_PAUSE, withChecks, withStrike } from '../../domain/breaker.ts';
import { notBusy, settling } from '../../domain/busy.ts';
import { decideHeld, decideMissing, isAhead, isCurrent } from '../../domain/reconciliation.ts';
import { decideReplacing } from '../../domain/replacing.ts';
import { notBefore, resumedDeadline, withDeadline } from '../../domain/transitions/assigning.ts';
import { decideAccept } from '../../domain/transitions/reporting.ts';
import { decideRaise, decideReclaim, type ReclaimReason } from '../../domain/transitions/taking-back.ts';
import type { AgentId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { Batch } from './batch.ts';
import type {
  AgentStandingCommand,
  DisconnectCommand,
  HeldAnswer,
  HeldAssignment,
  IdentifyAnswer,
  IdentifyCommand,
  PresenceCommand,
  RecoverAnswer,
  RecoverCommand,
  Reporter,
  StandingAnswer,
} from './commands.ts';
import type { HubContext } from './context.ts';
import { confirmStops, freed } from './handle-report.ts';

export function handleIdentify(batch: Batch, command: IdentifyCommand, context: HubContext): IdentifyAnswer {
  const before = batch.agentOrNew(command.agentId);
  if (isHeldByAnother(before, command, batch.nowMs, context)) return { kind: 'agent_id_in_use' };
  const replacing = decideReplacing(before, command.instanceId, batch.nowMs);
  if (replacing.kind === 'refused') {
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
  const held = command.held === null ? [] : answerHeld(batch, agent, { held: command.held, isOtherMachine }, context);
  if (command.held === null) takeSilentReturn(batch, agent, context);
  for (const stop of batch.stopsOf(agent.id)) batch.send(stop);
  return { kind: 'identified', session: agent.sessionNumber, held, expectsWord: command.held === null };
}

const isHeldByAnother = (agent: Agent, command: IdentifyCommand, nowMs: number, { timing }: HubContext): boolean =>
  agent.instanceId !== null &&
  command.instanceId !== null &&
  agent.instanceId !== command.instanceId &&
  (agent.connected || (agent.disconnectedAtMs ?? 0) > nowMs - timing.reconnectGraceMs);

/**
 * Version 2: everything held is answered; what is not held and was believed to be is pushed again or lost. Another machine is
 * not given the same generation again: the one before it may have it, with its word still on the way.
 */
function answerHeld(
  batch: Batch,
  agent: Agent,
  { held, isOtherMachine }: { readonly held: readonly HeldAssignment[]; readonly isOtherMachine: boolean },
  context: HubContext,
): readonly HeldAnswer[] {
  const answers = held.map((one): HeldAnswer => {
    const task = raisedAbove(batch, agent, one, context);
    const decision = decideHeld(task, one, agent.id);
    const name = { taskId: one.taskId, generation: one.generation };
    switch (decision.action) {
      case 'report':
        // Its word is on the way: until it is here the assignment is as good as going on.
        if (task !== undefined && isCurrent(task, one, agent.id)) batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
        return { ...name, action: 'report', reason: null };
      case 'continue':
        if (task !== undefined) batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
        return { ...name, action: 'continue', reason: null };
      case 'lost':
        if (task !== undefined) takeBack(batch, agent.id, task, 'lost', context);
        return { ...name, action: 'abort', reason: 'lost' };
      case 'abort':
        return { ...name, action: 'abort', reason: decision.reason };
    }
  });
  const isHeld = (task: { readonly taskId: Task['id']; readonly generation: number }): boolean =>
    held.some((one) => one.taskId === task.taskId && one.generation === task.generation && one.status !== 'unknown');
  for (const task of batch.liveOf(agent.id)) {
    if (isHeld({ taskId: task.id, generation: task.generation })) continue;
    if (decideMissing(task) === 'lost') takeBack(batch, agent.id, task, 'not_held', context);
    else if (isOtherMachine) giveAgain(batch, task, context);
    else pushAgain(batch, agent, task, context);
  }
  confirmStops(batch, agent, { outcome: 'not_held' }, (stop) => !isHeld(stop));
  return answers;
}

/** The task that is held, raised above what is held where the store fell back in time. */
function raisedAbove(batch: Batch, agent: Agent, held: HeldAssignment, context: HubContext): Task | undefined {
  const task = batch.task(held.taskId);
  if (task === undefined || !isAhead(task, held)) return task;
  const { taskId, generation } = held;
  const stored = task.generation;
  context.log.error('a sidecar holds a generation above the stored one: the store fell back in time', {
    agent_id: agent.id,
    taskId,
    generation,
    stored,
  });
  batch.put(decideRaise(task, { generation, by: { agentId: agent.id, session: agent.sessionNumber } }, batch.nowMs, context.rules));
  return batch.task(taskId);
}

/** Version 1 has no inventory: what it never accepted is pushed again, of the rest it is expected to speak. */
function takeSilentReturn(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs === null) pushAgain(batch, agent, task, context);
    else batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
  }
}

function pushAgain(batch: Batch, agent: Agent, task: Task, context: HubContext): void {
  const renewed = resumedDeadline(task, batch.nowMs, context.rules);
  batch.touch(renewed);
  batch.push(agent.id, agent.sessionNumber, renewed);
}

/** Never accepted, as far as is known: it goes on under a new generation, and spends no retry. */
function giveAgain(batch: Batch, task: Task, { rules }: HubContext): void {
  const decided = decideReclaim(task, { reason: 'not_held', stop: false }, batch.nowMs, rules);
  if (decided.kind === 'changed') batch.put(decided);
}

/** Takes back what the agent itself does not have: nothing is to be stopped there. */
function takeBack(batch: Batch, agentId: AgentId, task: Task, reason: ReclaimReason, context: HubContext): void {
  const decided = decideReclaim(task, { reason, stop: false }, batch.nowMs, context.rules);
  if (decided.kind === 'refused') return;
  batch.put(decided);
  batch.putAgent(withStrike(batch.agentOrNew(agentId), task.id, 'lost', batch.nowMs, context.rules.breaker));
}

export function handleDisconnect(batch: Batch, command: DisconnectCommand, context: HubContext): void {
  const agent = current(batch, command.from);
  if (agent !== undefined) takeAway(batch, agent, context);
}

/**
 * The agent is away since `sinceMs`: each of its deadlines is the end of the grace from then on, unless silence does not
 * count yet. A run limit that passes meanwhile waits for it too: the sidecar keeps it, and has no way to say so.
 */
export function takeAway(batch: Batch, agent: Agent, context: HubContext, sinceMs: number = batch.nowMs): void {
  batch.putAgent({ ...agent, connected: false, disconnectedAtMs: sinceMs, lastHeardAtMs: agent.lastHeardAtMs ?? sinceMs });
  const untilMs = Math.max(sinceMs + context.timing.reconnectGraceMs, context.silence.countsFromMs);
  for (const task of batch.liveOf(agent.id)) batch.touch(notBefore(withDeadline(task, untilMs), untilMs));
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
      for (const task of batch.liveOf(agent.id)) {
        if (task.acceptedAtMs !== null && !change.spokenOf.includes(task.id)) pushAgain(batch, agent, task, context);
      }
  }
}

/** Version 1 says nothing else between wake and result: its pings renew, up to `v1RunMaxMs` after acceptance. */
function renewByPing(batch: Batch, agent: Agent, { rules, timing }: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs === null || batch.nowMs > task.acceptedAtMs + timing.v1RunMaxMs) continue;
    batch.touch(withDeadline(task, batch.nowMs + rules.leaseMs));
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
  else batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
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
