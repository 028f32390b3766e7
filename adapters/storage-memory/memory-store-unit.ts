/** One transaction of the memory store: its changes are layered over the database and applied at the commit, all at once. */
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { Agent } from '../../core/domain/agent/agent.ts';
import { compareClaimable, isClaimable } from '../../core/domain/task/claimable.ts';
import type { StoredEvent, TaskEvent } from '../../core/domain/task/event.ts';
import type { HubLease } from '../../core/domain/agent/hub-lease.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import { archivePieces, type Removal, type Removed, type WholeTask } from '../../core/domain/task/removal.ts';
import {
  isEnded,
  keysOfGroup,
  lastKeys,
  PRIORITIES,
  requirementKey,
  waitingRequirement,
  type Requirement,
  type Task,
  type TaskBody,
} from '../../core/domain/task/task.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { tombstoneOf } from '../../core/domain/task/tombstone.ts';
import { requireNewKeys } from './new-keys.ts';
import type { ActiveAgent, ClusterUnit } from '../../core/ports/cluster-unit.ts';
import {
  DEPENDENTS_LOCKED,
  type Changes,
  type Holding,
  type Loaded,
  type LoadNames,
  type StoreUnit,
  type TaskChange,
} from '../../core/ports/task-store.ts';
import { keptCopy } from './kept-copy.ts';
import { layer, type Layer } from './layer.ts';
import { appendAudit } from './memory-audit-log.ts';
import {
  byId,
  keptKeyOf,
  keyOf,
  stopKeyOf,
  type Changed,
  type KeptTask,
  type MemoryDatabase,
  type TableName,
  type ValueOf,
} from './memory-database.ts';
import { byEnd, byGeneration, bytesOfWhole, dropAgentEvents, oldBy, removeAgents } from './old-rows.ts';
import type { TransactionLocks } from './row-locks.ts';

export interface MemoryStoreUnit {
  readonly unit: StoreUnit;
  /** The state that it leaves once it is saved, for a transaction that begins before this one is committed. */
  changed(): Changed;
  /** Makes the changes visible. The unit cannot be used afterwards. */
  commit(): void;
  /** Discards the changes. The unit cannot be used afterwards. */
  rollback(): void;
}

/**
 * `time`: the time at which it begins. `tryLock`: locks a row until the transaction ends; returns false if another transaction holds it,
 * and that row is then skipped. Null: the database is not shared. `before`: the state left by a transaction that is committed before this
 * one.
 */
export function memoryStoreUnit(
  database: MemoryDatabase,
  time: Pick<StoreUnit, 'nowMs' | 'removableMs'>,
  tryLock: TransactionLocks['tryAcquire'] | null,
  before?: Changed,
): MemoryStoreUnit {
  const { nowMs, removableMs } = time;
  const lock = tryLock ?? (() => true);
  const over = <T extends TableName>(name: T): Layer<string, ValueOf<T>> =>
    layer(database[name] as unknown as Map<string, ValueOf<T>>, before?.tables[name] as Layer<string, ValueOf<T>> | undefined);
  const tables = {
    tasks: over('tasks'),
    current: over('current'),
    results: over('results'),
    kept: over('kept'),
    agents: over('agents'),
    stops: over('stops'),
    keys: over('keys'),
    secrets: over('secrets'),
    tokens: over('tokens'),
    tombstones: over('tombstones'),
    hubs: over('hubs'),
    mail: over('mail'),
  };
  const { tasks, current, results, kept, agents, stops, keys, secrets, tokens, tombstones, hubs, mail } = tables;
  const newEvents: StoredEvent[] = [];
  /** The same, by task and number. */
  const addedBy = new Map<string, StoredEvent>();
  const removedTasks = new Set<TaskId>();
  const eventsKept = new Map<AgentId, number>();
  let ended = false;

  const inTransaction = <T>(work: () => T): Promise<T> => {
    if (ended) return Promise.reject(new AgentcomError('AC_INTERNAL', 'A unit of work was used after its transaction ended.'));
    try {
      return Promise.resolve(work());
    } catch (thrown) {
      return Promise.reject(thrown as Error);
    }
  };

  const found = <K, V>(from: { get(key: K): V | undefined }, names: Iterable<K>): V[] =>
    [...new Set(names)].flatMap((name) => from.get(name) ?? []);
  const where = (holds: (kept: KeptTask) => boolean): KeptTask[] => [...current.values()].filter(holds);

  const put = (change: KeptTask): void => {
    tasks.set(change.task.id, change);
    if (isEnded(change.task) && change.dueAtMs === null) current.delete(change.task.id);
    else current.set(change.task.id, change);
  };

  const update = ({ task, dueAtMs }: TaskChange): void => {
    const before = tasks.get(task.id);
    if (before === undefined) throw new AgentcomError('AC_INTERNAL', `Cannot save task ${task.id}: it was never inserted.`);
    put({ task: keptCopy(task), dueAtMs, body: before.body });
  };

  // A test that fills a database by hand does not set `lastEventId`.
  const lastCommitted = (): number => Math.max(database.lastEventId, database.events.at(-1)?.id ?? 0);
  const lastBefore = (): number => before?.lastEventId ?? lastCommitted();

  const addEvent = (event: TaskEvent): StoredEvent => {
    const name = `${event.taskId} ${event.seq}`;
    const known =
      database.eventsOf.get(event.taskId)?.find(({ seq }) => seq === event.seq) ?? before?.addedBy.get(name) ?? addedBy.get(name);
    if (known !== undefined) return known;
    const stored = keptCopy({ ...event, id: lastBefore() + newEvents.length + 1 });
    newEvents.push(stored);
    addedBy.set(name, stored);
    return stored;
  };

  const audited: AuditDraft[] = [];
  const save = (changes: Changes): readonly StoredEvent[] => {
    audited.push(...(changes.audit ?? []));
    requireNewKeys(changes, { tasks, tombstones, keys });
    for (const { task, dueAtMs, body } of changes.inserted)
      if (tasks.get(task.id) === undefined) put({ task: keptCopy(task), dueAtMs, body: keptCopy(body) });
    changes.updated.forEach(update);
    for (const { taskId, json } of changes.results) results.set(taskId, json);
    for (const key of changes.keptDropped) kept.delete(keptKeyOf(key));
    for (const one of changes.kept) kept.set(keptKeyOf(one), keptCopy(one));
    for (const agent of changes.agents) agents.set(agent.id, keptCopy(agent));
    for (const stop of changes.stopsCleared) stops.delete(stopKeyOf(stop));
    for (const stop of changes.stopsSet) stops.set(stopKeyOf(stop), keptCopy(stop));
    for (const key of changes.keys) if (keys.get(keyOf(key)) === undefined) keys.set(keyOf(key), keptCopy(key));
    for (const one of changes.mail)
      if (mail.get(one.id) === undefined && hubs.get(one.hubId) !== undefined) mail.set(one.id, keptCopy(one));
    return changes.events.map(addEvent);
  };

  /** Everything that is stored of it, in the form that `Removal.archive` takes. */
  const whole = (task: Task): WholeTask => ({
    task,
    body: tasks.get(task.id)?.body as TaskBody,
    result: results.get(task.id) ?? null,
    events: [...(database.eventsOf.get(task.id) ?? []), ...newEvents.filter(({ taskId }) => taskId === task.id)],
    kept: [...kept.values()].filter(({ taskId }) => taskId === task.id).sort(byGeneration),
  });

  const remove = async (old: Removal): Promise<Removed> => {
    const { nowMs, tombstonesBeforeMs, keysBeforeMs, limit, after, lookedMax = Infinity, archive } = old;
    const oldKeys = [...keys.values()].filter((key) => key.createdAtMs <= keysBeforeMs).slice(0, limit);
    for (const key of oldKeys) keys.delete(keyOf(key));
    const oldSecrets = [...database.secrets].filter(([, expiresAtMs]) => expiresAtMs < nowMs).slice(0, limit);
    for (const [hash] of oldSecrets) secrets.delete(hash);
    const isOver = oldBy(old, [...tasks.values()]);
    const candidates: Task[] = [];
    for (const { task, dueAtMs } of tasks.values()) if (isOver(task) && dueAtMs === null && lock('task', task.id)) candidates.push(task);
    const stones = [...tombstones.values()].filter((stone) => stone.removedAtMs <= tombstonesBeforeMs);
    if (candidates.length + stones.length === 0)
      return { tasks: 0, tombstones: 0, keys: oldKeys.length, secrets: oldSecrets.length, next: null };
    const needed = new Set<TaskId>();
    for (const { task } of tasks.values())
      if (task.status !== 'completed' && task.status !== 'cancelled') for (const id of task.dependsOn) needed.add(id);
    const oldStones = stones.filter(({ id }) => !needed.has(id)).slice(0, limit);
    for (const { id } of oldStones) tombstones.delete(id);
    const stopped = new Set([...stops.values()].map(({ taskId }) => taskId));
    const newest = newEvents.at(-1) ?? database.events.at(-1);
    const looked = candidates
      .filter(
        ({ updatedAtMs, id }) =>
          after === undefined || after === null || updatedAtMs > after.endedAtMs || (updatedAtMs === after.endedAtMs && id > after.id),
      ) // prettier-ignore
      .sort(byEnd)
      .slice(0, lookedMax);
    const over = looked.filter(({ id }) => !needed.has(id) && !stopped.has(id) && id !== newest?.taskId).slice(0, limit);
    const last = over.length === limit ? over.at(-1) : looked.length === lookedMax ? looked.at(-1) : undefined;
    if (archive !== undefined) for (const piece of archivePieces(over.map(whole), bytesOfWhole)) await archive(piece);
    for (const task of over) {
      tombstones.set(task.id, tombstoneOf(task, nowMs));
      tasks.delete(task.id);
      current.delete(task.id);
      results.delete(task.id);
      for (const { generation, agentId } of task.kept.results) kept.delete(keptKeyOf({ taskId: task.id, generation, agentId }));
      removedTasks.add(task.id);
    }
    const next = last === undefined ? null : { endedAtMs: last.updatedAtMs, id: last.id };
    return { tasks: over.length, tombstones: oldStones.length, keys: oldKeys.length, secrets: oldSecrets.length, next };
  };

  const holdingOf = (agentId: AgentId): Holding => ({
    agentId,
    live: where(({ task }) => task.status === 'assigned' && task.assignedTo === agentId)
      .map(({ task }) => task)
      .sort(byId),
    stops: [...stops.values()].filter((stop) => stop.agentId === agentId).sort(byStop),
  });

  const blockedOn = (ids: readonly TaskId[]): readonly Task[] => {
    const named = new Set<TaskId>(ids);
    if (named.size === 0) return [];
    return where(({ task }) => task.status === 'blocked' && task.dependsOn.some((id) => named.has(id)))
      .map(({ task }) => task)
      .sort(byId);
  };

  const dueAt = (atMs: number): readonly KeptTask[] =>
    where(({ dueAtMs }) => dueAtMs !== null && dueAtMs <= atMs).sort((a, b) => (a.dueAtMs ?? 0) - (b.dueAtMs ?? 0) || byId(a.task, b.task));

  const load = (names: LoadNames): Loaded => {
    const { tasks: taskIds = [], keys: keyNames = [], holders = [], completing = [], retried = [] } = names;
    const holdings = [...new Set(holders)].map(holdingOf);
    const wanted = new Set(taskIds);
    for (const { live, stops: held } of holdings) for (const id of [...live.map((task) => task.id), ...held.map((stop) => stop.taskId)]) wanted.add(id); // prettier-ignore
    for (const { id } of blockedOn(completing).slice(0, DEPENDENTS_LOCKED)) wanted.add(id);
    for (const { task } of found(tasks, retried)) for (const id of task.dependsOn) wanted.add(id);
    return {
      tasks: found(tasks, wanted).map(({ task }) => task),
      tombstones: found(tombstones, taskIds),
      agents: found(agents, [...(names.agents ?? []), ...holders]),
      keys: found(keys, keyNames.map(keyOf)),
      holdings,
    };
  };

  const activeAmong = (holds: (agent: Agent, hasStops: boolean) => boolean): readonly ActiveAgent[] => {
    const stopped = new Set([...stops.values()].map(({ agentId }) => agentId));
    const found = [...agents.values()].filter((agent) => holds(agent, stopped.has(agent.id)));
    return found.sort(byId).map(({ id }) => ({ id, hasStops: stopped.has(id) }));
  };

  const cluster: ClusterUnit = {
    renewLease: (hubId, leaseMs) =>
      inTransaction(() => {
        const answer = hubs.get(hubId) === undefined ? 'made' : 'renewed';
        hubs.set(hubId, { hubId, untilMs: nowMs + leaseMs });
        return answer;
      }),
    expireHubs: () =>
      inTransaction(() => {
        const expired = [...hubs.values()].filter(({ untilMs, hubId }) => untilMs <= nowMs && lock('hub', hubId)).sort(byHubId);
        for (const { hubId } of expired) hubs.delete(hubId);
        const living = [...hubs.values()].sort(byHubId).map(({ hubId }) => hubId);
        for (const { id, hubId } of [...mail.values()]) if (!living.includes(hubId)) mail.delete(id);
        return { living, expired };
      }),
    tryTakeDuty: (duty) => inTransaction(() => lock('duty', duty)),
    takeMail: (hubId, limit) =>
      inTransaction(() => {
        const taken = [...mail.values()].filter((one) => one.hubId === hubId).slice(0, limit);
        for (const { id } of taken) mail.delete(id);
        return taken;
      }),
    agentsOf: (hubId) => inTransaction(() => activeAmong((agent) => agent.connected && agent.hubId === hubId)),
  };

  const unit: StoreUnit = {
    nowMs,
    removableMs,
    isExclusive: tryLock === null,
    cluster: tryLock === null ? null : cluster,
    load: (names) => inTransaction(() => load(names)),
    read: ({ tasks: taskIds = [], agents: agentIds = [] }) =>
      inTransaction(() => ({
        tasks: found(tasks, taskIds).map(({ task }) => task),
        tombstones: found(tombstones, taskIds),
        agents: found(agents, agentIds),
      })),
    takeAgents: (ids) => inTransaction(() => found(agents, ids).filter(({ id }) => lock('agent', id))),
    waitingRequirements: ({ nowMs, limit, groups }) =>
      inTransaction(() => {
        const ranges = groups?.map(keysOfGroup);
        const distinct = new Map<string, Requirement>();
        for (const { task } of where(({ task }) => isClaimable(task, nowMs))) {
          const requirement = waitingRequirement(task);
          const key = requirementKey(requirement);
          if (ranges?.some(({ from, until }) => from <= key && key < until) ?? true) distinct.set(key, requirement);
        }
        const keys = [...distinct.keys()].sort();
        const read = keys.slice(0, limit);
        const requirements = read.flatMap((key) => distinct.get(key) ?? []);
        return { requirements, isAll: read.length === keys.length, readTo: lastKeys(read, groups ?? []) };
      }),
    claimable: ({ requirementKeys, nowMs, limitPerLane }) =>
      inTransaction(() => {
        const wanted = new Set(requirementKeys);
        const groups = new Map<string, Task[]>();
        for (const { task } of where(({ task }) => isClaimable(task, nowMs)).sort((a, b) => compareClaimable(a.task, b.task))) {
          const key = requirementKey(waitingRequirement(task));
          if (!wanted.has(key)) continue;
          const name = `${PRIORITIES.indexOf(task.priority)} ${key}`;
          const group = groups.get(name) ?? [];
          if (group.length < limitPerLane && lock('task', task.id)) group.push(task);
          groups.set(name, group);
        }
        return [...groups.values()].flat();
      }),
    due: (nowMs, limit) =>
      inTransaction(() =>
        dueAt(nowMs)
          .filter(({ task }) => lock('task', task.id))
          .slice(0, limit)
          .map(({ task }) => task),
      ),
    dueAssignees: (nowMs, limit) =>
      inTransaction(() => [...new Set(dueAt(nowMs).slice(0, limit).flatMap(({ task }) => task.assignedTo ?? []))]), // prettier-ignore
    dependentsOf: (of, limit) =>
      inTransaction(() => {
        const dependents = new Map<TaskId, Task>();
        const all = blockedOn(of.map(({ id }) => id));
        let looked = 0;
        for (const [place, { id, after }] of of.entries()) {
          let last = after;
          for (const task of all.filter((one) => one.id > after && one.dependsOn.includes(id))) {
            if (looked === limit || !lock('task', task.id)) return { tasks: [...dependents.values()], left: [{ id, after: last }, ...of.slice(place + 1)] }; // prettier-ignore
            dependents.set(task.id, task);
            last = task.id;
            looked += 1;
          }
        }
        return { tasks: [...dependents.values()], left: [] };
      }),
    bodies: (ids) => inTransaction(() => found(tasks, ids).map(({ task, body }) => ({ taskId: task.id, body }))),
    heldCounts: (agentIds) =>
      inTransaction(() =>
        [...new Set(agentIds)].map(holdingOf).map(({ agentId, live, stops: held }) => ({ agentId, held: live.length + held.length })),
      ),
    activeAgents: (exceptOf, known) =>
      inTransaction(() => {
        const isAt = (agent: Agent, hubIds: readonly string[]): boolean =>
          agent.connected && agent.hubId !== null && hubIds.includes(agent.hubId);
        const isKnown = (agent: Agent): boolean => known !== undefined && isAt(agent, [known.hubId]);
        const hasAll = [...agents.values()].filter(isKnown).length === known?.count;
        return activeAmong(
          (agent, hasStops) => (agent.connected || hasStops) && !isAt(agent, exceptOf) && (hasStops || !hasAll || !isKnown(agent)),
        );
      }),
    remove: (old) => inTransaction(() => old).then(remove),
    removeAgents: (old) =>
      inTransaction(() => {
        const { looked, ...removed } = removeAgents({ agents, tokens, current, stops }, old, (id) => lock('agent', id));
        for (const id of looked) eventsKept.set(id, removed.agents.includes(id) ? 0 : old.eventsKept);
        return removed;
      }),
    save: (changes) => inTransaction(() => save(changes)),
  };

  return {
    unit,
    changed: () => ({ tables, addedBy, lastEventId: lastBefore() + newEvents.length }),
    commit() {
      ended = true;
      for (const one of [tasks, current, results, kept, tombstones, agents, tokens, stops, keys, secrets, hubs, mail]) one.apply();
      database.lastEventId = lastCommitted() + newEvents.length;
      appendAudit(database, audited);
      for (const event of newEvents) {
        database.events.push(event);
        const ofTask = database.eventsOf.get(event.taskId);
        if (ofTask === undefined) database.eventsOf.set(event.taskId, [event]);
        else ofTask.push(event);
      }
      if (removedTasks.size > 0) forgetHistories(database, removedTasks);
      for (const [id, kept] of eventsKept) dropAgentEvents(database, id, kept);
    },
    rollback() {
      ended = true;
    },
  };
}

function forgetHistories(database: MemoryDatabase, taskIds: ReadonlySet<TaskId>): void {
  for (const { id, taskId } of database.events) if (taskIds.has(taskId)) database.removedEventId = Math.max(database.removedEventId, id);
  const kept = database.events.filter(({ taskId }) => !taskIds.has(taskId));
  database.events.splice(0, database.events.length, ...kept);
  for (const id of taskIds) database.eventsOf.delete(id);
}

const byHubId = (a: HubLease, b: HubLease): number => (a.hubId < b.hubId ? -1 : 1);

const byStop = (a: Holding['stops'][number], b: Holding['stops'][number]): number =>
  a.taskId < b.taskId ? -1 : a.taskId > b.taskId ? 1 : a.generation - b.generation;
