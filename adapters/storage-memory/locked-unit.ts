/**
 * A unit of work beside those of other hubs, as on Postgres at READ COMMITTED: each statement sees what is committed when it
 * runs, and its transaction's own writes; what must stay true is locked until the end, in the order of ids, and read after
 * the wait. Rows that may as well be found by the next batch are not waited for: the unit steps over them by `take`.
 */
import type { StoreUnit } from '../../core/ports/task-store.ts';
import { keyOf, stopKeyOf } from './memory-database.ts';
import type { TransactionLocks } from './row-locks.ts';

/** Has the numbers of new events until the commit, so that they are in the order of the commits. */
const EVENT_NUMBERS = 'event numbers';

const named = (kind: string, ids: Iterable<string>): readonly string[] => [...new Set(ids)].sort().map((id) => `${kind} ${id}`);

export function lockedUnit(unit: StoreUnit, locks: TransactionLocks): StoreUnit {
  /** Waits for the rows that are found, and answers those that are still to be found then. */
  const lockFound = async <T extends { readonly id: string }>(kind: string, look: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    locks.requireAlive();
    const ids = new Set((await look()).map(({ id }) => id));
    await locks.wait(named(kind, ids));
    return (await look()).filter(({ id }) => ids.has(id));
  };
  const alive = <T>(statement: () => Promise<T>): Promise<T> => locks.wait([]).then(statement);

  return {
    nowMs: unit.nowMs,
    async load(names) {
      await locks.wait([...named('task', names.tasks), ...named('agent', names.agents), ...named('key', names.keys.map(keyOf))]);
      return unit.load(names);
    },
    waitingRequirements: (nowMs) => alive(() => unit.waitingRequirements(nowMs)),
    claimable: (filter) => alive(() => unit.claimable(filter)),
    due: (nowMs, limit) => alive(() => unit.due(nowMs, limit)),
    dependentsOf: (ids) => lockFound('task', () => unit.dependentsOf(ids)),
    bodies: (ids) => alive(() => unit.bodies(ids)),
    async holdingsOf(agentIds) {
      locks.requireAlive();
      const live = new Set((await unit.holdingsOf(agentIds)).flatMap((holding) => holding.live.map(({ id }) => id)));
      await locks.wait(named('task', live));
      // Whatever ended meanwhile has left its stop, so stops are looked for after that wait.
      const stops = new Set((await unit.holdingsOf(agentIds)).flatMap((holding) => holding.stops.map(stopKeyOf)));
      await locks.wait(named('stop', stops));
      return (await unit.holdingsOf(agentIds)).map((holding) => ({
        agentId: holding.agentId,
        live: holding.live.filter(({ id }) => live.has(id)),
        stops: holding.stops.filter((stop) => stops.has(stopKeyOf(stop))),
      }));
    },
    heldCounts: (agentIds) => alive(() => unit.heldCounts(agentIds)),
    activeAgents: (exceptOf) => lockFound('agent', () => unit.activeAgents(exceptOf)),
    agentsOf: (hubId) => lockFound('agent', () => unit.agentsOf(hubId)),
    async renewHub(hubId, leaseMs) {
      await locks.wait([`hub ${hubId}`]);
      return unit.renewHub(hubId, leaseMs);
    },
    buryHubs: () => alive(() => unit.buryHubs()),
    takeDuty: async (duty) => {
      locks.requireAlive();
      return locks.take(`duty ${duty}`);
    },
    takeMail: (hubId, limit) => alive(() => unit.takeMail(hubId, limit)),
    remove: (old) => alive(() => unit.remove(old)),
    async save(changes) {
      await locks.wait([
        ...named(
          'task',
          changes.inserted.map(({ task }) => task.id),
        ),
        ...named(
          'task',
          changes.updated.map(({ task }) => task.id),
        ),
        ...named(
          'agent',
          changes.agents.map(({ id }) => id),
        ),
        ...named('stop', [...changes.stopsCleared, ...changes.stopsSet].map(stopKeyOf)),
        ...named('key', changes.keys.map(keyOf)),
      ]);
      if (changes.events.length > 0) await locks.wait([EVENT_NUMBERS]);
      return unit.save(changes);
    },
  };
}
