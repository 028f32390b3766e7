/**
 * A unit of work beside those of other hubs, as on Postgres at READ COMMITTED: each statement sees what is committed when it
 * runs, and its transaction's own writes; what must stay true is locked until the end, and read after the wait. Rows that are
 * waited for come in one order (row-locks.ts), which fails whoever leaves it; rows that may as well be found by the next batch
 * are not waited for: the unit steps over them by `take`.
 */
import type { ClusterUnit } from '../../core/ports/cluster-unit.ts';
import type { Loaded, LoadNames, StoreUnit } from '../../core/ports/task-store.ts';
import { keyOf, stopKeyOf } from './memory-database.ts';
import { lockName, type TransactionLocks } from './row-locks.ts';

/** Has the numbers of new events until the commit, so that they are in the order of the commits. */
const EVENT_NUMBERS = ['of all'];

const idsOf = (rows: readonly { readonly id: string }[]): readonly string[] => rows.map(({ id }) => id);
const stopsOf = ({ holdings }: Loaded): readonly string[] => holdings.flatMap(({ stops }) => stops.map(stopKeyOf));

export function lockedUnit(unit: StoreUnit, locks: TransactionLocks): StoreUnit {
  const alive = async <T>(statement: () => Promise<T>): Promise<T> => {
    locks.requireAlive();
    const answer = await statement();
    locks.requireAlive();
    return answer;
  };

  /** Waits for what there is of these names, kind by kind, and answers those that are still to be found then. */
  const load = async (names: LoadNames): Promise<Loaded> => {
    locks.requireAlive();
    await locks.wait('key', (names.keys ?? []).map(keyOf));
    const agents = new Set(idsOf((await unit.load(names)).agents));
    await locks.wait('agent', agents);
    // Whoever is locked gets no task meanwhile, so all that they have is found now.
    const tasks = new Set(idsOf((await unit.load(names)).tasks));
    await locks.wait('task', tasks);
    // Whatever ended meanwhile has left its stop, so stops are looked for after that wait.
    const stops = new Set(stopsOf(await unit.load(names)));
    await locks.wait('stop', stops);
    const loaded = await unit.load(names);
    return {
      ...loaded,
      agents: loaded.agents.filter(({ id }) => agents.has(id)),
      tasks: loaded.tasks.filter(({ id }) => tasks.has(id)),
      holdings: loaded.holdings.map((holding) => ({
        ...holding,
        live: holding.live.filter(({ id }) => tasks.has(id)),
        stops: holding.stops.filter((stop) => stops.has(stopKeyOf(stop))),
      })),
    };
  };

  const clustered = (cluster: ClusterUnit): ClusterUnit => ({
    async renewLease(hubId, leaseMs) {
      await locks.wait('hub', [hubId]);
      return cluster.renewLease(hubId, leaseMs);
    },
    expireHubs: () => alive(() => cluster.expireHubs()),
    tryTakeDuty: (duty) => alive(() => cluster.tryTakeDuty(duty)),
    takeMail: (hubId, limit) => alive(() => cluster.takeMail(hubId, limit)),
    agentsOf: (hubId) => alive(() => cluster.agentsOf(hubId)),
  });

  return {
    nowMs: unit.nowMs,
    removableMs: unit.removableMs,
    cluster: unit.cluster === null ? null : clustered(unit.cluster),
    load,
    read: (names) => alive(() => unit.read(names)),
    takeAgents: (ids) => alive(() => unit.takeAgents(ids)),
    waitingRequirements: (filter) => alive(() => unit.waitingRequirements(filter)),
    claimable: (filter) => alive(() => unit.claimable(filter)),
    due: (nowMs, limit) => alive(() => unit.due(nowMs, limit)),
    dueAssignees: (nowMs, limit) => alive(() => unit.dueAssignees(nowMs, limit)),
    dependentsOf: (of, limit) => alive(() => unit.dependentsOf(of, limit)),
    bodies: (ids) => alive(() => unit.bodies(ids)),
    heldCounts: (agentIds) => alive(() => unit.heldCounts(agentIds)),
    activeAgents: (exceptOf) => alive(() => unit.activeAgents(exceptOf)),
    remove: (old) => alive(() => unit.remove(old)),
    removeAgents: (old) => alive(() => unit.removeAgents(old)),
    async save(changes) {
      const changed = changes.agents.map(({ id }) => id);
      const known = new Set(idsOf((await alive(() => unit.read({ agents: changed }))).agents));
      await locks.wait('key', changes.keys.map(keyOf));
      await locks.wait('agent', known);
      await locks.wait('task', idsOf(changes.updated.map(({ task }) => task)));
      // Nobody else knows what is inserted, except an agent that another hub makes too.
      for (const { task } of changes.inserted) locks.take(lockName('task', task.id));
      const made = changed.filter((id) => !known.has(id));
      await locks.wait('new agent', made);
      for (const id of made) locks.take(lockName('agent', id));
      await locks.wait('stop', changes.stopsCleared.map(stopKeyOf));
      // Nobody else knows a stop that is made: its task is locked, and one that was there is locked since it was loaded.
      for (const stop of changes.stopsSet) locks.take(lockName('stop', stopKeyOf(stop)));
      if (changes.events.length > 0) await locks.wait('event numbers', EVENT_NUMBERS);
      return unit.save(changes);
    },
  };
}
