/**
 * Checks all invariants of a store, in pieces. It holds in memory at once one page of tasks with their dependencies and histories, and
 * all agents, pending stops and live assignments.
 */
import type { Agent, PendingStop } from '../../domain/agent/agent.ts';
import { dueAtMs } from '../../domain/transitions/due.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { isAgentEvent } from '../../domain/task/event.ts';
import {
  checkTasks,
  historyChecks,
  historyWithoutTask,
  keysNameTasks,
  stopsArePast,
  viewOf,
  type Invariant,
  type StoreState,
  type Violation,
} from '../../domain/invariants/invariants.ts';
import type { Task } from '../../domain/task/task.ts';
import { messageOf, withoutStop } from '../../errors/agentcom-error.ts';
import { ChainReader } from './chain-reader.ts';
import type { FoundRows, FoundPage, InspectedTask, StoreCheck, StoreDamage, StoreInspection } from '../../ports/store-inspection.ts';

/** Tasks, events or keys read at a time. */
const PAGE = 500;
/** At most this many histories without a task are listed; more would add nothing. */
const ORPHANS_MAX = 1_000;

/** A violation: the check that failed, on what, and what was found. */
export interface StoreFinding {
  /** An invariant, a check of the storage itself, `due` (the stored due time of a task is too late) or `audit` (the audit log's chain is broken). */
  readonly check: StoreCheck | 'due' | 'audit' | Invariant;
  readonly what: string;
  readonly taskId: TaskId | null;
  readonly agentId: AgentId | null;
}

/** Progress: rows read of each kind. */
export type CheckProgress = (counts: { readonly tasks: number; readonly events: number; readonly entries: number }) => void;

/**
 * Yields findings as they occur. Invariants about time (I11, I12) are not checked, since the hub of the store may have been down. A
 * part that cannot be read is a finding, and the next part is still checked.
 */
export async function* checkStore(
  inspection: StoreInspection,
  { nowMs, sha256 }: { readonly nowMs: number; readonly sha256: (text: string) => string },
  onProgress: CheckProgress,
): AsyncGenerator<StoreFinding> {
  const schema = await inspection.schema();
  yield* schema.map(ofStorage);
  if (schema.length > 0) return;
  const whole = await inspection.whole();
  yield* whole.map(ofStorage);
  // Findings from damaged pages would only repeat this one, with contradictory advice.
  if (whole.some(({ check }) => check === 'file')) return;
  const agents: Agent[] = [];
  const stops: PendingStop[] = [];
  yield* readable('agents', () => ofRows(inspection.agents(), agents));
  yield* readable('pending stops', () => ofRows(inspection.stops(), stops));
  const counts = { tasks: 0, events: 0, entries: 0 };
  const store: CheckedStore = {
    inspection,
    agents,
    nowMs,
    unreadable: new Set(),
    count: (kind, rows) => onProgress({ ...counts, [kind]: (counts[kind] += rows) }),
  };
  yield* readable('tasks', () => ofTasks(store));
  yield* readable('events', () => ofEvents(store));
  yield* readable('pending stops', () => ofStops(store, stops));
  yield* readable('tombstones', () => ofTombstones(store));
  yield* readable('idempotency keys', () => ofKeys(store));
  yield* readable('entries of the audit log', () => ofAudit(store, sha256));
}

interface CheckedStore {
  readonly inspection: StoreInspection;
  readonly agents: readonly Agent[];
  readonly nowMs: number;
  /** Tasks and removed tasks that are stored but cannot be read. */
  readonly unreadable: Set<TaskId>;
  readonly count: (kind: 'tasks' | 'events' | 'entries', rows: number) => void;
}

const ofStorage = ({ check, what, taskId }: StoreDamage): StoreFinding => ({
  check,
  what,
  taskId: taskId === null || isAgentEvent({ taskId }) ? null : taskId,
  agentId: null,
});

const ofRule = ({ invariant, what, taskId, agentId }: Violation): StoreFinding => ({ check: invariant, what, taskId, agentId });

/** The findings of a part of the store, as far as it can be read. */
async function* readable(part: string, findings: () => AsyncGenerator<StoreFinding>): AsyncGenerator<StoreFinding> {
  try {
    yield* findings();
  } catch (thrown) {
    yield { check: 'unreadable', what: `not all ${part} could be read: ${messageOf(thrown)}`, taskId: null, agentId: null };
  }
}

/** The damage of these rows; adds what could be read to `into`. */
async function* ofRows<T>(rows: Promise<FoundRows<T>>, into: T[]): AsyncGenerator<StoreFinding> {
  const { found, damage } = await rows;
  for (const value of found) into.push(value);
  yield* damage.map(ofStorage);
}

/** The damage of all these rows, and what `check` finds in each page. */
async function* ofPages<T>(
  pageAfter: (after: string | null) => Promise<FoundPage<T>>,
  check: (page: FoundPage<T>) => AsyncIterable<StoreFinding> | Iterable<StoreFinding> = () => [],
): AsyncGenerator<StoreFinding> {
  for (let after: string | null = null, isLast = false; !isLast;) {
    const page: FoundPage<T> = await pageAfter(after);
    yield* page.damage.map(ofStorage);
    yield* check(page);
    after = page.next;
    isLast = after === null;
  }
}

const ofTasks = (store: CheckedStore): AsyncGenerator<StoreFinding> =>
  ofPages(
    (after) => store.inspection.tasks(after, PAGE),
    async function* ({ found, damage }) {
      noteUnreadable(store, damage);
      yield* await rulesOf(store, found);
      store.count('tasks', found.length);
    },
  );

async function rulesOf({ inspection, agents, nowMs }: CheckedStore, page: readonly InspectedTask[]): Promise<readonly StoreFinding[]> {
  const tasks = page.map(({ task }) => task);
  const ids = new Set(tasks.map(({ id }) => id));
  const named = [...new Set(tasks.flatMap(({ dependsOn }) => dependsOn))].filter((id) => !ids.has(id));
  const dependencies = await inspection.tasksById(named);
  const tombstones = await inspection.tombstonesById(named);
  const events = await inspection.eventsOf([...ids]);
  // The damage itself is reported with that of all events.
  const withoutHistory = historiesWith(events.damage);
  const view = viewOf({ ...stateOf(nowMs), tasks: [...tasks, ...dependencies], tombstones, agents }, events.found, nowMs);
  return [
    ...checkTasks(tasks, view, withoutHistory).map(ofRule),
    ...page.flatMap(({ task, dueAtMs: stored }) => dueTooLate(task, stored, nowMs)),
  ];
}

const historiesWith = (damage: readonly StoreDamage[]): ReadonlySet<TaskId> => new Set(damage.flatMap(({ taskId }) => taskId ?? []));

/** `healthySinceMs` is now, so that nothing is overdue. */
const stateOf = (nowMs: number): StoreState => ({ tasks: [], agents: [], stops: [], keys: [], sweepMs: 0, healthySinceMs: nowMs });

function dueTooLate(task: Task, storedMs: number | null, nowMs: number): readonly StoreFinding[] {
  // The hub's clock may be ahead of this one: times up to the task's last update are in the past.
  const wantedMs = dueAtMs(task, Math.max(nowMs, task.updatedAtMs));
  if (wantedMs === null || (storedMs !== null && storedMs <= wantedMs)) return [];
  const what = `it is due at ${wantedMs}, but its stored due time is ${storedMs ?? 'missing'}`;
  return [{ check: 'due', what, taskId: task.id, agentId: task.assignedTo }];
}

const ofTombstones = (store: CheckedStore): AsyncGenerator<StoreFinding> =>
  ofPages(
    (after) => store.inspection.tombstones(after, PAGE),
    ({ damage }) => {
      noteUnreadable(store, damage);
      return [];
    },
  );

function noteUnreadable({ unreadable }: CheckedStore, damage: readonly StoreDamage[]): void {
  for (const { check, taskId } of damage) if (check === 'unreadable' && taskId !== null) unreadable.add(taskId);
}

async function* ofEvents({ inspection, agents, unreadable, count }: CheckedStore): AsyncGenerator<StoreFinding> {
  const checks = historyChecks(new Map(agents.map((agent) => [agent.id, agent])));
  const orphans = new Set<TaskId>();
  /** The histories of which a row cannot be read: what follows in them cannot be checked. */
  const incomplete = new Set<TaskId>();
  yield* ofPages(
    (after) => inspection.events(after, PAGE),
    async function* ({ found: events, damage }) {
      for (const id of historiesWith(damage)) {
        incomplete.add(id);
        for (const check of checks) check.omit(id);
      }
      for (const event of events) if (!incomplete.has(event.taskId)) for (const check of checks) yield* check.next(event).map(ofRule);
      const ids = [...new Set(events.filter((event) => !isAgentEvent(event)).map(({ taskId }) => taskId))];
      const known = await byId(inspection, ids);
      for (const id of ids) {
        if (known.has(id) || unreadable.has(id) || orphans.has(id) || orphans.size >= ORPHANS_MAX) continue;
        orphans.add(id);
        yield ofRule(historyWithoutTask(id));
      }
      count('events', events.length);
    },
  );
  for (const check of checks) yield* check.end().map(ofRule);
}

async function* ofStops({ inspection, nowMs, unreadable }: CheckedStore, all: readonly PendingStop[]): AsyncGenerator<StoreFinding> {
  const stops = all.filter(({ taskId }) => !unreadable.has(taskId));
  const tasks = await byId(inspection, [...new Set(stops.map(({ taskId }) => taskId))]);
  yield* stopsArePast({ state: { ...stateOf(nowMs), stops }, tasks }).map(ofRule);
}

const ofKeys = ({ inspection, nowMs, unreadable }: CheckedStore): AsyncGenerator<StoreFinding> =>
  ofPages(
    (after) => inspection.keys(after, PAGE),
    async function* ({ found: keys }) {
      const named = [...new Set(keys.flatMap(({ taskIds }) => taskIds))];
      const tasks = await byId(inspection, named);
      const removed = await inspection.tombstonesById(named.filter((id) => !tasks.has(id)));
      const tombstones = new Map(removed.map((tombstone) => [tombstone.id, tombstone]));
      const lost = keysNameTasks({ state: { ...stateOf(nowMs), keys }, tasks, tombstones });
      yield* lost.filter(({ taskId }) => taskId === null || !unreadable.has(taskId)).map(ofRule);
    },
  );

/** Only the first break is reported: what follows it cannot be verified. */
async function* ofAudit({ inspection, count }: CheckedStore, sha256: (text: string) => string): AsyncGenerator<StoreFinding> {
  let page = await inspection.audit({ after: 0, limit: PAGE });
  const reader = new ChainReader(page.anchor, sha256);
  for (let last = page.entries.at(-1); last !== undefined; last = page.entries.at(-1)) {
    for (const entry of page.entries) reader.add(entry);
    count('entries', page.entries.length);
    if (reader.isBroken) break;
    page = await inspection.audit({ after: last.seq, limit: PAGE });
  }
  const { fault } = reader.end(page.head);
  if (fault !== null) yield { check: 'audit', what: withoutStop(fault), taskId: null, agentId: null };
}

async function byId(inspection: StoreInspection, ids: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Task>> {
  const tasks = new Map<TaskId, Task>();
  for (let from = 0; from < ids.length; from += PAGE)
    for (const task of await inspection.tasksById(ids.slice(from, from + PAGE))) tasks.set(task.id, task);
  return tasks;
}
