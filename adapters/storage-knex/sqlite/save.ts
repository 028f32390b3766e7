/**
 * All that a batch saves as one statement, which is its own transaction: a statement of its own costs the loop and SQLite's
 * thread a hand-over each, which takes longer than most of them. The statement inserts a row into a view, whose columns are
 * the rows of each kind as JSON; the view's trigger is made of the statements that save them one after the other.
 */
import type { CountChange, SavedRows } from '../engine.ts';
import type { SqliteConnection } from './connection.ts';
import { sqliteCodeOf } from './failures.ts';
import { parameterOf } from './parameters.ts';
import { INSERT_NUMBERED_EVENTS, SQLITE_STATEMENTS } from './statements.ts';

/** What is raised where a task or an event that was to be new was there before: nothing was saved. */
const REPEATED = 'agentcom: a new row was saved before';
/** What is raised where a changed task was never inserted. */
const NEVER_INSERTED = 'agentcom: a changed task was never inserted';

/** What is raised where an idempotency key belongs to other tasks: it was not looked up, and is not new. */
const KEY_TAKEN = 'agentcom: an idempotency key was saved before';

/** The kinds in the order in which they are saved, each with its statement. */
const STEPS: readonly (readonly [kind: keyof SavedRows, statement: string, raised?: string])[] = [
  // The events of a repeated task may be there in other rows, where their own names do not tell; and it must not be counted again.
  ['insertTasks', SQLITE_STATEMENTS.insertTasks, REPEATED],
  ['insertBodies', SQLITE_STATEMENTS.insertBodies],
  ['insertDependencies', SQLITE_STATEMENTS.insertDependencies],
  ['updateTasks', SQLITE_STATEMENTS.updateTasks, NEVER_INSERTED],
  ['saveResults', SQLITE_STATEMENTS.saveResults],
  ['saveAgents', SQLITE_STATEMENTS.saveAgents],
  ['clearStops', SQLITE_STATEMENTS.clearStops],
  ['saveStops', SQLITE_STATEMENTS.saveStops],
  ['insertKeys', SQLITE_STATEMENTS.insertKeys],
  ['insertEvents', INSERT_NUMBERED_EVENTS, REPEATED],
];

/** Whose rows must all be saved: their numbers are given too, as SQLite would parse the rows once more to count them. */
const COUNTED = STEPS.filter(([, , raised]) => raised !== undefined).map(([kind]) => kind);
const countOf = (kind: keyof SavedRows): string => `${kind}Count`;

/** `text` as a step of the trigger: it reads its column of the new row where it would read its parameter. */
const stepOf = (text: string, column: string): string => `${text.replaceAll('?1', `NEW.${column}`).replaceAll('?2', 'NEW.lastEvent')};`;

/** Run once on a connection that saves so. */
export const SAVE_AT_ONCE: readonly string[] = [
  `CREATE TEMP TRIGGER refuse_taken_key BEFORE UPDATE ON idempotency_keys BEGIN SELECT RAISE(ABORT, '${KEY_TAKEN}'); END`,
  `CREATE TEMP VIEW saved_batch AS SELECT ${['recordBatch', ...STEPS.map(([kind]) => kind), 'saveCounts', ...COUNTED.map(countOf), 'lastEvent'].map((column) => `NULL AS ${column}`).join(', ')}`,
  `CREATE TEMP TRIGGER save_batch INSTEAD OF INSERT ON saved_batch BEGIN
    ${stepOf(SQLITE_STATEMENTS.recordBatch, 'recordBatch')}
    ${STEPS.map(([kind, statement, raised]) =>
      raised === undefined
        ? stepOf(statement, kind)
        : `${stepOf(statement, kind)} SELECT RAISE(ABORT, '${raised}') WHERE changes() <> NEW.${countOf(kind)};`,
    ).join('\n')}
    ${stepOf(SQLITE_STATEMENTS.saveCounts, 'saveCounts')}
  END`,
];

/** Its parameters: `parametersOf`, and the number of the newest event. */
export const SAVE_BATCH = `INSERT INTO saved_batch VALUES (${['', ...STEPS, '', ...COUNTED, ''].map((_, index) => `?${index + 1}`).join(', ')})`;

export const parametersOf = (batchId: string, rows: SavedRows, counts: readonly CountChange[]): readonly (string | number | null)[] => [
  JSON.stringify(batchId),
  ...STEPS.map(([kind]) => (rows[kind].length === 0 ? null : parameterOf(kind, rows[kind]))),
  counts.length === 0 ? null : parameterOf('saveCounts', counts),
  ...COUNTED.map((kind) => rows[kind].length),
];

const isRaised = (thrown: unknown, text: string): boolean =>
  sqliteCodeOf(thrown) === 'SQLITE_CONSTRAINT' && thrown instanceof Error && thrown.message.endsWith(text);
export const isRepeat = (thrown: unknown): boolean => isRaised(thrown, REPEATED);
export const isKeyTaken = (thrown: unknown): boolean => isRaised(thrown, KEY_TAKEN);

/** Where the numbers of events stand on a connection. */
export interface EventNumbers {
  /** The number of the newest event; null: to be looked up. */
  last: number | null;
}

export async function lastEventNumber(connection: SqliteConnection): Promise<number> {
  const [row] = await connection.rows(`SELECT seq FROM sqlite_sequence WHERE name = 'task_events'`);
  return Number(row?.['seq'] ?? 0);
}
