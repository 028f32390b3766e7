/** Postgres behind the stores: the transactions of a hub one at a time, reads concurrently with them, lost connections replaced. */
import { randomUUID } from 'node:crypto';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { turns } from '../../../core/ports/timing/turns.ts';
import type { StoreCapabilities } from '../../../core/ports/task-store.ts';
import type { Engine, OpenEngine, Row } from '../engine.ts';
import type { Readers } from '../knex-readers.ts';
import type { Backend, Begun, PostgresConnection } from './connection.ts';
import { ANSWER_MARGIN_MS, connectWriter, endBackend, readerPool } from './connections.ts';
import { exclusiveUse, HUB_LOCK_WITHIN_MS, joinHubs } from './exclusive.ts';
import { postgresNotifier, type PostgresNotifier } from './notifier.ts';
import { openingFailure, postgresFailure } from './failures.ts';
import { serverSockets, type ServerSockets } from './server-sockets.ts';
import { placeOf, type PostgresSettings } from './options.ts';
import { migratePostgres, storeIdIn, verifyServer } from './schema.ts';
import { onReader, requireEnded, wasCommitted, type Reading } from './reading.ts';
import { FOLD_COUNTS } from './statements.ts';
import { postgresTransaction } from './transaction.ts';
import { oldestReadyText } from '../oldest-ready.ts';
import { MARK_EVERY_MS, READ_CLOCK, storeClockIn } from '../stored-clock.ts';

/** Any number of hubs; what was committed is on disk. */
export const POSTGRES_CAPABILITIES: StoreCapabilities = { durable: true, shared: true };

/** How long closing waits for running work, and for a server that does not respond, before every connection is cut. Milliseconds. */
const CLOSE_WITHIN_MS = 2_000;
/** The counts of tasks are added up once per this many commits. */
const FOLD_EVERY = 64;
/** How long the server's time is extrapolated after it was read; then the next batch waits for the server to report it. Milliseconds. */
const RECKONED_MS = 1_000;

export interface PostgresEngineDeps {
  readonly settings: PostgresSettings;
  readonly clock: Clock;
  readonly log: Log;
  /** How much longer than the server's statement timeout a response may take. Default 5,000. */
  readonly answerMarginMs?: number | undefined;
  /** How long the lock of a killed move of the store may remain. Default 2,000. */
  readonly hubLockWithinMs?: number | undefined;
}

export function postgresEngine(deps: PostgresEngineDeps): Engine {
  const { settings, clock, log, answerMarginMs = ANSWER_MARGIN_MS } = deps;
  const notifier = postgresNotifier({ settings, answerMarginMs, clock, log, self: randomUUID() });
  let deadlocks = 0;
  const deadlocked = (): void => {
    deadlocks += 1;
    log.warn('Postgres ended a transaction of this hub in a deadlock; it is repeated', { place: placeOf(settings), deadlocks });
  };
  return {
    name: 'postgres',
    capabilities: POSTGRES_CAPABILITIES,
    notifier,
    deadlocks: () => deadlocks,
    open: () => openPostgresEngine(deps, notifier, deadlocked),
  };
}

async function openPostgresEngine(deps: PostgresEngineDeps, notifier: PostgresNotifier, deadlocked: () => void): Promise<OpenEngine> {
  const { settings, clock, log, answerMarginMs = ANSWER_MARGIN_MS, hubLockWithinMs = HUB_LOCK_WITHIN_MS } = deps;
  const place = placeOf(settings);
  const sockets = serverSockets();
  const connect = async (former: Backend | null): Promise<PostgresConnection> => {
    const writer = await connectWriter(settings, answerMarginMs, clock, sockets);
    try {
      if (former !== null) await endBackend(writer, former);
      await joinHubs(writer, settings, hubLockWithinMs);
      return writer;
    } catch (thrown) {
      await writer.close();
      throw thrown;
    }
  };
  let writer: PostgresConnection | undefined;
  let readers: Readers | undefined;
  let lookUps: Readers | undefined;
  try {
    writer = await connect(null);
    await verifyServer(writer, place, log);
    await migratePostgres(writer, settings.schema, place);
    const storeId = await storeIdIn(writer);
    readers = await readerPool(settings, log, settings.poolMax - 1, sockets);
    lookUps = await readerPool(settings, log, 1, sockets);
    await Promise.all([readers.pool.raw('SELECT 1'), lookUps.pool.raw('SELECT 1')]);
    const reading = { clock, place, withinMs: settings.readTimeoutMs + answerMarginMs };
    return openedEngine({
      settings,
      place,
      clock,
      log,
      connect,
      sockets,
      notifier,
      deadlocked,
      writer,
      storeId,
      begun: await begunOnce(writer),
      clockRow: (await writer.rows(READ_CLOCK))[0],
      reading: { ...reading, readers },
      lookingUp: { ...reading, readers: lookUps },
    });
  } catch (thrown) {
    await Promise.allSettled([writer?.close(), readers?.pool.destroy(), lookUps?.pool.destroy()]);
    throw openingFailure(thrown, place);
  }
}

/**
 * open ── the connection was lost ──► without a writer ── next need, connected anew ──► open
 *   └────────────────────────────── close ──► closed ◄──┘
 */
function openedEngine(opened: {
  readonly settings: PostgresSettings;
  readonly place: string;
  readonly clock: Clock;
  readonly log: Log;
  /** `former`: the server's end of the previous connection, which is terminated if it still exists. */
  readonly connect: (former: Backend | null) => Promise<PostgresConnection>;
  readonly sockets: ServerSockets;
  readonly notifier: PostgresNotifier;
  /** Called for each transaction that ended in a deadlock. */
  readonly deadlocked: () => void;
  readonly writer: PostgresConnection;
  readonly reading: Reading;
  /** For tokens, on a connection of its own. */
  readonly lookingUp: Reading;
  readonly storeId: string;
  /** What the server just reported. */
  readonly begun: Begun;
  /** The stored state of the store's clock. */
  readonly clockRow: Row | undefined;
}): OpenEngine {
  const { settings, place, clock, log, reading, lookingUp, storeId } = opened;
  const inTurn = turns();
  let writer: PostgresConnection | null = opened.writer;
  let former: Backend | null = null;
  /** The last batch whose single statement got no response: it may still arrive at the server's end of the lost connection. */
  let inDoubt: { readonly batchId: string; readonly backend: Backend } | null = null;
  let isClosing = false;
  let isClosed = false;
  let commitsToFold = FOLD_EVERY;
  let heard = { serverMs: opened.begun.serverMs, atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
  /** The server's clock, extrapolated with this machine's monotonic clock since it was last read. Every hub on this store goes by it. */
  const source = {
    wallMs: () => heard.serverMs + clock.monotonicMs() - heard.atMonotonicMs,
    monotonicMs: () => clock.monotonicMs(),
  };
  const storeClock = storeClockIn(opened.clockRow, { source, log, place });
  let savedMs = -Infinity;
  /** Whether the server's clock was read on this connection. */
  let isHeard = false;

  const letGo = async (why: unknown): Promise<void> => {
    const lost = writer;
    if (lost === null) return;
    writer = null;
    former = lost.backend;
    log.error('the connection to Postgres was lost; the hub reconnects when it next needs it', { place, error: messageOf(why) });
    await lost.close();
  };

  /** A writer whose connection is not lost. Only within a turn, since it may have to connect. */
  const healthyConnection = async (): Promise<PostgresConnection> => {
    if (isClosed || (isClosing && (writer === null || writer.isLost)))
      throw new AgentcomError('AC_STORE_CLOSED', `Cannot use storage "postgres": ${place} was closed.`);
    if (writer?.isLost === true) await letGo('it ended');
    if (writer !== null) return writer;
    let made: PostgresConnection;
    try {
      made = await opened.connect(former);
    } catch (thrown) {
      throw postgresFailure(thrown, 'connect', place);
    }
    try {
      await requireSameStore(made, storeId, place);
    } catch (thrown) {
      await made.close();
      throw postgresFailure(thrown, 'connect', place);
    }
    writer = made;
    isHeard = false;
    return made;
  };

  /** Adds the counts up. A failure is harmless: the next time more are added up. */
  const foldCounts = async (): Promise<void> => {
    commitsToFold = FOLD_EVERY;
    if (writer === null || writer.isLost) return;
    try {
      await writer.change(FOLD_COUNTS, undefined, 'foldCounts');
    } catch (thrown) {
      log.warn('the counts of tasks could not be added up', { place, error: messageOf(thrown) });
    }
  };

  /**
   * The server's time now lies between what it reported and that plus the time that the response took. An extrapolation within these bounds
   * is kept, so that time is not set back.
   */
  const hear = ({ serverMs: saidMs, markMs }: Begun, askedMonotonicMs: number): void => {
    const atMonotonicMs = clock.monotonicMs();
    const reckonedMs = heard.serverMs + atMonotonicMs - heard.atMonotonicMs;
    const serverMs = Math.min(Math.max(reckonedMs, saidMs), saidMs + atMonotonicMs - askedMonotonicMs);
    heard = { serverMs, atMs: clock.nowMs(), atMonotonicMs };
    isHeard = true;
    if (markMs !== null) storeClock.atLeast(markMs);
  };
  /**
   * Not after a reconnect, which may be to another server, and not if the two local clocks disagree on how long ago it was read: one may
   * have stopped.
   */
  const isClockKnown = (): boolean => {
    const [agoMs, byWallMs] = [clock.monotonicMs() - heard.atMonotonicMs, clock.nowMs() - heard.atMs];
    return isHeard && agoMs < RECKONED_MS && Math.abs(byWallMs - agoMs) < RECKONED_MS;
  };

  /** Outside the batches, so that no hub waits for another's write. A failure is harmless: the next write has a later mark. */
  const keepClock = async (): Promise<void> => {
    if (writer === null || writer.isLost) return;
    try {
      await writer.change(SAVE_CLOCK, JSON.stringify(storeClock.state), 'saveClock');
    } catch (thrown) {
      log.warn("the mark of the store's clock could not be written", { place, error: messageOf(thrown) });
    }
  };
  /**
   * Steps the store's time forward if that is due, and extends the leases of all hubs by the same step, so that they keep their remaining
   * time. Later transactions go by the new time.
   */
  const stepClock = async (connection: PostgresConnection): Promise<void> => {
    const byMs = storeClock.confirmedStepMs;
    if (byMs === 0) return;
    const fromMs = storeClock.nowMs() + Math.floor(byMs / 2);
    try {
      await connection.change(
        STEP_CLOCK,
        JSON.stringify({ byMs: Math.floor(byMs), fromMs, markMs: storeClock.nowMs() + Math.floor(byMs) }),
      );
      storeClock.step();
    } catch (thrown) {
      log.warn("the store's time could not be moved forward yet; the next batch tries again", { place, error: messageOf(thrown) });
    }
  };

  const exclusive = exclusiveUse({
    settings,
    clock,
    log,
    joins: (connection) =>
      void inTurn(async () => {
        if (isClosed) return;
        try {
          await exclusive.end(connection);
        } catch (thrown) {
          // The lock ends with the connection.
          if (connection === writer) await letGo(thrown);
        }
      }),
  });

  return {
    storeId,

    clock: storeClock,

    write: (batchId, work, early) =>
      inTurn(async (turn) => {
        // A transaction that began early finds out at its first statement whether the connection was lost meanwhile.
        const connection = turn.isEarly && writer !== null ? writer : await healthyConnection();
        if (!turn.isEarly) {
          await stepClock(connection);
          await exclusive.attempt(connection);
        }
        const broken: unknown[] = [];
        const askedMs = clock.monotonicMs();
        try {
          const answer = await postgresTransaction(connection, {
            place,
            batchId,
            work,
            markBroken: (why) => broken.push(why),
            inDoubt: (batchId) => (inDoubt = { batchId, backend: connection.backend }),
            deadlocked: opened.deadlocked,
            clock: storeClock,
            isClockKnown,
            begun: (begun) => hear(begun, askedMs),
            exclusive: exclusive.on(connection),
            early: early && { ...turn, waiting: () => early.waiting(), saving: () => early.saving() },
          });
          commitsToFold -= 1;
          if (commitsToFold === 0) void inTurn(foldCounts);
          return answer;
        } finally {
          if (broken.length > 0) await letGo(broken[0]);
          if (storeClock.nowMs() - savedMs >= MARK_EVERY_MS) {
            savedMs = storeClock.nowMs();
            void inTurn(keepClock);
          }
        }
      }, early !== undefined),

    read: (work, asksOnce = false) =>
      onReader(reading, async (raw) => {
        if (asksOnce) return work(reading.readers.on(raw));
        await raw.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        try {
          const answer = await work(reading.readers.on(raw));
          await raw.query('COMMIT');
          return answer;
        } catch (thrown) {
          // A connection that cannot even roll back is not used again.
          await raw.query('ROLLBACK').catch(() => raw.connection.stream.destroy());
          throw thrown;
        }
      }),

    lookUp: (work) => onReader(lookingUp, (raw) => work(lookingUp.readers.on(raw))),
    oldestReady: oldestReadyText(''),

    committed: (batchId) =>
      onReader(reading, async (raw) => {
        if (inDoubt?.batchId === batchId) await requireEnded(raw, inDoubt.backend, { place, withinMs: settings.lockTimeoutMs });
        return wasCommitted(raw, batchId, place);
      }),

    async close() {
      // Work that waits for its turn uses the existing connection; no new one is made.
      isClosing = true;
      const tooLate = clock.after(CLOSE_WITHIN_MS, () => {
        log.warn('Postgres took too long to close: its connections are terminated', { place, within_ms: CLOSE_WITHIN_MS });
        opened.sockets.cut();
      });
      try {
        await inTurn(async () => {
          if (isClosed) return;
          await keepClock();
          isClosed = true;
          await Promise.all([writer?.close(), reading.readers.pool.destroy(), lookingUp.readers.pool.destroy(), opened.notifier.close()]);
        });
      } finally {
        tooLate.cancel();
      }
    },
  };
}

async function begunOnce(writer: PostgresConnection): Promise<Begun> {
  const begun = await writer.begin();
  await writer.commit();
  return begun;
}

const GIVEN_CLOCK = `(SELECT ($1::json ->> 'markMs')::bigint AS mark, ($1::json ->> 'offsetMs')::bigint AS wall_offset,
  ($1::json ->> 'removalsFromMs')::bigint AS held) AS given`;
/** Hubs write it one after the other, each in its own transaction, with this row only. */
const SAVE_CLOCK = `
  UPDATE store SET clock_mark = greatest(clock_mark, given.mark), clock_offset = given.wall_offset,
    removals_from = greatest(removals_from, given.held) FROM ${GIVEN_CLOCK}`;
/** The first hub that steps extends the leases; the others find the mark past `fromMs`. */
const STEP_CLOCK = `
  WITH given AS (SELECT ($1::json ->> 'byMs')::bigint AS by_ms, ($1::json ->> 'fromMs')::bigint AS from_ms, ($1::json ->> 'markMs')::bigint AS mark),
    first AS (SELECT by_ms, mark FROM store, given WHERE coalesce(clock_mark, 0) < from_ms FOR UPDATE OF store),
    prolonged AS (UPDATE hubs SET lease_until = lease_until + first.by_ms FROM first)
  UPDATE store SET clock_mark = first.mark, clock_offset = 0 FROM first`;

/** After a reconnect the server may be another one, or its database an older copy. */
async function requireSameStore(writer: PostgresConnection, storeId: string, place: string): Promise<void> {
  const found = await storeIdIn(writer);
  if (found === storeId) return;
  const message = `The store in ${place} is not the one that this hub opened (found ${found}, expected ${storeId}). If it was replaced on purpose, restart the hub.`;
  throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { details: { found, wanted: storeId } });
}
