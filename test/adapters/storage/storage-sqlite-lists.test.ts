/** Each list is read by an index that has its tasks in order: what it costs grows with its page, and not with the tasks that there are. */
import path from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { OpenEngine } from '../../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { TaskQuery } from '../../../core/ports/task-store.ts';
import { anAgentId } from '../../product/contracts/fixtures.ts';
import { emptyFolder, otherProgram, testedDriver } from '../storage-places/sqlite-storage-place.ts';

const a1 = anAgentId('a1');
/** What the columns before the order must be, for every walk of the plan. */
const CASES: readonly (readonly [Omit<TaskQuery, 'limit'>, RegExp])[] = [
  [{}, /SCAN tasks USING INDEX tasks_by_age/],
  [{ status: 'queued' }, /\(status=\? AND lane=\?\)/],
  [{ priority: 'urgent' }, /\(status=\? AND lane=\?\)/],
  [{ status: 'dead_letter', priority: 'urgent' }, /\(status=\? AND lane=\?\)/],
  [{ submittedBy: 'tok-1' }, /\(submitted_by=\? AND status=\?\)/],
  [{ submittedBy: 'tok-1', status: 'queued' }, /\(submitted_by=\? AND status=\?\)/],
  [{ submittedBy: 'tok-1', status: 'queued', priority: 'low' }, /\(submitted_by=\? AND status=\?\)/],
  [{ sinceMs: 1 }, /USING INDEX tasks_by_age \(created_at>\?\)/],
  [{ sinceMs: 1, status: 'dead_letter' }, /\(status=\? AND lane=\? AND created_at>\?\)/],
  [{ sinceMs: 1, submittedBy: 'tok-1' }, /\(submitted_by=\? AND status=\? AND created_at>\?\)/],
  [{ assignedTo: a1 }, /assigned_to=\?\)/],
  [{ assignedTo: a1, priority: 'normal' }, /assigned_to=\?\)/],
  [{ assignedTo: a1, status: 'completed', priority: 'normal', submittedBy: 'tok-1' }, /assigned_to=\?\)/],
];

t.test('R20: no filter of a list walks tasks of other statuses, lanes, submitters or agents', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const engine = sqliteEngine({ driver: testedDriver, file, clock: systemClock(), log: silentLog });
  const asked: { readonly sql: string; readonly bindings: readonly unknown[] }[] = [];
  const open = async (): Promise<OpenEngine> => {
    const opened = await engine.open();
    const read: OpenEngine['read'] = (work, asksOnce) =>
      opened.read((db) => {
        db.on('query', (query: (typeof asked)[number]) => asked.push(query));
        return work(db);
      }, asksOnce);
    return { ...opened, read };
  };
  const storage = knexStorage({ engine: { ...engine, open }, clock: systemClock(), log: silentLog });
  await storage.open();
  const program = await otherProgram(file);
  for (const [query, wanted] of CASES) {
    asked.length = 0;
    await storage.tasks.list({ ...query, limit: 50 });
    const { sql, bindings } = asked[0] ?? { sql: '', bindings: [] };
    const plan = await program.all(`EXPLAIN QUERY PLAN ${sql}`, ...bindings);
    const walks = plan.map(({ detail }) => String(detail)).filter((detail) => /^(SEARCH|SCAN) tasks /.test(detail));
    t.ok(walks.length > 0);
    for (const walk of walks) t.match(walk, wanted, `${JSON.stringify(query)}: ${walk}`);
  }
  asked.length = 0;
  await storage.tasks.beginningWith('task-01', 10);
  const { sql, bindings } = asked[0] ?? { sql: '', bindings: [] };
  const plan = (await program.all(`EXPLAIN QUERY PLAN ${sql}`, ...bindings)).map(({ detail }) => String(detail));
  t.match(
    plan.filter((detail) => detail.includes(' tasks ')),
    [/^SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 \(id>\? AND id<\?\)$/],
  );
  await program.close();
  await storage.close();
});
