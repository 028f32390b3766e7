/**
 * One hub among several on one store: it keeps its lease, polls for what the others decided, and notifies them of its own commits.
 *
 *   holding ── no renewal in `hubLeaseMs`, or found expired ──► its sockets are closed ── the next renewal ──► holding
 *
 * Nothing here decides about an agent or a task: rows do. A hub that stood still, or lost its store, finds its agents taken
 * over or away, and so it sends its sidecars off, to be asked anew what they hold, here or at another hub.
 */
import type { Clock, Timer } from '../../ports/clock.ts';
import type { ChangeHint, HubNotifier } from '../../ports/hub-notifier.ts';
import type { CommandInbox } from './batch/commands.ts';
import type { HubContext } from './batch/hub-context.ts';
import type { HubSessions } from './sessions/hub-sessions.ts';

/** Told to every sidecar of a hub that cannot be seen to live: come back soon. */
const SERVICE_RESTART = 1012;

export interface HubMembershipDeps {
  readonly clock: Clock;
  readonly inbox: CommandInbox;
  readonly context: HubContext;
  readonly notifier: HubNotifier;
  readonly sessions: Pick<HubSessions, 'agentIds' | 'closeAll' | 'dropRevoked'>;
  /** Wakes whoever reads the history. MUST NOT throw. */
  readonly newEvents: () => void;
}

export class HubMembership {
  readonly #deps: HubMembershipDeps;
  #pollTimer: Timer | null = null;
  #leaseTimer: Timer | null = null;
  #endListening: () => void = () => undefined;
  #isPolling = false;
  /** What is to be polled when the poll under way is over. */
  #next: { agents: Set<string> | null; renews: boolean } | null = null;
  #isStopped = true;

  constructor(deps: HubMembershipDeps) {
    this.#deps = deps;
  }

  /** The lease was made by `hub_started`, asked for at `askedMonotonicMs`. Polls at once, and from now on. */
  start(askedMonotonicMs: number): void {
    this.#isStopped = false;
    this.#watchLease(askedMonotonicMs);
    this.#endListening = this.#deps.notifier.listen((hint) => this.#onHint(hint));
    this.#pollAll();
  }

  /** Ends its polls; the lease ends by itself. */
  stop(): void {
    this.#isStopped = true;
    this.#endListening();
    this.#pollTimer?.cancel();
    this.#leaseTimer?.cancel();
  }

  /** Has other hubs poll for what a commit here left for them. */
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

  /** Whatever a notification that was lost would have said, and the lease. */
  #pollAll(): void {
    const { clock, context, sessions } = this.#deps;
    this.#pollTimer = clock.after(context.timing.pollMs, () => this.#pollAll());
    this.#deps.newEvents();
    this.#poll(null, true);
    sessions.dropRevoked().catch((error: unknown) => {
      context.log.warn('revoked tokens could not be read; the next poll asks again', { error });
    });
  }

  /** One poll at a time: what is asked for meanwhile is one more. `agents` null: all that are here. */
  #poll(agents: Set<string> | null, renews: boolean): void {
    if (this.#isPolling) {
      const before = this.#next ?? { agents: new Set<string>(), renews: false };
      const both = agents === null || before.agents === null ? null : new Set([...before.agents, ...agents]);
      this.#next = { agents: both, renews: renews || before.renews };
      return;
    }
    this.#isPolling = true;
    const { clock, inbox, sessions } = this.#deps;
    const askedMonotonicMs = clock.monotonicMs();
    const agentIds = sessions.agentIds().filter((id) => agents === null || agents.has(id));
    inbox.post({ kind: 'poll', agentIds, renews }, (outcome) => {
      this.#isPolling = false;
      if (this.#isStopped) return;
      if (outcome.ok && renews) this.#watchLease(askedMonotonicMs);
      if (outcome.ok && outcome.answer.kind === 'lease_expired') this.#sendOff('another hub found its lease expired');
      const next = this.#next;
      this.#next = null;
      if (next !== null) this.#poll(next.agents, next.renews);
    });
  }

  /** The store's lease began after it was asked for, so by this clock it ends first here. */
  #watchLease(askedMonotonicMs: number): void {
    const { clock, context } = this.#deps;
    this.#leaseTimer?.cancel();
    const leftMs = askedMonotonicMs + context.timing.hubLeaseMs - clock.monotonicMs();
    this.#leaseTimer = clock.after(leftMs, () => this.#sendOff('its lease could not be renewed in time'));
  }

  #sendOff(because: string): void {
    const { context, sessions } = this.#deps;
    context.log.error('the lease of this hub expired: its sidecars are sent to identify anew', {
      because,
      agents: sessions.agentIds().length,
    });
    sessions.closeAll(SERVICE_RESTART, 'the hub starts anew');
  }
}
