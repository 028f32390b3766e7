/** What a handler and a listener of a worker are given, and what they may do with it. */
import t from 'tap';
import type { HandlerContext } from '../../../apps/worker/index.ts';
import { workerRoom } from './worker-room.ts';

t.test('a context can be copied and taken apart, and is no way into the worker', async (t) => {
  const room = await workerRoom(t);
  let [given, copied]: (HandlerContext | null)[] = [null, null];
  await room.worker({
    handle(_task, context) {
      given = context;
      copied = { ...context };
      copied.progress('half');
      return 'done';
    },
  });
  const task = await room.done({ description: 'x' });
  t.match(task, { status: 'completed', result: { output: 'done' } });
  t.match(copied, { agentId: 'w1', fence: { taskId: task.id, generation: 1 }, signal: AbortSignal });
  const context = given as unknown as HandlerContext;
  t.strictSame(Object.keys(context).sort(), ['agentId', 'fence', 'progress', 'signal']);
  t.notOk('next' in context || Symbol.asyncIterator in context);
  t.throws(() => Object.assign(context, { fence: null }), TypeError);
  t.throws(() => Object.assign(context.fence, { generation: 99 }), TypeError);
});

t.test('an onEvent that rejects is logged, like one that throws', async (t) => {
  const room = await workerRoom(t);
  const errors: unknown[] = [];
  await room.worker({
    handle: () => 'done',
    onEvent: async ({ type }) => {
      if (type === 'acknowledged') throw new Error('mine');
    },
    log: { error: (message, { event, error }) => errors.push({ message, event, error }) },
  });
  for (let n = 0; n < 2; n += 1) t.match(await room.done({ description: 'x' }), { status: 'completed' });
  t.match(errors, [{ message: 'onEvent threw', event: 'acknowledged', error: 'mine' }]);
});
