/**
 * Several hubs on one store. Each holds sockets and a lease; what one decides about an agent of another lies in the store,
 * where that one finds it at its next poll. That the agents of a hub whose lease expired are away, another hub notes for it.
 */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { HubLease, HubMail } from '../../../domain/agent/hub-lease.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Batch } from '../batch/batch.ts';
import type { Command, MailAnswer, MailCommand, PollAnswer, PollCommand } from '../batch/commands.ts';
import { hasDuty as takesDuty } from '../batch/duty.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { sendPendingStops } from './handle-operator.ts';
import { markDisconnected } from './handle-session.ts';
import type { Roster, SweepPlace } from '../batch/roster.ts';

/** Frames of other hubs' agents that one batch takes; the next poll takes more. */
const MAIL_PER_BATCH = 256;

/** Agents that one sweep takes, with all that they hold; the next one, which follows at once, takes more. */
const AGENTS_PER_SWEEP = 200;

/** What the store says of hubs, as far as this batch needs it. */
export interface HubsLoad {
  /** This hub looks at what is due for all of them. */
  readonly hasDuty: boolean;
  /**
   * Of a sweep that looks at agents too: those with stops and those whose socket is not here, of this hub's; with the duty also those
   * of hubs without a lease, and of those that are away. To be loaded.
   */
  readonly agentIds: readonly AgentId[];
  /** There are more of them. */
  readonly more: boolean;
  /** Other hubs that live; only with the duty, and for mail to all. */
  readonly living: readonly string[];
  /** Leases that ended and are removed with this batch. */
  readonly expired: readonly HubLease[];
  /** This hub had no lease any more when it renewed it. */
  readonly leaseExpired: boolean;
  readonly mail: readonly HubMail[];
}

const NOTHING: HubsLoad = { hasDuty: false, agentIds: [], more: false, living: [], expired: [], leaseExpired: false, mail: [] };
/** What a hub finds that has its store to itself. */
const NO_OTHERS = { living: [], expired: [] } as const;

/** Loads what the commands need of hubs: a batch without a sweep, a poll or the like asks nothing. */
export async function loadForHubs(batch: Batch, commands: readonly Command[], context: HubContext, roster: Roster): Promise<HubsLoad> {
  const { hubId, timing } = context;
  const has = (holds: (command: Command) => boolean): boolean => commands.some(holds);
  const isPoll = has(({ kind }) => kind === 'poll');
  const isStart = has(({ kind }) => kind === 'hub_started');
  const isSweep = has(({ kind }) => kind === 'sweep');
  const isFullSweep = has((command) => command.kind === 'sweep' && command.dueOnly !== true);
  const isRenewal = isStart || has((command) => command.kind === 'poll' && command.renews);
  const isToAll = has((command) => command.kind === 'mail' && command.to === null);
  if (!isPoll && !isStart && !isSweep && !isToAll) return NOTHING;
  const { unit } = batch;
  const { cluster } = unit;
  const renewed = isRenewal ? await cluster?.renewLease(hubId, timing.hubLeaseMs) : undefined;
  const mail = (isPoll ? await cluster?.takeMail(hubId, MAIL_PER_BATCH) : undefined) ?? [];
  const hasDuty = (isSweep || isStart) && (await takesDuty(unit, 'sweep'));
  const looksAtAgents = isFullSweep || isStart;
  const hubs = ((hasDuty && looksAtAgents) || isToAll ? await cluster?.expireHubs() : undefined) ?? NO_OTHERS;
  const living = hubs.living.filter((id) => id !== hubId);
  const active = !looksAtAgents ? [] : hasDuty ? await unit.activeAgents(living) : isFullSweep ? await cluster?.agentsOf(hubId) : [];
  const wanting = (active ?? []).filter(({ id, hasStops }) => hasStops || !isAsRemembered(id, roster, context)).map(({ id }) => id);
  const expired = [...roster.swept.expired, ...hubs.expired];
  const { agentIds, more } = looksAtAgents ? nextToSweep(wanting, roster.swept) : { agentIds: [], more: false };
  if (looksAtAgents) roster.swept = { after: more ? (agentIds.at(-1) ?? null) : null, expired: more ? expired : [] };
  return { hasDuty, agentIds, more, living, expired, leaseExpired: renewed === 'made' && !isStart, mail };
}

/** From the place on, so that those of whom a stop stays unconfirmed do not keep the others waiting. `ids`: in order. */
function nextToSweep(ids: readonly AgentId[], { after }: SweepPlace): { readonly agentIds: readonly AgentId[]; readonly more: boolean } {
  const left = after === null ? ids : ids.filter((id) => id > after);
  return { agentIds: left.slice(0, AGENTS_PER_SWEEP), more: left.length > AGENTS_PER_SWEEP };
}

/** A sweep has nothing to look at in an agent whose socket this hub holds, unless it has stops. */
const isAsRemembered = (id: AgentId, roster: Roster, { isHere }: HubContext): boolean => {
  const agent = roster.get(id);
  return agent !== undefined && isHere(id, agent.sessionNumber);
};

/** Those of the agents that a sweep looks at, as they were loaded: not who has gone to another hub before that. */
export const sweptAgents = (batch: Batch, { hasDuty, agentIds, living }: HubsLoad, { hubId }: HubContext): readonly Agent[] =>
  agentIds.flatMap((id) => {
    const agent = batch.agent(id);
    if (agent === undefined) return [];
    const isElsewhere = agent.connected && agent.hubId !== null && living.includes(agent.hubId);
    return (hasDuty ? !isElsewhere : agent.connected && agent.hubId === hubId) ? [agent] : [];
  });

/**
 * Agents of hubs without a lease are away, from the end of that lease on. Only with the duty is it known which hubs live. Which
 * agents to look at, and which hubs live, was asked before their rows were waited for: who went to another hub meanwhile is there,
 * also if that hub began meanwhile.
 */
export function disconnectExpired(batch: Batch, { hasDuty, agentIds, living, expired }: HubsLoad, context: HubContext): void {
  if (!hasDuty) return;
  for (const id of agentIds) {
    const agent = batch.agent(id);
    if (agent === undefined || !agent.connected || agent.hubId === context.hubId) continue;
    if (agent.hubId !== null && living.includes(agent.hubId)) continue;
    if ((agent.connectedAtMs ?? 0) > batch.nowMs) continue;
    const endedMs = expired.find(({ hubId }) => hubId === agent.hubId)?.untilMs ?? batch.nowMs;
    // While silence does not count, nobody can tell for how long it was away.
    markDisconnected(batch, agent, context, batch.nowMs < context.quietPeriod.untilMs ? batch.nowMs : endedMs);
  }
}

/** Stops that other hubs asked for leave; whatever else changed is sent when the hub learns the agents' rows. */
export function handlePoll(batch: Batch, command: PollCommand, { leaseExpired }: HubsLoad, context: HubContext): PollAnswer {
  for (const id of command.agentIds) {
    const agent = batch.agent(id);
    if (agent?.connected === true && agent.hubId === context.hubId) sendPendingStops(batch, agent);
  }
  batch.dispatchWanted = true;
  return { kind: command.renews && leaseExpired ? 'lease_expired' : 'polled' };
}

export function handleMail(batch: Batch, command: MailCommand, { living }: HubsLoad, context: HubContext): MailAnswer {
  const { id, from, to, frame } = command;
  if (to === null) {
    for (const hubId of living) batch.mail.push({ id: `${id} ${hubId}`, hubId, to, from, frame });
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
