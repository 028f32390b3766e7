/** The store's clock on Postgres: it follows the server's clock, which is extrapolated between two of its reports. */
import type { StoreClock } from '../../../core/domain/store-clock.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Row } from '../engine.ts';
import { storeClockIn } from '../stored-clock.ts';
import type { TransactionStart, PostgresConnection } from './connection.ts';

/** How long the server's time is extrapolated after it was read; then the next batch waits for the server to report it. Milliseconds. */
const ESTIMATED_MS = 1_000;

export interface ServerClock {
  /** Every hub on this store goes by the same server's clock. */
  readonly storeClock: StoreClock;
  /** Whether the server reported its time a moment ago, on this connection. */
  isKnown(): boolean;
  /** Takes a report of the server, which was requested at `requestedMonotonicMs`. */
  update(begun: TransactionStart, requestedMonotonicMs: number): void;
  /** The connection was replaced, perhaps by one to another server. */
  forget(): void;
  /** Writes the mark. Outside the batches, so that no hub waits for another's write. */
  keep(writer: PostgresConnection): Promise<void>;
  /**
   * Steps the store's time forward if that is due, and extends the leases of all hubs by the same step, so that they keep their remaining
   * time. Later transactions go by the new time.
   */
  step(writer: PostgresConnection): Promise<void>;
}

/** `begun`: what the server just reported. `row`: the stored state of the store's clock. */
export function serverClock(deps: {
  readonly begun: TransactionStart;
  readonly row: Row | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly place: string;
}): ServerClock {
  const { clock, log, place } = deps;
  let reading = { serverMs: deps.begun.serverMs, atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
  let isCurrent = false;
  const estimatedMs = (): number => reading.serverMs + clock.monotonicMs() - reading.atMonotonicMs;
  const storeClock = storeClockIn(deps.row, { source: { wallMs: estimatedMs, monotonicMs: () => clock.monotonicMs() }, log, place });
  return {
    storeClock,
    // Not if the two local clocks disagree on how long ago it was read: one may have stopped.
    isKnown() {
      const [agoMs, byWallMs] = [clock.monotonicMs() - reading.atMonotonicMs, clock.nowMs() - reading.atMs];
      return isCurrent && agoMs < ESTIMATED_MS && Math.abs(byWallMs - agoMs) < ESTIMATED_MS;
    },
    // The server's time now lies between what it reported and that plus the time that the response took. An extrapolation within these
    // bounds is kept, so that time is not set back.
    update({ serverMs: reportedMs, markMs }, requestedMonotonicMs) {
      const atMonotonicMs = clock.monotonicMs();
      const serverMs = Math.min(Math.max(estimatedMs(), reportedMs), reportedMs + atMonotonicMs - requestedMonotonicMs);
      reading = { serverMs, atMs: clock.nowMs(), atMonotonicMs };
      isCurrent = true;
      if (markMs !== null) storeClock.atLeast(markMs);
    },
    forget() {
      isCurrent = false;
    },
    async keep(writer) {
      await writer.change(SAVE_CLOCK, JSON.stringify(storeClock.state), 'saveClock');
    },
    async step(writer) {
      const byMs = storeClock.confirmedStepMs;
      if (byMs === 0) return;
      const fromMs = storeClock.nowMs() + Math.floor(byMs / 2);
      try {
        await writer.change(STEP_CLOCK, JSON.stringify({ byMs: Math.floor(byMs), fromMs, markMs: storeClock.nowMs() + Math.floor(byMs) }));
        storeClock.step();
      } catch (thrown) {
        log.warn("the store's time could not be moved forward yet; the next batch tries again", { place, error: messageOf(thrown) });
      }
    },
  };
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
