/** What a handler receives, and what becomes of what it returns. */
import t from 'tap';
import { TaskFailure, type Handler, type HandlerContext, type WorkerTask } from '../../../apps/worker/index.ts';
import { OUTPUT_BYTES_MAX } from '../../../core/application/sidecar/state/constants.ts';
import { gate } from '../../rig/gate.ts';
import { workerRoom } from './worker-room.ts';

t.test('a task completes with what the handler returns', async (t) => {
  const room = await workerRoom(t);
  const given: { task: WorkerTask; context: HandlerContext }[] = [];
  await room.worker({
    capabilities: ['image'],
    handle: async (task, context) => {
      given.push({ task, context });
      return { width: 10, of: task.metadata['file'] };
    },
  });
  const task = await room.done({ description: 'resize', needed_capabilities: ['image'], metadata: { file: 'a.png' }, repo: 'r' });
  t.match(task, { status: 'completed', result: { output: { width: 10, of: 'a.png' } } });
  const [{ task: seen, context } = t.fail('called') as never] = given;
  t.match(seen, { task_id: task.id, generation: task.generation, description: 'resize', metadata: { file: 'a.png' }, repo: 'r' });
  t.throws(() => Object.assign(seen.metadata, { file: 'b' }), TypeError, 'it is frozen');
  t.same(context.fence, { taskId: task.id, generation: task.generation, token: `${task.id}.g${task.generation}` });
  t.equal(context.agentId, 'w1');
  t.equal(context.signal.aborted, false);
  t.same(
    task.history.map(({ event }) => event),
    ['submitted', 'eligible', 'assigned', 'accepted', 'completed'],
  );
});

t.test('a task whose handler runs waits for nothing, even if it has reported no progress', async (t) => {
  const room = await workerRoom(t);
  const open = gate();
  await room.worker({ handle: () => open.opened });
  const id = await room.submit({ description: 'a long one' });
  await room.event(id, 'accepted');
  t.match(await room.hub.api.tasks.get(id), { status: 'assigned', waiting_for: null });
  open.open();
  t.match(await room.hub.api.tasks.wait(id), { status: 'completed' });
});

t.test('once the hub has stored a result or failure, the worker reports which run it belongs to', async (t) => {
  const room = await workerRoom(t);
  const [well, ill] = await Promise.all([
    room.worker({ agentId: 'w1', capabilities: ['well'], handle: () => 1 }),
    room.worker({
      agentId: 'w2',
      capabilities: ['ill'],
      handle() {
        throw new TaskFailure('no', { retryable: false });
      },
    }),
  ]);
  const completed = await room.done({ description: 'x', needed_capabilities: ['well'] });
  const failed = await room.done({ description: 'x', needed_capabilities: ['ill'] });
  t.match(await well.saw('acknowledged'), { fence: { taskId: completed.id, generation: completed.generation } });
  t.match(await ill.saw('acknowledged'), { fence: { taskId: failed.id } });
});

t.test('results: any JSON value', async (t) => {
  const room = await workerRoom(t);
  const values: readonly (readonly [returned: unknown, output: unknown])[] = [
    ['text', 'text'],
    ['', ''],
    [0, 0],
    [false, false],
    [null, null],
    [undefined, null],
    [
      [1, { a: 2 }],
      [1, { a: 2 }],
    ],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    ['x'.repeat(OUTPUT_BYTES_MAX - 2), 'x'.repeat(OUTPUT_BYTES_MAX - 2)],
  ];
  await room.worker({ handle: ({ metadata }) => values[Number(metadata['n'])]?.[0] });
  for (const [n, [, output]] of values.entries()) {
    const task = await room.done({ description: 'x', metadata: { n } });
    t.strictSame([task.status, (task.result as { output: unknown }).output], ['completed', output], `value ${n}`);
  }
});

t.test('handlers that block run in separate turns, so that the worker stays connected', async (t) => {
  const room = await workerRoom(t);
  const turns: number[] = [];
  let turn = 0;
  await room.worker({
    slots: 4,
    handle() {
      turns.push(turn);
      setImmediate(() => (turn += 1));
      const untilMs = performance.now() + 20;
      while (performance.now() < untilMs);
    },
  });
  await Promise.all([1, 2, 3, 4].map(() => room.done({ description: 'x' })));
  t.equal(new Set(turns).size, 4, 'each in its own turn');
});

t.test('a failure is retried, with its message, class and stack', async (t) => {
  const room = await workerRoom(t);
  let calls = 0;
  await room.worker({
    handle: () => {
      calls += 1;
      if (calls === 1) throw new RangeError('too wide', { cause: new Error('of the camera') });
      return 'narrow';
    },
  });
  const task = await room.done({ description: 'x', max_retries: 1 });
  t.match(task, { status: 'completed', result: { output: 'narrow' } });
  t.match(JSON.stringify(task.history), /too wide/);
  t.match(JSON.stringify(task.history), /RangeError/);
  t.match(JSON.stringify(task.history), /worker-tasks\.test/, 'a stack');
  t.match(JSON.stringify(task.history), /of the camera/);
});

t.test('a non-retryable failure goes to the dead-letter queue', async (t) => {
  const room = await workerRoom(t);
  let calls = 0;
  await room.worker({
    handle: async () => {
      calls += 1;
      throw new TaskFailure('no such file', { retryable: false, details: { file: 'a.png' } });
    },
  });
  const task = await room.done({ description: 'x', max_retries: 5 });
  t.match(task, { status: 'dead_letter', last_error: /no such file/ });
  t.match(JSON.stringify(task.history), /"file":"a\.png"/);
  t.equal(calls, 1);
});

t.test('details that throw when read are left out, and the worker continues', async (t) => {
  const room = await workerRoom(t);
  const details = Object.defineProperty({}, 'file', { enumerable: true, get: () => { throw new Error('of the getter'); } }); // prettier-ignore
  await room.worker({
    handle: ({ description }) => {
      if (description === 'x') throw new TaskFailure('no such file', { retryable: false, details });
      return 'done';
    },
  });
  t.match(await room.done({ description: 'x' }), { status: 'dead_letter', last_error: /no such file/ });
  t.match(await room.done({ description: 'y' }), { status: 'completed' });
});

t.test('a failure of the agent hands the task back without using up a retry', async (t) => {
  const room = await workerRoom(t);
  let calls = 0;
  await room.worker({
    handle: () => {
      calls += 1;
      if (calls === 1) throw new TaskFailure('429', { kind: 'rate_limited', retryAfterMs: 1 });
      return 'done';
    },
  });
  const task = await room.done({ description: 'x', max_retries: 0 });
  t.match(task, { status: 'completed', result: { output: 'done' } });
});

t.test('at most one handler per slot runs', async (t) => {
  const room = await workerRoom(t);
  const full = gate();
  const go = gate();
  let [running, most] = [0, 0];
  await room.worker({
    slots: 3,
    handle: async () => {
      running += 1;
      most = Math.max(most, running);
      if (running === 3) full.open();
      await go.opened;
      running -= 1;
    },
  });
  const tasks = Array.from({ length: 8 }, (_, n) => room.done({ description: `${n}` }));
  await full.opened;
  go.open();
  for (const task of await Promise.all(tasks)) t.equal(task.status, 'completed');
  t.equal(most, 3);
});

t.test('progress reaches the hub, and invalid progress is the handler’s error', async (t) => {
  const room = await workerRoom(t);
  const go = gate();
  await room.worker({
    handle: async (_task, { progress }) => {
      progress({ percent: 40, message: 'cloned' });
      for (let n = 0; n < 10_000; n += 1) progress(41);
      t.throws(() => progress(Number.NaN), /expects a percentage/);
      t.throws(() => progress({} as never), TypeError);
      t.throws(() => progress(null as never), TypeError);
      await go.opened;
    },
  });
  const id = await room.submit({ description: 'x' });
  for await (const { event, data } of room.hub.api.tasks.watch(id)) {
    if (event !== 'progress') continue;
    t.match(JSON.stringify(data), /"message":"cloned"/, 'simultaneous progress is merged');
    t.match(JSON.stringify(data), /41/, 'the newest');
    break;
  }
  go.open();
  await room.hub.api.tasks.wait(id);
  const task = await room.hub.api.tasks.get(id);
  t.equal(task.status, 'completed');
  const progressed = task.history.filter(({ event }) => event === 'progress');
  t.ok(progressed.length <= 2, `10,000 calls became ${progressed.length}`);
});

class HttpFailure extends TaskFailure {
  override readonly options = undefined as never;
}

const throwing = (): never => {
  throw new Error('of the getter');
};

t.test('hostile handlers: each fails alone, with the reason', async (t) => {
  const room = await workerRoom(t);
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  let late: HandlerContext['progress'] = () => undefined;
  const cases: Readonly<Record<string, readonly [handle: Handler, wanted: RegExp]>> = {
    'a synchronous throw': [
      () => {
        throw new Error('at once');
      },
      /^at once/,
    ],
    'a rejection with undefined': [() => Promise.reject(undefined as unknown as Error), /threw undefined/],
    'a text': [() => Promise.reject('just text' as unknown as Error), /^just text/],
    'an object': [() => Promise.reject({ code: 7 } as unknown as Error), /\{"code":7\}/],
    'a circular object thrown': [() => Promise.reject(circular as unknown as Error), /cannot be displayed/],
    'an error without a message': [() => Promise.reject(new TypeError()), /TypeError/],
    'a proxy that throws': [
      () =>
        Promise.reject(
          new Proxy(new Error('x'), {
            get: () => {
              throw new Error('hidden');
            },
          }),
        ),
      /cannot be displayed/,
    ],
    'a failure whose options are hidden by a field of its class': [() => Promise.reject(new HttpFailure('status 500')), /^status 500/],
    'a failure whose options are null': [
      () => Promise.reject(Object.assign(new TaskFailure('no options'), { options: null })),
      /^no options/,
    ],
    'a failure whose options throw when read': [
      () => {
        throw new TaskFailure('no kind', Object.defineProperty({}, 'kind', { get: throwing }));
      },
      /^no kind/,
    ],
    'a failure with wrong fields': [() => Promise.reject(new TaskFailure('rn', { retryAfterMs: Number.NaN, kind: '' as never })), /^rn/],
    'a promise whose constructor throws': [
      () => Object.defineProperty(Promise.resolve(1), 'constructor', { get: throwing }),
      /^of the getter/,
    ],
    'a circular result': [() => circular, /its result must not refer to itself/],
    'a BigInt': [() => ({ n: 10n }), /its result cannot be written as JSON: .*BigInt/],
    'a function': [() => () => 1, /its result cannot be written as JSON: found a function/],
    'a symbol': [() => Symbol('s'), /its result cannot be written as JSON: found a symbol/],
    'a getter that throws': [
      () => ({
        get x(): number {
          throw new Error('no x');
        },
      }),
      /its result cannot be written as JSON: no x/,
    ],
    'a huge result': [() => 'x'.repeat(OUTPUT_BYTES_MAX), /its result has \d+ bytes of JSON, over the limit of 262144/],
    'a result with too many values': [() => Array.from({ length: 100_000 }, () => 0), /must not hold more than \d+ values/],
    'a then that throws': [
      () => ({
        get then(): never {
          throw new Error('no then');
        },
      }),
      /no then/,
    ],
    'a huge error': [() => Promise.reject(new Error('e'.repeat(1_000_000))), /^eee/],
  };
  await room.worker({
    slots: 2,
    handle: (task, context) => {
      if (task.description === 'keeps') {
        late = context.progress;
        return 'kept';
      }
      return (cases[task.description]?.[0] as Handler)(task, context);
    },
  });
  for (const [description, [, wanted]] of Object.entries(cases)) {
    const task = await room.done({ description, max_retries: 0 });
    t.match(task, { status: 'dead_letter', last_error: wanted }, description);
  }
  t.equal((await room.done({ description: 'keeps' })).status, 'completed');
  late(50);
  late(Number.NaN);
  t.equal((await room.done({ description: 'keeps' })).status, 'completed', 'progress after the end is dropped; the worker continues');
});
