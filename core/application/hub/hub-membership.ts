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

/** `agents` null: all that are connected here. */
interface Poll {
  readonly agents: ReadonlySet<string> | null;
  readonly renews: boolean;
  readonly mail: boolean;
}

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
  #next: Poll | null = null;
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
    // Whoever sends mail names its agents.
    const mail = named === null || named.size > 0;
    if (here.size > 0 && (work || mail)) this.#poll({ agents: named, renews: false, mail });
  }

  /** Catches up on lost notifications, and renews the lease. */
  #pollAll(): void {
    const { clock, context, sessions } = this.#deps;
    this.#pollTimer = clock.after(context.timing.pollMs, () => this.#pollAll());
    this.#deps.newEvents();
    this.#poll({ agents: null, renews: true, mail: true });
    sessions.readTokenEnds().catch((error: unknown) => {
      context.log.warn('revoked and rotated tokens could not be read; the next poll asks again', { error });
    });
  }

  /** One poll at a time; requests that arrive meanwhile are merged into one more. */
  #poll(poll: Poll): void {
    if (this.#agentPolls) return this.#pollLater(poll);
    const { agents, renews, mail } = poll;
    this.#agentPolls = true;
    const { clock, inbox, sessions } = this.#deps;
    const requestedMonotonicMs = clock.monotonicMs();
    const agentIds = sessions.agentIds().filter((id) => agents === null || agents.has(id));
    inbox.post({ kind: 'poll', agentIds, renews, mail }, (outcome) => {
      this.#agentPolls = false;
      if (this.#isStopped) return;
      if (outcome.ok && renews) this.#watchLease(requestedMonotonicMs);
      if (outcome.ok && outcome.answer.kind === 'lease_expired') this.#closeConnections('another hub found its lease expired');
      if (outcome.ok && outcome.answer.kind === 'polled' && outcome.answer.moreMail) this.#pollLater(MORE_MAIL);
      const next = this.#next;
      this.#next = null;
      if (next !== null) this.#poll(next);
    });
  }

  #pollLater(poll: Poll): void {
    this.#next = this.#next === null ? poll : both(this.#next, poll);
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

const MORE_MAIL: Poll = { agents: new Set(), renews: false, mail: true };

const both = (one: Poll, other: Poll): Poll => ({
  agents: one.agents === null || other.agents === null ? null : new Set([...one.agents, ...other.agents]),
  renews: one.renews || other.renews,
  mail: one.mail || other.mail,
});
