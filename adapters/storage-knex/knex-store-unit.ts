/** The unit of work over the statements of an engine. */
import type { Agent, PendingStop } from '../../core/domain/agent.ts';
import type { StoredEvent, TaskEvent } from '../../core/domain/event.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { Task } from '../../core/domain/task.ts';
import type { HubMail } from '../../core/domain/hub-lease.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { tombstoneOf } from '../../core/domain/tombstone.ts';
import type { Changes, HeldCount, Holding, Removal, Removed, StoreUnit } from '../../core/ports/task-store.ts';
import type { SavedRows, Transaction } from './engine.ts';
import { agentColumns, bodyIn, groupedBy, keyIn, stateIn, taskColumns, taskIn, tombstoneIn } from './rows.ts';
import type { RecentStates } from './recent-states.ts';
import type { Statements } from './statements.ts';
import type { WaitingHeads } from './waiting-heads.ts';

/** Rows in one parameter: as many as keep the making of its JSON well under 50 ms of the loop. */
const ROWS_IN_STATEMENT = 500;

/** Later than any time: what is not eligible yet counts too. */
const WHENEVER_MS = Number.MAX_SAFE_INTEGER;

/** What of a unit is only known outside of it: what was committed before, what it read of that, and what it saves. */
export interface UnitMemory {
  readonly recent: RecentStates;
  readonly onSaved: (changes: Changes) => void;
  readonly onRead: (tasks: readonly Task[]) => void;
  readonly onCounted: (counts: readonly HeldCount[]) => void;
}

/** `memory`: of a database that nobody else writes; null for one that others write too. */
export function knexStoreUnit(transaction: Transaction, memory: UnitMemory | null): StoreUnit {
  /** Null once the unit has saved something: from then on the database knows more. */
  let recent = memory?.recent ?? null;
  const tasksBy = async (statement: keyof Statements, parameter: unknown): Promise<readonly Task[]> => {
    const tasks = (await transaction.rows(statement, parameter)).map(taskIn);
    if (recent !== null) memory?.onRead(tasks);
    return tasks;
  };
  const agentsBy = async (statement: keyof Statements, parameter: unknown): Promise<readonly Agent[]> =>
    (await transaction.rows(statement, parameter)).map((row) => stateIn<Agent>(row));
  const named = async <N, R>(names: readonly N[], load: () => Promise<readonly R[]>): Promise<readonly R[]> =>
    names.length === 0 ? [] : load();

  /** What waits first, with the first `limit` of these keys' lanes; undefined where that is not remembered. */
  const headsWith = async (nowMs: number, limit: number, keys?: readonly string[]): Promise<WaitingHeads | undefined> => {
    const heads = recent?.heads;
    if (heads === undefined) return undefined;
    if (!heads.isKnown) heads.takeKeys(await tasksBy('waitingRequirements', { nowMs: WHENEVER_MS }));
    const unread = heads.unread(keys ?? heads.keys, nowMs, limit);
    if (unread.length > 0) {
      const limitPerLane = heads.limitFor(unread.length, limit);
      if (limitPerLane === null) return undefined;
      heads.take(unread, await tasksBy('claimable', { keys: unread, nowMs: WHENEVER_MS, limitPerLane }), limitPerLane);
    }
    return heads.isKnown ? heads : undefined;
  };

  return {
    nowMs: transaction.nowMs,
    async load({ tasks, agents, keys }) {
      const [knownTasks, otherTasks] = parted(tasks, (id) => recent?.task(id));
      const [knownAgents, otherAgents] = parted(agents, (id) => recent?.agent(id));
      const [readTasks, readAgents, readKeys] = await Promise.all([
        named(otherTasks, () => tasksBy('loadTasks', otherTasks)),
        named(otherAgents, () => agentsBy('loadAgents', otherAgents)),
        named(keys, async () => (await transaction.rows('loadKeys', keys)).map(keyIn)),
      ]);
      const found = [...knownTasks, ...readTasks];
      const known = new Set(found.map(({ id }) => id));
      const unknown = tasks.filter((id) => !known.has(id));
      return {
        tasks: found,
        tombstones: await named(unknown, async () => (await transaction.rows('loadTombstones', unknown)).map(tombstoneIn)),
        agents: [...knownAgents, ...readAgents],
        keys: readKeys,
      };
    },
    async waitingRequirements(nowMs) {
      const heads = await headsWith(nowMs, 1);
      return heads?.requirements(nowMs) ?? (await tasksBy('waitingRequirements', { nowMs })).map((task) => task.requirement);
    },
    async claimable({ requirementKeys, nowMs, limitPerLane }) {
      const keys = [...new Set(requirementKeys)];
      if (keys.length === 0) return [];
      const heads = await headsWith(nowMs, limitPerLane, keys);
      return heads?.claimable(keys, nowMs, limitPerLane) ?? tasksBy('claimable', { keys, nowMs, limitPerLane });
    },
    due: (nowMs, limit) => tasksBy('due', { nowMs, limit }),
    async dependentsOf(ids) {
      if (ids.length === 0) return [];
      if (recent?.hasDependencies === null) recent.hasDependencies = (await transaction.rows('someDependency')).length > 0;
      return recent?.hasDependencies === false ? [] : tasksBy('dependents', ids);
    },
    async bodies(ids) {
      const [known, others] = parted(ids, (taskId) => {
        const body = recent?.bodies.get(taskId);
        return body === undefined ? undefined : { taskId, body };
      });
      const read = new Set(others);
      if (recent !== null && others.length > 0)
        for (const id of recent.heads.ahead(recent.bodies.readAhead)) if (recent.bodies.get(id) === undefined) read.add(id);
      const found = await named([...read], async () =>
        (await transaction.rows('loadBodies', [...read])).map((row) => ({ taskId: row['task_id'] as TaskId, body: bodyIn(row) })),
      );
      const wanted = new Set(others);
      for (const { taskId, body } of found) if (!wanted.has(taskId)) recent?.bodies.take(taskId, body);
      return [...known, ...found.filter(({ taskId }) => wanted.has(taskId))];
    },
    holdingsOf: (agentIds) => named(agentIds, () => holdingsOf(transaction, agentIds)),
    async heldCounts(agentIds) {
      const [known, others] = parted(agentIds, (agentId) => {
        const held = recent?.held(agentId);
        return held === undefined ? undefined : { agentId, held };
      });
      const counted = await named(others, async () =>
        (await transaction.rows('heldCounts', others)).map((row) => ({ agentId: row['agent_id'] as AgentId, held: Number(row['held']) })),
      );
      if (recent !== null) memory?.onCounted(counted);
      return [...known, ...counted];
    },
    async activeAgents(exceptOf) {
      const known = recent;
      if (known === null) return agentsBy('activeAgents', exceptOf);
      // A sweep asks this of every agent: what is known of most is neither read nor parsed again.
      const ids = (await transaction.rows('activeAgentIds', exceptOf)).map((row) => row['id'] as AgentId);
      const [agents, others] = parted(ids, (id) => known.agent(id));
      if (others.length === 0) return agents;
      const read = await agentsBy('loadAgents', others);
      return [...agents, ...read].sort((one, other) => (one.id < other.id ? -1 : 1));
    },
    agentsOf: (hubId) => agentsBy('agentsOf', hubId),
    async renewHub(hubId, leaseMs) {
      const lease = { hubId, untilMs: transaction.nowMs + leaseMs };
      if ((await transaction.change('prolongHub', lease)) > 0) return 'renewed';
      await transaction.change('insertHub', lease);
      return 'made';
    },
    buryHubs: () => buryHubs(transaction),
    takeDuty: async (duty) => (await transaction.rows('takeDuty', duty))[0]?.['taken'] === 1,
    takeMail: async (hubId, limit) =>
      [...(await transaction.rows('takeMail', { hubId, limit }))]
        .sort((one, other) => Number(one['place']) - Number(other['place']))
        .map((row) => stateIn<HubMail>(row)),
    remove: (old) => remove(transaction, old),
    async save(changes, isLast) {
      const rows = rowsOf(changes);
      recent = null;
      const stored = isLast === true ? await saveLast(transaction, rows) : await save(transaction, rows, false);
      memory?.onSaved(changes);
      return stored;
    },
  };
}

/** What is known of these, and the names of the rest. */
function parted<N, V>(names: readonly N[], knownOf: (name: N) => V | undefined): readonly [readonly V[], readonly N[]] {
  const known: V[] = [];
  const rest: N[] = [];
  for (const name of new Set(names)) {
    const value = knownOf(name);
    if (value === undefined) rest.push(name);
    else known.push(value);
  }
  return [known, rest];
}

async function holdingsOf(transaction: Transaction, agentIds: readonly AgentId[]): Promise<readonly Holding[]> {
  const [liveRows, stopRows] = await Promise.all([transaction.rows('liveTasks', agentIds), transaction.rows('pendingStops', agentIds)]);
  const live = liveRows.map(taskIn);
  const stops = stopRows.map((row) => stateIn<PendingStop>(row));
  const liveOf = groupedBy(live, (task) => task.assignedTo);
  const stopsOf = groupedBy(stops, (stop) => stop.agentId);
  return [...new Set(agentIds)].map((agentId) => ({ agentId, live: liveOf.get(agentId) ?? [], stops: stopsOf.get(agentId) ?? [] }));
}

async function buryHubs(transaction: Transaction): ReturnType<StoreUnit['buryHubs']> {
  const ended = await transaction.rows('deadHubs', { nowMs: transaction.nowMs });
  const dead = ended.map((row) => ({ hubId: row['hub_id'] as string, untilMs: Number(row['lease_until']) }));
  const isDead = new Set(dead.map(({ hubId }) => hubId));
  const living = (await transaction.rows('hubs')).map((row) => row['hub_id'] as string).filter((hubId) => !isDead.has(hubId));
  if (dead.length > 0) {
    await transaction.change('removeHubs', [...isDead]);
    await transaction.change('dropMail');
  }
  return { living, dead };
}

async function remove(transaction: Transaction, old: Removal): Promise<Removed> {
  const keys = await transaction.change('removeKeys', old);
  const tombstones = await transaction.change('removeTombstones', old);
  const tasks = (await transaction.rows('removable', old)).map(taskIn);
  for (const slice of slices(tasks)) {
    const ids = slice.map(({ id }) => id);
    await transaction.change(
      'insertTombstones',
      slice.map((task) => tombstoneOf(task, old.nowMs)),
    );
    await transaction.change('removeEvents', ids);
    await transaction.change('removeTasks', ids);
  }
  return { tasks: tasks.length, tombstones, keys };
}

/** The last word on a task counts. */
const rowsOf = ({ inserted, updated, results, agents, stopsCleared, stopsSet, keys, mail, events }: Changes): SavedRows => ({
  insertTasks: inserted.map(taskColumns),
  insertBodies: inserted.map(({ task, body }) => ({ taskId: task.id, body })),
  insertDependencies: inserted.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn }))),
  updateTasks: [...new Map(updated.map((change) => [change.task.id, taskColumns(change)])).values()],
  saveResults: results,
  saveAgents: agents.map(agentColumns),
  clearStops: stopsCleared,
  saveStops: stopsSet,
  insertKeys: keys,
  insertMail: mail,
  insertEvents: events,
});

/**
 * All at once where no statement would be too large. A task that changed and is not there is a mistake of the caller, and fails
 * the transaction.
 */
async function save(transaction: Transaction, rows: SavedRows, isLast: boolean): Promise<readonly StoredEvent[]> {
  const { insertEvents, ...others } = rows;
  const stored: (readonly StoredEvent[])[] = [];
  let updated = 0;
  const steps = [
    ...keysOf(others).flatMap((statement) =>
      [...slices<unknown>(others[statement])].map((slice) => async () => {
        const changed = await transaction.change(statement, slice);
        if (statement === 'updateTasks') updated += changed;
      }),
    ),
    ...[...slices(insertEvents)].map((slice, nth) => async () => void (stored[nth] = await saveEvents(transaction, slice))),
  ];
  if (isLast && transaction.record !== undefined && keysOf(rows).some((statement) => rows[statement].length > 0))
    steps.push(transaction.record);
  if (isSmall(rows)) await Promise.all(steps.map((step) => step()));
  else for (const step of steps) await step();
  if (updated !== others.updateTasks.length) {
    const missing = `${others.updateTasks.length - updated} were never inserted`;
    throw new AgentcomError('AC_INTERNAL', `Cannot save ${others.updateTasks.length} changed tasks: ${missing}.`, {
      details: { taskIds: others.updateTasks.map(({ id }) => id).slice(0, 10) },
    });
  }
  return stored.flat();
}

const isSmall = (rows: SavedRows): boolean => keysOf(rows).every((statement) => rows[statement].length <= ROWS_IN_STATEMENT);

/** As `save`, and commits with it where the database can and no statement would be too large. */
async function saveLast(transaction: Transaction, rows: SavedRows): Promise<readonly StoredEvent[]> {
  const numbers = isSmall(rows) ? await transaction.saveAndCommit?.(rows) : null;
  if (numbers === null || numbers === undefined) return save(transaction, rows, true);
  return rows.insertEvents.map((event, index) => ({ id: numbers[index] as number, ...event }));
}

const keysOf = <K extends string>(object: Readonly<Record<K, unknown>>): readonly K[] => Object.keys(object) as K[];

/** New events get their numbers; of repeated ones the numbers they have are looked up. */
async function saveEvents(transaction: Transaction, events: readonly TaskEvent[]): Promise<readonly StoredEvent[]> {
  const ids = new Map<string, number>();
  const remember = (rows: Awaited<ReturnType<Transaction['rows']>>): void => {
    for (const row of rows) ids.set(`${String(row['task_id'])} ${String(row['seq'])}`, Number(row['id']));
  };
  remember(await transaction.rows('insertEvents', events));
  if (ids.size < events.length)
    remember(
      await transaction.rows(
        'findEvents',
        events.map(({ taskId, seq }) => ({ taskId, seq })),
      ),
    );
  return events.map((event) => {
    const id = ids.get(`${event.taskId} ${event.seq}`);
    if (id === undefined) throw new AgentcomError('AC_INTERNAL', `Event ${event.seq} of task ${event.taskId} was saved and is not there.`);
    return { ...event, id };
  });
}

function* slices<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_IN_STATEMENT) yield rows.slice(from, from + ROWS_IN_STATEMENT);
}
