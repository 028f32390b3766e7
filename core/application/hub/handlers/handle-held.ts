/** What an agent that came back holds, and what it does not: each assignment goes on, is sent again, or is taken back. */
import type { Agent } from '../../../domain/agent/agent.ts';
import { withStrike } from '../../../domain/agent/breaker.ts';
import { decideAhead, decideHeld, decideMissing, isCurrent, type AheadDecision } from '../../../domain/task/reconciliation.ts';
import { SENDINGS_MAX } from '../../../domain/task/rules.ts';
import { resumedDeadline } from '../../../domain/transitions/assigning.ts';
import { decideAccept } from '../../../domain/transitions/reporting.ts';
import { decideRaise, decideReclaim, type ReclaimReason } from '../../../domain/transitions/taking-back.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import type { Task } from '../../../domain/task/task.ts';
import type { Batch } from '../batch/batch.ts';
import type { HeldAnswer, HeldAssignment } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { confirmStops } from './handle-report.ts';

/** By what is known of the machine and the process that were here before. */
interface ComesBackAs {
  readonly isOtherMachine: boolean;
  /** The same machine, and another process than before: the sidecar itself was gone, not only its connection. */
  readonly isRestarted: boolean;
}

/**
 * Version 2: everything held is answered; what is not held and was believed to be is pushed again or lost. Another machine is
 * not given the same generation again: the one before it may have it, with its word still on the way.
 */
export function answerHeld(
  batch: Batch,
  agent: Agent,
  { held, isOtherMachine, isRestarted }: { readonly held: readonly HeldAssignment[] } & ComesBackAs,
  context: HubContext,
): readonly HeldAnswer[] {
  const ahead: { one: HeldAssignment; decision: AheadDecision }[] = [];
  const answers = held.map((one): HeldAnswer => {
    const name = { taskId: one.taskId, generation: one.generation };
    const aheadBy = takeAhead(batch, agent, one, context);
    if (aheadBy !== 'nothing') ahead.push({ one, decision: aheadBy });
    if (aheadBy === 'refuse' && one.status !== 'reporting') return { ...name, action: 'abort', reason: 'generation_too_far' };
    const task = batch.task(one.taskId);
    const decision = decideHeld(task, one, agent.id);
    switch (decision.action) {
      case 'report':
        // Its word is on the way: until it is here the assignment is as good as going on.
        if (task !== undefined && isCurrent(task, one, agent.id)) holdOn(batch, agent, task, context);
        return { ...name, action: 'report', reason: null };
      case 'continue':
        if (task !== undefined) holdOn(batch, agent, task, context);
        return { ...name, action: 'continue', reason: null };
      case 'lost':
        if (task !== undefined) takeBack(batch, agent.id, task, 'lost', context);
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
    if (decideMissing(task) === 'lost') takeBack(batch, agent.id, task, 'not_held', context);
    else if (isOtherMachine) giveAgain(batch, task, context);
    else pushAgain(batch, agent, task, { isRestarted, context });
  }
  confirmStops(batch, agent, { outcome: 'not_held' }, (stop) => !isHeld(stop));
  return answers;
}

/**
 * It has its assignment, so it has accepted that, whatever became of the frame that said so: from here on its lease and the limit of
 * its run count. Or a sidecar that dies after each return, before its next frame, would hold the task for ever.
 */
function holdOn(batch: Batch, agent: Agent, task: Task, { rules }: HubContext): void {
  const by = { agentId: agent.id, session: agent.sessionNumber };
  if (task.acceptedAtMs === null) batch.put(decideAccept(task, by, batch.nowMs, rules));
  else batch.touch(resumedDeadline(task, batch.nowMs, rules));
}

/** What is held above the stored generation, so far as it can be true; answers whether it cannot. */
function takeAhead(batch: Batch, agent: Agent, held: HeldAssignment, context: HubContext): AheadDecision {
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

/** One line of the log for each kind, however much is held. A warning: an agent that lies can cause it as well as a store that fell back. */
function logAhead(
  agent: Agent,
  ahead: readonly { readonly one: HeldAssignment; readonly decision: AheadDecision }[],
  { log }: HubContext,
): void {
  const say = (message: string, of: readonly AheadDecision[]): void => {
    const named = ahead
      .filter(({ decision }) => of.includes(decision))
      .map(({ one }) => ({ task_id: one.taskId, generation: one.generation }));
    if (named.length > 0) log.warn(message, { agent_id: agent.id, count: named.length, held: named.slice(0, LOGGED_MAX) });
  };
  say('a sidecar holds a generation above the stored one: the store fell back in time', ['raise', 'fence']);
  say('a sidecar claims a generation too far above the stored one, which is refused: its journal is damaged, or it lies', ['refuse']);
}

/** Assignments that one line of the log names. */
const LOGGED_MAX = 20;

/** Version 1 has no inventory: what it never accepted is pushed again, of the rest it is expected to speak. */
export function takeSilentReturn(batch: Batch, agent: Agent, context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs === null) pushAgain(batch, agent, task, { isRestarted: false, context });
    else goOn(batch, agent, task, context);
  }
}

/**
 * Version 1 has had its time to speak of what it accepted. What it did not speak of is lost: the result may have been sent into
 * the dead connection, and a second run under the same generation could not be told from the first.
 */
export function takeUnspoken(batch: Batch, agent: Agent, spokenOf: readonly TaskId[], context: HubContext): void {
  for (const task of batch.liveOf(agent.id)) {
    if (task.acceptedAtMs !== null && !spokenOf.includes(task.id)) takeBack(batch, agent.id, task, 'not_held', context);
  }
}

/** The agent goes on with its task: the lease counts anew, unless version 1 has had all of the time that a silent run may take. */
export function goOn(batch: Batch, agent: Agent, task: Task, context: HubContext): void {
  if (!isSpent(agent, task, batch.nowMs, context)) batch.touch(resumedDeadline(task, batch.nowMs, context.rules));
}

/** Whether a version 1 run has lasted for as long as pings and reconnects may renew it. */
export const isSpent = (agent: Agent, task: Task, nowMs: number, { timing }: HubContext): boolean =>
  agent.protocolVersion === 1 && task.acceptedAtMs !== null && nowMs > task.acceptedAtMs + timing.v1RunMaxMs;

/**
 * Sent, and not accepted as far as is known: it is sent again, with all of the time to accept, since the absence may not have
 * been the agent's fault. One that comes back without it once more may be dying of it: another agent is to have it, and the
 * machine has a strike. The count is in the row, so that a hub that restarts goes on counting. While silence does not count
 * nothing is taken from a process that lived on: it may have been the hub that went away each time.
 */
function pushAgain(
  batch: Batch,
  agent: Agent,
  task: Task,
  { isRestarted, context }: { readonly isRestarted: boolean; readonly context: HubContext },
): void {
  const sent = task.resent + 1;
  if (sent >= SENDINGS_MAX && (isRestarted || batch.nowMs >= context.silence.countsFromMs)) {
    // Version 1 has no inventory: it may be at work on it after all.
    const stop = agent.protocolVersion === 1;
    return takeBack(batch, agent.id, task, isRestarted ? 'sidecar_restarted' : 'not_accepted', context, { sent, stop });
  }
  const again = { ...resumedDeadline(task, batch.nowMs, context.rules), resent: sent };
  batch.touch(again);
  batch.push(agent.id, agent.sessionNumber, again);
}

/** Never accepted, as far as is known: it goes on under a new generation, and spends no retry. */
function giveAgain(batch: Batch, task: Task, { rules }: HubContext): void {
  const decided = decideReclaim(task, { reason: 'not_held', stop: false }, batch.nowMs, rules);
  if (decided.kind === 'changed') batch.put(decided);
}

/** Takes back what the agent does not have: nothing is to be stopped there, unless `stop` says so. Its machine has a strike. */
export function takeBack(
  batch: Batch,
  agentId: AgentId,
  task: Task,
  reason: ReclaimReason,
  context: HubContext,
  how: { readonly stop: boolean; readonly sent?: number } = { stop: false },
): void {
  const decided = decideReclaim(task, { reason, ...how }, batch.nowMs, context.rules);
  if (decided.kind === 'refused') return;
  batch.put(decided);
  const strike = reason === 'not_accepted' || reason === 'sidecar_restarted' ? reason : 'lost';
  batch.putAgent(withStrike(batch.agentOrNew(agentId), task.id, strike, batch.nowMs, context.rules.breaker));
}
