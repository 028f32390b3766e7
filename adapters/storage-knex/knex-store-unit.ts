/** The unit of work over the statements of an engine. */
import type { Agent } from '../../core/domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import {
  keysOfGroup,
  lastKeys,
  requirementKey,
  waitingRequirement,
  type RequirementGroup,
  type Task,
  type TaskBody,
} from '../../core/domain/task/task.ts';
import type { Changes, DependentsOf, HeldCount, LoadNames, Loaded, StoreUnit } from '../../core/ports/task-store.ts';
import { appendAudit } from './audit/append-audit.ts';
import type { Row, Transaction } from './engine.ts';
import { activeIn, knexClusterUnit } from './knex-cluster-unit.ts';
import { heldBy, holdingsOf, loadInOrder, tombstonesOf } from './load-in-order.ts';
import { agentIn, bodyIn, keyIn, requirementIn, taskIn } from './rows/rows.ts';
import { rowsOf, save, saveLast, type Saving } from './rows/save-changes.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { removeAgents, removeOldRows } from './old-rows.ts';
import type { StateCache } from './cache/state-cache.ts';
import type { StatementName } from './statements.ts';
import { KEYS_MAX, type ReadyQueueCache } from './cache/ready-queue-cache.ts';

/** Later than any time: tasks that are not eligible yet count too. */
const WHENEVER_MS = Number.MAX_SAFE_INTEGER;

/** Matches no hub: none has fewer than 0 agents. */
const NONE_KNOWN = { hubId: '', count: -1 };

/** Maximum number of unreadable rows for which others are read from the same lanes. */
const UNREADABLE_MAX = 1_000;

/** Up to how many tasks of each priority may be claimable for their bodies to come along, if nothing is cached: most of them must be assigned. */
const BODIES_ALONG_MAX = 64;

/** Every key is the JSON text of an array. */
const ALL_KEYS = { from: '[', until: '\\' };

/** How a unit uses the cache: what was committed before it, and callbacks that collect what it reads and saves. */
export interface CacheHooks {
  readonly cache: StateCache;
  /** Called before they are saved. */
  readonly onSaved: (changes: Changes) => void;
  readonly onRead: (tasks: readonly Task[]) => void;
  readonly onCounted: (counts: readonly HeldCount[]) => void;
  /** Called if new tasks existed already: they are not what the changes say. */
  readonly onRepeated: () => void;
}

/** `hooks`: while nobody else writes to the database; null if others may, and nothing is cached. */
export function knexStoreUnit(transaction: Transaction, hooks: CacheHooks | null, readable: ReadableOf): StoreUnit {
  /** Null once the unit has saved something: from then on the cache is behind the transaction. */
  let cache = hooks?.cache ?? null;
  /** Tasks that this unit read or got from the ready queue, which need not be in the cache of tasks. Only for counting. */
  const seen = new Map<TaskId, Task>();
  /** Bodies that were read together with claimable tasks. */
  const along = new Map<TaskId, TaskBody>();
  const see = (tasks: readonly Task[]): readonly Task[] => {
    if (transaction.counting !== null) for (const task of tasks) seen.set(task.id, task);
    return tasks;
  };
  const tasksBy = async (statement: StatementName, parameter: unknown): Promise<readonly Task[]> => {
    const rows = await transaction.rows(statement, parameter);
    const tasks = statement === 'loadTasks' ? rows.map(taskIn) : readable(rows, taskIn);
    if (cache !== null) hooks?.onRead(see(tasks));
    return tasks;
  };
  const agentsBy = async (statement: StatementName, parameter: unknown): Promise<readonly Agent[]> => {
    const rows = await transaction.rows(statement, parameter);
    return statement === 'loadAgents' ? rows.map(agentIn) : readable(rows, agentIn);
  };
  const named = async <N, R>(names: readonly N[], load: () => Promise<readonly R[]>): Promise<readonly R[]> =>
    names.length === 0 ? [] : load();

  /** The requirements of waiting tasks that are eligible by `nowMs`. */
  const requirementsBy = async (nowMs: number, limit: number, groups?: readonly RequirementGroup[]) => {
    const ranges = groups?.map(keysOfGroup) ?? [ALL_KEYS];
    const rows = await transaction.rows('waitingRequirements', { nowMs, ranges, steps: limit + 1 + ranges.length });
    const eligible = rows.filter((row) => Number(row['eligible']) === 1);
    const requirements = readable(eligible, requirementIn);
    const isAll = rows.length <= limit;
    if (groups === undefined) return { requirements, isAll };
    return { requirements, isAll, readTo: lastKeys(rows.map((row) => String(row['requirement_key'])), groups) }; // prettier-ignore
  };

  /**
   * The first tasks of lanes. `isWhole`: each of their rows could be read; otherwise the tasks that follow replace the unreadable ones,
   * since one damaged row must not stop its lane.
   */
  const claimableBy = async (keys: readonly string[], nowMs: number, limitPerLane: number) => {
    for (let unreadable = 0; ;) {
      const withBodies = cache === null && keys.length * limitPerLane <= BODIES_ALONG_MAX;
      const rows = await transaction.rows('claimable', { keys, nowMs, limitPerLane: limitPerLane + unreadable, withBodies });
      const tasks = readable(rows, taskIn);
      for (const { taskId, body } of readable(rows.filter(hasBody), readBody)) along.set(taskId, body);
      const found = rows.length - tasks.length;
      if (found <= unreadable || unreadable === UNREADABLE_MAX) {
        const taken = found === 0 ? tasks : firstOfLanes(tasks, limitPerLane);
        if (cache !== null) hooks?.onRead(see(taken));
        return { tasks: taken, isWhole: found === 0 };
      }
      unreadable = Math.min(found, UNREADABLE_MAX);
    }
  };

  /** The ready queue, with the first `limit` tasks of these keys' lanes; undefined if it cannot be cached. */
  const readyQueueWith = async (nowMs: number, limit: number, keys?: readonly string[]): Promise<ReadyQueueCache | undefined> => {
    const queue = cache?.readyQueue;
    if (queue === undefined) return undefined;
    if (!queue.isKnown) {
      if (queue.isPaused(nowMs)) return undefined;
      const { requirements, isAll } = await requirementsBy(WHENEVER_MS, KEYS_MAX);
      if (!isAll) return void queue.pause(nowMs);
      queue.takeRequirements(requirements);
    }
    const unread = queue.unread(keys ?? queue.keys, nowMs, limit);
    if (unread.length > 0) {
      const limitPerLane = queue.limitFor(unread.length, limit);
      if (limitPerLane === null) return undefined;
      const { tasks, isWhole } = await claimableBy(unread, WHENEVER_MS, limitPerLane);
      if (!isWhole) return void queue.pause(nowMs);
      queue.take(unread, tasks, limitPerLane);
    }
    return queue.isKnown ? queue : undefined;
  };

  const tasksNamed = async (ids: readonly TaskId[], statement: StatementName): Promise<readonly Task[]> => {
    const [known, others] = parted(ids, (id) => cache?.task(id));
    return [...known, ...(await named(others, () => tasksBy(statement, others)))];
  };

  /** For a database that nobody else writes to: nothing needs to be locked, and most rows are cached. */
  const loadAlone = async ({ tasks = [], agents = [], keys = [], holders = [] }: LoadNames): Promise<Loaded> => {
    const isNamed = new Set(agents);
    const [knownAgents, otherAgents] = parted([...agents, ...holders], (id) => cache?.agent(id));
    const [namedAgents, foundAgents] = [otherAgents.filter((id) => isNamed.has(id)), otherAgents.filter((id) => !isNamed.has(id))];
    const [found, readNamed, readFound, readKeys] = await Promise.all([
      tasksNamed(tasks, 'loadTasks'),
      named(namedAgents, () => agentsBy('loadAgents', namedAgents)),
      named(foundAgents, () => agentsBy('readAgents', foundAgents)),
      named(keys, async () => (await transaction.rows('loadKeys', keys)).map(keyIn)),
    ]);
    const tombstones = await tombstonesOf(transaction, tasks, found);
    const [live, stops] = holders.length === 0 ? [[], []] : await heldBy(transaction, holders, readable);
    const held = new Map([...found, ...live].map((task) => [task.id, task]));
    const stopped = await tasksNamed(stops.map((stop) => stop.taskId).filter((id) => !held.has(id)), 'loadTasks'); // prettier-ignore
    for (const task of stopped) held.set(task.id, task);
    return {
      tasks: [...held.values()],
      tombstones,
      agents: [...knownAgents, ...readNamed, ...readFound],
      keys: readKeys,
      holdings: holdingsOf(holders, live, stops),
    };
  };

  return {
    nowMs: transaction.nowMs,
    removableMs: transaction.removableMs,
    isExclusive: transaction.exclusive !== null,
    cluster: knexClusterUnit(transaction, readable),
    load: (names) => (hooks === null ? loadInOrder(transaction, names, readable) : loadAlone(names)),
    async read({ tasks = [], agents = [] }) {
      const [knownAgents, otherAgents] = parted(agents, (id) => cache?.agent(id));
      const [found, readAgents] = await Promise.all([
        tasksNamed(tasks, 'readTasks'),
        named(otherAgents, () => agentsBy('readAgents', otherAgents)),
      ]);
      return { tasks: found, tombstones: await tombstonesOf(transaction, tasks, found), agents: [...knownAgents, ...readAgents] };
    },
    async takeAgents(ids) {
      const [known, others] = parted(ids, (id) => cache?.agent(id));
      return [...known, ...(await named(others, () => agentsBy('takeAgents', others)))];
    },
    async waitingRequirements({ nowMs, limit, groups }) {
      const queue = groups === undefined ? await readyQueueWith(nowMs, 1) : undefined;
      if (queue !== undefined) return { requirements: queue.requirements(nowMs), isAll: true };
      return requirementsBy(nowMs, limit, groups);
    },
    async claimable({ requirementKeys, nowMs, limitPerLane }) {
      const keys = [...new Set(requirementKeys)];
      if (keys.length === 0) return [];
      const queue = await readyQueueWith(nowMs, limitPerLane, keys);
      if (queue !== undefined) return see(queue.claimable(keys, nowMs, limitPerLane));
      return (await claimableBy(keys, nowMs, limitPerLane)).tasks;
    },
    due: (nowMs, limit) => tasksBy('due', { nowMs, limit }),
    async dependentsOf(of, limit) {
      const none = { tasks: [], left: [] };
      if (of.length === 0) return none;
      if (cache?.hasDependencies === null) cache.hasDependencies = (await transaction.rows('someDependency')).length > 0;
      if (cache?.hasDependencies === false) return none;
      const rows = await transaction.rows('dependents', { of, limit: limit + 1 });
      const [taken, left] = untilTaken(rows, of, limit);
      return { tasks: readable(taken, taskIn), left };
    },
    dueAssignees: async (nowMs, limit) =>
      (await transaction.rows('dueAssignees', { nowMs, limit })).map((row) => row['assigned_to'] as AgentId),
    async bodies(ids) {
      const [known, others] = parted(ids, (taskId) => {
        const body = along.get(taskId) ?? cache?.bodies.get(taskId);
        return body === undefined ? undefined : { taskId, body };
      });
      const read = new Set(others);
      if (cache !== null && others.length > 0) for (const id of cache.withoutBodies()) read.add(id);
      const found = await named([...read], async () => readable(await transaction.rows('loadBodies', [...read]), readBody));
      const wanted = new Set(others);
      for (const { taskId, body } of found) if (!wanted.has(taskId)) cache?.bodies.take(taskId, body);
      return [...known, ...found.filter(({ taskId }) => wanted.has(taskId))];
    },
    async heldCounts(agentIds) {
      const [known, others] = parted(agentIds, (agentId) => {
        const held = cache?.held(agentId);
        return held === undefined ? undefined : { agentId, held };
      });
      const counted = await named(others, async () =>
        (await transaction.rows('heldCounts', others)).map((row) => ({ agentId: row['agent_id'] as AgentId, held: Number(row['held']) })),
      );
      if (cache !== null) hooks?.onCounted(counted);
      return [...known, ...counted];
    },
    activeAgents: async (exceptOf, { hubId, count } = NONE_KNOWN) =>
      (await transaction.rows('activeAgents', { exceptOf, hubId, count })).map(activeIn),
    remove: (old) => removeOldRows(transaction, old, readable),
    async removeAgents(old) {
      const removed = await removeAgents(transaction, old);
      hooks?.cache.dropAgents(removed.agents);
      return removed;
    },
    async save(changes, isLast) {
      const rows = rowsOf(changes);
      const before = cache;
      const saving: Saving = {
        transaction,
        rows,
        mail: changes.mail,
        events: changes.events,
        // Nothing is known after an earlier save of this unit: the cache is out of date then.
        taskOf: (id) => (before === null ? undefined : (seen.get(id) ?? before.task(id))),
        onRepeated: () => hooks?.onRepeated(),
        hasNamed: changes.hasNamed === true,
      };
      cache = null;
      hooks?.onSaved(changes);
      const { audit = [] } = changes;
      if (isLast === true && audit.length === 0) return saveLast(saving);
      const events = await save(saving, false);
      await appendAudit(transaction, audit);
      return events;
    },
  };
}

/** The first `limit` tasks of each lane. */
function firstOfLanes(tasks: readonly Task[], limit: number): readonly Task[] {
  const taken = new Map<string, number>();
  return tasks.filter((task) => {
    const lane = `${task.priority} ${requirementKey(waitingRequirement(task))}`;
    const before = taken.get(lane) ?? 0;
    taken.set(lane, before + 1);
    return before < limit;
  });
}

const hasBody = (row: Row): boolean => typeof row['body'] === 'string';
const readBody = (row: Row): { readonly taskId: TaskId; readonly body: TaskBody } => ({
  taskId: (row['task_id'] ?? row['id']) as TaskId,
  body: bodyIn(row),
});

/** The known values of these names, and the names of the rest. */
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

/** The rows of `dependents` before the first that exceeds `limit` or that another transaction has locked, and what is left from that one on. */
function untilTaken(rows: readonly Row[], of: readonly DependentsOf[], limit: number): readonly [readonly Row[], readonly DependentsOf[]] {
  const taken = new Map<unknown, Row>();
  const last = new Map<number, TaskId>();
  for (const [at, row] of rows.entries()) {
    const place = Number(row['place']);
    if (at === limit || (row['waits'] === 1 && row['state'] === null)) {
      const [first, ...rest] = of.slice(place);
      return [[...taken.values()], first === undefined ? [] : [{ id: first.id, after: last.get(place) ?? first.after }, ...rest]];
    }
    last.set(place, row['id'] as TaskId);
    if (row['state'] !== null) taken.set(row['id'], row);
  }
  return [[...taken.values()], []];
}
