/** Histories that are too long for one answer, and results stored separately. */
import t from 'tap';
import type { KeptResult } from '../../../core/domain/task/kept-results.ts';
import { A_MOMENT_MS, aGeneration, anAgentId, anEvent, aTask, aTaskId, inserting } from '../../product/contracts/fixtures.ts';
import { hubBench, type Answered, type HubBench } from './hub-bench.ts';

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const get = (path: string, token = 'viewer'): Promise<Answered> => bench.send(path, { token });
const seqsOf = ({ json }: Answered): readonly unknown[] => (json['events'] as readonly { readonly seq: number }[]).map(({ seq }) => seq);
const ID = aTaskId(1);

t.test('R4: a task with a history of any size is answered with its newest events, and the rest is paged', async (t) => {
  const EVENTS = 1_500;
  const events = Array.from({ length: EVENTS }, (_, n) =>
    anEvent({ seq: n + 1, event: 'progress', details: { message: `${n + 1}`, text: 'x'.repeat(15_000) } }),
  );
  await bench.commit({ ...inserting(aTask({ eventSeq: EVENTS })), events });
  const whole = await get(`/api/tasks/${ID}`);
  t.equal(whole.status, 200);
  t.ok(JSON.stringify(whole.json).length < 1_200_000, 'about one MiB');
  const history = whole.json['history'] as readonly { readonly details: { readonly message: string } }[];
  t.equal(history.at(-1)?.details.message, String(EVENTS));
  const before = whole.json['history_before'] as number;
  t.equal(history.length, EVENTS - before + 1);

  const found: unknown[] = [];
  for (let next: unknown = before; next !== null;) {
    const page = await get(`/api/tasks/${ID}/events?before=${next as number}&limit=500`);
    t.ok(JSON.stringify(page.json).length < 1_200_000);
    found.unshift(...seqsOf(page));
    next = page.json['before'];
  }
  t.strictSame(found, Array.from({ length: before - 1 }, (_, n) => n + 1), 'to the first, without a gap'); // prettier-ignore

  const first = await get(`/api/tasks/${ID}/events?after=0&limit=3`);
  t.strictSame([seqsOf(first), first.json['before'], first.json['after']], [[1, 2, 3], null, 3]);
  const last = await get(`/api/tasks/${ID}/events?after=${EVENTS - 1}`);
  t.strictSame([seqsOf(last), last.json['before'], last.json['after']], [[EVENTS], EVENTS, null]);
  t.match((last.json['events'] as unknown[])[0], { seq: EVENTS, id: EVENTS, event: 'progress', timestamp: A_MOMENT_MS });
});

t.test('a history page is visible only to those who may see the task, and its query is validated', async (t) => {
  await bench.commit({ ...inserting(aTask()), events: [anEvent()] });
  const refusals = async (path: string, token = 'viewer') => {
    const { status, json } = await get(path, token);
    return [status, json['error']];
  };
  t.strictSame(await refusals(`/api/tasks/${ID}/events?before=1&after=1`), [400, 'validation_failed']);
  t.strictSame(await refusals(`/api/tasks/${ID}/events?before=x`), [400, 'validation_failed']);
  t.strictSame(await refusals(`/api/tasks/${ID}/events?limit=501`), [400, 'validation_failed']);
  t.strictSame(await refusals(`/api/tasks/${aTaskId(9)}/events`), [404, 'unknown_task']);
  t.strictSame(await refusals('/api/tasks/nonsense/events'), [404, 'unknown_task']);
  t.strictSame(await refusals(`/api/tasks/${ID}/events`, 'submitter'), [404, 'unknown_task'], 'not a task of this submitter');
  t.strictSame(await refusals(`/api/tasks/${ID}/events`, 'agent'), [404, 'unknown_task'], 'not a task of this agent');
  t.match(await get(`/api/tasks/${ID}/events`), { status: 200, json: { before: null, after: null } });
});

t.test('R4: kept results are listed with their task and returned in full', async (t) => {
  const aKept = (over: Partial<KeptResult>): KeptResult => ({
    taskId: ID,
    generation: aGeneration(3),
    agentId: anAgentId(),
    kind: 'refused',
    reason: 'not_assignee',
    bytes: 11,
    sha256: 'a'.repeat(64),
    atMs: A_MOMENT_MS,
    result: '{"ok": true}',
    details: null,
    ...over,
  });
  const [one, other, late] = [aKept({}), aKept({ agentId: anAgentId('b1'), details: '{"log":"x"}' }), aKept({ generation: aGeneration(4), kind: 'late', reason: 'late' })]; // prettier-ignore
  const kept = { results: [one, other, late], refused: [{ agentId: null, told: 0, counted: 9 }] };
  await bench.commit({ ...inserting(aTask({ kept })), kept: [one, other, late] });
  const { json } = await get(`/api/tasks/${ID}`);
  t.strictSame((json['kept_results'] as unknown[])[2], {
    generation: 4,
    agent_id: 'a1',
    kind: 'late',
    bytes: 11,
    sha256: 'a'.repeat(64),
    timestamp: A_MOMENT_MS,
  });
  t.strictSame(json['refused_reports'], [{ agent_id: null, recorded: 0, counted: 9 }]);
  t.match(await get(`/api/tasks/${ID}/results/4`), {
    status: 200,
    json: { task_id: ID, kind: 'late', result: { ok: true }, details: null },
  });
  t.match(await get(`/api/tasks/${ID}/results/3?agent_id=b1`), {
    status: 200,
    json: { agent_id: 'b1', reason: 'not_assignee', details: { log: 'x' } },
  });
  const refused = [
    ['/results/3', 400, 'validation_failed'],
    ['/results/5', 404, 'unknown_result'],
    ['/results/3?agent_id=c1', 404, 'unknown_result'],
    ['/results/x', 404, 'unknown_result'],
  ] as const;
  for (const [path, status, error] of refused) t.match(await get(`/api/tasks/${ID}${path}`), { status, json: { error } }, path);
  t.match(
    (await get(`/api/tasks/${ID}/results/3`)).json,
    { details: [{ field: 'agent_id', detail: /a1, b1/ }] },
    'lists the available ones',
  );
  t.equal((await get(`/api/tasks/${ID}/results/4`, 'submitter')).status, 404, 'not a task of this submitter');
  t.equal((await get(`/api/tasks/${ID}/results/4`, 'agent')).status, 403);
});
