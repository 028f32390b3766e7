/** A database opened only to be inspected: the part that is the same for every database. */
import type { Agent, PendingStop } from '../../core/domain/agent/agent.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { AgentcomError, messageOf, withoutStop } from '../../core/errors/agentcom-error.ts';
import type { StoreCheck, StoreDamage, StoreInspection, TaskPage } from '../../core/ports/store-inspection.ts';
import { auditPageIn } from './audit/knex-audit-log.ts';
import type { Row } from './engine.ts';
import type { InspectionStatements } from './inspection-statements.ts';
import type { SchemaDamage } from './rows/unknown-steps.ts';
import { eventsIn } from './rows/event-rows.ts';
import { agentColumns, bodyIn, keyIn, stateIn, taskColumns, taskIn, tombstoneIn } from './rows/rows.ts';

export interface Inspected {
  readonly statements: InspectionStatements;
  /** `parameter`: any JSON value. Reads one committed state throughout. */
  readonly rows: (sql: string, parameter?: unknown) => Promise<readonly Row[]>;
  /** What keeps this program from reading it. */
  readonly schema: () => Promise<readonly SchemaDamage[]>;
  /** What the database itself finds wrong with its pages, one sentence each. */
  readonly file: () => Promise<readonly string[]>;
  /** The same within seconds; null if that is not possible. */
  readonly quick: () => Promise<readonly string[] | null>;
  readonly close: () => Promise<void>;
}

type RowsOf = Pick<Inspected, 'rows' | 'statements'>;

/** Before the first of all owners and keys. */
const FIRST_KEY = '["",""]';

export function inspectionOver(looked: Inspected): StoreInspection {
  const { statements, rows } = looked;
  return {
    schema: async () => (await looked.schema()).map(({ check, what }) => damage(check, what)),
    async quick() {
      let isRead = true;
      const found = await damageOf('file', async () => {
        const lines = await looked.quick();
        isRead = lines !== null;
        return (lines ?? []).map((what) => damage('file', what));
      });
      return isRead ? found : null;
    },
    async whole() {
      const file = await damageOf('file', async () => (await looked.file()).map((what) => damage('file', what)));
      return file.length > 0 ? file : looseRows(looked);
    },
    tasks: (after, limit) => taskPage(looked, after, limit),
    tasksById: async (ids) => (await rows(statements.tasksById, ids)).flatMap((row) => readTask(row) ?? []),
    tombstonesById: async (ids) => (await rows(statements.tombstonesById, ids)).map(tombstoneIn),
    eventsOf: async (ids) => (await rows(statements.eventsOf, ids)).flatMap(eventsIn),
    async events(afterId, limit) {
      const events = (await rows(statements.events, { afterId, limit })).flatMap(eventsIn);
      return events.filter(({ id }) => id > afterId).slice(0, limit);
    },
    agents: async () => (await rows(statements.agents)).map((row) => stateIn<Agent>(row)),
    stops: async () => (await rows(statements.stops)).map((row) => stateIn<PendingStop>(row)),
    async keys(after, limit) {
      const found = await rows(statements.keys, { after: after ?? FIRST_KEY, limit });
      return { keys: found.map(keyIn), next: found.length < limit ? null : String(found.at(-1)?.['place']) };
    },
    async audit(query) {
      const [ends] = await rows(statements.auditEnds);
      return auditPageIn(await rows(statements.auditEntries, query), ends);
    },
    close: looked.close,
  };
}

const damage = (check: StoreCheck, what: string, taskId: unknown = null): StoreDamage => ({ check, what, taskId: taskId as TaskId | null });

/** What `look` finds; if it fails, that counts as damage of the same kind. */
async function damageOf(check: StoreCheck, look: () => Promise<readonly StoreDamage[]>): Promise<readonly StoreDamage[]> {
  try {
    return await look();
  } catch (thrown) {
    return [damage(check, `it could not be inspected: ${withoutStop(AgentcomError.is(thrown) ? thrown.found : messageOf(thrown))}`)];
  }
}

/** The task of a row; undefined if its state is damaged, which the page that it is on reports. */
function readTask(row: Row): Task | undefined {
  try {
    return taskIn(row);
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) return undefined;
    throw thrown;
  }
}

/** A missing store ID, rows that belong to no task, agents whose columns contradict their state, and wrong counts of tasks. */
async function looseRows({ rows, statements }: Inspected): Promise<readonly StoreDamage[]> {
  const store = await damageOf('store_id', async () =>
    (await rows(statements.storeId)).length > 0 ? [] : [damage('store_id', 'the table "store" has no row with the ID of this store')],
  );
  const orphans = await damageOf('orphan', async () =>
    (await rows(statements.orphans)).map((row) => damage('orphan', `a row of ${String(row['place'])} belongs to no task`, row['task_id'])),
  );
  const agents = await damageOf('copies', async () =>
    (await rows(statements.agents)).flatMap((row) => {
      const wrong = differing(row, agentColumns(stateIn<Agent>(row)));
      return wrong === null ? [] : [damage('copies', `agent ${String(row['id'])}: ${wrong}`)];
    }),
  );
  const counts = await damageOf('counts', async () =>
    (await rows(statements.counts)).map((row) =>
      damage(
        'counts',
        `${String(row['counted'])} tasks are counted as ${String(row['status'])} in lane ${String(row['lane'])}, found ${String(row['found'])}`,
      ),
    ),
  );
  return [...store, ...orphans, ...agents, ...counts];
}

async function taskPage({ rows, statements }: RowsOf, after: string | null, limit: number): Promise<TaskPage> {
  const found = await rows(statements.taskPage, { after: after ?? '', limit });
  const tasks: TaskPage['tasks'][number][] = [];
  const wrong: StoreDamage[] = [];
  for (const row of found) {
    const task = readTask(row);
    if (task === undefined) {
      wrong.push(damage('unreadable', 'its state is not what a hub writes', row['id']));
      continue;
    }
    tasks.push({ task, dueAtMs: row['due_at'] as number | null });
    const copies = differing(row, taskColumns({ task, dueAtMs: row['due_at'] as number | null }));
    if (copies !== null) wrong.push(damage('copies', copies, row['id']));
    const { length } = task.kept.results;
    if (Number(row['kept']) !== length)
      wrong.push(damage('result', `it names ${length} separately stored results, found ${Number(row['kept'])}`, row['id']));
    if (task.status === 'completed' && !isTrue(row['has_result']))
      wrong.push(damage('result', 'it is completed, but its result is missing', row['id']));
  }
  wrong.push(
    ...(await bodyDamage(
      { rows, statements },
      found.map(({ id }) => id),
    )),
  );
  const pairs = tasks.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn })));
  for (const row of pairs.length === 0 ? [] : await rows(statements.missingDependencies, pairs))
    wrong.push(damage('dependency', `its dependency on ${String(row['depends_on'])} is not recorded`, row['task_id']));
  return { tasks, damage: wrong, next: found.length < limit ? null : String(found.at(-1)?.['id']) };
}

/** Bodies read at a time: each may have hundreds of kilobytes. */
const BODIES_PAGE = 50;

/** Tasks whose bodies are missing or cannot be read. */
async function bodyDamage({ rows, statements }: RowsOf, ids: readonly unknown[]): Promise<readonly StoreDamage[]> {
  const wrong: StoreDamage[] = [];
  for (let from = 0; from < ids.length; from += BODIES_PAGE) {
    const slice = ids.slice(from, from + BODIES_PAGE);
    const bodies = new Map((await rows(statements.bodiesOf, slice)).map((row) => [row['task_id'], row]));
    for (const id of slice) {
      const row = bodies.get(id);
      if (row === undefined) wrong.push(damage('body', 'its body is missing', id));
      else if (!isReadable(row, bodyIn)) wrong.push(damage('body', 'its body cannot be read', id));
    }
  }
  return wrong;
}

function isReadable(row: Row, read: (row: Row) => unknown): boolean {
  try {
    read(row);
    return true;
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) return false;
    throw thrown;
  }
}

/** SQLite represents true as 1. */
const isTrue = (value: unknown): boolean => value === true || value === 1;

/** The first column that differs from its row's state, as a sentence. */
function differing(row: Row, columns: Readonly<Record<string, unknown>>): string | null {
  for (const [name, wanted] of Object.entries(columns)) {
    const column = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (column === 'state' || row[column] === wanted) continue;
    return `its column ${column} is ${String(row[column])}, its state says ${String(wanted)}`;
  }
  return null;
}
