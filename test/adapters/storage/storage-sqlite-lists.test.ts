/**
 * Each list is read through an index in its order: its cost grows with its page and with the assigned tasks, not with
 * those that wait or have ended.
 */
import path from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { OpenEngine } from '../../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { TaskQuery } from '../../../core/ports/task-store.ts';
import { listsWithoutAssigned } from '../../../adapters/storage-knex/migrations/0015-lists-without-assigned.ts';
import { shorterListIndexes } from '../../../adapters/storage-knex/migrations/0018-shorter-list-indexes.ts';
import { aTask, aTaskId, anAgentId, anAssignedTask, inserting } from '../../product/contracts/fixtures.ts';
import { emptyFolder, otherProgram, outside, sqliteStorage, testedDriver } from '../storage-places/sqlite-storage-place.ts';

const a1 = anAgentId('a1');
/** A walk over the assigned tasks alone, without reading their rows. */
const LIVE = /^SEARCH tasks USING COVERING INDEX tasks_live \(status=\?\)$/;
/** The required columns before the order, for every walk of the plan but one over the assigned tasks. */
const CASES: readonly (readonly [Omit<TaskQuery, 'limit'>, RegExp])[] = [
  [{}, /SCAN tasks USING COVERING INDEX tasks_by_age/],
  [{ status: 'queued' }, /COVERING INDEX tasks_by_status_and_lane \(status=\? AND lane=\?\)/],
  [{ status: 'assigned' }, LIVE],
  [{ status: 'assigned', priority: 'urgent', submittedBy: 'tok-1', sinceMs: 1 }, LIVE],
  [{ priority: 'urgent' }, /\(status=\? AND lane=\?\)/],
  [{ status: 'dead_letter', priority: 'urgent' }, /\(status=\? AND lane=\?\)/],
  [{ submittedBy: 'tok-1' }, /COVERING INDEX tasks_of_submitter \(submitted_by=\? AND status=\?\)/],
  [{ submittedBy: 'tok-1', status: 'queued' }, /\(submitted_by=\? AND status=\?\)/],
  [{ submittedBy: 'tok-1', status: 'queued', priority: 'low' }, /\(submitted_by=\? AND status=\?\)/],
  [{ sinceMs: 1 }, /USING COVERING INDEX tasks_by_age \(created_at>\?\)/],
  [{ sinceMs: 1, status: 'dead_letter' }, /\(status=\? AND lane=\? AND created_at>\?\)/],
  [{ sinceMs: 1, submittedBy: 'tok-1' }, /\(submitted_by=\? AND status=\? AND created_at>\?\)/],
  [{ assignedTo: a1 }, /assigned_to=\?\)/],
  [{ assignedTo: a1, priority: 'normal' }, /assigned_to=\?\)/],
  [{ assignedTo: a1, status: 'completed', priority: 'normal', submittedBy: 'tok-1' }, /assigned_to=\?\)/],
];

t.test('R20: no list filter scans waiting or ended tasks of other statuses, lanes, submitters or agents', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const engine = sqliteEngine({ driver: testedDriver, file, clock: systemClock(), log: silentLog });
  const requests: { readonly sql: string; readonly bindings: readonly unknown[] }[] = [];
  const open = async (): Promise<OpenEngine> => {
    const opened = await engine.open();
    const read: OpenEngine['read'] = (work, isSingleStatement) =>
      opened.read(async (db) => {
        const note = (query: (typeof requests)[number]): unknown => requests.push(query);
        db.on('query', note);
        try {
          return await work(db);
        } finally {
          db.removeListener('query', note);
        }
      }, isSingleStatement);
    return { ...opened, read };
  };
  const storage = knexStorage({ engine: { ...engine, open }, clock: systemClock(), log: silentLog });
  await storage.open();
  const program = await otherProgram(file);
  for (const [query, wanted] of CASES) {
    requests.length = 0;
    await storage.tasks.list({ ...query, limit: 50 });
    const { sql, bindings } = requests[0] ?? { sql: '', bindings: [] };
    const plan = await program.all(`EXPLAIN QUERY PLAN ${sql}`, ...bindings);
    const walks = plan.map(({ detail }) => String(detail)).filter((detail) => /^(SEARCH|SCAN) tasks /.test(detail));
    t.ok(walks.length > 0);
    const others = walks.filter((walk) => !LIVE.test(walk));
    for (const walk of others.length > 0 ? others : walks) t.match(walk, wanted, `${JSON.stringify(query)}: ${walk}`);
    t.ok(walks.length - others.length <= 1, `${JSON.stringify(query)} scans the assigned tasks once`);
    const whole = plan.filter(({ detail }) => /^(SEARCH|SCAN) t /.test(String(detail)));
    t.match(whole, [{ detail: /^SEARCH t USING INTEGER PRIMARY KEY \(rowid=\?\)$/ }], 'complete tasks are read for the page only');
    t.notOk(
      plan.some(({ detail }) => String(detail).includes('LAST TERM OF ORDER BY')),
      `${JSON.stringify(query)} sorts no tasks of the same millisecond`,
    );
  }
  requests.length = 0;
  await storage.tasks.beginningWith('task-01', 10);
  const { sql, bindings } = requests[0] ?? { sql: '', bindings: [] };
  const plan = (await program.all(`EXPLAIN QUERY PLAN ${sql}`, ...bindings)).map(({ detail }) => String(detail));
  t.match(
    plan.filter((detail) => detail.includes(' tasks ')),
    [/^SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 \(id>\? AND id<\?\)$/],
  );
  await program.close();
  await storage.close();
});

t.test('a store from before assigned tasks left the list indexes is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = sqliteStorage(file);
  await before.open();
  const tasks = [aTask({ id: aTaskId(1) }), anAssignedTask(a1, { id: aTaskId(2) }), aTask({ id: aTaskId(3), status: 'completed' })];
  await before.tasks.transact('filling', (unit) => unit.save(inserting(...tasks)));
  await before.close();
  await outside(
    file,
    ...['tasks_by_status_and_lane', 'tasks_of_submitter', 'tasks_live'].map((name) => `DROP INDEX ${name}`),
    'CREATE INDEX tasks_by_status_and_lane ON tasks (status, lane, created_at, id)',
    'CREATE INDEX tasks_of_submitter ON tasks (submitted_by, status, created_at, id)',
    "CREATE INDEX tasks_live ON tasks (status, assigned_to, id) WHERE status = 'assigned'",
    `DELETE FROM migrations WHERE name = '${listsWithoutAssigned.name}'`,
  );
  const after = sqliteStorage(file);
  await after.open();
  const found = async (query: Omit<TaskQuery, 'limit'>): Promise<readonly string[]> =>
    (await after.tasks.list({ ...query, limit: 10 })).map(({ task }) => task.id).toSorted();
  for (const { id, status } of tasks) t.strictSame(await found({ status }), [id], status);
  t.strictSame(await found({ submittedBy: 'tok-1' }), [aTaskId(1), aTaskId(2), aTaskId(3)]);
  await after.close();
  t.strictSame(await outside(file, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});

t.test('a store from before the list indexes were shorter is migrated, and pages through tasks of the same millisecond', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = sqliteStorage(file);
  await before.open();
  const timeOf = (n: number): number => (n <= 5 ? 1 : n <= 55 ? 2 : 3);
  // Not in the order of their IDs.
  const numbers = Array.from({ length: 60 }, (_, n) => ((n * 7) % 60) + 1);
  const tasks = numbers.map((n) => aTask({ id: aTaskId(n), createdAtMs: timeOf(n) }));
  await before.tasks.transact('filling', (unit) => unit.save(inserting(...tasks)));
  await before.close();
  const columns = {
    tasks_by_age: '(created_at, id)',
    tasks_by_status_and_lane: "(status, lane, created_at, id) WHERE status <> 'assigned'",
    tasks_of_submitter: "(submitted_by, status, created_at, id) WHERE status <> 'assigned'",
    tasks_by_assignee: '(assigned_to, created_at, id) WHERE assigned_to IS NOT NULL AND ended_at IS NOT NULL',
  };
  await outside(
    file,
    ...Object.entries(columns).flatMap(([name, on]) => [`DROP INDEX ${name}`, `CREATE INDEX ${name} ON tasks ${on}`]),
    `DELETE FROM migrations WHERE name = '${shorterListIndexes.name}'`,
  );
  const after = sqliteStorage(file);
  await after.open();
  const oldest = numbers.toSorted((a, b) => timeOf(a) - timeOf(b)).map((n) => aTaskId(n));
  for (const oldestFirst of [true, false])
    for (const query of [{}, { status: 'queued' }, { submittedBy: 'tok-1' }] as const) {
      const found: string[] = [];
      for (let last: TaskQuery['after']; ;) {
        const page = await after.tasks.list({ ...query, oldestFirst, limit: 7, after: last });
        found.push(...page.map(({ task }) => task.id));
        const end = page.at(-1)?.task;
        if (end === undefined) break;
        last = { createdAtMs: end.createdAtMs, id: end.id };
      }
      t.strictSame(found, oldestFirst ? oldest : oldest.toReversed(), JSON.stringify({ ...query, oldestFirst }));
    }
  const nextOf = async (n: number, oldestFirst: boolean): Promise<readonly string[]> =>
    (await after.tasks.list({ oldestFirst, limit: 100, after: { createdAtMs: 2, id: aTaskId(n) } })).map(({ task }) => task.id);
  const all = new Set(oldest);
  // The last task of a page was removed since: the others of its millisecond follow by ID.
  await outside(file, `DELETE FROM tasks WHERE id = '${aTaskId(30)}'`);
  all.delete(aTaskId(30));
  const later = [...all].filter((id) => id > aTaskId(30));
  t.strictSame((await nextOf(30, true)).toSorted(), later.toSorted());
  t.strictSame((await nextOf(30, false)).toSorted(), [...all].filter((id) => id < aTaskId(30)).toSorted());
  await after.close();
  t.strictSame(await outside(file, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  const left = await outside(
    file,
    "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks' AND sql LIKE '%created_at, id)%'",
  );
  t.strictSame(left, [], 'no index of lists has the ID');
});
