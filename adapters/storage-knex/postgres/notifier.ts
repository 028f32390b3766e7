/**
 * How hubs on one Postgres notify each other: NOTIFY on a connection that also LISTENs, separate from the writer. If the writer's commits
 * notified, all notifying commits of the server would wait for each other's disk writes.
 *
 *   ended ── the first who listens ──► connecting ── LISTEN ──► connected
 *     ▲                                 ▲     └── failed: again after `RECONNECT_MS`
 *     └── nobody listens any more       └── the connection was lost ──┘
 */
import type { Client, Notification } from 'pg';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import { ANY_CHANGE, type ChangeHint, type HubNotifier } from '../../../core/ports/hub-notifier.ts';
import type { Log } from '../../../core/ports/log.ts';
import { endClient } from './connection.ts';
import { connectNotifier, NOTIFIER_NAME } from './connections.ts';
import { placeOf, type PostgresSettings } from './options.ts';

/** From the loss of the connection, or a failed attempt, to the next attempt. Milliseconds. */
const RECONNECT_MS = 1_000;
/** How long a hub that found no other to notify waits before it checks again, unless it hears from one. Milliseconds. */
const ALONE_MS = 1_000;
/** How long after other hubs were found it is not checked again whether there are any. Milliseconds. */
const TOGETHER_MS = 10_000;
/** How long the last notification may take after the last listener has left. Milliseconds. */
const LAST_WITHIN_MS = 1_000;
/** Postgres accepts less than 8,000 bytes in one notification. */
const PAYLOAD_BYTES_MAX = 7_900;
/** Maximum number of agents that one notification names; if there are more, it says that it may be any. */
const NAMED_MAX = 300;

export interface PostgresNotifier extends HubNotifier {
  /** Sends pending notifications, and closes the connection. */
  close(): Promise<void>;
}

export interface PostgresNotifierDeps {
  readonly settings: PostgresSettings;
  readonly answerMarginMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells its own notifications from those of others: unique among all hubs. */
  readonly self: string;
}

const NOTIFY = 'SELECT pg_notify($1, $2)';
/** Returns no row if no other hub listens. */
const NOTIFY_OTHERS = `${NOTIFY} FROM pg_stat_activity
  WHERE application_name = '${NOTIFIER_NAME}' AND datname = current_database() AND pid <> pg_backend_pid() LIMIT 1`;
/** With this a hub that begins to listen makes itself known to the others. */
const HELLO: ChangeHint = { events: false, work: false, agents: [] };

/**
 * Notifies the other hubs on the same schema of the same database. A hub that does not listen sends no notifications, and neither does one
 * that is alone: each would be a transaction of its own. A hub that begins to listen polls first, so it misses nothing.
 */
export function postgresNotifier({ settings, answerMarginMs, clock, log, self }: PostgresNotifierDeps): PostgresNotifier {
  const place = placeOf(settings);
  const channel = settings.schema;
  const listeners = new Set<(hint: ChangeHint) => void>();
  let client: Client | null = null;
  /** Settles when the connection was closed; null while there is none and none is being made. */
  let living: Promise<void> | null = null;
  let retry: Timer | null = null;
  let endNow: () => void = () => undefined;
  let pending: ChangeHint | null = null;
  let sending: Promise<void> | null = null;
  let isLossLogged = false;
  /** Runs while no other hub is known; notifications wait meanwhile. */
  let alone: Timer | null = null;
  /** Until then it is assumed that there are other hubs. Monotonic. */
  let togetherUntilMs = -Infinity;

  const passOn = (hint: ChangeHint): void => listeners.forEach((onHint) => onHint(hint));

  const together = (): void => {
    togetherUntilMs = clock.monotonicMs() + TOGETHER_MS;
    endAlone();
  };
  const endAlone = (): void => {
    alone?.cancel();
    alone = null;
    send();
  };

  const lost = (why: unknown): void => {
    client = null;
    alone?.cancel();
    alone = null;
    if (listeners.size === 0) return;
    // Once per outage: whatever was missed is found by the next poll.
    if (!isLossLogged)
      log.warn('this hub receives no notifications from the other hubs, and polls until it does', { place, error: messageOf(why) });
    isLossLogged = true;
    retry = clock.after(RECONNECT_MS, begin);
  };

  const live = async (): Promise<void> => {
    let why: unknown = 'the connection ended';
    let made: Client | null = null;
    try {
      made = await connectNotifier(settings, answerMarginMs, clock);
      const connected = made;
      const ended = new Promise<void>((resolve) => {
        endNow = resolve;
        connected.on('end', resolve).on('error', (error) => {
          why = error;
          resolve();
        });
      });
      connected.on('notification', receive);
      await connected.query(`LISTEN "${channel}"`);
      await connected.query(NOTIFY, [channel, textOf(HELLO, self)]);
      client = connected;
      isLossLogged = false;
      passOn(ANY_CHANGE);
      send();
      if (listeners.size > 0) await ended;
      // A server that does not respond is not waited for: the other hubs poll.
      const tooLate = clock.after(LAST_WITHIN_MS, () => connected.connection.stream.destroy());
      while (sending !== null) await sending;
      tooLate.cancel();
    } catch (thrown) {
      why = thrown;
    } finally {
      client = null;
      if (made !== null) await endClient(made, clock);
      living = null;
      lost(why);
    }
  };

  const begin = (): void => {
    retry?.cancel();
    retry = null;
    living ??= live();
  };

  const receive = ({ payload = '' }: Notification): void => {
    const hint = hintIn(payload, self);
    if (hint === null) return;
    together();
    if (hint.events || hint.work || hint.agents?.length !== 0) passOn(hint);
  };

  /** Sends one at a time: hints that arrive meanwhile go out together. */
  const send = (): void => {
    if (client === null || pending === null || sending !== null || alone !== null) return;
    const text = textOf(pending, self);
    pending = null;
    const to = client;
    const isTogether = clock.monotonicMs() < togetherUntilMs;
    sending = to.query(isTogether ? NOTIFY : NOTIFY_OTHERS, [channel, text]).then(
      ({ rowCount }) => {
        sending = null;
        if (!isTogether && rowCount === 1) together();
        else if (!isTogether && clock.monotonicMs() >= togetherUntilMs) alone = clock.after(ALONE_MS, endAlone);
        send();
      },
      (thrown: unknown) => {
        sending = null;
        log.warn('the other hubs could not be notified; they find it at their next poll', { place, error: messageOf(thrown) });
        to.connection.stream.destroy();
      },
    );
  };

  return {
    notify(hint) {
      if (listeners.size === 0) return;
      pending = pending === null ? hint : both(pending, hint);
      send();
    },
    listen(onHint) {
      // A function of its own, so that a callback that listens twice is counted twice.
      const listener = (hint: ChangeHint): void => onHint(hint);
      listeners.add(listener);
      begin();
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        retry?.cancel();
        endNow();
      };
    },
    async close() {
      listeners.clear();
      retry?.cancel();
      alone?.cancel();
      endNow();
      await living;
    },
  };
}

function both(one: ChangeHint, other: ChangeHint): ChangeHint {
  const named = one.agents === null || other.agents === null ? null : [...new Set([...one.agents, ...other.agents])];
  const agents = named === null || named.length > NAMED_MAX ? null : named;
  return { events: one.events || other.events, work: one.work || other.work, agents };
}

/** Without names if they would not fit. */
function textOf({ events, work, agents }: ChangeHint, self: string): string {
  const text = JSON.stringify({ from: self, events, work, agents: (agents?.length ?? 0) > NAMED_MAX ? null : agents });
  return Buffer.byteLength(text) <= PAYLOAD_BYTES_MAX ? text : JSON.stringify({ from: self, events, work, agents: null });
}

/** Null for this hub's own notification. One that cannot be read is from a newer hub or from something else: it may mean anything. */
function hintIn(payload: string, self: string): ChangeHint | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(payload);
  } catch {
    return ANY_CHANGE;
  }
  if (typeof parsed !== 'object' || parsed === null) return ANY_CHANGE;
  const { from, events, work, agents } = parsed as Readonly<Record<string, unknown>>;
  if (from === self) return null;
  if (typeof events !== 'boolean' || typeof work !== 'boolean') return ANY_CHANGE;
  const isNamed = Array.isArray(agents) && agents.every((id) => typeof id === 'string');
  return { events, work, agents: isNamed ? (agents as AgentId[]) : null };
}
