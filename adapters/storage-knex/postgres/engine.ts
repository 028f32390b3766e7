/** Postgres behind the stores: the transactions of a hub one at a time, reads concurrently with them, lost connections replaced. */
import { randomUUID } from 'node:crypto';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { turns } from '../../../core/ports/timing/turns.ts';
import type { StoreCapabilities } from '../../../core/ports/task-store.ts';
import type { Engine, OpenEngine } from '../engine.ts';
import type { Readers } from '../knex-readers.ts';
import type { Backend, TransactionStart, PostgresConnection } from './connection.ts';
import { ANSWER_MARGIN_MS, connectHub, readerPool, replacedWriter, type Writer } from './connections.ts';
import { exclusiveUse, HUB_LOCK_WITHIN_MS } from './exclusive.ts';
import { postgresNotifier, type PostgresNotifier } from './notifier.ts';
import { DISK_FULL, openingFailure } from './failures.ts';
import { serverClock, type ServerClock } from './server-clock.ts';
import { serverSockets, type ServerSockets } from './server-sockets.ts';
import { placeOf, type PostgresSettings } from './options.ts';
import { migratePostgres, requireOwnSessions, SESSION, storeIdIn, verifyServer } from './schema.ts';
import { onReader, requireEnded, wasCommitted, type Reading } from './reading.ts';
import { FOLD_COUNTS } from './statements.ts';
import { lastEventNumber } from './save-function.ts';
import { postgresTransaction } from './transaction.ts';
import { oldestReadyText } from '../oldest-ready.ts';
import { MARK_EVERY_MS, READ_CLOCK } from '../stored-clock.ts';

/** Any number of hubs; what was committed is on disk. */
export const POSTGRES_CAPABILITIES: StoreCapabilities = { durable: true, shared: true };

/** How long closing waits for running work, and for a server that does not respond, before every connection is cut. Milliseconds. */
const CLOSE_WITHIN_MS = 2_000;
/** The counts of tasks are added up once per this many commits. */
const FOLD_EVERY = 64;

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
    isOutOfSpace: ({ details }) => details?.['sqlState'] === DISK_FULL,
    open: () => openPostgresEngine(deps, notifier, deadlocked),
  };
}

async function openPostgresEngine(deps: PostgresEngineDeps, notifier: PostgresNotifier, deadlocked: () => void): Promise<OpenEngine> {
  const { settings, clock, log, answerMarginMs = ANSWER_MARGIN_MS, hubLockWithinMs = HUB_LOCK_WITHIN_MS } = deps;
  const place = placeOf(settings);
  const sockets = serverSockets();
  let connection: PostgresConnection | undefined;
  let readers: Readers | undefined;
  let lookUps: Readers | undefined;
  try {
    const connect = (former: Backend | null) => connectHub(former, { settings, answerMarginMs, hubLockWithinMs, clock, sockets });
    connection = await connect(null);
    await verifyServer(connection, place, log);
    await migratePostgres(connection, settings.schema, place, log);
    const storeId = await storeIdIn(connection);
    readers = await readerPool(settings, log, settings.poolMax - 1, sockets);
    lookUps = await readerPool(settings, log, 1, sockets);
    const sessions = await Promise.all([readers, lookUps].map(({ pool }) => pool.raw<{ rows: readonly { pid: number }[] }>(SESSION)));
    requireOwnSessions([connection.backend.pid, ...sessions.map(({ rows }) => rows[0]?.pid)], place);
    const begun = await begunOnce(connection);
    const time = serverClock({ begun, row: (await connection.rows(READ_CLOCK))[0], clock, log, place });
    const newest = newestEvent(await lastEventNumber(connection), place, log);
    const onReplaced = (made: PostgresConnection): Promise<void> => {
      time.forget();
      return newest.verify(made);
    };
    const reading = { clock, place, withinMs: settings.readTimeoutMs + answerMarginMs };
    return openedEngine({
      settings,
      place,
      clock,
      log,
      sockets,
      notifier,
      deadlocked,
      writer: replacedWriter(connection, { connect, storeId, schema: settings.schema, place, log, onReplaced }),
      committed: newest.committed,
      storeId,
      time,
      reading: { ...reading, readers },
      lookingUp: { ...reading, readers: lookUps },
    });
  } catch (thrown) {
    await Promise.allSettled([connection?.close(), readers?.pool.destroy(), lookUps?.pool.destroy()]);
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
  readonly sockets: ServerSockets;
  readonly notifier: PostgresNotifier;
  /** Called for each transaction that ended in a deadlock. */
  readonly deadlocked: () => void;
  readonly writer: Writer;
  /** Called after a commit with the number of its newest event. */
  readonly committed: (lastEvent: number) => void;
  readonly reading: Reading;
  /** For tokens, on a connection of its own. */
  readonly lookingUp: Reading;
  readonly storeId: string;
  readonly time: ServerClock;
}): OpenEngine {
  const { settings, place, clock, log, writer, time, reading, lookingUp, storeId } = opened;
  const inTurn = turns();
  /** The last batch whose single statement got no response: it may still arrive at the server's end of the lost connection. */
  let inDoubt: { readonly batchId: string; readonly backend: Backend } | null = null;
  let isClosing = false;
  let isClosed = false;
  let commitsToFold = FOLD_EVERY;
  let savedMs = -Infinity;

  /** Only within a turn, since it may have to connect. */
  const connectionToWrite = (): Promise<PostgresConnection> => {
    if (isClosed || (isClosing && writer.isLost))
      throw new AgentcomError('AC_STORE_CLOSED', `Cannot use storage "postgres": ${place} was closed.`);
    return writer.connected();
  };

  /** Between batches, and not worth a new connection. A failure is harmless: the next time makes up for it. */
  const tidy = async (failed: string, change: (connection: PostgresConnection) => Promise<unknown>): Promise<void> => {
    const { connection } = writer;
    if (connection === null || connection.isLost) return;
    try {
      await change(connection);
    } catch (thrown) {
      log.warn(failed, { place, error: messageOf(thrown) });
    }
  };
  /** Adds the counts up. */
  const foldCounts = (): Promise<void> => {
    commitsToFold = FOLD_EVERY;
    return tidy('the counts of tasks could not be added up', (connection) => connection.change(FOLD_COUNTS, undefined, 'foldCounts'));
  };
  const keepClock = (): Promise<void> => tidy("the mark of the store's clock could not be written", time.keep);

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
          if (connection === writer.connection) await writer.letGo(thrown);
        }
      }),
  });

  return {
    storeId,

    clock: time.storeClock,

    write: (batchId, work, early) =>
      inTurn(async (turn) => {
        // A transaction that began early finds out at its first statement whether the connection was lost meanwhile.
        const connection = (turn.isEarly ? writer.connection : null) ?? (await connectionToWrite());
        if (!turn.isEarly) {
          await time.step(connection);
          await exclusive.attempt(connection);
        }
        const broken: unknown[] = [];
        let isRepeated = false;
        try {
          const run = (savesAtOnce: boolean) => {
            const requestedMs = clock.monotonicMs();
            return postgresTransaction(connection, {
              place,
              batchId,
              work,
              markBroken: (why) => broken.push(why),
              inDoubt: (batchId) => (inDoubt = { batchId, backend: connection.backend }),
              deadlocked: opened.deadlocked,
              committed: opened.committed,
              clock: time.storeClock,
              isClockKnown: time.isKnown,
              begun: (begun) => time.update(begun, requestedMs),
              exclusive: exclusive.on(connection),
              savesAtOnce,
              repeated: () => (isRepeated = true),
              early: early && { ...turn, waiting: () => early.waiting(), saving: () => early.saving() },
            });
          };
          // Statement by statement, what is stored already is skipped.
          const answer = await run(exclusive.savesAtOnce(connection)).catch((thrown: unknown) => {
            if (!isRepeated) throw thrown;
            return run(false);
          });
          commitsToFold -= 1;
          if (commitsToFold === 0) void inTurn(foldCounts);
          return answer;
        } finally {
          if (broken.length > 0) await writer.letGo(broken[0]);
          if (time.storeClock.nowMs() - savedMs >= MARK_EVERY_MS) {
            savedMs = time.storeClock.nowMs();
            void inTurn(keepClock);
          }
        }
      }, early !== undefined),

    read: (work, isSingleStatement = false) =>
      onReader(reading, async (raw) => {
        if (isSingleStatement) return work(reading.readers.on(raw));
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
    listTie: 'id',
    hasListOfAll: false,

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
          await Promise.all([
            writer.connection?.close(),
            reading.readers.pool.destroy(),
            lookingUp.readers.pool.destroy(),
            opened.notifier.close(),
          ]);
        });
      } finally {
        tooLate.cancel();
      }
    },
  };
}

/** Notices, after a reconnect, that the server has an older copy of the store: one without events that this hub has committed. */
function newestEvent(first: number, place: string, log: Log) {
  let newest = first;
  return {
    committed(lastEvent: number): void {
      newest = lastEvent;
    },
    async verify(connection: PostgresConnection): Promise<void> {
      const found = await lastEventNumber(connection);
      if (found < newest)
        log.error(
          'the store has gone back in time: what was acknowledged since is missing. Stop all hubs, run `agentcom restore` and start them again (docs/moving.md)',
          { place, expected_event: newest, found_event: found },
        );
      newest = found;
    },
  };
}

async function begunOnce(writer: PostgresConnection): Promise<TransactionStart> {
  const begun = await writer.begin();
  await writer.commit();
  return begun;
}
