/**
 * The calls of hubs on one Postgres: NOTIFY on a connection that also LISTENs, apart from the writer. In the writer's commit
 * all commits of the server that call would wait for each other, with their disks.
 *
 *   ended ── the first who listens ──► connecting ── LISTEN ──► connected
 *     ▲                                 ▲     └── failed: again after `AGAIN_MS`
 *     └── nobody listens any more       └── the connection was lost ──┘
 */
import type { Client, Notification } from 'pg';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import { LOOK_AT_ALL, type HubCalls, type Look } from '../../../core/ports/hub-calls.ts';
import type { Log } from '../../../core/ports/log.ts';
import { endClient } from './connection.ts';
import { connectCaller } from './connections.ts';
import { placeOf, type PostgresSettings } from './options.ts';

/** From the loss of the connection, or a try that failed, to the next try. */
const AGAIN_MS = 1_000;
/** What Postgres takes in one notification is less than 8,000 bytes. */
const PAYLOAD_BYTES_MAX = 7_900;
/** Agents that one call names; of more it says that it may be any. */
const NAMED_MAX = 300;

export interface PostgresCalls extends HubCalls {
  /** Says what waits to be said, and lets go of the connection. */
  close(): Promise<void>;
}

export interface PostgresCallsDeps {
  readonly settings: PostgresSettings;
  readonly answerMarginMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells its own calls from those of others: unique among all hubs. */
  readonly self: string;
}

/** Calls are heard by whoever has the same schema of the same database open. What is called while nobody here listens is not said. */
export function postgresCalls({ settings, answerMarginMs, clock, log, self }: PostgresCallsDeps): PostgresCalls {
  const place = placeOf(settings);
  const channel = settings.schema;
  const ears = new Set<(look: Look) => void>();
  let client: Client | null = null;
  /** Answers when the connection was let go of; null while there is none, nor one in the making. */
  let living: Promise<void> | null = null;
  let again: Timer | null = null;
  let endNow: () => void = () => undefined;
  let waiting: Look | null = null;
  let saying: Promise<void> | null = null;
  let isTold = false;

  const tellAll = (look: Look): void => ears.forEach((heard) => heard(look));

  const lost = (why: unknown): void => {
    client = null;
    if (ears.size === 0) return;
    // Once for each time without: whatever was missed is looked for anyway.
    if (!isTold) log.warn('this hub hears no calls of the other hubs, and looks by itself meanwhile', { place, error: messageOf(why) });
    isTold = true;
    again = clock.after(AGAIN_MS, begin);
  };

  const live = async (): Promise<void> => {
    let why: unknown = 'the connection ended';
    let made: Client | null = null;
    try {
      made = await connectCaller(settings, answerMarginMs, clock);
      const caller = made;
      const ended = new Promise<void>((resolve) => {
        endNow = resolve;
        caller.on('end', resolve).on('error', (error) => {
          why = error;
          resolve();
        });
      });
      caller.on('notification', hear);
      await caller.query(`LISTEN ${channel}`);
      client = caller;
      isTold = false;
      tellAll(LOOK_AT_ALL);
      say();
      if (ears.size > 0) await ended;
      while (saying !== null) await saying;
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
    again?.cancel();
    again = null;
    living ??= live();
  };

  const hear = ({ payload = '' }: Notification): void => {
    const look = lookIn(payload, self);
    if (look !== null) tellAll(look);
  };

  /** One at a time: what is called meanwhile goes out together. */
  const say = (): void => {
    if (client === null || waiting === null || saying !== null) return;
    const text = textOf(waiting, self);
    waiting = null;
    const to = client;
    saying = to.query('SELECT pg_notify($1, $2)', [channel, text]).then(
      () => {
        saying = null;
        say();
      },
      (thrown: unknown) => {
        saying = null;
        log.warn('the other hubs could not be called; they look by themselves', { place, error: messageOf(thrown) });
        to.connection.stream.destroy();
      },
    );
  };

  return {
    call(look) {
      if (ears.size === 0) return;
      waiting = waiting === null ? look : both(waiting, look);
      say();
    },
    listen(heard) {
      const ear = (look: Look): void => heard(look);
      ears.add(ear);
      begin();
      return () => {
        if (!ears.delete(ear) || ears.size > 0) return;
        again?.cancel();
        endNow();
      };
    },
    async close() {
      ears.clear();
      again?.cancel();
      endNow();
      await living;
    },
  };
}

function both(one: Look, other: Look): Look {
  const named = one.agents === null || other.agents === null ? null : [...new Set([...one.agents, ...other.agents])];
  const agents = named === null || named.length > NAMED_MAX ? null : named;
  return { events: one.events || other.events, work: one.work || other.work, agents };
}

/** Without names where those would not fit. */
function textOf({ events, work, agents }: Look, self: string): string {
  const text = JSON.stringify({ from: self, events, work, agents: (agents?.length ?? 0) > NAMED_MAX ? null : agents });
  return Buffer.byteLength(text) <= PAYLOAD_BYTES_MAX ? text : JSON.stringify({ from: self, events, work, agents: null });
}

/** Null for a call of our own. What cannot be read is by a newer hub, or by a stranger: it may mean anything. */
function lookIn(payload: string, self: string): Look | null {
  let said: unknown;
  try {
    said = JSON.parse(payload);
  } catch {
    return LOOK_AT_ALL;
  }
  if (typeof said !== 'object' || said === null) return LOOK_AT_ALL;
  const { from, events, work, agents } = said as Readonly<Record<string, unknown>>;
  if (from === self) return null;
  if (typeof events !== 'boolean' || typeof work !== 'boolean') return LOOK_AT_ALL;
  const isNamed = Array.isArray(agents) && agents.every((id) => typeof id === 'string');
  return { events, work, agents: isNamed ? (agents as AgentId[]) : null };
}
