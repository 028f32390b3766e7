/**
 * Several hubs on one store. Each holds sockets and a lease; what one decides about an agent of another lies in the store,
 * where that one finds it when it looks. What dies with a hub, its agents' being there, another hub notes for it.
 */
import type { Agent } from '../../domain/agent.ts';
import type { HubLease, HubMail } from '../../domain/hub-lease.ts';
import type { Batch } from './batch.ts';
import type { Command, LookAnswer, LookCommand, MailAnswer, MailCommand } from './commands.ts';
import type { HubContext } from './context.ts';
import { sendUnsent } from './handle-operator.ts';
import { takeAway } from './handle-session.ts';

/** Frames of other hubs' agents that one batch takes; the next look takes more. */
const MAIL_PER_BATCH = 256;

/** What the store says of hubs, as far as this batch needs it. */
export interface HubsLoad {
  /** This hub looks at what is due for all of them. */
  readonly hasDuty: boolean;
  /** Of a sweep: this hub's agents; with the duty also those of dead hubs, and those that are away and hold something. */
  readonly agents: readonly Agent[];
  /** Other hubs that live; only with the duty, and for mail to all. */
  readonly living: readonly string[];
  /** Leases that ended and are removed with this batch. */
  readonly dead: readonly HubLease[];
  /** This hub had no lease any more when it renewed it. */
  readonly wasBuried: boolean;
  readonly mail: readonly HubMail[];
}

const NOTHING: HubsLoad = { hasDuty: false, agents: [], living: [], dead: [], wasBuried: false, mail: [] };

/** Loads what the commands need of hubs: a batch without a sweep, a look or the like asks nothing. */
export async function loadForHubs(batch: Batch, commands: readonly Command[], { hubId, timing }: HubContext): Promise<HubsLoad> {
  const has = (holds: (command: Command) => boolean): boolean => commands.some(holds);
  const isLook = has(({ kind }) => kind === 'look');
  const isStart = has(({ kind }) => kind === 'hub_started');
  const isSweep = has(({ kind }) => kind === 'sweep');
  const isRenewal = has((command) => (command.kind === 'look' && command.renews) || (command.kind === 'hub_started' && command.isShared));
  const isToAll = has((command) => command.kind === 'mail' && command.to === null);
  if (!isLook && !isStart && !isSweep && !isToAll) return NOTHING;
  const { unit } = batch;
  const renewed = isRenewal ? await unit.renewHub(hubId, timing.hubLeaseMs) : null;
  const mail = isLook ? await unit.takeMail(hubId, MAIL_PER_BATCH) : [];
  const hasDuty = (isSweep || isStart) && (await unit.takeDuty('sweep'));
  const hubs = hasDuty || isToAll ? await unit.buryHubs() : { living: [], dead: [] };
  const living = hubs.living.filter((id) => id !== hubId);
  const mine = isSweep && !hasDuty ? await unit.agentsOf(hubId) : [];
  const agents = hasDuty || isToAll ? await unit.activeAgents(living) : mine;
  return { hasDuty, agents, living, dead: hubs.dead, wasBuried: renewed === 'made' && !isStart, mail };
}

/** Agents of hubs that do not live are away, from the end of their hub's lease on. */
export function takeAwayOfTheDead(batch: Batch, { agents, living, dead }: HubsLoad, context: HubContext): void {
  for (const { id } of agents) {
    const agent = batch.agent(id);
    if (agent === undefined || !agent.connected || agent.hubId === context.hubId) continue;
    if (agent.hubId !== null && living.includes(agent.hubId)) continue;
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
  const agent = batch.agent(to);
  if (agent === undefined || !agent.connected || agent.hubId === null || agent.hubId === context.hubId)
    return { kind: 'agent_not_connected' };
  batch.mail.push({ id, hubId: agent.hubId, to, from, frame });
  return { kind: 'sent' };
}

export function takeMail(batch: Batch, { mail }: HubsLoad): void {
  for (const { to, frame } of mail) batch.outgoing.push({ kind: 'mail', agentId: to, frame });
  batch.moreWaits ||= mail.length === MAIL_PER_BATCH;
}
