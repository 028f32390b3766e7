/**
 * A unit of work that runs concurrently with those of other hubs, as on Postgres at READ COMMITTED: each statement sees what is committed
 * when it runs, and the writes of its own transaction. Rows that must not change are locked until the end and read after the lock was
 * acquired, in the lock order of row-locks.ts. Rows that a later batch can find just as well are skipped while they are locked
 * (`tryAcquire`, SKIP LOCKED on Postgres).
 */
import type { StoredEvent } from '../../core/domain/task/event.ts';
import type { ClusterUnit } from '../../core/ports/cluster-unit.ts';
import type { Changes, Loaded, LoadNames, StoreUnit } from '../../core/ports/task-store.ts';
import { keyOf, stopKeyOf } from './memory-database.ts';
import type { TransactionLocks } from './row-locks.ts';

/** The lock on the numbers of new events, held until the commit, so that the numbers follow the order of the commits. */
const EVENT_NUMBERS = ['of all'];
/** The lock on the end of the audit log's chain, held until the commit. */
const AUDIT_ENDS = ['of all'];

const idsOf = (rows: readonly { readonly id: string }[]): readonly string[] => rows.map(({ id }) => id);
const stopsOf = ({ holdings }: Loaded): readonly string[] => holdings.flatMap(({ stops }) => stops.map(stopKeyOf));

export function lockedUnit(unit: StoreUnit, locks: TransactionLocks): StoreUnit {
  let last: Promise<unknown> = Promise.resolve();
  /** Runs a call after those before it, as the statements of a connection run. */
  const inOrder = <T>(call: () => Promise<T>): Promise<T> => {
    const running = last.then(call);
    last = Promise.allSettled([running]);
    return running;
  };
  /** Runs a statement, which fails if the transaction was aborted before it or meanwhile. */
  const runNow = async <T>(statement: () => Promise<T>): Promise<T> => {
    locks.throwIfEnded();
    const answer = await statement();
    locks.throwIfEnded();
    return answer;
  };
  const run = <T>(statement: () => Promise<T>): Promise<T> => inOrder(() => runNow(statement));

  /** Locks the rows that exist, kind by kind, and returns those that still exist after the wait. */
  const load = async (names: LoadNames): Promise<Loaded> => {
    locks.throwIfEnded();
    await locks.acquire('key', (names.keys ?? []).map(keyOf));
    const agents = new Set(idsOf((await unit.load(names)).agents));
    await locks.acquire('agent', agents);
    // A locked agent gets no more tasks, so all that it holds is found now.
    const tasks = new Set(idsOf((await unit.load(names)).tasks));
    await locks.acquire('task', tasks);
    // An assignment that ended during the wait has left a pending stop, so stops are read after the wait.
    const stops = new Set(stopsOf(await unit.load(names)));
    await locks.acquire('stop', stops);
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
    renewLease: (hubId, leaseMs) =>
      inOrder(async () => {
        await locks.acquire('hub', [hubId]);
        return cluster.renewLease(hubId, leaseMs);
      }),
    expireHubs: () => run(() => cluster.expireHubs()),
    tryTakeDuty: (duty) => run(() => cluster.tryTakeDuty(duty)),
    takeMail: (hubId, limit) => run(() => cluster.takeMail(hubId, limit)),
    agentsOf: (hubId) => run(() => cluster.agentsOf(hubId)),
  });

  /** Those of these stops that are stored: as in Postgres, a stop that is set and cleared in one transaction has no row to lock. */
  const existing = async (stops: Changes['stopsCleared']): Promise<readonly string[]> => {
    if (stops.length === 0) return [];
    const stored = new Set(stopsOf(await runNow(() => unit.load({ holders: stops.map(({ agentId }) => agentId) }))));
    return stops.map(stopKeyOf).filter((key) => stored.has(key));
  };

  const save = async (changes: Changes): Promise<readonly StoredEvent[]> => {
    const changed = changes.agents.map(({ id }) => id);
    const known = new Set(idsOf((await runNow(() => unit.read({ agents: changed }))).agents));
    await locks.acquire('key', changes.keys.map(keyOf));
    await locks.acquire('agent', known);
    await locks.acquire('task', idsOf(changes.updated.map(({ task }) => task)));
    // No other transaction knows about an inserted row, except an agent that another hub inserts too.
    for (const { task } of changes.inserted) locks.tryAcquire('task', task.id);
    const inserted = changed.filter((id) => !known.has(id));
    await locks.acquire('new agent', inserted);
    for (const id of inserted) locks.tryAcquire('agent', id);
    await locks.acquire('stop', await existing(changes.stopsCleared));
    // No other transaction knows about a new stop: its task is locked, and a stop that existed was locked when it was loaded.
    for (const stop of changes.stopsSet) locks.tryAcquire('stop', stopKeyOf(stop));
    if (changes.events.length > 0) await locks.acquire('event numbers', EVENT_NUMBERS);
    if ((changes.audit ?? []).length > 0) await locks.acquire('audit log', AUDIT_ENDS);
    return unit.save(changes);
  };

  return {
    nowMs: unit.nowMs,
    removableMs: unit.removableMs,
    isExclusive: unit.isExclusive,
    cluster: unit.cluster === null ? null : clustered(unit.cluster),
    load: (names) => inOrder(() => load(names)),
    read: (names) => run(() => unit.read(names)),
    takeAgents: (ids) => run(() => unit.takeAgents(ids)),
    waitingRequirements: (filter) => run(() => unit.waitingRequirements(filter)),
    claimable: (filter) => run(() => unit.claimable(filter)),
    due: (nowMs, limit) => run(() => unit.due(nowMs, limit)),
    dueAssignees: (nowMs, limit) => run(() => unit.dueAssignees(nowMs, limit)),
    dependentsOf: (of, limit) => run(() => unit.dependentsOf(of, limit)),
    bodies: (ids) => run(() => unit.bodies(ids)),
    heldCounts: (agentIds) => run(() => unit.heldCounts(agentIds)),
    activeAgents: (exceptOf, known) => run(() => unit.activeAgents(exceptOf, known)),
    remove: (old) => run(() => unit.remove(old)),
    removeAgents: (old) => run(() => unit.removeAgents(old)),
    save: (changes) => inOrder(() => save(changes)),
  };
}
