/**
 * Several hubs on one store. Each holds sockets and a lease; what one decides about an agent of another lies in the store,
 * where that one finds it when it looks. What dies with a hub, its agents' being there, another hub notes for it.
 */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { HubLease, HubMail } from '../../../domain/agent/hub-lease.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Batch } from '../batch/batch.ts';
import type { Command, LookAnswer, LookCommand, MailAnswer, MailCommand } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { sendUnsent } from './handle-operator.ts';
import { takeAway } from './handle-session.ts';
import type { Roster, SweepPlace } from '../batch/roster.ts';

/** Frames of other hubs' agents that one batch takes; the next look takes more. */
const MAIL_PER_BATCH = 256;

/** Agents that one sweep takes, with all that they hold; the next one, which follows at once, takes more. */
const AGENTS_PER_SWEEP = 200;

/** What the store says of hubs, as far as this batch needs it. */
export interface HubsLoad {
  /** This hub looks at what is due for all of them. */
  readonly hasDuty: boolean;
  /**
   * Of a sweep that looks at agents too: those with stops and those whose socket is not here, of this hub's; with the duty also of dead
   * hubs' and of those that are away. To be loaded.
   */
  readonly agentIds: readonly AgentId[];
  /** There are more of them. */
  readonly more: boolean;
  /** Other hubs that live; only with the duty, and for mail to all. */
  readonly living: readonly string[];
  /** Leases that ended and are removed with this batch. */
  readonly dead: readonly HubLease[];
  /** This hub had no lease any more when it renewed it. */
  readonly wasBuried: boolean;
  readonly mail: readonly HubMail[];
}

const NOTHING: HubsLoad = { hasDuty: false, agentIds: [], more: false, living: [], dead: [], wasBuried: false, mail: [] };

/** Loads what the commands need of hubs: a batch without a sweep, a look or the like asks nothing. */
export async function loadForHubs(batch: Batch, commands: readonly Command[], context: HubContext, roster: Roster): Promise<HubsLoad> {
  const { hubId, timing } = context;
  const has = (holds: (command: Command) => boolean): boolean => commands.some(holds);
  const isLook = has(({ kind }) => kind === 'look');
  const isStart = has(({ kind }) => kind === 'hub_started');
  const isSweep = has(({ kind }) => kind === 'sweep');
  const isFullSweep = has((command) => command.kind === 'sweep' && command.dueOnly !== true);
  const isRenewal = has((command) => (command.kind === 'look' && command.renews) || (command.kind === 'hub_started' && command.isShared));
  const isToAll = has((command) => command.kind === 'mail' && command.to === null);
  if (!isLook && !isStart && !isSweep && !isToAll) return NOTHING;
  const { unit } = batch;
  const renewed = isRenewal ? await unit.renewHub(hubId, timing.hubLeaseMs) : null;
  const mail = isLook ? await unit.takeMail(hubId, MAIL_PER_BATCH) : [];
  const hasDuty = (isSweep || isStart) && (await unit.takeDuty('sweep'));
  const looksAtAgents = isFullSweep || isStart;
  const hubs = (hasDuty && looksAtAgents) || isToAll ? await unit.buryHubs() : { living: [], dead: [] };
  const living = hubs.living.filter((id) => id !== hubId);
  const active = !looksAtAgents ? [] : hasDuty ? await unit.activeAgents(living) : isFullSweep ? await unit.agentsOf(hubId) : [];
  const wanting = active.filter(({ id, hasStops }) => hasStops || !isAsRemembered(id, roster, context)).map(({ id }) => id);
  const dead = [...roster.swept.dead, ...hubs.dead];
  const { agentIds, more } = looksAtAgents ? nextToSweep(wanting, roster.swept) : { agentIds: [], more: false };
  if (looksAtAgents) roster.swept = { after: more ? (agentIds.at(-1) ?? null) : null, dead: more ? dead : [] };
  return { hasDuty, agentIds, more, living, dead, wasBuried: renewed === 'made' && !isStart, mail };
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
 * Agents of hubs that do not live are away, from the end of their hub's lease on. Only with the duty is it known which live. Which
 * agents to look at, and which hubs live, was asked before their rows were waited for: who went to another hub meanwhile is there,
 * also if that hub began meanwhile.
 */
export function takeAwayOfTheDead(batch: Batch, { hasDuty, agentIds, living, dead }: HubsLoad, context: HubContext): void {
  if (!hasDuty) return;
  for (const id of agentIds) {
    const agent = batch.agent(id);
    if (agent === undefined || !agent.connected || agent.hubId === context.hubId) continue;
    if (agent.hubId !== null && living.includes(agent.hubId)) continue;
    if ((agent.connectedAtMs ?? 0) > batch.nowMs) continue;
    const endedMs = dead.find(({ hubId }) => hubId === agent.hubId)?.untilMs ?? batch.nowMs;
    // While silence does not count, nobody can tell for how long it was away.
    takeAway(batch, agent, context, batch.nowMs < context.silence.countsFromMs ? batch.nowMs : endedMs);
  }
}

/** Stops that other hubs asked for leave; whatever else changed is told when the hub learns the agents' rows. */
export function handleLook(batch: Batch, command: LookCommand, { wasBuried }: HubsLoad, context: HubContext): LookAnswer {
  for (const id of command.agentIds) {
    const agent = batch.agent(id);
    if (agent?.connected === true && agent.hubId === context.hubId) sendUnsent(batch, agent);
  }
  batch.dispatchWanted = true;
  return { kind: command.renews && wasBuried ? 'was_buried' : 'looked' };
}

export function handleMail(batch: Batch, command: MailCommand, { living }: HubsLoad, context: HubContext): MailAnswer {
  const { id, from, to, frame } = command;
  if (to === null) {
    for (const hubId of living) batch.mail.push({ id: `${id} ${hubId}`, hubId, to, from, frame });
    return { kind: 'sent' };
  }
  const agent = batch.seenAgent(to);
  if (agent === undefined || !agent.connected || agent.hubId === null || agent.hubId === context.hubId)
    return { kind: 'agent_not_connected' };
  batch.mail.push({ id, hubId: agent.hubId, to, from, frame });
  return { kind: 'sent' };
}

export function takeMail(batch: Batch, { mail }: HubsLoad): void {
  for (const { to, frame } of mail) batch.outgoing.push({ kind: 'mail', agentId: to, frame });
  batch.moreWaits ||= mail.length === MAIL_PER_BATCH;
}
