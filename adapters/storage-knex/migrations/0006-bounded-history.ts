/**
 * Events are bounded in bytes, and results that did not become the result of their task have a table of their own. In an older store,
 * larger details are truncated, and late and refused results move out of the history. Also stores the highest number of the removed events;
 * if some are missing and it is unknown which, that is the last number assigned.
 */
import { createHash } from 'node:crypto';
import { EVENT_DETAILS_BYTES_MAX, boundedDetails } from '../../../core/domain/task/event-details.ts';
import { utf8Bytes } from '../../../core/domain/encoded-text.ts';
import type { AgentId, Generation, TaskId } from '../../../core/domain/ids.ts';
import {
  hasRoomForRefused,
  NO_KEPT_RESULTS,
  REFUSING_AGENTS_MAX,
  RESULT_INLINE_BYTES_MAX,
  withLate,
  withRefused,
  type KeptResults,
  type KeptResultRef,
  type KeptResult,
} from '../../../core/domain/task/kept-results.ts';
import type { Row } from '../rows/row.ts';
import type { MigratedDatabase, Migration } from '../rows/migration.ts';

const KEPT_COLUMNS = 'task_id, generation, agent_id, kind, reason, bytes, sha256, kept_at, result, details';

export const boundedHistory: Migration = {
  name: '0006-bounded-history',
  sqlite: [
    `CREATE TABLE task_kept_results (
      task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, generation INTEGER NOT NULL, agent_id TEXT NOT NULL,
      kind TEXT NOT NULL, reason TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, kept_at INTEGER NOT NULL,
      result TEXT NOT NULL, details TEXT, PRIMARY KEY (task_id, generation, agent_id)) STRICT`,
    `CREATE TABLE removed_events (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), last_id INTEGER NOT NULL) STRICT`,
    `INSERT INTO removed_events
      SELECT 1, seq FROM sqlite_sequence WHERE name = 'task_events' AND seq <> (SELECT count(*) FROM task_events)`,
  ],
  postgres: [
    `CREATE TABLE task_kept_results (
      task_id text COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, generation bigint NOT NULL, agent_id text COLLATE "C" NOT NULL,
      kind text NOT NULL, reason text NOT NULL, bytes bigint NOT NULL, sha256 text NOT NULL, kept_at bigint NOT NULL,
      result text NOT NULL, details text, PRIMARY KEY (task_id, generation, agent_id))`,
    `CREATE TABLE removed_events (only_row integer PRIMARY KEY CHECK (only_row = 1), last_id bigint NOT NULL)`,
    `INSERT INTO removed_events SELECT 1, last_id FROM event_numbers WHERE last_id <> (SELECT count(*) FROM task_events)`,
  ],
  /** One event at a time: a history may be larger than memory. */
  async code(database) {
    let afterId = 0;
    for (;;) {
      const [row] = await database.rows(`
        SELECT id, task_id, event, at, agent_id, generation, details FROM task_events
        WHERE id > ${afterId} AND (octet_length(details) > ${EVENT_DETAILS_BYTES_MAX} OR event IN ('late_result', 'report_refused'))
        ORDER BY id LIMIT 1`);
      if (row === undefined) return;
      afterId = Number(row['id']);
      const details = row['details'] === null ? null : (JSON.parse(String(row['details'])) as Details);
      const told = await withoutResult(database, row, details);
      const text = JSON.stringify(boundedDetails(told, sha256));
      if (details !== null) await database.change(`UPDATE task_events SET details = ${given(database)} WHERE id = ${afterId}`, text);
    }
  },
};

type Details = Readonly<Record<string, unknown>>;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const given = ({ dialect }: MigratedDatabase): string => (dialect === 'sqlite' ? '?' : '$1');

/** The details without a result that did not become the task's, which is stored separately if there is room for it. */
async function withoutResult(database: MigratedDatabase, row: Row, details: Details | null): Promise<Details | null> {
  const kind = row['event'] === 'late_result' ? 'late' : row['event'] === 'report_refused' ? 'refused' : null;
  if (kind === null || typeof details?.['result'] !== 'string' || row['agent_id'] === null) return details;
  const { result, reason, usage, ...said } = details;
  const agentId = String(row['agent_id']) as AgentId;
  const state = await stateOf(database, row);
  const saidText = Object.keys(said).length === 0 ? null : JSON.stringify(said);
  const one: KeptResult = {
    taskId: String(row['task_id']) as TaskId,
    generation: Number(row['generation'] ?? state?.['generation'] ?? 0) as Generation,
    agentId,
    kind,
    reason: typeof reason === 'string' ? reason : kind,
    bytes: utf8Bytes(result) + (saidText === null ? 0 : utf8Bytes(saidText)),
    sha256: sha256(result),
    atMs: Number(row['at']),
    result,
    details: saidText,
  };
  const isKept = state !== undefined && (await keep(database, state, one));
  return {
    ...said,
    ...(reason === undefined ? {} : { reason }),
    ...(usage === undefined ? {} : { usage }),
    result_bytes: utf8Bytes(result),
    result_sha256: one.sha256,
    result_kept: isKept,
    ...(utf8Bytes(result) <= RESULT_INLINE_BYTES_MAX ? { result } : {}),
  };
}

async function stateOf(database: MigratedDatabase, row: Row): Promise<Record<string, unknown> | undefined> {
  const [found] = await database.rows(`SELECT state FROM tasks WHERE id = ${given(database)}`, String(row['task_id']));
  return found === undefined ? undefined : (JSON.parse(String(found['state'])) as Record<string, unknown>);
}

async function keep(database: MigratedDatabase, state: Record<string, unknown>, one: KeptResult): Promise<boolean> {
  const before = (state['kept'] as KeptResults | undefined) ?? NO_KEPT_RESULTS;
  const counted = one.kind === 'refused' ? withRecordedRefusal(before, one.agentId) : before;
  const isKept = one.kind === 'late' || hasRoomForRefused(counted, one);
  const late = one.kind === 'late' ? withLate(counted, one) : null;
  for (const { generation, agentId } of late?.rows.dropped ?? []) await drop(database, { taskId: one.taskId, generation, agentId });
  if (isKept) {
    await drop(database, one);
    await database.change(insertOf(database), JSON.stringify(one));
  }
  const kept = late?.kept ?? (isKept ? withRefused(counted, one) : counted);
  await database.change(updateOf(database), JSON.stringify({ id: one.taskId, state: JSON.stringify({ ...state, kept }) }));
  return isKept;
}

/** Refusals that are already in the history count, however many there are. */
const withRecordedRefusal = ({ results, refused }: KeptResults, agentId: AgentId): KeptResults => {
  const isNamed = refused.some((one) => one.agentId === agentId) || refused.length < REFUSING_AGENTS_MAX;
  const name = isNamed ? agentId : null;
  const known = refused.find((one) => one.agentId === name) ?? { agentId: name, told: 0, counted: 0 };
  return { results, refused: [...refused.filter((one) => one !== known), { ...known, told: known.told + 1 }] };
};

const textOf = ({ dialect }: MigratedDatabase, name: string): string => (dialect === 'sqlite' ? `j ->> '$.${name}'` : `j ->> '${name}'`);
const numberOf = (database: MigratedDatabase, name: string): string => `CAST(${textOf(database, name)} AS bigint)`;
const parameter = ({ dialect }: MigratedDatabase): string =>
  dialect === 'sqlite' ? '(SELECT ? AS j) AS p' : '(SELECT $1::json AS j) AS p';

function insertOf(database: MigratedDatabase): string {
  const text = (name: string): string => textOf(database, name);
  const values = [text('taskId'), numberOf(database, 'generation'), text('agentId'), text('kind'), text('reason')];
  const rest = [numberOf(database, 'bytes'), text('sha256'), numberOf(database, 'atMs'), text('result'), text('details')];
  return `INSERT INTO task_kept_results (${KEPT_COLUMNS}) SELECT ${[...values, ...rest].join(', ')} FROM ${parameter(database)}`;
}

const updateOf = (database: MigratedDatabase): string =>
  `UPDATE tasks SET state = ${textOf(database, 'state')} FROM ${parameter(database)} WHERE tasks.id = ${textOf(database, 'id')}`;

const drop = (
  database: MigratedDatabase,
  { taskId, generation, agentId }: Pick<KeptResultRef, 'generation' | 'agentId'> & { readonly taskId: TaskId },
) =>
  database.change(
    `DELETE FROM task_kept_results WHERE generation = ${Number(generation)} AND EXISTS (
      SELECT 1 FROM ${parameter(database)} WHERE task_id = ${textOf(database, 'taskId')} AND agent_id = ${textOf(database, 'agentId')})`,
    JSON.stringify({ taskId, agentId }),
  );
