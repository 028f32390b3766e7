/** A database opened only to be inspected: the part that is the same for every database. */
import { createHash } from 'node:crypto';
import type { TaskId } from '../../core/domain/ids.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { AgentcomError, messageOf, withoutStop } from '../../core/errors/agentcom-error.ts';
import type { FoundRows, FoundPage, InspectedTask, StoreCheck, StoreDamage, StoreInspection } from '../../core/ports/store-inspection.ts';
import { auditPageIn } from './audit/knex-audit-log.ts';
import type { Row } from './engine.ts';
import type { InspectionStatements } from './inspection-statements.ts';
import type { SchemaDamage } from './rows/unknown-steps.ts';
import { eventsIn } from './rows/event-rows.ts';
import { storedJson } from './rows/stored-schemas.ts';
import { agentColumns, agentIn, bodyIn, keptIn, keyIn, stopIn, taskColumns, taskIn, tokenIn, tombstoneIn } from './rows/rows.ts';

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
    tasksById: async (ids) => readRows(await rows(statements.tasksById, ids), taskIn).found,
    tombstonesById: async (ids) => readRows(await rows(statements.tombstonesById, ids), tombstoneIn).found,
    async tombstones(after, limit) {
      const found = await rows(statements.tombstones, { after: after ?? '', limit });
      return pageOf(
        found,
        limit,
        ({ task_id }) => task_id,
        readRows(found, tombstoneIn, ({ task_id }) => task_id),
      );
    },
    eventsOf: async (ids) => flat(readRows(await rows(statements.eventsOf, ids), eventsIn, ({ task_id }) => task_id)),
    async events(after, limit) {
      const found = await rows(statements.events, { after: Number(after ?? 0), limit });
      return pageOf(found, limit, ({ id }) => id, flat(readRows(found, eventsIn, ({ task_id }) => task_id)));
    },
    async agents() {
      const { found, damage: unreadable } = readRows(await rows(statements.agents), (row) => ({ row, agent: agentIn(row) }));
      const copies = found.flatMap(({ row, agent }) => {
        const wrong = differing(row, agentColumns(agent));
        return wrong === null ? [] : [damage('copies', `agent ${agent.id}: ${wrong}`)];
      });
      return { found: found.map(({ agent }) => agent), damage: [...unreadable, ...copies] };
    },
    stops: async () => readRows(await rows(statements.stops), stopIn, ({ task_id }) => task_id),
    async keys(after, limit) {
      const found = await rows(statements.keys, { after: after ?? FIRST_KEY, limit });
      return pageOf(found, limit, ({ place }) => place, readRows(found, keyIn));
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

/** The values of these rows; `taskIdIn`: the task that the damage of a row is reported for. */
function readRows<T>(rows: readonly Row[], read: (row: Row) => T, taskIdIn: (row: Row) => unknown = () => null): FoundRows<T> {
  const found: T[] = [];
  const wrong: StoreDamage[] = [];
  for (const row of rows) {
    try {
      found.push(read(row));
    } catch (thrown) {
      if (!AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) throw thrown;
      const { table, id, damage: what } = thrown.details ?? {};
      const taskId = taskIdIn(row);
      wrong.push(damage('unreadable', id === taskId ? String(what) : `${String(table)} ${String(id)}: ${String(what)}`, taskId));
    }
  }
  return { found, damage: wrong };
}

const flat = <T>({ found, damage }: FoundRows<readonly T[]>): FoundRows<T> => ({ found: found.flat(), damage });

/** `rows`: what a statement with this limit returned; `placeIn`: its order. */
const pageOf = <T>(rows: readonly Row[], limit: number, placeIn: (row: Row) => unknown, { found, damage }: FoundRows<T>): FoundPage<T> => {
  const last = rows.length < limit ? undefined : rows.at(-1);
  return { found, damage, next: last === undefined ? null : String(placeIn(last)) };
};

/** A missing store ID, rows that belong to no task, wrong counts of tasks, and tokens that cannot be read. */
async function looseRows({ rows, statements }: Inspected): Promise<readonly StoreDamage[]> {
  const store = await damageOf('store_id', async () =>
    (await rows(statements.storeId)).length > 0 ? [] : [damage('store_id', 'the table "store" has no row with the ID of this store')],
  );
  const orphans = await damageOf('orphan', async () =>
    (await rows(statements.orphans)).map((row) => damage('orphan', `a row of ${String(row['place'])} belongs to no task`, row['task_id'])),
  );
  const counts = await damageOf('counts', async () =>
    (await rows(statements.counts)).map((row) =>
      damage(
        'counts',
        `${String(row['counted'])} tasks are counted as ${String(row['status'])} in lane ${String(row['lane'])}, found ${String(row['found'])}`,
      ),
    ),
  );
  const tokens = await damageOf('unreadable', async () => readRows(await rows(statements.tokens), tokenIn).damage);
  return [...store, ...orphans, ...counts, ...tokens];
}

async function taskPage(looked: RowsOf, after: string | null, limit: number): Promise<FoundPage<InspectedTask>> {
  const { statements, rows } = looked;
  const page = await rows(statements.taskPage, { after: after ?? '', limit });
  const { found, damage: wrong } = readRows(
    page,
    (row) => ({ row, task: taskIn(row) }),
    ({ id }) => id,
  );
  const damages = [...wrong];
  const tasks = found.map(({ row, task }) => ({ task, dueAtMs: row['due_at'] as number | null }));
  for (const [place, { row, task }] of found.entries()) {
    const copies = differing(row, taskColumns(tasks[place] as InspectedTask));
    if (copies !== null) damages.push(damage('copies', copies, task.id));
    const { length } = task.kept.results;
    if (Number(row['kept']) !== length)
      damages.push(damage('result', `it names ${length} separately stored results, found ${Number(row['kept'])}`, task.id));
  }
  const readable = new Map<unknown, Task>(found.map(({ task }) => [task.id, task]));
  for (let from = 0; from < page.length; from += TEXTS_PAGE)
    damages.push(...(await textDamage(looked, page.slice(from, from + TEXTS_PAGE).map(({ id }) => id), readable))); // prettier-ignore
  damages.push(...(await keptDamage(looked, found.map(({ task }) => task)))); // prettier-ignore
  const pairs = found.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn })));
  for (const row of pairs.length === 0 ? [] : await rows(statements.missingDependencies, pairs))
    damages.push(damage('dependency', `its dependency on ${String(row['depends_on'])} is not recorded`, row['task_id']));
  return pageOf(page, limit, ({ id }) => id, { found: tasks, damage: damages });
}

/** Bodies and results read at a time: each may have hundreds of kilobytes. */
const TEXTS_PAGE = 50;

/** Tasks whose bodies or results are missing or cannot be read. */
async function textDamage(
  { rows, statements }: RowsOf,
  ids: readonly unknown[],
  tasks: ReadonlyMap<unknown, Task>,
): Promise<readonly StoreDamage[]> {
  const wrong: StoreDamage[] = [];
  const [bodies, results] = [await rows(statements.bodiesOf, ids), await rows(statements.resultsOf, ids)].map(byTask);
  for (const id of ids) {
    const [body, result] = [bodies?.get(id), results?.get(id)];
    if (body === undefined) wrong.push(damage('body', 'its body is missing', id));
    else if (!isReadable(() => bodyIn(body))) wrong.push(damage('body', 'its body cannot be read', id));
    if (result === undefined) {
      if (tasks.get(id)?.status === 'completed') wrong.push(damage('result', 'it is completed, but its result is missing', id));
    } else if (!isJson(result['json'])) wrong.push(damage('result', 'its result is not JSON', id));
  }
  return wrong;
}

const byTask = (rows: readonly Row[]): ReadonlyMap<unknown, Row> => new Map(rows.map((row) => [row['task_id'], row]));

/** Late and refused results that are not those that their tasks list. One task at a time: together they may have `KEPT_BYTES_MAX`. */
async function keptDamage({ rows, statements }: RowsOf, tasks: readonly Task[]): Promise<readonly StoreDamage[]> {
  const wrong: StoreDamage[] = [];
  for (const { id, kept } of tasks) {
    if (kept.results.length === 0) continue;
    const stored = (await rows(statements.keptOf, [id])).map(keptIn);
    for (const { kind, generation, agentId, sha256 } of kept.results) {
      const name = `its ${kind} result of generation ${generation} by agent ${agentId}`;
      const one = stored.find((other) => other.generation === generation && other.agentId === agentId);
      if (one === undefined) wrong.push(damage('result', `${name} is missing`, id));
      else if (one.sha256 !== sha256 || sha256Of(one.result) !== sha256)
        wrong.push(damage('result', `${name} is not what was reported: its SHA-256 differs`, id));
      else if (one.details !== null && !isJson(one.details)) wrong.push(damage('result', `the details of ${name} are not JSON`, id));
    }
  }
  return wrong;
}

const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex');

const isJson = (text: unknown): boolean => isReadable(() => storedJson(text, '', '', ''));

function isReadable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) return false;
    throw thrown;
  }
}

/** The first column that differs from its row's state, as a sentence. */
function differing(row: Row, columns: Readonly<Record<string, unknown>>): string | null {
  for (const [name, wanted] of Object.entries(columns)) {
    const column = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (column === 'state' || row[column] === wanted) continue;
    return `its column ${column} is ${String(row[column])}, its state says ${String(wanted)}`;
  }
  return null;
}
