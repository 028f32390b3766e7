/** An SQLite database opened only to be looked at, beside its hub or without one. */
import { pathToFileURL } from 'node:url';
import type { Agent, PendingStop } from '../../core/domain/agent.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import type { StoreCheck, StoreDamage, StoreInspection, TaskPage } from '../../core/ports/store-inspection.ts';
import type { Row } from './engine.ts';
import { agentColumns, eventIn, keyIn, stateIn, taskColumns, taskIn, tombstoneIn } from './rows.ts';
import { openSqlite } from './sqlite-connection.ts';
import { sqliteFailure } from './sqlite-failures.ts';
import { cannotOpen } from './sqlite-files.ts';
import { SQLITE_INSPECTION } from './sqlite-inspection-statements.ts';
import { schemaDamage } from './sqlite-schema.ts';

/**
 * Takes a snapshot of the file and holds it until `close`; meanwhile a hub's write-ahead log is not cut back. Fails with
 * `AC_STORAGE_OPEN` when there is no such database.
 */
export async function inspectSqlite(file: string): Promise<StoreInspection> {
  const { default: sqlite3 } = await import('sqlite3');
  let opened: Awaited<ReturnType<typeof openSqlite>>;
  try {
    opened = await openSqlite(`${pathToFileURL(file).href}?mode=ro`, sqlite3.OPEN_READONLY | sqlite3.OPEN_URI);
  } catch (thrown) {
    throw cannotOpen(file, 'there is no database that this user may read. Look at hub.dataDir and storage.file of the config', thrown);
  }
  const { connection, close } = opened;
  const rows = async (sql: string, parameter?: unknown): Promise<readonly Row[]> => {
    try {
      return await connection.rows(sql, parameter === undefined ? undefined : JSON.stringify(parameter));
    } catch (thrown) {
      throw sqliteFailure(thrown, 'read', file);
    }
  };
  await connection.change('BEGIN');
  return {
    schema: () => damageOf('schema', async () => (await schemaDamage(rows)).map((what) => damage('schema', what))),
    whole: async () => [...(await fileDamage(rows)), ...(await looseRows(rows))],
    tasks: (after, limit) => taskPage(rows, after, limit),
    tasksById: async (ids) => (await rows(SQLITE_INSPECTION.tasksById, ids)).map(taskIn),
    tombstonesById: async (ids) => (await rows(SQLITE_INSPECTION.tombstonesById, ids)).map(tombstoneIn),
    eventsOf: async (ids) => (await rows(SQLITE_INSPECTION.eventsOf, ids)).map(eventIn),
    events: async (afterId, limit) => (await rows(SQLITE_INSPECTION.events, { afterId, limit })).map(eventIn),
    agents: async () => (await rows(SQLITE_INSPECTION.agents)).map((row) => stateIn<Agent>(row)),
    stops: async () => (await rows(SQLITE_INSPECTION.stops)).map((row) => stateIn<PendingStop>(row)),
    async keys(after, limit) {
      const found = await rows(SQLITE_INSPECTION.keys, { after, limit });
      return { keys: found.map(keyIn), next: found.length < limit ? null : Number(found.at(-1)?.['place']) };
    },
    close,
  };
}

type Rows = (sql: string, parameter?: unknown) => Promise<readonly Row[]>;

const damage = (check: StoreCheck, what: string, taskId: unknown = null): StoreDamage => ({ check, what, taskId: taskId as TaskId | null });

/** What `look` finds; that it cannot be looked at is damage of the same kind. */
async function damageOf(check: StoreCheck, look: () => Promise<readonly StoreDamage[]>): Promise<readonly StoreDamage[]> {
  try {
    return await look();
  } catch (thrown) {
    return [damage(check, `it could not be looked at: ${thrown instanceof Error ? thrown.message : String(thrown)}`)];
  }
}

const fileDamage = (rows: Rows): Promise<readonly StoreDamage[]> =>
  damageOf('file', async () =>
    (await rows(SQLITE_INSPECTION.integrity))
      .map((row) => String(row['integrity_check']))
      .filter((line) => line !== 'ok')
      .map((line) => damage('file', `SQLite finds: ${line}`)),
  );

/** Rows that belong to no task, agents that say two things, and numbers of tasks that are not theirs. */
async function looseRows(rows: Rows): Promise<readonly StoreDamage[]> {
  const orphans = await damageOf('orphan', async () =>
    (await rows(SQLITE_INSPECTION.orphans)).map((row) =>
      damage('orphan', `a row of ${String(row['place'])} belongs to no task`, row['task_id']),
    ),
  );
  const agents = await damageOf('copies', async () =>
    (await rows(SQLITE_INSPECTION.agents)).flatMap((row) => {
      const wrong = differing(row, agentColumns(stateIn<Agent>(row)));
      return wrong === null ? [] : [damage('copies', `agent ${String(row['id'])}: ${wrong}`)];
    }),
  );
  const counts = await damageOf('counts', async () =>
    (await rows(SQLITE_INSPECTION.counts)).map((row) =>
      damage(
        'counts',
        `${String(row['counted'])} tasks are counted as ${String(row['status'])} in lane ${String(row['lane'])}, there are ${String(row['found'])}`,
      ),
    ),
  );
  return [...orphans, ...agents, ...counts];
}

async function taskPage(rows: Rows, after: string | null, limit: number): Promise<TaskPage> {
  const found = await rows(SQLITE_INSPECTION.taskPage, { after: after ?? '', limit });
  const tasks: TaskPage['tasks'][number][] = [];
  const wrong: StoreDamage[] = [];
  for (const row of found) {
    if (row['readable'] !== 1) {
      wrong.push(damage('unreadable', 'its state is no JSON', row['id']));
      continue;
    }
    const task = taskIn(row);
    tasks.push({ task, dueAtMs: row['due_at'] as number | null });
    const copies = differing(row, taskColumns({ task, dueAtMs: row['due_at'] as number | null }));
    if (copies !== null) wrong.push(damage('copies', copies, row['id']));
    if (row['has_body'] !== 1) wrong.push(damage('body', 'what its submitter said is not there', row['id']));
    if (task.status === 'completed' && row['has_result'] !== 1)
      wrong.push(damage('result', 'it is completed and its result is not there', row['id']));
  }
  const pairs = tasks.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn })));
  for (const row of pairs.length === 0 ? [] : await rows(SQLITE_INSPECTION.missingDependencies, pairs))
    wrong.push(damage('dependency', `that it waits for ${String(row['depends_on'])} is not noted`, row['task_id']));
  return { tasks, damage: wrong, next: found.length < limit ? null : String(found.at(-1)?.['id']) };
}

/** The first column that is not what its row's state says, as a sentence. */
function differing(row: Row, columns: Readonly<Record<string, unknown>>): string | null {
  for (const [name, wanted] of Object.entries(columns)) {
    const column = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (column === 'state' || row[column] === wanted) continue;
    return `its column ${column} is ${String(row[column])}, its state says ${String(wanted)}`;
  }
  return null;
}
