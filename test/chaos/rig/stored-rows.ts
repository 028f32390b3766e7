/** Counts the rows of a hub's SQLite file from outside the hub, and judges whether their number stays bounded. */
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { AGENT_HISTORIES } from '../../../core/domain/task/event.ts';
import { bytesOf } from './gauges.ts';

export interface RowSample {
  readonly atMs: number;
  /** By table; `hostile …` counts the rows of the submitters and agents that were asked for. */
  readonly rows: Readonly<Record<string, number>>;
  /** Of the database and all files next to it, bytes, but without its write-ahead log, which fills up and is emptied, and has its own bound. */
  readonly fileBytes: number;
}

export interface Hostile {
  /** Ids of tokens that submit. */
  readonly submitters: readonly string[];
  /** The ids of all hostile agents begin with it. */
  readonly agentPrefix: string;
}

const TABLES = [
  'tasks',
  'task_bodies',
  'task_results',
  'task_dependencies',
  'task_events',
  'task_kept_results',
  'agents',
  'pending_stops',
  'idempotency_keys',
  'tombstones',
  'tokens',
  'enrol_secrets',
] as const;

/** Leaves out the agents' own events: the newest 1,000 of each agent are kept, however old, which is far more than a short run makes. */
const OF_TASKS = `NOT (task_id >= '${AGENT_HISTORIES[0]}' AND task_id < '${AGENT_HISTORIES[1]}')`;

export async function readRows(database: string, { submitters, agentPrefix }: Hostile): Promise<RowSample> {
  const theirs = `submitted_by IN (${submitters.map((id) => `'${id}'`).join(', ')})`;
  const counted: Readonly<Record<string, string>> = {
    ...Object.fromEntries(TABLES.map((table) => [table, table])),
    task_events: `task_events WHERE ${OF_TASKS}`,
    'hostile tasks': `tasks WHERE ${theirs}`,
    'hostile tasks not ended': `tasks WHERE ${theirs} AND status NOT IN ('completed', 'cancelled', 'dead_letter')`,
    'hostile dead letters': `tasks WHERE ${theirs} AND status = 'dead_letter'`,
    'hostile events': `task_events WHERE ${OF_TASKS} AND agent_id >= '${agentPrefix}' AND agent_id < '${agentPrefix}~'`,
    'hostile kept results': `task_kept_results WHERE agent_id >= '${agentPrefix}' AND agent_id < '${agentPrefix}~'`,
  };
  const { connection, close } = await (await sqliteDriver()).open(database, 'read');
  try {
    const rows: Record<string, number> = {};
    for (const [name, from] of Object.entries(counted))
      rows[name] = Number((await connection.rows(`SELECT count(*) AS n FROM ${from}`))[0]?.['n']);
    const folder = dirname(database);
    const files = readdirSync(folder).filter((file) => file !== `${basename(database)}-wal`);
    const fileBytes = files.reduce((sum, file) => sum + bytesOf(join(folder, file)), 0);
    return { atMs: Date.now(), rows, fileBytes };
  } finally {
    await close();
  }
}

/** The work of one turn of a hostile neighbour, more or less, is not growth; nor is one page of a half-empty database. */
const FEW_ROWS = 400;
const FEW_BYTES = 8 * 2 ** 20;
/** For a count in KiB: a few more large results that wait for an operator. */
const FEW_KIB = 16 * 2 ** 10;
/** What is bounded by its retention time varies with the load by less than this factor. */
const GROWTH_MAX = 1.2;

function slackOf(name: string): number {
  if (name === 'tokens' || name === 'agents') return 0;
  return name.startsWith('KiB') ? FEW_KIB : FEW_ROWS;
}

export interface RowVerdict {
  /** The first sample. `middle` and `end`: the highest of each count in the quarter around the middle, and in the last quarter. */
  readonly start: RowSample['rows'];
  readonly middle: RowSample['rows'];
  readonly end: RowSample['rows'];
  readonly middleFileBytes: number;
  readonly endFileBytes: number;
  readonly bounded: boolean;
  /** What has grown, and by how much. */
  readonly grown: readonly string[];
}

/**
 * Judges the samples of one load. Its first three eighths do not count: until then, what is kept for a limited time is
 * still accumulating.
 */
export function judgeRows(looks: readonly RowSample[], fromMs: number, toMs: number): RowVerdict {
  const within = (from: number, to: number): readonly RowSample[] =>
    looks.filter(({ atMs }) => atMs >= fromMs + (toMs - fromMs) * from && atMs <= fromMs + (toMs - fromMs) * to);
  const [middle, end] = [within(0.375, 0.625), within(0.75, Infinity)];
  const grown = Object.keys(looks[0]?.rows ?? {}).flatMap((name) => {
    const [before, after] = [highest(middle, name), highest(end, name)];
    return after > before * GROWTH_MAX + slackOf(name) ? [`${name}: ${before} → ${after}`] : [];
  });
  const bytes = (some: readonly RowSample[]): number => Math.max(0, ...some.map(({ fileBytes }) => fileBytes));
  const [middleFileBytes, endFileBytes] = [bytes(middle), bytes(end)];
  if (endFileBytes > middleFileBytes * GROWTH_MAX + FEW_BYTES) grown.push(`bytes of files: ${middleFileBytes} → ${endFileBytes}`);
  if (middle.length === 0 || end.length === 0) grown.push('no samples of rows in the middle and at the end');
  const highestOf = (some: readonly RowSample[]): RowSample['rows'] =>
    Object.fromEntries(Object.keys(looks[0]?.rows ?? {}).map((name) => [name, highest(some, name)]));
  const bounded = grown.length === 0;
  return { start: looks[0]?.rows ?? {}, middle: highestOf(middle), end: highestOf(end), middleFileBytes, endFileBytes, bounded, grown };
}

const highest = (looks: readonly RowSample[], name: string): number => Math.max(0, ...looks.map(({ rows }) => rows[name] ?? 0));
