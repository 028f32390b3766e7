/** Lists of the tasks of one submitter. */
import t from 'tap';
import { SEARCHED_MAX } from '../../../../adapters/http/endpoints/task-lists.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import { A_MOMENT_MS, aTask, aTaskId, anAgentId, anAssignedTask, inserting } from '../../../product/contracts/fixtures.ts';
import { BENCH_AGENT, hubBench, type Answered, type HubBench } from '../hub-bench.ts';

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const at = (n: number) => ({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + n });
const list = (query: string, token = 'viewer'): Promise<Answered> => bench.send(`/api/tasks${query}`, { token });
const pageOf = ({ json }: Answered): unknown => [
  (json['tasks'] as readonly Readonly<Record<string, unknown>>[]).map(({ id }) => id),
  json['next_cursor'],
];
const all = (...numbers: readonly number[]): unknown => [numbers.map(aTaskId), null];

t.test('lists the tasks of a submitter, with any other filter', async (t) => {
  await bench.commit(
    inserting(
      aTask({ ...at(1), submittedBy: 'admin', priority: 'urgent' }),
      aTask({ ...at(2), submittedBy: 'tok-other' }),
      anAssignedTask(BENCH_AGENT, { ...at(3), submittedBy: 'admin' }),
      aTask({ ...at(4), submittedBy: 'admin', status: 'dead_letter', lastError: 'no space left' }),
      anAssignedTask(anAgentId('a2'), { ...at(5), submittedBy: 'admin' }),
      aTask({ ...at(6), submittedBy: 'tok-other', status: 'dead_letter', priority: 'urgent' }),
    ),
  );
  const cases: readonly (readonly [string, unknown])[] = [
    ['?submitted_by=admin', all(5, 4, 3, 1)],
    ['?submitted_by=tok-other', all(6, 2)],
    ['?submitted_by=tok-othe', all()],
    ['?submitted_by=admin&status=queued', all(1)],
    ['?submitted_by=admin&priority=urgent', all(1)],
    [`?submitted_by=admin&assigned_to=${BENCH_AGENT}`, all(3)],
    [`?submitted_by=admin&assigned_to=${BENCH_AGENT}&priority=urgent`, all()],
    [`?submitted_by=admin&since=${A_MOMENT_MS + 4}`, all(5, 4)],
    ['?submitted_by=admin&text=SPACE', all(4)],
    ['?submitted_by=admin&order=oldest', all(1, 3, 4, 5)],
    ['?submitted_by=admin&limit=2', [[5, 4].map(aTaskId), `${A_MOMENT_MS + 4}.${aTaskId(4)}`]],
    [`?submitted_by=admin&limit=2&cursor=${A_MOMENT_MS + 4}.${aTaskId(4)}`, all(3, 1)],
    ['/dead-letter?submitted_by=tok-other', all(6)],
    ['/dead-letter?submitted_by=tok-other&priority=low', all()],
  ];
  for (const [query, wanted] of cases) t.strictSame(pageOf(await list(query)), wanted, query);
  for (const query of ['?submitted_by=', `?submitted_by=${'x'.repeat(129)}`, '?submitted_by=a&submitted_by=b', '?submitted_by=%00'])
    t.match(await list(query), { status: 400, json: { error: 'validation_failed', details: [{ field: 'submitted_by' }] } }, query);
  const withPrefix = await list(`?submitted_by=admin&id_prefix=${aTaskId(1)}`);
  t.match(withPrefix, { status: 400, json: { details: [{ field: 'id_prefix', error: 'contradiction' }] } });
});

t.test('a submitter gets an empty page for another submitter, whether that one exists or not', async (t) => {
  const own = { submittedBy: 'tok-submitter' };
  await bench.commit(
    inserting(
      aTask({ ...at(1), ...own }),
      aTask({ ...at(2), submittedBy: 'tok-other', priority: 'urgent' }),
      aTask({ ...at(3), submittedBy: 'tok-other', status: 'dead_letter' }),
      aTask({ ...at(4), ...own, priority: 'urgent' }),
    ),
  );
  for (const query of ['', '&limit=1', '&priority=urgent', '&text=count', `&cursor=${A_MOMENT_MS + 9}.${aTaskId(9)}`])
    for (const id of ['tok-other', 'tok-nobody', 'admin'])
      t.strictSame(pageOf(await list(`?submitted_by=${id}${query}`, 'submitter')), all(), `${id}${query}`);
  t.strictSame(pageOf(await list('/dead-letter?submitted_by=tok-other', 'submitter')), all());
  t.strictSame(pageOf(await list('?submitted_by=tok-submitter', 'submitter')), all(4, 1), 'its own');
  t.strictSame(pageOf(await list('?submitted_by=tok-submitter&priority=urgent', 'submitter')), all(4));
  t.match(await list('?submitted_by=tok-other&limit=0', 'submitter'), { status: 400, json: { details: [{ field: 'limit' }] } });
  t.match(await list('?submitted_by=tok-other&cursor=x', 'submitter'), { status: 400, json: { details: [{ field: 'cursor' }] } });
});

t.test('the priority or the agent of the tasks of a submitter is searched for within a limited number of them', async (t) => {
  const tasks = Array.from({ length: SEARCHED_MAX + 60 }, (_, n): Task => aTask({ ...at(n), submittedBy: 'admin' }));
  const oldest = anAssignedTask(BENCH_AGENT, { ...at(0), submittedBy: 'admin', priority: 'urgent' });
  await bench.commit(inserting(oldest, ...tasks.slice(1)));
  for (const query of ['priority=urgent', `assigned_to=${BENCH_AGENT}`]) {
    const cursor = `${A_MOMENT_MS + 60}.${aTaskId(60)}`;
    t.strictSame(pageOf(await list(`?submitted_by=admin&${query}`)), [[], cursor], `${query}: not among the newest`);
    t.strictSame(pageOf(await list(`?submitted_by=admin&${query}&cursor=${cursor}`)), all(0), query);
  }
});

t.test("a submitter's own task is found by a prefix that begins the IDs of others' tasks, too", async (t) => {
  const named = (prefix: string, token = 'submitter') => list(`?id_prefix=${prefix}`, token);
  const tasksOf = (submittedBy: string, first: number, count: number) =>
    Array.from({ length: count }, (_, n) => aTask({ id: aTaskId(first + n), submittedBy }));
  const prefix = aTaskId(1).slice(0, -4);
  await bench.commit(inserting(...tasksOf('tok-other', 0, 60), ...tasksOf('tok-submitter', 60, 1)));
  t.strictSame(pageOf(await named(prefix)), all(60));
  t.strictSame(pageOf(await named(prefix, 'viewer')), all(...Array(10).keys()), 'at most ten');
  await bench.commit(inserting(...tasksOf('tok-other', 61, SEARCHED_MAX)));
  t.strictSame((await named(prefix)).json['details'], [
    { field: 'id_prefix', error: 'minLength', detail: 'begins the IDs of too many tasks; add digits' },
  ]);
  t.strictSame(pageOf(await named(aTaskId(60).slice(0, -1))), all(60), 'with more digits');
  await bench.commit(inserting(...tasksOf('tok-submitter', 0xf0000, 11)));
  t.strictSame(pageOf(await named(aTaskId(0xf0000).slice(0, -4))), all(...Array.from({ length: 10 }, (_, n) => 0xf0000 + n)), 'of its own, too'); // prettier-ignore
});
