/** The tables of a store as its database describes them, so that a table that a later step of the schema adds is copied as well. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

export interface Column {
  readonly name: string;
  readonly type: 'integer' | 'text';
}

export interface Table {
  readonly name: string;
  /** In the order of their names, which is the same on every database. */
  readonly columns: readonly Column[];
  /** The columns of its primary key. */
  readonly key: readonly string[];
  /** Tables that must be filled before it. */
  readonly references: readonly string[];
}

/** Tables that are meaningful only in their own database, each with what happens to it in a move. */
export const STAYING: Readonly<Record<string, string>> = {
  migrations: 'the steps that this very database has taken: compared before the move',
  migrations_lock: 'belongs to Knex',
  sqlite_sequence: "SQLite's number of the last event: moved as a number",
  event_numbers: "Postgres' number of the last event: moved as a number",
  task_counts: 'recomputed from the copied tasks, and compared after the move',
  commit_log: 'how far SQLite has its commit log: the log stays beside its own database',
  batches: 'committed batches, of which only the hub that wrote them asks',
  hubs: 'which hubs live: none does while a store is moved',
  hub_mail: 'messages between running hubs for immediate delivery; reconnecting agents get the same from the tasks themselves',
};

/**
 * The tables to copy, each after those that it refers to. Fails with `AC_INTERNAL` if the tables of the two sides differ although both have
 * taken the same steps.
 */
export function tablesToCopy(from: readonly Table[], to: readonly Table[]): readonly Table[] {
  const moving = (tables: readonly Table[]): readonly Table[] =>
    tables.filter(({ name }) => !(name in STAYING)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const [wanted, found] = [moving(from), moving(to)];
  const said = (tables: readonly Table[]): readonly string[] =>
    tables.map(({ name, columns, key }) => JSON.stringify({ name, columns, key }));
  const [here, there] = [said(wanted), said(found)];
  const differing = [...here.filter((table) => !there.includes(table)), ...there.filter((table) => !here.includes(table))];
  if (differing.length > 0)
    throw new AgentcomError('AC_INTERNAL', `Cannot copy a store: its tables are not the same on both databases: ${differing.join('; ')}.`);
  const keyless = wanted.filter(({ key }) => key.length === 0).map(({ name }) => name);
  if (keyless.length > 0)
    throw new AgentcomError('AC_INTERNAL', `Cannot copy a store: ${keyless.join(', ')} has no primary key to go along.`);
  return inOrder(wanted);
}

function inOrder(tables: readonly Table[]): readonly Table[] {
  const ordered: Table[] = [];
  while (ordered.length < tables.length) {
    const ready = tables.filter(
      (table) =>
        !ordered.includes(table) &&
        table.references.every((name) => name === table.name || ordered.some((before) => before.name === name) || name in STAYING),
    );
    if (ready.length === 0) throw new AgentcomError('AC_INTERNAL', 'Cannot copy a store: its tables refer to each other in a circle.');
    ordered.push(...ready);
  }
  return ordered;
}
