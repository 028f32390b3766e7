/**
 * Several hubs on one store. Each has its connections and a lease. What one hub decides about an agent of another is stored, and the
 * other hub reads it at its next poll. When a hub's lease expires, another hub marks its agents as disconnected.
 */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { HubLease, HubMail } from '../../../domain/agent/hub-lease.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { StoreUnit } from '../../../ports/task-store.ts';
import type { Batch, SweepPlace } from '../batch/batch.ts';
import type { Command, MailAnswer, MailCommand, PollAnswer, PollCommand } from '../batch/commands.ts';
import { hasDuty as takesDuty } from '../batch/duty.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { sendPendingStops } from './handle-operator.ts';
import { markDisconnected } from './handle-session.ts';
import type { Roster } from '../batch/roster.ts';

/** Mail that one batch takes; the next poll takes more. */
const MAIL_PER_BATCH = 256;

/** Agents that one sweep loads, with their holdings; the next sweep follows at once if there are more. */
const AGENTS_PER_SWEEP = 200;

/** What this batch needs to know about the hubs. */
export interface HubsLoad {
  /** This hub has the duty to sweep due tasks for all hubs. */
  readonly hasDuty: boolean;
  /**
   * The agents to load for a full sweep, which checks them: those of this hub with pending stops, or without a connection here; with
   * the duty also disconnected ones and those of hubs without a lease.
   */
  readonly agentIds: readonly AgentId[];
  /** There are more of these agents. */
  readonly more: boolean;
  /** Other hubs with a lease; only with the duty, and for mail to all. */
  readonly live: readonly string[];
  /** Expired leases: removed with this batch, or by an earlier sweep that left agents for this one. */
  readonly expired: readonly HubLease[];
  /** This hub found that it had lost its lease when it renewed it. */
  readonly leaseExpired: boolean;
  readonly mail: readonly HubMail[];
}

const NOTHING: HubsLoad = { hasDuty: false, agentIds: [], more: false, live: [], expired: [], leaseExpired: false, mail: [] };
/** For a hub that has its store to itself. */
const NO_OTHERS = { living: [], expired: [] } as const;

/** Loads what the commands need to know about the hubs; most batches need nothing. */
export async function loadForHubs(batch: Batch, commands: readonly Command[], context: HubContext, roster: Roster): Promise<HubsLoad> {
  const { hubId, timing } = context;
  const has = (matches: (command: Command) => boolean): boolean => commands.some(matches);
  const isPoll = has(({ kind }) => kind === 'poll');
  const takesMail = has((command) => command.kind === 'poll' && command.mail);
  const isStart = has(({ kind }) => kind === 'hub_started');
  const isStop = has(({ kind }) => kind === 'hub_stopped');
  const isSweep = has(({ kind }) => kind === 'sweep');
  const isFullSweep = has((command) => command.kind === 'sweep' && command.dueOnly !== true);
  const isRenewal = isStart || has((command) => command.kind === 'poll' && command.renews);
  const isToAll = has((command) => command.kind === 'mail' && command.to === null);
  if (!isPoll && !isStart && !isStop && !isSweep && !isToAll) return NOTHING;
  const { unit } = batch;
  const { cluster } = unit;
  const renewed = isRenewal || isStop ? await cluster?.renewLease(hubId, isStop ? 0 : timing.hubLeaseMs) : undefined;
  const mail = (takesMail ? await cluster?.takeMail(hubId, MAIL_PER_BATCH) : undefined) ?? [];
  const hasDuty = (isSweep || isStart) && (await takesDuty(unit, 'sweep'));
  const checksAgents = isFullSweep || isStart;
  const hubs = ((hasDuty && checksAgents) || isToAll ? await cluster?.expireHubs() : undefined) ?? NO_OTHERS;
  const live = hubs.living.filter((id) => id !== hubId);
  const wanting = checksAgents ? await sweepable(unit, { live, hasDuty, isFullSweep }, context, roster) : [];
  const expired = [...roster.swept.expired, ...hubs.expired];
  const { agentIds, more } = checksAgents ? nextToSweep(wanting, roster.swept) : { agentIds: [], more: false };
  if (checksAgents) batch.sweptTo = { after: more ? (agentIds.at(-1) ?? null) : null, expired: more ? expired : [] };
  return { hasDuty, agentIds, more, live, expired, leaseExpired: renewed === 'made' && !isStart && !isStop, mail };
}

/** The agents that a full sweep may have to change, by id. Most of those connected here need nothing, and are not requested from the store. */
async function sweepable(
  unit: StoreUnit,
  { live, hasDuty, isFullSweep }: { readonly live: readonly string[]; readonly hasDuty: boolean; readonly isFullSweep: boolean },
  context: HubContext,
  roster: Roster,
): Promise<readonly AgentId[]> {
  const { hubId, isHere } = context;
  if (!hasDuty && !isFullSweep) return [];
  const known = roster.connected();
  const active = hasDuty ? await unit.activeAgents(live, { hubId, count: known.length }) : await unit.cluster?.agentsOf(hubId);
  const wanting = (active ?? []).filter(({ id, hasStops }) => hasStops || !isConnectedHere(id, roster, context));
  const gone = known.filter(({ id, sessionNumber }) => !isHere(id, sessionNumber));
  return [...new Set([...wanting, ...gone].map(({ id }) => id))].sort();
}

/** Continues after the last sweep, so that agents with unconfirmed stops do not hold up the others. `ids` are sorted. */
function nextToSweep(ids: readonly AgentId[], { after }: SweepPlace): { readonly agentIds: readonly AgentId[]; readonly more: boolean } {
  const left = after === null ? ids : ids.filter((id) => id > after);
  return { agentIds: left.slice(0, AGENTS_PER_SWEEP), more: left.length > AGENTS_PER_SWEEP };
}

/** Whether the agent is connected here. If so, a sweep need not check it unless it has pending stops. */
const isConnectedHere = (id: AgentId, roster: Roster, { isHere }: HubContext): boolean => {
  const agent = roster.get(id);
  return agent !== undefined && isHere(id, agent.sessionNumber);
};

/** The loaded agents that a sweep checks, except those that have moved to another hub meanwhile. */
export const sweptAgents = (batch: Batch, { hasDuty, agentIds, live }: HubsLoad, { hubId }: HubContext): readonly Agent[] =>
  agentIds.flatMap((id) => {
    const agent = batch.agent(id);
    if (agent === undefined) return [];
    const isElsewhere = agent.connected && agent.hubId !== null && live.includes(agent.hubId);
    return (hasDuty ? !isElsewhere : agent.connected && agent.hubId === hubId) ? [agent] : [];
  });

/**
 * Marks the agents of hubs without a lease as disconnected, as of the end of that lease. Only the hub with the duty knows which hubs
 * are live. Agents and hubs were listed before the rows were locked: an agent that has moved to another hub meanwhile stays connected,
 * even if that hub has only just started.
 */
export function disconnectExpired(batch: Batch, { hasDuty, agentIds, live, expired }: HubsLoad, context: HubContext): void {
  if (!hasDuty) return;
  for (const id of agentIds) {
    const agent = batch.agent(id);
    if (agent === undefined || !agent.connected || agent.hubId === context.hubId) continue;
    if (agent.hubId !== null && live.includes(agent.hubId)) continue;
    if ((agent.connectedAtMs ?? 0) > batch.nowMs) continue;
    const endedMs = expired.find(({ hubId }) => hubId === agent.hubId)?.untilMs ?? batch.nowMs;
    // In a quiet period it is unknown for how long the agent was away.
    markDisconnected(batch, agent, context, batch.nowMs < context.quietPeriod.untilMs ? batch.nowMs : endedMs);
  }
}

/** Sends stops that other hubs requested. Other changes of these agents are sent when the roster applies the batch. */
export function handlePoll(batch: Batch, command: PollCommand, { leaseExpired, mail }: HubsLoad, context: HubContext): PollAnswer {
  for (const id of command.agentIds) {
    const agent = batch.agent(id);
    if (agent?.connected === true && agent.hubId === context.hubId) sendPendingStops(batch, agent);
  }
  batch.dispatchWanted = true;
  return command.renews && leaseExpired ? { kind: 'lease_expired' } : { kind: 'polled', moreMail: mail.length === MAIL_PER_BATCH };
}

export function handleMail(batch: Batch, command: MailCommand, { live }: HubsLoad, context: HubContext): MailAnswer {
  const { id, from, to, frame } = command;
  if (to === null) {
    for (const hubId of live) batch.mail.push({ id: `${id} ${hubId}`, hubId, to, from, frame });
    return { kind: 'sent' };
  }
  const agent = batch.agentSnapshot(to);
  const isElsewhere = agent?.connected === true && agent.hubId !== null && agent.hubId !== context.hubId;
  if (!isElsewhere || batch.unit.cluster === null) return { kind: 'agent_not_connected' };
  batch.mail.push({ id, hubId: agent.hubId, to, from, frame });
  return { kind: 'sent' };
}

export function takeMail(batch: Batch, { mail }: HubsLoad): void {
  for (const { to, frame } of mail) batch.outgoing.push({ kind: 'mail', agentId: to, frame });
  batch.hasMore ||= mail.length === MAIL_PER_BATCH;
}
