/** A sidecar whose runs may end within the next turn of the event loop: acceptances wait for the end of that turn. */
import t from 'tap';
import { keyOf, OTHER, TASK } from './rig/stage.ts';
import { obliging, offer, openRoom, type RoomOptions } from './rig/sidecar-room.ts';

const TURN_MS = 50;

/** What the hub received about assignments, in a room whose agent takes this long. */
const heardAfter = async (agentMs: number, options: RoomOptions = {}) => {
  const room = await openRoom({
    turnMs: TURN_MS,
    hub: obliging,
    script: (_request, made) => ({
      steps: [
        { afterMs: 0, event: { type: 'woken' } },
        {
          afterMs: agentMs,
          act: (request) => made.results.write(`results/${keyOf(request)}/${request.taskId}.json`, JSON.stringify({ status: 'success' })),
        },
        { afterMs: 0, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } },
      ],
    }),
    ...options,
  });
  room.say(offer());
  return room;
};

const ofTasks = (types: readonly unknown[]): readonly unknown[] => types.filter((type) => String(type).startsWith('task_'));

t.test('an acceptance is sent at the end of the next turn', async (t) => {
  const room = await heardAfter(10_000);
  await room.pass(2 * TURN_MS - 1);
  t.same(ofTasks(room.types()), []);
  await room.pass(1);
  t.same(ofTasks(room.types()), ['task_accepted']);
  await room.pass(20_000);
  t.same(ofTasks(room.types()).at(-1), 'task_complete');
});

t.test('the acceptance of a later assignment is sent at once: a run that kills the process must use up retries', async (t) => {
  const room = await openRoom({ turnMs: TURN_MS, hub: obliging });
  room.say(offer(2));
  await room.pass(1);
  t.same(ofTasks(room.types()), ['task_accepted']);
});

t.test('a run that ends within the next turn is accepted by its final report', async (t) => {
  const room = await heardAfter(0);
  await room.pass(20_000);
  t.same(ofTasks(room.types()), ['task_complete'], 'once, and without an acceptance');
});

t.test('an assignment that arrives one turn later waits one turn longer', async (t) => {
  const room = await heardAfter(TURN_MS + 30, { slots: 2 });
  await room.pass(TURN_MS + 1);
  room.say(offer(1, OTHER));
  await room.pass(20_000);
  t.same(ofTasks(room.types()), ['task_complete', 'task_complete'], 'neither is accepted before it completes');
});

t.test('an acceptance pending when the connection breaks is sent on the next one', async (t) => {
  const room = await heardAfter(10_000);
  await room.pass(1);
  room.cut();
  await room.pass(5_000);
  t.same(ofTasks(room.types()), ['task_accepted']);
});

t.test('an assignment cancelled while its acceptance is pending is not accepted', async (t) => {
  const room = await heardAfter(10_000);
  await room.pass(1);
  room.say({ type: 'task_cancelled', task_id: TASK, generation: 1, reason: 'cancelled', timestamp: 0 });
  await room.pass(20_000);
  t.notOk(ofTasks(room.types()).includes('task_accepted'));
  t.ok(ofTasks(room.types()).includes('task_cancel_ack'));
});
