/**
 * One hub among several on one store: it renews its lease, polls for changes by the others, and notifies them of its own.
 *
 *   leased ── no renewal within `hubLeaseMs`, or found expired ──► closes its connections ── the next renewal ──► leased
 *
 * Nothing here decides about an agent or a task; the rows do. After a stall or a storage outage a hub may find its agents connected
 * elsewhere or disconnected, so it closes its connections: sidecars reconnect, here or at another hub, and list what they hold.
 */
import type { Clock, Timer } from '../../ports/clock.ts';
import type { ChangeHint, HubNotifier } from '../../ports/hub-notifier.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import type { CommandInbox } from './batch/commands.ts';
import type { HubContext } from './batch/hub-context.ts';
import type { HubSessions } from './sessions/hub-sessions.ts';

export interface HubMembershipDeps {
  readonly clock: Clock;
  readonly inbox: CommandInbox;
  readonly context: HubContext;
  readonly notifier: HubNotifier;
  readonly sessions: Pick<HubSessions, 'agentIds' | 'closeAll' | 'readTokenEnds'>;
  /** Wakes the event streams. MUST NOT throw. */
  readonly newEvents: () => void;
}

export class HubMembership {
  readonly #deps: HubMembershipDeps;
  #pollTimer: Timer | null = null;
  #leaseTimer: Timer | null = null;
  #endListening: () => void = () => undefined;
  #agentPolls = false;
  /** The poll to run after the current one. */
  #next: { agents: Set<string> | null; renews: boolean } | null = null;
  #isStopped = true;

  constructor(deps: HubMembershipDeps) {
    this.#deps = deps;
  }

  /** `hub_started` has taken the lease, requested at `requestedMonotonicMs`. Polls at once, and regularly from now on. */
  start(requestedMonotonicMs: number): void {
    this.#isStopped = false;
    this.#watchLease(requestedMonotonicMs);
    this.#endListening = this.#deps.notifier.listen((hint) => this.#onHint(hint));
    this.#pollAll();
  }

  /** Stops polling; `hub_stopped` has ended the lease. */
  stop(): void {
    this.#isStopped = true;
    this.#endListening();
    this.#pollTimer?.cancel();
    this.#leaseTimer?.cancel();
  }

  /** Notifies other hubs of a commit here. */
  notify(hint: ChangeHint | null): void {
    if (hint !== null && !this.#isStopped) this.#deps.notifier.notify(hint);
  }

  #onHint({ events, work, agents }: ChangeHint): void {
    if (this.#isStopped) return;
    if (events) this.#deps.newEvents();
    const here = new Set(this.#deps.sessions.agentIds());
    const named = agents === null ? null : new Set(agents.filter((id) => here.has(id)));
    if (here.size > 0 && (work || named === null || named.size > 0)) this.#poll(named, false);
  }

  /** Catches up on lost notifications, and renews the lease. */
  #pollAll(): void {
    const { clock, context, sessions } = this.#deps;
    this.#pollTimer = clock.after(context.timing.pollMs, () => this.#pollAll());
    this.#deps.newEvents();
    this.#poll(null, true);
    sessions.readTokenEnds().catch((error: unknown) => {
      context.log.warn('revoked and rotated tokens could not be read; the next poll asks again', { error });
    });
  }

  /** One poll at a time; requests that arrive meanwhile are merged into one more. `agents` null: all that are connected here. */
  #poll(agents: Set<string> | null, renews: boolean): void {
    if (this.#agentPolls) {
      const before = this.#next ?? { agents: new Set<string>(), renews: false };
      const both = agents === null || before.agents === null ? null : new Set([...before.agents, ...agents]);
      this.#next = { agents: both, renews: renews || before.renews };
      return;
    }
    this.#agentPolls = true;
    const { clock, inbox, sessions } = this.#deps;
    const requestedMonotonicMs = clock.monotonicMs();
    const agentIds = sessions.agentIds().filter((id) => agents === null || agents.has(id));
    inbox.post({ kind: 'poll', agentIds, renews }, (outcome) => {
      this.#agentPolls = false;
      if (this.#isStopped) return;
      if (outcome.ok && renews) this.#watchLease(requestedMonotonicMs);
      if (outcome.ok && outcome.answer.kind === 'lease_expired') this.#closeConnections('another hub found its lease expired');
      const next = this.#next;
      this.#next = null;
      if (next !== null) this.#poll(next.agents, next.renews);
    });
  }

  /** The lease began after it was requested, so it expires here no later than in the store. */
  #watchLease(requestedMonotonicMs: number): void {
    const { clock, context } = this.#deps;
    this.#leaseTimer?.cancel();
    const leftMs = requestedMonotonicMs + context.timing.hubLeaseMs - clock.monotonicMs();
    this.#leaseTimer = clock.after(leftMs, () => this.#closeConnections('its lease could not be renewed in time'));
  }

  #closeConnections(because: string): void {
    const { context, sessions } = this.#deps;
    context.log.error('the lease of this hub expired: its sidecars must reconnect and identify again', {
      because,
      agents: sessions.agentIds().length,
    });
    sessions.closeAll(CLOSE_CODES.restart, 'the hub rejoins');
  }
}
