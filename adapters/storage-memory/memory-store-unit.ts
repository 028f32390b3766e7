/** One transaction of the memory twin: its changes lie over the database and are applied at the commit, all at once. */
import type { Agent } from '../../core/domain/agent.ts';
import type { StoredEvent, TaskEvent } from '../../core/domain/event.ts';
import type { HubLease, HubMail } from '../../core/domain/hub-lease.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import { isEnded, PRIORITIES, requirementKey, type Requirement, type Task } from '../../core/domain/task.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { tombstoneOf } from '../../core/domain/tombstone.ts';
import type { Changes, Holding, Removal, Removed, StoreUnit, TaskChange } from '../../core/ports/task-store.ts';
import { keptCopy } from './kept-copy.ts';
import { layer } from './layer.ts';
import { byId, keyOf, stopKeyOf, type KeptTask, type MemoryDatabase } from './memory-database.ts';

export interface MemoryStoreUnit {
  readonly unit: StoreUnit;
  /** Makes the changes visible; the unit cannot be used any more. */
  commit(): void;
  /** Forgets them; the unit cannot be used any more. */
  rollback(): void;
}

/**
 * `nowMs`: when it begins. `take`: has a row that it came upon until its end, and answers false where another transaction
 * has it: such rows are stepped over.
 */
export function memoryStoreUnit(database: MemoryDatabase, nowMs: number, take: (row: string) => boolean = () => true): MemoryStoreUnit {
  const tasks = layer(database.tasks);
  const current = layer(database.current);
  const results = layer(database.results);
  const agents = layer(database.agents);
  const stops = layer(database.stops);
  const keys = layer(database.keys);
  const tombstones = layer(database.tombstones);
  const hubs = layer(database.hubs);
  const mail = layer(database.mail);
  const newEvents: StoredEvent[] = [];
  const removedTasks = new Set<TaskId>();
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
  const waitsAt = (nowMs: number) => (kept: KeptTask) =>
    kept.task.status === 'queued' && !kept.task.parked && readyAtMs(kept.task) <= nowMs;

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

  // A database that a test filled by hand has not counted.
  const lastEventId = (): number => Math.max(database.lastEventId, database.events.at(-1)?.id ?? 0);

  const addEvent = (event: TaskEvent): StoredEvent => {
    const same = (one: StoredEvent): boolean => one.taskId === event.taskId && one.seq === event.seq;
    const before = database.eventsOf.get(event.taskId)?.find(same) ?? newEvents.find(same);
    if (before !== undefined) return before;
    const stored = keptCopy({ ...event, id: lastEventId() + newEvents.length + 1 });
    newEvents.push(stored);
    return stored;
  };

  const save = (changes: Changes): readonly StoredEvent[] => {
    for (const { task, dueAtMs, body } of changes.inserted)
      if (tasks.get(task.id) === undefined) put({ task: keptCopy(task), dueAtMs, body: keptCopy(body) });
    changes.updated.forEach(update);
    for (const { taskId, json } of changes.results) results.set(taskId, json);
    for (const agent of changes.agents) agents.set(agent.id, keptCopy(agent));
    for (const stop of changes.stopsCleared) stops.delete(stopKeyOf(stop));
    for (const stop of changes.stopsSet) stops.set(stopKeyOf(stop), keptCopy(stop));
    for (const key of changes.keys) if (keys.get(keyOf(key)) === undefined) keys.set(keyOf(key), keptCopy(key));
    for (const one of changes.mail)
      if (mail.get(one.id) === undefined && hubs.get(one.hubId) !== undefined) mail.set(one.id, keptCopy(one));
    return changes.events.map(addEvent);
  };

  const remove = ({ nowMs, endedBeforeMs, deadBeforeMs, tombstonesBeforeMs, keysBeforeMs, limit }: Removal): Removed => {
    const oldKeys = [...keys.values()].filter((key) => key.createdAtMs <= keysBeforeMs).slice(0, limit);
    for (const key of oldKeys) keys.delete(keyOf(key));
    const isOver = (task: Task): boolean =>
      isEnded(task) && task.updatedAtMs <= (task.status === 'dead_letter' ? deadBeforeMs : endedBeforeMs);
    const candidates: Task[] = [];
    for (const { task } of tasks.values()) if (isOver(task) && take(`task ${task.id}`)) candidates.push(task);
    const stones = [...tombstones.values()].filter((stone) => stone.removedAtMs <= tombstonesBeforeMs);
    if (candidates.length + stones.length === 0) return { tasks: 0, tombstones: 0, keys: oldKeys.length };
    const needed = new Set<TaskId>();
    for (const { task } of tasks.values())
      if (task.status !== 'completed' && task.status !== 'cancelled') for (const id of task.dependsOn) needed.add(id);
    const oldStones = stones.filter(({ id }) => !needed.has(id)).slice(0, limit);
    for (const { id } of oldStones) tombstones.delete(id);
    const stopped = new Set([...stops.values()].map(({ taskId }) => taskId));
    const newest = newEvents.at(-1) ?? database.events.at(-1);
    const over = candidates
      .filter(({ id }) => !needed.has(id) && !stopped.has(id) && id !== newest?.taskId)
      .sort((one, other) => one.updatedAtMs - other.updatedAtMs || byId(one, other))
      .slice(0, limit);
    for (const task of over) {
      tombstones.set(task.id, tombstoneOf(task, nowMs));
      tasks.delete(task.id);
      current.delete(task.id);
      results.delete(task.id);
      removedTasks.add(task.id);
    }
    return { tasks: over.length, tombstones: oldStones.length, keys: oldKeys.length };
  };

  const holdingOf = (agentId: AgentId): Holding => ({
    agentId,
    live: where(({ task }) => task.status === 'assigned' && task.assignedTo === agentId)
      .map(({ task }) => task)
      .sort(byId),
    stops: [...stops.values()].filter((stop) => stop.agentId === agentId).sort(byStop),
  });

  const buryHubs = () => {
    const dead = [...hubs.values()].filter(({ untilMs, hubId }) => untilMs <= nowMs && take(`hub ${hubId}`)).sort(byHubId);
    for (const { hubId } of dead) hubs.delete(hubId);
    const living = [...hubs.values()].sort(byHubId).map(({ hubId }) => hubId);
    for (const { id, hubId } of [...mail.values()]) if (!living.includes(hubId)) mail.delete(id);
    return { living, dead };
  };

  const takeMail = (hubId: string, limit: number): readonly HubMail[] => {
    const taken = [...mail.values()].filter((one) => one.hubId === hubId).slice(0, limit);
    for (const { id } of taken) mail.delete(id);
    return taken;
  };

  const unit: StoreUnit = {
    nowMs,
    load: (names) =>
      inTransaction(() => ({
        tasks: found(tasks, names.tasks).map(({ task }) => task),
        tombstones: found(tombstones, names.tasks),
        agents: found(agents, names.agents),
        keys: found(keys, names.keys.map(keyOf)),
      })),
    waitingRequirements: (nowMs) =>
      inTransaction(() => {
        const distinct = new Map<string, Requirement>();
        for (const { task } of where(waitsAt(nowMs))) distinct.set(requirementKey(task.requirement), task.requirement);
        return [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, requirement]) => requirement);
      }),
    claimable: ({ requirementKeys, nowMs, limitPerLane }) =>
      inTransaction(() => {
        const wanted = new Set(requirementKeys);
        const groups = new Map<string, Task[]>();
        for (const { task } of where(waitsAt(nowMs)).sort(byReadiness)) {
          const key = requirementKey(task.requirement);
          if (!wanted.has(key)) continue;
          const name = `${PRIORITIES.indexOf(task.priority)} ${key}`;
          const group = groups.get(name) ?? [];
          if (group.length < limitPerLane && take(`task ${task.id}`)) group.push(task);
          groups.set(name, group);
        }
        return [...groups.values()].flat();
      }),
    due: (nowMs, limit) =>
      inTransaction(() =>
        where(({ dueAtMs }) => dueAtMs !== null && dueAtMs <= nowMs)
          .sort((a, b) => (a.dueAtMs ?? 0) - (b.dueAtMs ?? 0) || byId(a.task, b.task))
          .filter(({ task }) => take(`task ${task.id}`))
          .slice(0, limit)
          .map(({ task }) => task),
      ),
    dependentsOf: (ids) =>
      inTransaction(() => {
        const named = new Set<TaskId>(ids);
        return where(({ task }) => task.status === 'blocked' && task.dependsOn.some((id) => named.has(id)))
          .map(({ task }) => task)
          .sort(byId);
      }),
    bodies: (ids) => inTransaction(() => found(tasks, ids).map(({ task, body }) => ({ taskId: task.id, body }))),
    holdingsOf: (agentIds) => inTransaction(() => [...new Set(agentIds)].map(holdingOf)),
    heldCounts: (agentIds) =>
      inTransaction(() =>
        [...new Set(agentIds)].map(holdingOf).map(({ agentId, live, stops: held }) => ({ agentId, held: live.length + held.length })),
      ),
    activeAgents: (exceptOf) =>
      inTransaction(() => {
        const busy = new Set<AgentId | null>(where(({ task }) => task.status === 'assigned').map(({ task }) => task.assignedTo));
        for (const stop of stops.values()) busy.add(stop.agentId);
        const isElsewhere = ({ connected, hubId }: Agent): boolean => connected && hubId !== null && exceptOf.includes(hubId);
        return [...agents.values()].filter((agent) => (agent.connected || busy.has(agent.id)) && !isElsewhere(agent)).sort(byId);
      }),
    agentsOf: (hubId) => inTransaction(() => [...agents.values()].filter((agent) => agent.connected && agent.hubId === hubId).sort(byId)),
    renewHub: (hubId, leaseMs) =>
      inTransaction(() => {
        const answer = hubs.get(hubId) === undefined ? 'made' : 'renewed';
        hubs.set(hubId, { hubId, untilMs: nowMs + leaseMs });
        return answer;
      }),
    buryHubs: () => inTransaction(buryHubs),
    takeDuty: () => inTransaction(() => true),
    takeMail: (hubId, limit) => inTransaction(() => takeMail(hubId, limit)),
    remove: (old) => inTransaction(() => remove(old)),
    save: (changes) => inTransaction(() => save(changes)),
  };

  return {
    unit,
    commit() {
      ended = true;
      for (const one of [tasks, current, results, tombstones, agents, stops, keys, hubs, mail]) one.apply();
      database.lastEventId = lastEventId() + newEvents.length;
      for (const event of newEvents) {
        database.events.push(event);
        const ofTask = database.eventsOf.get(event.taskId);
        if (ofTask === undefined) database.eventsOf.set(event.taskId, [event]);
        else ofTask.push(event);
      }
      if (removedTasks.size > 0) forgetHistories(database, removedTasks);
    },
    rollback() {
      ended = true;
    },
  };
}

function forgetHistories(database: MemoryDatabase, taskIds: ReadonlySet<TaskId>): void {
  const kept = database.events.filter(({ taskId }) => !taskIds.has(taskId));
  database.events.splice(0, database.events.length, ...kept);
  for (const id of taskIds) database.eventsOf.delete(id);
}

const readyAtMs = (task: Task): number => task.eligibleAtMs ?? task.createdAtMs;

const byReadiness = (a: KeptTask, b: KeptTask): number => readyAtMs(a.task) - readyAtMs(b.task) || byId(a.task, b.task);

const byHubId = (a: HubLease, b: HubLease): number => (a.hubId < b.hubId ? -1 : 1);

const byStop = (a: Holding['stops'][number], b: Holding['stops'][number]): number =>
  a.taskId < b.taskId ? -1 : a.taskId > b.taskId ? 1 : a.generation - b.generation;
