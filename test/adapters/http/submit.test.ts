/**
 * Submitting one task or many, and pushing one: what is refused, and the answers.
 *
 * Long on purpose: every way to submit follows the same rules, which are tested side by side.
 */
import t from 'tap';
import type { SubmitCommand } from '../../../core/application/hub/batch/commands.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { A_MOMENT_MS, anAgent, aTaskId, changes } from '../../product/contracts/fixtures.ts';
import { BENCH_AGENT, hubBench, type Answered, type HubBench } from './hub-bench.ts';

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const submit = (json: unknown, headers: Readonly<Record<string, string>> = {}, token = 'submitter'): Promise<Answered> =>
  bench.send('/api/tasks', { json, headers, token });
const bulk = (body: string | ReadableStream<Uint8Array>, headers: Readonly<Record<string, string>> = {}): Promise<Answered> =>
  bench.send('/api/tasks/bulk', {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/x-ndjson', ...headers },
    token: 'submitter',
  });
const errorsOf = ({ json }: Answered): unknown =>
  (json['details'] as { line?: number; field: string; error: string }[]).map(({ line, field, error }) =>
    line === undefined ? [field, error] : [line, field, error],
  );
const totalTasks = async (): Promise<number> => {
  const { statuses } = await bench.storage.tasks.stats();
  return Object.values(statuses).reduce((sum, count) => sum + count, 0);
};

t.test('a task with every field is stored as submitted', async (t) => {
  const other = await submit({ description: 'first' });
  const body = {
    description: 'line one\n"two" $(three) ../four \u0001 😀',
    priority: 'high',
    metadata: { b: 1, a: { deep: [null, 1.5] }, constructor: 'x' },
    needed_capabilities: ['gpu', 'code', 'gpu'],
    max_retries: 0,
    assign_to: BENCH_AGENT,
    run_at: A_MOMENT_MS + 1_000,
    ttl_ms: 5_000,
    run_max_ms: 6_000,
    complete_by: A_MOMENT_MS + 9_000,
    depends_on: [other.json['task_id'], other.json['task_id']],
    repo: 'r',
    branch: 'b',
    file_hints: ['f'],
    success_criteria: ['s'],
    verification_steps: ['v'],
    accept: { empty: true, truncated: true, refused: true },
  };
  const made = await submit(body);
  t.equal(made.status, 201);
  t.strictSame(Object.keys(made.json), ['task_id', 'status', 'priority', 'created_at']);
  t.match(made.json, { status: 'blocked', priority: 'high', created_at: A_MOMENT_MS });
  const task = (await bench.send(`/api/tasks/${String(made.json['task_id'])}`, { token: 'submitter' })).json;
  const { priority, ...rest } = body;
  t.match(task, { ...rest, needed_capabilities: ['code', 'gpu'], depends_on: [other.json['task_id']], submitted_by: 'tok-submitter' });
  t.equal(priority, task['priority']);
  t.match(task['waiting_for'], { reason: 'dependency' });
});

t.test('a missing field gets its default, and null counts as missing', async (t) => {
  const made = await submit({ description: 'x', repo: null, max_retries: null, metadata: null });
  t.match(made.json, { status: 'queued', priority: 'normal' });
  const task = (await bench.send(`/api/tasks/${String(made.json['task_id'])}`)).json;
  t.match(task, { max_retries: 3, metadata: {}, repo: null, file_hints: [], run_max_ms: null, accept: null });
  const none = await submit({ description: 'x', accept: { empty: false, refused: true } });
  t.match((await bench.send(`/api/tasks/${String(none.json['task_id'])}`)).json, { accept: { refused: true } });
});

t.test('hints and steps may be arbitrary objects, and are returned unchanged', async (t) => {
  const body = {
    description: 'x',
    file_hints: ['a.ts', { path: 'b.ts', lines: [1, 2] }],
    verification_steps: [{ type: 'command_succeeds', target: 'npm test', nested: { 'a key': [null, 1.5, 'z'] } }, 'and look'],
  };
  const made = await submit(body);
  t.equal(made.status, 201);
  t.match((await bench.send(`/api/tasks/${String(made.json['task_id'])}`)).json, body);
});

t.test('critical is an alias of urgent', async (t) => {
  t.match((await submit({ description: 'x', priority: 'critical' })).json, { priority: 'urgent' });
});

t.test('every mistake is reported', async (t) => {
  const task = 'task-0000000000000001';
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`name ${n}`, n]));
  const cases: readonly (readonly [body: unknown, want: unknown])[] = [
    [{}, [['description', 'required']]],
    [{ description: '' }, [['description', 'minLength']]],
    [{ description: 'x'.repeat(200_001) }, [['description', 'maxLength']]],
    [{ description: 'x', priorty: 'high' }, [['priorty', 'unknown_field']]],
    [{ description: 'x', priority: 'asap' }, [['priority', 'enum']]],
    [{ description: 'x', metadata: [] }, [['metadata', 'type']]],
    [{ description: 'x', max_retries: 101 }, [['max_retries', 'maximum']]],
    [{ description: 'x', max_retries: -1 }, [['max_retries', 'minimum']]],
    [{ description: 'x', max_retries: 1.5 }, [['max_retries', 'type']]],
    [{ description: 'x', needed_capabilities: 'gpu' }, [['needed_capabilities', 'type']]],
    [{ description: 'x', needed_capabilities: Array(65).fill('x') }, [['needed_capabilities', 'maxItems']]],
    [{ description: 'x', needed_capabilities: [''] }, [['needed_capabilities.0', 'minLength']]],
    [{ description: 'x', assign_to: '../a1' }, [['assign_to', 'pattern']]],
    [{ description: 'x', depends_on: ['../x'] }, [['depends_on.0', 'pattern']]],
    [{ description: 'x', depends_on: Array(101).fill(task) }, [['depends_on', 'maxItems']]],
    [{ description: 'x', ttl_ms: 0 }, [['ttl_ms', 'minimum']]],
    [{ description: 'x', run_at: 10, complete_by: 10 }, [['complete_by', 'contradiction']]],
    [{ description: 'a\u0000b' }, [['description', 'text']]],
    [{ description: 'x', metadata: { a: ['\ud800'] } }, [['metadata.a.0', 'text']]],
    [{ description: 'x', file_hints: ['\u0000'] }, [['file_hints.0', 'text']]],
    [{ description: 'x', verification_steps: [7] }, [['verification_steps.0', 'type']]],
    [{ description: 'x', verification_steps: [[]] }, [['verification_steps.0', 'type']]],
    [{ description: 'x', success_criteria: [{ a: 1 }] }, [['success_criteria.0', 'type']]],
    [{ description: 'x', file_hints: [names(65)] }, [['file_hints.0', 'maxProperties']]],
    [{ description: 'x', file_hints: [{ a: [[[[[[[[]]]]]]]] }] }, [['file_hints.0', 'depth']]],
    [{ description: 'x', verification_steps: [{ a: 'x'.repeat(4_096) }] }, [['verification_steps.0', 'size']]],
    [{ description: 'x', accept: ['empty'] }, [['accept', 'type']]],
    [{ description: 'x', accept: { empty: 'yes' } }, [['accept.empty', 'type']]],
    [{ description: 'x', accept: { emtpy: true } }, [['accept.emtpy', 'unknown_field']]],
    [[], [['', 'type']]],
  ];
  for (const [body, want] of cases) {
    const got = await submit(body);
    t.strictSame([got.status, got.json['error'], errorsOf(got)], [400, 'validation_failed', want], JSON.stringify(body).slice(0, 60));
  }
  t.equal(bench.commands.length, 0, 'none of them reached the queue');
});

t.test('a body that is not JSON or cannot be stored exactly is refused', async (t) => {
  const raw = (body: string | Uint8Array): Promise<Answered> =>
    bench.send('/api/tasks', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  const deep = (depth: number): string => `{"description":"x","metadata":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`;
  const cases: readonly (readonly [name: string, body: string | Uint8Array, want: unknown])[] = [
    ['empty', '', 'validation_failed'],
    ['cut', '{"description":', 'invalid_json'],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), 'invalid_json'],
    ['too deep', deep(31), 'validation_failed'],
    ['a rounded number', '{"description":"x","metadata":{"a":12345678901234567890}}', 'validation_failed'],
    ['polluting', '{"description":"x","__proto__":{"priority":"urgent"}}', 'validation_failed'],
    ['at the maximum depth', deep(30), undefined],
    ['with a byte order mark', '\ufeff{"description":"x"}', undefined],
    ['polluting inside metadata, where it is data', '{"description":"x","metadata":{"__proto__":{"a":1}}}', undefined],
  ];
  for (const [name, body, want] of cases) t.equal((await raw(body)).json['error'], want, name);
  t.equal(({} as Record<string, unknown>)['a'], undefined);
  const secret = await raw('{"description":"x", "oops": hunter2-secret}');
  t.notMatch(secret.text, /hunter2/, 'the answer does not repeat the unreadable text');
});

t.test('the agents and tasks that a submit names must exist', async (t) => {
  const agent = await submit({ description: 'x', assign_to: 'nobody' });
  t.strictSame([agent.status, agent.json['error'], errorsOf(agent)], [400, 'unknown_agent', [['assign_to', 'unknown_agent']]]);
  const task = await submit({ description: 'x', depends_on: ['task-00000000000000ff'] });
  t.strictSame([task.status, task.json['error'], errorsOf(task)], [400, 'unknown_task', [['depends_on', 'unknown_task']]]);
});

t.test('a complete_by in the past is refused, and a bulk names the line', async (t) => {
  const past = { description: 'x', complete_by: A_MOMENT_MS - 1_000 };
  const alone = await submit(past);
  t.strictSame([alone.status, alone.json['error'], errorsOf(alone)], [400, 'validation_failed', [['complete_by', 'past']]]);
  t.match(alone.json['message'], /complete_by must be in the future: \d{4}-.*Z has passed; it is \d{4}-.*Z\.$/);
  const many = await bulk(`{"description":"a"}\n\n${JSON.stringify(past)}`);
  t.strictSame([many.status, errorsOf(many)], [400, [[3, 'complete_by', 'past']]]);
  t.equal((await submit({ ...past, complete_by: A_MOMENT_MS + 86_400_000 })).status, 201);
});

t.test('Idempotency-Key', async (t) => {
  const key = { 'idempotency-key': 'once' };
  const first = await submit({ description: 'x', metadata: { a: 1, b: 2 } }, key);
  const again = await submit({ metadata: { b: 2.0, a: 1 }, repo: null, description: 'x' }, key);
  t.strictSame([first.status, again.status], [201, 200], 'the order of members and null values do not matter');
  t.strictSame(again.json, first.json);
  const other = await submit({ description: 'y' }, key);
  t.strictSame([other.status, other.json['error']], [409, 'idempotency_mismatch']);
  t.equal((await submit({ description: 'y' }, key, 'admin')).status, 201, 'another token has keys of its own');
  t.equal((await bulk('{"description":"x","metadata":{"a":1,"b":2}}', key)).status, 409, 'a single task is not a bulk of one');
  for (const bad of ['', 'x'.repeat(129), 'ä']) {
    const got = await submit({ description: 'x' }, { 'idempotency-key': bad });
    t.strictSame([got.status, errorsOf(got)], [400, [['Idempotency-Key', 'pattern']]], JSON.stringify(bad).slice(0, 20));
  }
  t.equal((await submit({ description: 'x' }, { 'idempotency-key': 'x'.repeat(128) })).status, 201);
});

t.test('an Idempotency-Key in the form of a task ID names the task', async (t) => {
  const key = `task-${A_MOMENT_MS.toString(16).padStart(12, '0')}${'ab'.repeat(10)}`;
  const named = { 'idempotency-key': key };
  const first = await submit({ description: 'x', metadata: { a: 1, b: 2 } }, named);
  const again = await submit({ metadata: { b: 2.0, a: 1 }, priority: 'normal', repo: null, description: 'x' }, named);
  t.strictSame([first.status, again.status, first.json['task_id']], [201, 200, key], 'the tasks are compared');
  t.strictSame(again.json, first.json);
  const others = [
    await submit({ description: 'y' }, named),
    await submit({ description: 'x', metadata: { a: 1, b: 2 } }, named, 'admin'),
    await bulk('{"description":"x","metadata":{"a":1,"b":2}}', named),
  ];
  for (const { status, json } of others) t.strictSame([status, json['error']], [409, 'idempotency_mismatch']);
  t.equal(await totalTasks(), 1);
  for (const other of [key.toUpperCase(), `${key}0`, key.slice(0, -1), `${key.slice(0, -1)}g`]) {
    const got = await submit({ description: 'x' }, { 'idempotency-key': other });
    t.equal(got.status, 201);
    t.not(got.json['task_id'], other);
  }
});

t.test('an unanswered submit may be repeated later, even after its complete_by', async (t) => {
  const body = { description: 'x', complete_by: A_MOMENT_MS + 1_000 };
  t.equal((await submit(body, { 'idempotency-key': 'k' })).status, 201);
  bench.clock.advance(60_000);
  t.equal((await submit(body, { 'idempotency-key': 'k' })).status, 200);
});

const batch = (lines: readonly (object | string)[]): Promise<Answered> =>
  bench.send('/api/tasks/batch', {
    method: 'POST',
    body: lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    headers: { 'content-type': 'application/x-ndjson' },
    token: 'submitter',
  });

t.test('batch: each line is a separate submit, answered in order', async (t) => {
  const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  const got = await batch([
    { task: { description: 'a' }, key: 'k1', ...trace },
    { task: { description: '' } },
    'not JSON',
    { description: 'a submit without its envelope' },
    { task: { description: 'a' }, key: 'k1' },
    { task: { description: 'b' }, key: 'k1' },
    { task: { description: 'b' }, key: 'ü' },
    { task: { description: 'c', assign_to: 'nobody' } },
    { task: { description: 'd' } },
  ]);
  t.equal(got.status, 200);
  const answers = got.json['answers'] as readonly { status: number; body: Readonly<Record<string, unknown>> }[];
  t.strictSame(
    answers.map(({ status, body }) => [status, body['error'] ?? null]),
    [
      [201, null],
      [400, 'validation_failed'],
      [400, 'invalid_json'],
      [400, 'validation_failed'],
      [200, null],
      [409, 'idempotency_mismatch'],
      [400, 'validation_failed'],
      [400, 'unknown_agent'],
      [201, null],
    ],
  );
  t.equal(answers[0]?.body['task_id'], answers[4]?.body['task_id']);
  t.equal(await totalTasks(), 2);
  const task = await bench.send(`/api/tasks/${String(answers[0]?.body['task_id'])}`, { token: 'submitter' });
  t.match(task.json, trace);
});

// HTTP strips these spaces from a header, so the same key in a line created a second task.
t.test('batch: a key has no space at either end', async (t) => {
  const keys = [' once', 'once ', ' ', 'at once'];
  const { json } = await batch(keys.map((key) => ({ task: { description: 'x' }, key })));
  const wanted = 'Idempotency-Key must be 1 to 128 printable ASCII characters, without a space at either end';
  const refused = { status: 400, body: { message: `Invalid request: ${wanted}.` } };
  t.match(json['answers'], [refused, refused, refused, { status: 201 }]);
});

t.test('batch: a failed line does not affect the others; if all fail in the same way, the request fails', async (t) => {
  bench.intercept = (command) => {
    const [draft] = command.kind === 'submit' ? command.drafts : [];
    if (draft?.body.description === 'damaged') throw new AgentcomError('AC_STORE_DAMAGED', 'an unreadable row');
    if (draft?.body.description === 'busy') throw new AgentcomError('AC_HUB_BUSY', 'full');
    return { kind: 'submitted', tasks: [{ id: aTaskId(1), status: 'queued', priority: 'normal', createdAtMs: 0 }] };
  };
  const lines = (...descriptions: string[]) => descriptions.map((description) => ({ task: { description } }));
  const got = await batch(lines('a', 'damaged', 'busy', 'b'));
  t.match(got, {
    status: 200,
    json: {
      answers: [
        { status: 201 },
        { status: 500, body: { error: 'storage_damaged' } },
        { status: 503, retry_after: 2, body: { error: 'hub_busy' } },
        { status: 201 },
      ],
    },
  });
  const logged = bench.log.lines.filter(({ level }) => level === 'error');
  t.match(logged, [{ message: 'Submits of a batch failed.', fields: { failed: 2, lines: 4 } }]);
  t.match(await batch(lines('busy', 'busy')), { status: 503, json: { error: 'hub_busy' } });
  t.match(await batch(lines('damaged', 'busy')), { status: 200, json: { answers: [{ status: 500 }, { status: 503, retry_after: 2 }] } });
  t.match(await batch(lines('busy', '')), { status: 200, json: { answers: [{ status: 503 }, { status: 400 }] } });
});

t.test('batch: a task may be nested as deeply as one submitted alone', async (t) => {
  const nested = (depth: number): object => (depth === 0 ? {} : { a: nested(depth - 1) });
  for (const depth of [29, 30, 31, 32]) {
    const task = { description: 'x', metadata: nested(depth) };
    const alone = await submit(task);
    const [together] = (await batch([{ task }])).json['answers'] as readonly { status: number; body: object }[];
    t.equal(together?.status, alone.status, `${depth} deep`);
    if (alone.status === 400) t.strictSame(together?.body, alone.json);
  }
  t.equal((await submit({ description: 'x', metadata: nested(30) })).status, 201);
});

t.test('batch: at least one line and at most the limit', async (t) => {
  const line = { task: { description: 'x' } };
  t.equal((await batch(Array.from({ length: 256 }, () => line))).status, 200);
  const over = await batch(Array.from({ length: 257 }, () => line));
  t.match(over, { status: 400, json: { message: 'Invalid request: line 257: the body is one more than the 256 of a batch.' } });
  t.equal(await totalTasks(), 256, 'nothing is submitted from a refused batch');
  t.match(await batch([]), { status: 400 });
});

t.test('bulk: all tasks are submitted in order as one command', async (t) => {
  const lines = Array.from({ length: 1_000 }, (_, n) => JSON.stringify({ description: `task ${n}` }));
  const got = await bulk(`${lines.join('\r\n')}\n\n  \n`, { 'idempotency-key': 'many' });
  t.equal(got.status, 201);
  const ids = got.json['task_ids'] as readonly TaskId[];
  t.equal(new Set(ids).size, 1_000);
  t.equal(bench.commands.length, 1);
  t.equal((await bench.storage.tasks.read(ids[999] as TaskId))?.body.description, 'task 999');
  const again = await bulk(lines.join('\n'), { 'idempotency-key': 'many' });
  t.strictSame([again.status, again.json], [200, got.json]);
  t.equal((await bulk(lines.slice(1).join('\n'), { 'idempotency-key': 'many' })).json['error'], 'idempotency_mismatch');
  t.equal(await totalTasks(), 1_000);
});

t.test('bulk: one bad line fails all of it, and every bad line is reported', async (t) => {
  const got = await bulk('{"description":"a"}\n{"description":1}\n\nnot json\n{"description":"b","more":1}\n{"description":"c\\u0000"}');
  t.strictSame(
    [got.status, got.json['error'], errorsOf(got)],
    [
      400,
      'validation_failed',
      [
        [2, 'description', 'type'],
        [4, '', 'json'],
        [5, 'more', 'unknown_field'],
        [6, 'description', 'text'],
      ],
    ],
  );
  const named = await bulk('{"description":"a"}\n\n{"description":"b","assign_to":"nobody"}');
  t.strictSame([named.status, named.json['error'], errorsOf(named)], [400, 'unknown_agent', [[3, 'assign_to', 'unknown_agent']]]);
  t.equal(await totalTasks(), 0);
  t.equal((await bulk('\n\n')).json['error'], 'validation_failed', 'an empty bulk is refused');
  const all = await bulk('x\n'.repeat(9_000));
  t.equal((all.json['details'] as unknown[]).length, 100, 'the list of mistakes is bounded');
});

t.test('bulk: lines may arrive in pieces, split inside a character', async (t) => {
  const bytes = new TextEncoder().encode('{"description":"ä😀"}\n{"description":"ö"}\n{"description":"ü"}');
  let at = 0;
  const pieces = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at === bytes.length) controller.close();
      else controller.enqueue(bytes.slice(at, (at += 1)));
    },
  });
  t.equal((await bulk(pieces)).status, 201);
  const [command] = bench.commands as SubmitCommand[];
  t.strictSame(
    command?.drafts.map((draft) => draft.body.description),
    ['ä😀', 'ö', 'ü'],
  );
});

t.test('bulk: the line length, the number of lines and the total size are limited', async (t) => {
  const limits = { submitBytes: 100, bulkLines: 3, bulkBytes: 250 };
  t.match(HUB_LIMITS, { submitBytes: 262_144, bulkLines: 10_000, bulkBytes: 16_777_216 });
  await bench.close();
  bench = await hubBench({ limits });
  const line = (bytes: number): string => JSON.stringify({ description: 'x'.repeat(bytes - '{"description":""}'.length) });
  t.equal((await bulk(`${line(100)}\n${line(80)}\n${line(60)}`)).status, 201);
  for (const body of [line(101), `${line(30)}\n`.repeat(3) + line(30), [line(100), line(100), line(60)].join('\n')]) {
    const got = await bulk(body);
    t.strictSame([got.status, got.json['error']], [413, 'body_too_large']);
  }
});

t.test('bulk: 10,000 lines do not block the event loop', async (t) => {
  bench.intercept = () => ({ kind: 'submitted', tasks: [] });
  const line = `${JSON.stringify({ description: 'x'.repeat(1_000), metadata: { list: Array(50).fill('abc') } })}\n`;
  const bytes = new TextEncoder().encode(line.repeat(10_000));
  /** As a socket delivers it. */
  const inPieces = (): ReadableStream<Uint8Array> => {
    let at = 0;
    return new ReadableStream({
      pull(controller) {
        controller.enqueue(bytes.slice(at, (at += 65_536)));
        if (at >= bytes.length) controller.close();
      },
    });
  };
  // CPU time of this thread, not wall time: a busy machine may suspend us at any moment. Before Node 24, CPU time of the
  // process, which differs only by V8's helper threads.
  const cpuUsage: typeof process.cpuUsage =
    (process as { readonly threadCpuUsage?: typeof process.cpuUsage }).threadCpuUsage ?? process.cpuUsage;
  /** The longest slice of one bulk, as a share of all its work. */
  const longestShare = async (): Promise<number> => {
    let longest = 0;
    let all = 0;
    let turns = 0;
    let done = false;
    let before = cpuUsage();
    const watch = (): void => {
      const { user, system } = cpuUsage(before);
      before = cpuUsage();
      longest = Math.max(longest, user + system);
      all += user + system;
      turns += 1;
      if (!done) setImmediate(watch);
    };
    watch();
    t.equal((await bulk(inPieces())).status, 201);
    done = true;
    t.ok(turns >= 50, `others had ${turns} turns`);
    return longest / all;
  };
  // The best of three: garbage collection may hit any slice, but a slice that is long by its own work is long in each
  // run.
  const share = Math.min(await longestShare(), await longestShare(), await longestShare());
  t.ok(share < 0.2, `the longest slice took ${(100 * share).toFixed(0)} % of the work`);
});

t.test('push: submits an urgent task for exactly that agent', async (t) => {
  const push = (json: unknown): Promise<Answered> => bench.send('/api/admin/push-task', { json, token: 'operator' });
  for (const nobody of [BENCH_AGENT, 'nobody', '../etc']) {
    const got = await push({ agent_id: nobody, description: 'x' });
    t.equal(got.status, 404);
    t.match(got.json, {
      error: 'agent_not_connected',
      agent_id: nobody,
      message: `No agent "${nobody}" is connected. If it is one that \`agentcom agents\` lists, submit the task with assign_to to let it wait.`,
    });
  }
  t.strictSame(errorsOf(await push({ agent_id: BENCH_AGENT, description: 'x', priority: 'low' })), [['priority', 'unknown_field']]);
  await bench.commit(changes({ agents: [anAgent({ id: BENCH_AGENT })] }));
  bench.intercept = (command) => (command.kind === 'push' ? { kind: 'pushed', taskId: command.draft.id } : null);
  const got = await push({ agent_id: BENCH_AGENT, description: 'x', metadata: { a: 1 } });
  const command = bench.commands.at(-1);
  t.ok(command?.kind === 'push' && command.draft.assignTo === BENCH_AGENT && command.draft.priority === 'urgent');
  t.strictSame(
    [got.status, got.json],
    [200, { status: 'pushed', task_id: command?.kind === 'push' ? command.draft.id : '', agent_id: BENCH_AGENT }],
  );
});

t.test('the trace of a request is stored with its tasks and does not affect the digest of a key', async (t) => {
  const traced = (digit: string) => ({ traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-01`, tracestate: `vendor=${digit}` });
  const traceOf = async (id: unknown): Promise<unknown> => {
    const { traceparent, tracestate } = (await bench.send(`/api/tasks/${String(id)}`, {})).json;
    return { traceparent, tracestate };
  };
  const none = { traceparent: null, tracestate: null };

  const one = await submit({ description: 'x' }, { ...traced('a'), 'idempotency-key': 'k' });
  t.strictSame(await traceOf(one.json['task_id']), traced('a'));
  const again = await submit({ description: 'x' }, { ...traced('b'), 'idempotency-key': 'k' });
  t.strictSame([again.status, again.json['task_id']], [200, one.json['task_id']], 'a retry in another span is the same submit');
  t.strictSame(await traceOf(one.json['task_id']), traced('a'), 'the first trace counts');

  const many = await bulk('{"description":"y"}\n{"description":"z"}', traced('c'));
  for (const id of many.json['task_ids'] as readonly string[]) t.strictSame(await traceOf(id), traced('c'));
  for (const headers of [{}, { traceparent: 'x', tracestate: 'a=1' }, { tracestate: 'a=1' }])
    t.strictSame(await traceOf((await submit({ description: 'x' }, headers)).json['task_id']), none, 'an invalid trace is not an error');
  t.strictSame(errorsOf(await submit({ description: 'x', traceparent: traced('a').traceparent })), [['traceparent', 'unknown_field']]);
});
