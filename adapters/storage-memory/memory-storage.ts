/** `Storage` in memory, for the simulation and for trying things out. Everything is lost with the process. */
import type { StoredEvent } from '../../core/domain/task/event.ts';
import { StoreClock } from '../../core/domain/store-clock.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { FEED_BYTES, matchesFilter, type EventFeed } from '../../core/ports/event-feed.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { HubNotifier } from '../../core/ports/hub-notifier.ts';
import { opening } from '../../core/ports/opening.ts';
import { turns } from '../../core/ports/timing/turns.ts';
import { eventsWithinBytes } from '../kit/bounded-events.ts';
import type { Storage } from '../../core/ports/storage.ts';
import type { StoreCapabilities } from '../../core/ports/task-store.ts';
import { memoryAgentStore } from './memory-agent-store.ts';
import { memoryAuditLog } from './memory-audit-log.ts';
import { memoryDatabase, type InTurn, type MemoryDatabase } from './memory-database.ts';
import { memoryOutputStore } from './memory-output-store.ts';
import { memoryTaskStore, type OnStep } from './memory-task-store.ts';

export const MEMORY_CAPABILITIES: StoreCapabilities = { durable: false, shared: false };

/**
 * `clock`: what the store's time follows. `database`: one to reopen or to inspect; default: a new, empty one. `shared`: whether other
 * storages may have it open too; default: no. `onStep`: lets a test fail or delay a step.
 */
export interface MemoryStorageDeps {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly shared?: boolean | undefined;
  readonly database?: MemoryDatabase | undefined;
  readonly onStep?: OnStep | undefined;
}

export interface MemoryStorage extends Storage {
  /**
   * Aborts the current transaction, as a database server does if its client is gone or idle: releases its locks, rolls it back and
   * makes its further statements fail with `AC_STORE_UNAVAILABLE`. Only for a shared storage.
   */
  endTransaction(): void;
  /** Simulates a crash of the process: aborts its transaction and stops listening to other hubs. */
  crash(): void;
}

export function memoryStorage(deps: MemoryStorageDeps): MemoryStorage {
  const database = deps.database ?? memoryDatabase('memory');
  const capabilities = { ...MEMORY_CAPABILITIES, shared: deps.shared ?? false };
  const holder = {};
  const ownTurn = turns();
  const inTurn: InTurn = (opened, work, isEarly) => (capabilities.shared ? ownTurn(work) : opened.inTurn(work, isEarly));
  /** The latest one; it keeps running after the storage is closed. */
  let storeClock: StoreClock | null = null;
  const started = (): MemoryDatabase => {
    const source = { wallMs: () => deps.clock.nowMs(), monotonicMs: () => deps.clock.monotonicMs() };
    storeClock = new StoreClock({ source, saved: database.clock, newestMs: database.events.at(-1)?.atMs ?? null });
    database.clock = storeClock.state;
    return database;
  };
  const handle = opening<MemoryDatabase>({
    name: 'storage "memory"',
    async open() {
      if (capabilities.shared) return started();
      if (database.holder !== null)
        throw new AgentcomError(
          'AC_STORAGE_LOCKED',
          'Cannot open storage "memory": another hub has this database open. Close that one first.',
        );
      database.holder = holder;
      return started();
    },
    close: (opened) =>
      inTurn(opened, async () => {
        if (storeClock !== null) opened.clock = storeClock.state;
        if (opened.holder === holder) opened.holder = null;
      }),
  });

  const endTransaction = (): void =>
    database.locks.abort(holder, new AgentcomError('AC_STORE_UNAVAILABLE', 'The transaction was ended from outside; try again.'));

  return {
    name: 'memory',
    endTransaction,
    crash() {
      endTransaction();
      database.listeners.delete(holder);
      if (database.holder === holder) database.holder = null;
    },
    tasks: memoryTaskStore({
      capabilities,
      use: handle.use,
      onStep: deps.onStep ?? (() => undefined),
      clock: () => storeClock,
      machine: deps.clock,
      owner: holder,
      inTurn,
    }),
    agents: memoryAgentStore(handle.use, inTurn),
    events: memoryEventFeed(handle.use),
    audit: memoryAuditLog(handle.use, inTurn, () => storeClock),
    output: memoryOutputStore(handle.use),
    notifier: memoryNotifier(database, holder),
    open: async () => ({ storeId: (await handle.open()).storeId }),
    close: handle.close,
    healthy: async () => handle.current() !== undefined,
  };
}

/** Delivers notifications synchronously, before `notify` returns. */
function memoryNotifier(database: MemoryDatabase, self: object): HubNotifier {
  return {
    notify(hint) {
      for (const [storage, listeners] of database.listeners) if (storage !== self) for (const onHint of listeners) onHint(hint);
    },
    listen(onHint) {
      const listeners = database.listeners.get(self) ?? new Set();
      database.listeners.set(self, listeners.add(onHint));
      return () => void listeners.delete(onHint);
    },
  };
}

function memoryEventFeed(use: () => MemoryDatabase): EventFeed {
  return {
    async after(afterId, filter, limit, bytesMax = FEED_BYTES) {
      const page: StoredEvent[] = [];
      const { events, removedEventId } = use();
      let untilId = afterId;
      for (let place = placeAfter(events, afterId); place < events.length && page.length < limit; place += 1) {
        const event = events[place];
        if (event === undefined) break;
        untilId = event.id;
        if (matchesFilter(filter, event)) page.push(event);
      }
      const within = eventsWithinBytes(page, bytesMax);
      const until = within.length < page.length ? (within.at(-1)?.id ?? afterId) : untilId;
      return { events: within, untilId: until, removedId: until > afterId ? removedEventId : 0 };
    },
    async marks() {
      const { events, removedEventId } = use();
      return { lastId: events.at(-1)?.id ?? 0, removedId: removedEventId };
    },
  };
}

/** The index of the first event after that id. */
function placeAfter(events: readonly StoredEvent[], afterId: number): number {
  let [from, to] = [0, events.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((events[middle]?.id ?? Infinity) > afterId) to = middle;
    else from = middle + 1;
  }
  return from;
}
