/** The unit of work over the statements of an engine. */
import type { Agent, PendingStop } from '../../core/domain/agent.ts';
import type { StoredEvent, TaskEvent } from '../../core/domain/event.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { HubMail } from '../../core/domain/hub-lease.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { tombstoneOf } from '../../core/domain/tombstone.ts';
import type { Changes, Holding, Removal, Removed, StoreUnit, TaskChange } from '../../core/ports/task-store.ts';
import type { Transaction } from './engine.ts';
import { agentColumns, bodyIn, groupedBy, keyIn, stateIn, taskColumns, taskIn, tombstoneIn } from './rows.ts';
import type { RecentStates } from './recent-states.ts';
import type { Statements } from './statements.ts';

/** Rows in one parameter: as many as keep the making of its JSON well under 50 ms of the loop. */
const ROWS_IN_STATEMENT = 500;

/** What of a unit is only known outside of it: what was committed before, and what it saves. */
export interface UnitMemory {
  readonly recent: RecentStates;
  readonly onSaved: (changes: Changes) => void;
}

/** `memory`: of a database that nobody else writes; null for one that others write too. */
export function knexStoreUnit(transaction: Transaction, memory: UnitMemory | null): StoreUnit {
  const tasksBy = async (statement: keyof Statements, parameter: unknown) => (await transaction.rows(statement, parameter)).map(taskIn);
  const named = async <N, R>(names: readonly N[], load: () => Promise<readonly R[]>): Promise<readonly R[]> =>
    names.length === 0 ? [] : load();

  return {
    nowMs: transaction.nowMs,
    async load({ tasks, agents, keys }) {
      const [knownTasks, otherTasks] = parted(tasks, (id) => memory?.recent.task(id));
      const [knownAgents, otherAgents] = parted(agents, (id) => memory?.recent.agent(id));
      const found = [...knownTasks, ...(await named(otherTasks, () => tasksBy('loadTasks', otherTasks)))];
      const known = new Set(found.map(({ id }) => id));
      const unknown = tasks.filter((id) => !known.has(id));
      return {
        tasks: found,
        tombstones: await named(unknown, async () => (await transaction.rows('loadTombstones', unknown)).map(tombstoneIn)),
        agents: [
          ...knownAgents,
          ...(await named(otherAgents, async () => (await transaction.rows('loadAgents', otherAgents)).map((row) => stateIn<Agent>(row)))),
        ],
        keys: await named(keys, async () => (await transaction.rows('loadKeys', keys)).map(keyIn)),
      };
    },
    waitingRequirements: async (nowMs) => (await tasksBy('waitingRequirements', { nowMs })).map((task) => task.requirement),
    claimable: ({ requirementKeys, nowMs, limitPerLane }) =>
      named(requirementKeys, () => tasksBy('claimable', { keys: [...new Set(requirementKeys)], nowMs, limitPerLane })),
    due: (nowMs, limit) => tasksBy('due', { nowMs, limit }),
    dependentsOf: (ids) => named(ids, () => tasksBy('dependents', ids)),
    bodies: (ids) =>
      named(ids, async () =>
        (await transaction.rows('loadBodies', ids)).map((row) => ({ taskId: row['task_id'] as TaskId, body: bodyIn(row) })),
      ),
    holdingsOf: (agentIds) => named(agentIds, () => holdingsOf(transaction, agentIds)),
    heldCounts: (agentIds) =>
      named(agentIds, async () =>
        (await transaction.rows('heldCounts', agentIds)).map((row) => ({ agentId: row['agent_id'] as AgentId, held: Number(row['held']) })),
      ),
    activeAgents: async (exceptOf) => (await transaction.rows('activeAgents', exceptOf)).map((row) => stateIn<Agent>(row)),
    agentsOf: async (hubId) => (await transaction.rows('agentsOf', hubId)).map((row) => stateIn<Agent>(row)),
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
    async save(changes) {
      const stored = await save(transaction, changes);
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
  const live = (await transaction.rows('liveTasks', agentIds)).map(taskIn);
  const stops = (await transaction.rows('pendingStops', agentIds)).map((row) => stateIn<PendingStop>(row));
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

async function save(transaction: Transaction, changes: Changes): Promise<readonly StoredEvent[]> {
  const write = async (statement: keyof Statements, rows: readonly unknown[]): Promise<number> => {
    let changed = 0;
    for (const slice of slices(rows)) changed += await transaction.change(statement, slice);
    return changed;
  };
  const { inserted } = changes;
  await write('insertTasks', inserted.map(taskColumns));
  await write(
    'insertBodies',
    inserted.map(({ task, body }) => ({ taskId: task.id, body })),
  );
  await write(
    'insertDependencies',
    inserted.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn }))),
  );
  await update(write, changes.updated);
  await write('saveResults', changes.results);
  await write('saveAgents', changes.agents.map(agentColumns));
  await write('clearStops', changes.stopsCleared);
  await write('saveStops', changes.stopsSet);
  await write('insertKeys', changes.keys);
  await write('insertMail', changes.mail);
  const stored: StoredEvent[] = [];
  for (const slice of slices(changes.events)) stored.push(...(await saveEvents(transaction, slice)));
  return stored;
}

/** The last word on a task counts; a task that is not there is a mistake of the caller and fails the transaction. */
async function update(
  write: (statement: keyof Statements, rows: readonly unknown[]) => Promise<number>,
  updated: readonly TaskChange[],
): Promise<void> {
  const rows = [...new Map(updated.map((change) => [change.task.id, taskColumns(change)])).values()];
  const changed = await write('updateTasks', rows);
  if (changed !== rows.length)
    throw new AgentcomError('AC_INTERNAL', `Cannot save ${rows.length} changed tasks: ${rows.length - changed} were never inserted.`, {
      details: { taskIds: rows.map(({ id }) => id).slice(0, 10) },
    });
}

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
