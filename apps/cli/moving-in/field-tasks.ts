/**
 * Turns tasks of the original hub, as listed by its HTTP API, into submits. Pure: what is imported, in which order, what is
 * skipped and why.
 */
import { PRIORITIES, type Priority } from '../../../core/domain/task/task.ts';
import { IDEMPOTENCY_KEY_CHARACTERS_MAX } from '../../../core/domain/task/idempotency-key.ts';
import { MAX_RETRIES_DEFAULT, PRIORITY_SYNONYMS } from '../../../core/protocol/http-bodies.ts';
import { MAX_RETRIES_MAX } from '../../../core/protocol/fields.ts';
import type { SubmitRequest } from '../../client/index.ts';

/** The most tasks of one import. */
export const IMPORT_TASKS_MAX = 100_000;
const KEY_PREFIX = 'import-';
/** Statuses of open tasks. An assigned one starts over, because its agent stays with the original. */
const OPEN = ['queued', 'assigned', 'dead_letter', 'scheduled', 'blocked'];
const ENDED = ['completed', 'cancelled'];
/** Fields that do not exist here; they are kept in the metadata, so that nothing is lost silently. */
const KEPT_ASIDE = [
  'submitted_by',
  'created_at',
  'goal_id',
  'last_error',
  'complexity',
  'skip_verification',
  'verification_timeout_ms',
  'max_verification_retries',
];

type Fields = Readonly<Record<string, unknown>>;

export interface PlannedTask {
  /** Its id at the original hub. */
  readonly from: string;
  /** The same for the same task, so that importing twice creates no duplicates. */
  readonly key: string;
  /** Without `depends_on`: the new IDs are known only once those tasks have been submitted. */
  readonly body: SubmitRequest;
  /** IDs at the original hub; these tasks come before this one. */
  readonly dependsOn: readonly string[];
  /** What was changed. */
  readonly notes: readonly string[];
}

export interface SkippedTask {
  readonly from: string;
  readonly reason: string;
  /** Whether it was still open. */
  readonly isOpen: boolean;
}

export interface ImportPlan {
  /** By creation time, each after those that it depends on. */
  readonly tasks: readonly PlannedTask[];
  readonly left: readonly SkippedTask[];
}

/** The tasks in the text of a file: a list, `{"tasks": […]}` as the API answers, or one task. Null if it is none of these. */
export function tasksIn(value: unknown): readonly unknown[] | null {
  if (Array.isArray(value)) return value;
  if (!isObject(value)) return null;
  if (Array.isArray(value['tasks'])) return value['tasks'];
  return typeof value['id'] === 'string' ? [value] : null;
}

/** `nowMs` decides which `complete_by` have passed. */
export function planImport(given: readonly unknown[], nowMs: number): ImportPlan {
  const left: SkippedTask[] = [];
  const open = new Map<string, { readonly fields: Fields; readonly createdAtMs: number }>();
  const done = new Set<string>();
  const seen = new Set<string>();
  for (const [index, fields] of given.entries()) {
    const id = isObject(fields) ? fields['id'] : undefined;
    if (!isObject(fields) || !isImportable(id)) {
      left.push({ from: `entry ${index + 1}`, reason: 'it has no ID of printable ASCII characters', isOpen: true });
      continue;
    }
    if (seen.has(id)) {
      left.push({ from: id, reason: 'it occurs twice; the first one is used', isOpen: false });
      continue;
    }
    seen.add(id);
    const status = fields['status'] ?? 'queued';
    if (status === 'completed') done.add(id);
    if (ENDED.includes(String(status))) left.push({ from: id, reason: `it has ended: ${String(status)}`, isOpen: false });
    else if (!OPEN.includes(String(status)))
      left.push({ from: id, reason: `its status is ${JSON.stringify(status)}, expected one of ${OPEN.join(', ')}`, isOpen: true });
    else if (typeof fields['description'] !== 'string' || fields['description'] === '')
      left.push({ from: id, reason: 'it has no description', isOpen: true });
    else open.set(id, { fields, createdAtMs: typeof fields['created_at'] === 'number' ? fields['created_at'] : 0 });
  }
  const inOrder = [...open].sort(([, a], [, b]) => a.createdAtMs - b.createdAtMs);
  const missing = withoutWhatTheyNeed(new Map([...open].map(([id, { fields }]) => [id, needsOf(fields, done)])));
  const tasks = inOrder.flatMap(([id, { fields }]): readonly PlannedTask[] => {
    const reason = missing.get(id);
    if (reason === undefined) return [planned(id, fields, needsOf(fields, done), nowMs)];
    left.push({ from: id, reason, isOpen: true });
    return [];
  });
  return { tasks: afterWhatTheyNeed(tasks), left };
}

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

const isImportable = (id: unknown): id is string =>
  typeof id === 'string' && /^[\x21-\x7e]+$/.test(id) && KEY_PREFIX.length + id.length <= IDEMPOTENCY_KEY_CHARACTERS_MAX;

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The uncompleted dependencies of a task. */
const needsOf = (fields: Fields, done: ReadonlySet<string>): readonly string[] =>
  [...new Set(listOf(fields['depends_on']).map(String))].filter((id) => !done.has(id));

/** Why a task cannot be imported, by ID: a dependency is missing, not imported itself, or depends on it. */
function withoutWhatTheyNeed(needs: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, string> {
  const taken = new Set<string>();
  const waiting = new Map<string, string[]>();
  const open = new Map([...needs].map(([id, ids]) => [id, ids.length]));
  for (const [id, ids] of needs)
    for (const needed of ids) {
      const waiters = waiting.get(needed);
      if (waiters === undefined) waiting.set(needed, [id]);
      else waiters.push(id);
    }
  const ready = [...open].flatMap(([id, count]) => (count === 0 ? [id] : []));
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    taken.add(id);
    for (const waiter of waiting.get(id) ?? []) {
      const count = (open.get(waiter) ?? 0) - 1;
      open.set(waiter, count);
      if (count === 0) ready.push(waiter);
    }
  }
  const missing = new Map<string, string>();
  for (const [id, ids] of needs) {
    const needed = ids.find((one) => !taken.has(one));
    if (taken.has(id) || needed === undefined) continue;
    missing.set(
      id,
      `it depends on ${needed}, which ${needs.has(needed) ? 'was not imported either' : 'is neither in the files nor completed'}`,
    );
  }
  return missing;
}

/** The same tasks, each after those that it depends on, otherwise in the order given. */
function afterWhatTheyNeed(tasks: readonly PlannedTask[]): readonly PlannedTask[] {
  const byId = new Map(tasks.map((task) => [task.from, task]));
  const placed = new Set<string>();
  const ordered: PlannedTask[] = [];
  for (const first of tasks) {
    // Iterative, because a chain of dependencies may be as long as the list.
    const stack = [first];
    for (let task = stack.at(-1); task !== undefined; task = stack.at(-1)) {
      const next = task.dependsOn.find((id) => !placed.has(id));
      const needed = next === undefined ? undefined : byId.get(next);
      if (needed !== undefined) {
        stack.push(needed);
        continue;
      }
      stack.pop();
      if (!placed.has(task.from)) ordered.push(task);
      placed.add(task.from);
    }
  }
  return ordered;
}

function planned(id: string, fields: Fields, dependsOn: readonly string[], nowMs: number): PlannedTask {
  const notes: string[] = [];
  const completeBy = typeof fields['complete_by'] === 'number' ? Math.trunc(fields['complete_by']) : undefined;
  const isPast = completeBy !== undefined && completeBy <= nowMs;
  if (isPast) notes.push('its complete_by has passed and was dropped');
  const body = {
    description: fields['description'],
    priority: priorityOf(fields['priority'], notes),
    metadata: metadataOf(id, fields),
    max_retries: retriesOf(fields['max_retries']),
    complete_by: isPast ? undefined : completeBy,
    needed_capabilities: filled(fields['needed_capabilities']),
    repo: text(fields['repo']),
    branch: text(fields['branch']),
    assign_to: text(fields['assign_to']),
    file_hints: filled(fields['file_hints']),
    success_criteria: filled(fields['success_criteria']),
    verification_steps: filled(fields['verification_steps']),
  };
  // The hub validates each field.
  return { from: id, key: `${KEY_PREFIX}${id}`, body: body as SubmitRequest, dependsOn, notes };
}

/** The original numbers priorities, 0 is urgent, and treats anything else as normal. */
function priorityOf(given: unknown, notes: string[]): Priority {
  if (given === undefined || given === null) return 'normal';
  const byNumber = typeof given === 'number' ? PRIORITIES[given] : undefined;
  const priority = byNumber ?? (given === 'critical' ? PRIORITY_SYNONYMS.critical : PRIORITIES.find((one) => one === given));
  if (priority === undefined) notes.push(`its priority ${JSON.stringify(given)} is treated as normal`);
  return priority ?? 'normal';
}

/** The original's `max_retries` counts all attempts; here it counts those after the first. */
function retriesOf(given: unknown): number {
  if (typeof given !== 'number' || !Number.isInteger(given)) return MAX_RETRIES_DEFAULT - 1;
  return Math.min(MAX_RETRIES_MAX, Math.max(0, given - 1));
}

function metadataOf(id: string, fields: Fields): Record<string, unknown> {
  const given = isObject(fields['metadata']) ? fields['metadata'] : {};
  const aside = KEPT_ASIDE.map((name) => [name, fields[name]] as const).filter(
    ([, value]) => value !== undefined && value !== null && value !== false && value !== 0,
  );
  return { imported_from: { task_id: id, ...Object.fromEntries(aside) }, ...given };
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const filled = (value: unknown): readonly unknown[] | undefined => (listOf(value).length === 0 ? undefined : listOf(value));
