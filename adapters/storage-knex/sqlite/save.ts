/**
 * Everything that a batch saves, as one statement that is its own transaction: each separate statement costs a handover between the event
 * loop and SQLite's thread, which takes longer than most statements. The statement inserts a row into a view, whose columns are the rows of
 * each kind as JSON. Each kind has a trigger on the view, with the statement that saves it. The trigger of a kind without rows is skipped,
 * whereas its statement would open a table and all of its indexes.
 */
import type { CountChange, SavedRows } from '../engine.ts';
import { sqliteCodeOf } from './failures.ts';
import { parameterOf } from './parameters.ts';
import { GROUP_STATEMENTS, groupsMax, groupsOf } from './row-groups.ts';
import { INSERT_NUMBERED_EVENTS, SQLITE_STATEMENTS } from './statements.ts';

/** Raised if a task or an event that should be new existed before: nothing was saved. */
const REPEATED = 'agentcom: a new row was saved before';
/** Raised if a changed task was never inserted. */
const NEVER_INSERTED = 'agentcom: a changed task was never inserted';

/** Raised if an idempotency key belongs to other tasks: it was not looked up, and is not new. */
const KEY_TAKEN = 'agentcom: an idempotency key was saved before';

/** Raised if the batch before it in the commit log is not in the database. */
const GAP = 'agentcom: the batch before this one is missing';

/** Kept results are rare, and never saved this way. */
type RowKind = Exclude<keyof SavedRows, 'saveKept' | 'dropKept'>;
/** Rows of these kinds may be passed as groups instead (row-groups.ts). */
const GROUPS_OF = { insertTaskGroups: 'insertTasks', updateTaskGroups: 'updateTasks', insertEventGroups: 'insertEvents' } as const;
type GroupKind = keyof typeof GROUPS_OF;
type Kind = RowKind | GroupKind;
const isGroupKind = (kind: Kind): kind is GroupKind => kind in GROUPS_OF;

/** The statement that saves the rows of each kind, and what is raised unless it saves them all. */
const STATEMENTS: Readonly<Record<Kind, readonly [text: string, raised?: string]>> = {
  // The events of a repeated task may be stored in other rows, so that their own keys do not reveal it; and it must not be counted again.
  insertTasks: [SQLITE_STATEMENTS.insertTasks, REPEATED],
  insertBodies: [SQLITE_STATEMENTS.insertBodies],
  insertDependencies: [SQLITE_STATEMENTS.insertDependencies],
  updateTasks: [SQLITE_STATEMENTS.updateTasks, NEVER_INSERTED],
  saveResults: [SQLITE_STATEMENTS.saveResults],
  saveAgents: [SQLITE_STATEMENTS.saveAgents],
  clearStops: [SQLITE_STATEMENTS.clearStops],
  saveStops: [SQLITE_STATEMENTS.saveStops],
  insertKeys: [SQLITE_STATEMENTS.insertKeys],
  insertEvents: [INSERT_NUMBERED_EVENTS, REPEATED],
  insertTaskGroups: [GROUP_STATEMENTS.insertTasks, REPEATED],
  updateTaskGroups: [GROUP_STATEMENTS.updateTasks, NEVER_INSERTED],
  insertEventGroups: [GROUP_STATEMENTS.insertEvents, REPEATED],
};
const KINDS = Object.keys(STATEMENTS) as readonly Kind[];

/**
 * The kinds whose rows must all be saved, as rows or as groups: the numbers of rows are passed too, since SQLite would parse the rows again
 * to count them.
 */
const COUNTED = Object.values(GROUPS_OF);
const countOf = (kind: Kind): string => `${isGroupKind(kind) ? GROUPS_OF[kind] : kind}Count`;

/** `text` as a step of a trigger: it reads its column of the new row instead of its parameter. */
const stepWith = (column: string, text: string): string => `${text.replaceAll('?1', `NEW.${column}`).replaceAll('?2', 'NEW.lastEvent')};`;
const stepOf = (kind: Kind): string => {
  const [text, raised] = STATEMENTS[kind];
  const check = raised === undefined ? '' : ` SELECT RAISE(ABORT, '${raised}') WHERE changes() <> NEW.${countOf(kind)};`;
  return stepWith(kind, text) + check;
};

const trigger = (column: string, steps: string, also = ''): string =>
  `CREATE TEMP TRIGGER save_batch_${column} INSTEAD OF INSERT ON saved_batch WHEN NEW.${column} IS NOT NULL${also} BEGIN ${steps} END`;

/**
 * Kinds that may have the same row: the first is saved before the second, by the second's trigger if both have rows. SQLite does not define
 * in which order triggers run.
 */
const IN_ORDER: readonly (readonly [first: Kind, second: Kind])[] = [
  ['insertTasks', 'updateTasks'],
  ['insertTaskGroups', 'updateTaskGroups'],
  ['clearStops', 'saveStops'],
];
const triggerOf = (kind: Kind): string => {
  const before = IN_ORDER.find(([, second]) => second === kind)?.[0];
  const after = IN_ORDER.find(([first]) => first === kind)?.[1];
  const steps = before === undefined ? stepOf(kind) : `${stepOf(before)} ${stepOf(kind)}`;
  return trigger(kind, steps, after === undefined ? '' : ` AND NEW.${after} IS NULL`);
};

/** Of the view, in the order of a batch's values. */
export const BATCH_COLUMNS: readonly string[] = ['recordBatch', ...KINDS, 'saveCounts', ...COUNTED.map(countOf), 'logged', 'lastEvent'];

/** A statement for a large batch may be undone, for which SQLite would use a file in the system's temporary folder. That may be missing or full. */
export const TEMPORARY_IN_MEMORY = 'PRAGMA temp_store = MEMORY';

/** Run once on a connection that saves this way, after `TEMPORARY_IN_MEMORY`, which removes what is temporary. */
export const SAVE_AT_ONCE: readonly string[] = [
  `CREATE TEMP TRIGGER refuse_taken_key BEFORE UPDATE ON idempotency_keys BEGIN SELECT RAISE(ABORT, '${KEY_TAKEN}'); END`,
  `CREATE TEMP VIEW saved_batch AS SELECT ${BATCH_COLUMNS.map((column) => `NULL AS ${column}`).join(', ')}`,
  trigger('recordBatch', stepWith('recordBatch', SQLITE_STATEMENTS.recordBatch)),
  ...KINDS.map(triggerOf),
  trigger('saveCounts', stepWith('saveCounts', SQLITE_STATEMENTS.saveCounts)),
  trigger(
    'logged',
    `SELECT RAISE(ABORT, '${GAP}') WHERE (SELECT last_number FROM commit_log) <> NEW.logged - 1; UPDATE commit_log SET last_number = NEW.logged;`,
  ),
];

/**
 * With more new tasks than this, a batch is several rows of the view: a text of over 128 KiB is allocated on memory pages of its own, which
 * the system has to clear first.
 */
export const NEW_TASKS_IN_ROW = 128;

export type BatchValue = string | number | null;

/** The rows of new and of changed tasks, which have the same columns. */
export type TaskRows = Pick<SavedRows, 'insertTasks' | 'updateTasks'>;

/**
 * The statement that saves a batch. `lastEvent`: the number of the newest event before it. `logged`: its number in the commit log; null: it
 * is not there.
 */
export interface SaveBatch {
  readonly tasks: TaskRows;
  readonly sql: string;
  readonly parameters: (lastEvent: number, logged: number | null) => readonly BatchValue[];
}

export function saveBatch(batchId: string, rows: SavedRows, counts: readonly CountChange[]): SaveBatch {
  const values = divided(rows).map((part, nth) => (nth === 0 ? valuesOf(JSON.stringify(batchId), part, counts) : valuesOf(null, part, [])));
  return {
    tasks: rows,
    sql: saveStatement(values.length),
    parameters: (lastEvent, logged) => values.flatMap((row, nth) => [...row, nth === 0 ? logged : null, lastEvent]),
  };
}

const inserts = new Map<number, string>();

/** The statement that inserts this many rows into the view. */
export function saveStatement(rows: number): string {
  const known = inserts.get(rows);
  if (known !== undefined) return known;
  const text = insertOf(rows, BATCH_COLUMNS);
  inserts.set(rows, text);
  return text;
}

/** The statement that inserts this many rows into the view, with values for these columns. */
export function insertOf(rows: number, columns: readonly string[]): string {
  const row = (nth: number): string => `(${columns.map((_, column) => `?${nth * columns.length + column + 1}`).join(', ')})`;
  return `INSERT INTO saved_batch (${columns.join(', ')}) VALUES ${Array.from({ length: rows }, (_, nth) => row(nth)).join(', ')}`;
}

/** The part of a batch in one row of the view: the rows of some kinds. */
type Part = Partial<SavedRows>;

/** The values of a row of the view, without the last two. */
const valuesOf = (batchId: string | null, rows: Part, counts: readonly CountChange[]): readonly BatchValue[] => {
  const given = givenRows(rows);
  return [
    batchId,
    ...KINDS.map((kind) => textOf(kind, given)),
    counts.length === 0 ? null : parameterOf('saveCounts', counts),
    ...COUNTED.map((kind) => rows[kind]?.length ?? 0),
  ];
};

/** Whether the values are those of one row of the view. */
export const isOneRow = (values: readonly BatchValue[]): boolean => values.length === BATCH_COLUMNS.length;

/** The values of one row of the view, with these tasks instead of its own. */
export function withTasks(values: readonly BatchValue[], tasks: TaskRows): readonly BatchValue[] {
  const changed = values.slice();
  const put = (column: string, value: BatchValue): void => void (changed[BATCH_COLUMNS.indexOf(column)] = value);
  const given = givenRows(tasks);
  for (const kind of ['insertTasks', 'updateTasks', 'insertTaskGroups', 'updateTaskGroups'] as const) put(kind, textOf(kind, given));
  for (const kind of ['insertTasks', 'updateTasks'] as const) put(countOf(kind), tasks[kind].length);
  return changed;
}

type GivenRows = Partial<Readonly<Record<Kind, readonly unknown[]>>>;

/** Null: there are no rows of this kind. */
function textOf(kind: Kind, { [kind]: rows = [] }: GivenRows): string | null {
  if (rows.length === 0) return null;
  return isGroupKind(kind) ? JSON.stringify(rows) : parameterOf(kind, rows);
}

/** As groups if that is shorter. New and changed tasks are both rows or both groups, since the first are saved before the second. */
function givenRows(rows: Part): GivenRows {
  const { insertTasks = [], updateTasks = [], insertEvents = [], ...others } = rows;
  const taskGroupsMax = groupsMax(insertTasks.length + updateTasks.length);
  const insertTaskGroups = groupsOf('insertTasks', insertTasks, taskGroupsMax);
  const updateTaskGroups = insertTaskGroups && groupsOf('updateTasks', updateTasks, taskGroupsMax - insertTaskGroups.length);
  const insertEventGroups = groupsOf('insertEvents', insertEvents, groupsMax(insertEvents.length));
  return {
    ...others,
    ...(updateTaskGroups === null ? { insertTasks, updateTasks } : { insertTaskGroups: insertTaskGroups ?? [], updateTaskGroups }),
    ...(insertEventGroups === null ? { insertEvents } : { insertEventGroups }),
  };
}

/**
 * Divides new tasks, and what is saved with each, into parts that are saved in this order; the last also has the rest, which may refer to
 * any of them.
 */
function divided(rows: SavedRows): readonly Part[] {
  const { insertTasks, insertBodies, insertKeys, insertEvents, ...rest } = rows;
  const count = Math.ceil(insertTasks.length / NEW_TASKS_IN_ROW);
  if (count < 2) return [rows];
  return Array.from({ length: count }, (_, nth) => {
    const of = <R>(all: readonly R[]): readonly R[] =>
      all.slice(Math.floor((all.length * nth) / count), Math.floor((all.length * (nth + 1)) / count));
    const part = {
      insertTasks: of(insertTasks),
      insertBodies: of(insertBodies),
      insertKeys: of(insertKeys),
      insertEvents: of(insertEvents),
    };
    return nth === count - 1 ? { ...rest, ...part } : part;
  });
}

const isRaised = (thrown: unknown, text: string): boolean =>
  sqliteCodeOf(thrown) === 'SQLITE_CONSTRAINT' && thrown instanceof Error && thrown.message.endsWith(text);
export const isRepeat = (thrown: unknown): boolean => isRaised(thrown, REPEATED);
export const isKeyTaken = (thrown: unknown): boolean => isRaised(thrown, KEY_TAKEN);
