/**
 * One hub among several on one store: it keeps its lease, looks for what the others decided, and tells them to look.
 *
 *   holding ── no renewal in `hubLeaseMs`, or found buried ──► its sockets are closed ── the next renewal ──► holding
 *
 * Nothing here decides about an agent or a task: rows do. A hub that stood still, or lost its store, finds its agents taken
 * over or away, and so it sends its sidecars off, to be asked anew what they hold, here or at another hub.
 */
import type { Clock, Timer } from '../../ports/clock.ts';
import type { HubCalls, Look } from '../../ports/hub-calls.ts';
import type { CommandInbox } from './batch/commands.ts';
import type { HubContext } from './batch/hub-context.ts';
import type { HubSessions } from './sessions/hub-sessions.ts';

/** Told to every sidecar of a hub that cannot be seen to live: come back soon. */
const SERVICE_RESTART = 1012;

export interface LookoutDeps {
  readonly clock: Clock;
  readonly inbox: CommandInbox;
  readonly context: HubContext;
  readonly calls: HubCalls;
  readonly sessions: Pick<HubSessions, 'agentIds' | 'closeAll' | 'dropRevoked'>;
  /** Wakes whoever reads the history. MUST NOT throw. */
  readonly newEvents: () => void;
}

export class Lookout {
  readonly #deps: LookoutDeps;
  #poll: Timer | null = null;
  #lease: Timer | null = null;
  #endListening: () => void = () => undefined;
  #isLooking = false;
  /** What is to be looked at when the look under way is over. */
  #next: { agents: Set<string> | null; renews: boolean } | null = null;
  #isStopped = true;

  constructor(deps: LookoutDeps) {
    this.#deps = deps;
  }

  /** The lease was made by `hub_started`, asked for at `askedMonotonicMs`. Looks at once, and from now on. */
  start(askedMonotonicMs: number): void {
    this.#isStopped = false;
    this.#leased(askedMonotonicMs);
    this.#endListening = this.#deps.calls.listen((look) => this.#heard(look));
    this.#lookAtAll();
  }

  /** Ends its looks; the lease ends by itself. */
  stop(): void {
    this.#isStopped = true;
    this.#endListening();
    this.#poll?.cancel();
    this.#lease?.cancel();
  }

  /** Has other hubs look at what a commit here left for them. */
  tell(look: Look | null): void {
    if (look !== null && !this.#isStopped) this.#deps.calls.call(look);
  }

  #heard({ events, work, agents }: Look): void {
    if (this.#isStopped) return;
    if (events) this.#deps.newEvents();
    const here = new Set(this.#deps.sessions.agentIds());
    const named = agents === null ? null : new Set(agents.filter((id) => here.has(id)));
    if (here.size > 0 && (work || named === null || named.size > 0)) this.#look(named, false);
  }

  /** Whatever a call that was lost would have told, and the lease. */
  #lookAtAll(): void {
    const { clock, context, sessions } = this.#deps;
    this.#poll = clock.after(context.timing.pollMs, () => this.#lookAtAll());
    this.#deps.newEvents();
    this.#look(null, true);
    sessions.dropRevoked().catch((error: unknown) => {
      context.log.warn('revoked tokens could not be looked up; the next look asks again', { error });
    });
  }

  /** One look at a time: what is asked for meanwhile is one more. `agents` null: all that are here. */
  #look(agents: Set<string> | null, renews: boolean): void {
    if (this.#isLooking) {
      const before = this.#next ?? { agents: new Set<string>(), renews: false };
      const both = agents === null || before.agents === null ? null : new Set([...before.agents, ...agents]);
      this.#next = { agents: both, renews: renews || before.renews };
      return;
    }
    this.#isLooking = true;
    const { clock, inbox, sessions } = this.#deps;
    const askedMonotonicMs = clock.monotonicMs();
    const agentIds = sessions.agentIds().filter((id) => agents === null || agents.has(id));
    inbox.post({ kind: 'look', agentIds, renews }, (outcome) => {
      this.#isLooking = false;
      if (this.#isStopped) return;
      if (outcome.ok && renews) this.#leased(askedMonotonicMs);
      if (outcome.ok && outcome.answer.kind === 'was_buried') this.#sendOff('another hub took this one for dead');
      const next = this.#next;
      this.#next = null;
      if (next !== null) this.#look(next.agents, next.renews);
    });
  }

  /** The store's lease began after it was asked for, so by this clock it ends first here. */
  #leased(askedMonotonicMs: number): void {
    const { clock, context } = this.#deps;
    this.#lease?.cancel();
    const leftMs = askedMonotonicMs + context.timing.hubLeaseMs - clock.monotonicMs();
    this.#lease = clock.after(leftMs, () => this.#sendOff('its lease could not be renewed in time'));
  }

  #sendOff(because: string): void {
    const { context, sessions } = this.#deps;
    context.log.error('this hub may count as dead: its sidecars are sent to identify anew', {
      because,
      agents: sessions.agentIds().length,
    });
    sessions.closeAll(SERVICE_RESTART, 'the hub starts anew');
  }
}
