/** The store as seen by one hub process: it fails as told, the world observes it, and it ends with the process. */
import { memoryStorage, type MemoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import type { TransactionStep } from '../../../adapters/storage-memory/memory-task-store.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { requirementKey, waitingRequirement, type Task } from '../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { AgentStore } from '../../../core/ports/agent-store.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { HubNotifier } from '../../../core/ports/hub-notifier.ts';
import type { ClusterUnit } from '../../../core/ports/cluster-unit.ts';
import type { EarlyTransaction } from '../../../core/ports/timing/turns.ts';
import type { Changes, StoreUnit, TaskStore } from '../../../core/ports/task-store.ts';
import type { Chance } from '../seeded-chance.ts';
import { mortal, type Life } from '../runner/world-life.ts';
import { failingReads, storeFaults } from './store-faults.ts';
import type { Surroundings } from './simulated-surroundings.ts';

/** The share of statements after which another hub's may come, where there are several. */
const SLOW_STATEMENTS = 0.1;
/** Of the notifications that arrive, the shares that are late or come twice, and how late. */
const NOTIFICATIONS_LATE = 0.1;
const NOTIFICATIONS_DOUBLED = 0.05;
const NOTIFICATION_LATE_MS = 8_000;

export interface HubStoreDeps {
  readonly world: Surroundings;
  readonly life: Life;
  /** The process's clock: also the store's, if it is not shared. */
  readonly clock: Clock;
  readonly hub: string;
  readonly started: number;
  /** Until when, by the monotonic clock, the store is unavailable. */
  readonly awayUntilMs: () => number;
  readonly onFailure: () => void;
  readonly at: (step: TransactionStep) => boolean;
}

export interface HubStore {
  readonly storage: MemoryStorage;
  readonly tasks: TaskStore;
  readonly agents: AgentStore;
  readonly notifier: HubNotifier;
}

/** What a batch saves, and when it was created. */
interface Saved {
  readonly changes: Changes;
  readonly nowMs: number;
  /** By the world's clock. */
  readonly begunAtMs: number;
  readonly couldGo: ((id: TaskId) => boolean) | null;
}

export function hubStore(deps: HubStoreDeps): HubStore {
  const { world, life, clock, hub, started, awayUntilMs } = deps;
  const { plan, clock: worldClock, database } = world;
  const isAway = (): boolean => worldClock.monotonicMs() < awayUntilMs();
  const saved = new Map<string, Saved>();
  const chance = world.chanceOf(hub === 'hub' ? `store ${started}` : `store of ${hub} ${started}`);
  const storage = memoryStorage({
    clock: plan.shared ? worldClock : clock,
    database,
    shared: plan.shared,
    onStep: storeFaults({
      chance,
      clock: worldClock,
      life,
      faults: () => world.faults,
      awayUntilMs,
      onFailure: deps.onFailure,
      at: deps.at,
      rare: (what) => world.trace.rare(what),
      onCommit: (batchId) => {
        const batch = saved.get(batchId);
        saved.delete(batchId);
        if (batch !== undefined) world.committed({ ...batch, hub });
      },
    }),
  });
  /** A dead process begins no batch. `waits`: called when the batch was decided and waits for the one before. */
  const mortalEarly = (early: EarlyTransaction, waits: () => void): EarlyTransaction => ({
    waiting() {
      world.trace.rare('early batch');
      waits();
      if (!life.isOver) early.waiting();
    },
    saving() {
      if (!life.isOver) early.saving();
    },
  });
  /** Since when the hub has been trying to commit its batch: later commands are not in it, however often it is repeated. */
  let askedMs: number | null = null;
  const tasks: TaskStore = {
    ...storage.tasks,
    async transact(batchId, work, early) {
      const begunAtMs = (askedMs ??= worldClock.monotonicMs());
      let isEarly = false;
      try {
        const answer = await storage.tasks.transact(
          batchId,
          (unit) => {
            const noticed = noticing(unit, world, begunAtMs, (what) => saved.set(batchId, what));
            return work(plan.shared ? remote(noticed, world, { life, chance, before: Promise.resolve() }) : noticed);
          },
          early && mortalEarly(early, () => (isEarly = true)),
        );
        askedMs = null;
        return answer;
      } catch (error) {
        if (isEarly && AgentcomError.is(error) && error.details?.['early'] === 'void') world.trace.rare('early batch void');
        if (!AgentcomError.is(error, 'AC_STORE_RETRY')) askedMs = null;
        throw error;
      }
    },
  };
  return {
    storage,
    tasks: mortal(failingReads(tasks, ['read', 'committed', 'nextDueAtMs'], isAway), life),
    agents: mortal(failingReads(storage.agents, ['findToken', 'findTokenByHint'], isAway), life),
    notifier: lossy(storage.notifier, world, life, world.chanceOf(`calls to ${hub} ${started}`), isAway),
  };
}

/** The unit of work, recording what is saved and what several hubs do to each other. */
function noticing(unit: StoreUnit, { plan, trace, database }: Surroundings, begunAtMs: number, save: (saved: Saved) => void): StoreUnit {
  const savedOf = (changes: Changes, couldGo: Saved['couldGo']): Saved => ({
    changes,
    nowMs: unit.nowMs,
    begunAtMs,
    couldGo,
  });
  if (!plan.shared) return { ...unit, save: (changes, isLast) => (save(savedOf(changes, null)), unit.save(changes, isLast)) };
  /** Waiting tasks whose rows are not locked. */
  const free = (): readonly Task[] =>
    [...database.current.values()].flatMap(({ task }) =>
      task.status === 'queued' && !database.locks.isHeld('task', task.id) ? [task] : [],
    );
  const { cluster } = unit;
  let seen: ReadonlySet<TaskId> = new Set();
  return {
    ...unit,
    async claimable(filter) {
      // Requirements that appeared after it read which ones wait are not requested.
      const wanted = new Set(filter.requirementKeys);
      const before = new Set(free().filter((task) => wanted.has(requirementKey(waitingRequirement(task)))));
      const found = await unit.claimable(filter);
      seen = new Set([...found, ...free().filter((task) => before.has(task))].map(({ id }) => id));
      return found;
    },
    cluster:
      cluster === null
        ? null
        : {
            ...cluster,
            async tryTakeDuty(duty) {
              const isMine = await cluster.tryTakeDuty(duty);
              if (!isMine) trace.rare('duty had by another hub');
              return isMine;
            },
            async expireHubs() {
              const hubs = await cluster.expireHubs();
              if (hubs.expired.length > 0) trace.rare('hub lease expired');
              return hubs;
            },
          },
    save(changes, isLast) {
      const own = new Set([...changes.inserted, ...changes.updated].map(({ task }) => task.id));
      const claims = seen;
      save(savedOf(changes, (id) => claims.has(id) || own.has(id)));
      return unit.save(changes, isLast);
    },
  };
}

/** A process's connection to a server. */
interface Session {
  readonly life: Life;
  readonly chance: Chance;
  /** The end of the statement before. */
  before: Promise<unknown>;
}

/**
 * The statements of a process to a server, which runs them in their order: another hub's may come between two, and a frozen process gets its
 * answer late.
 */
const remote = <Unit extends StoreUnit | ClusterUnit>(unit: Unit, world: Surroundings, session: Session): Unit => {
  const { life, chance } = session;
  const { faults, trace, clock, plan } = world;
  const slow = plan.edges?.slowStatements || SLOW_STATEMENTS;
  return new Proxy(unit, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (name === 'cluster' && member !== null) return remote(member as ClusterUnit, world, session);
      if (typeof member !== 'function') return member;
      const run = async (parts: readonly unknown[]): Promise<unknown> => {
        if (chance.is(slow)) await life.wait(chance.between(1, faults.commitMs));
        const askedMs = clock.monotonicMs();
        const answer = (Reflect.apply(member, target, parts) as Promise<unknown>).catch((error: unknown) => {
          // Rows are locked in one order: two transactions never wait for each other.
          const isOutOfOrder = AgentcomError.is(error, 'AC_INTERNAL') && error.details?.['lockOrder'] !== undefined;
          if (AgentcomError.is(error, 'AC_STORE_RETRY') || isOutOfOrder) world.violated('J14', `${String(name)}: ${error.message}`);
          throw error;
        });
        const given = await life.gate(answer);
        if (clock.monotonicMs() > askedMs) trace.rare('statement waited for a row');
        return given;
      };
      return (...parts: unknown[]): Promise<unknown> => {
        const running = session.before.then(() => run(parts));
        session.before = Promise.allSettled([running]);
        return running;
      };
    },
  });
};

/** Notifications between hubs as they arrive: some never, some late or twice. */
function lossy(notifier: HubNotifier, world: Surroundings, life: Life, chance: Chance, isAway: () => boolean): HubNotifier {
  const arrives = (pass: () => void): void => {
    const { notificationsLost } = world.faults;
    if (isAway() || chance.is(notificationsLost)) return world.trace.rare('notification lost');
    const isLate = notificationsLost > 0 && chance.is(NOTIFICATIONS_LATE);
    if (isLate) world.trace.rare('notification late');
    world.later(isLate ? chance.between(1, NOTIFICATION_LATE_MS) : 0, () => life.arrive(pass));
    if (notificationsLost > 0 && chance.is(NOTIFICATIONS_DOUBLED))
      world.later(chance.between(0, NOTIFICATION_LATE_MS), () => life.arrive(pass));
  };
  return {
    notify(hint) {
      if (!isAway()) notifier.notify(hint);
    },
    listen: (onHint) => notifier.listen((hint) => arrives(() => onHint(hint))),
  };
}
