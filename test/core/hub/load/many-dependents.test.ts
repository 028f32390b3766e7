/** Thousands of tasks that depend on one task are unblocked in slices, and none is forgotten. */
import t from 'tap';
import type { TaskId } from '../../../../core/domain/ids.ts';
import { memoryStorage } from '../../../../adapters/storage-memory/memory-storage.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { aDraft, hubRig, type HubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const DEPENDENTS = 2_200;
/** The most that one commit may change: a slice, and what the commands of the batch change. */
const CHANGED_MAX = 600;

/** The tasks that each commit changed. */
const watched = (rig: HubRig): number[] => {
  const changed: number[] = [];
  watchUnits(rig.storage, (unit) => ({
    save(changes, isLast) {
      changed.push(changes.updated.length);
      return unit.save(changes, isLast);
    },
  }));
  return changed;
};

/** One live task and those that depend on it. */
async function aRoot(rig: HubRig): Promise<() => Promise<void>> {
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 1 });
  const root = await rig.submit();
  await peer.send({ type: 'task_accepted', agent_id: 'a1', task_id: root, generation: 1 });
  for (let first = 0; first < DEPENDENTS; first += 1_100) {
    const drafts = Array.from({ length: 1_100 }, (_, n) => aDraft(aTaskId(first + n), { dependsOn: [root], neededCapabilities: ['none'] }));
    await rig.queue.do({ kind: 'submit', submittedBy: 'tok-1', idempotency: null, drafts });
  }
  return () => peer.send({ type: 'task_complete', agent_id: 'a1', task_id: root, generation: 1, result: { output: 'done' } });
}

const waiting = async (rig: HubRig): Promise<readonly [blocked: number, queued: number]> => {
  const { statuses } = await rig.storage.tasks.stats();
  return [statuses.blocked, statuses.queued];
};

t.test('R20: thousands of dependents of one task are unblocked in slices and in order, with commands in between', async (t) => {
  const rig = await hubRig();
  const complete = await aRoot(rig);
  const changed = watched(rig);
  await complete();
  t.ok(Math.max(...changed) <= CHANGED_MAX, `commits changed ${changed.join(', ')} tasks`);
  const [blocked, queued] = await waiting(rig);
  t.ok(queued >= 500 && blocked > 0, `the first slice is queued with the commit that completes it: ${queued}, and ${blocked} are left`);
  const other = await rig.submit();
  t.match(await rig.summary(other), /^assigned/, 'another task runs in between');
  await rig.pass(1_000);
  t.strictSame(await waiting(rig), [0, DEPENDENTS]);
  t.ok(Math.max(...changed) <= CHANGED_MAX, `commits changed ${changed.join(', ')} tasks`);
  const times = await Promise.all(
    [0, 499, 500, 999, 1_500, DEPENDENTS - 1].map(async (n) => (await rig.record(aTaskId(n))).task.eligibleAtMs ?? 0),
  );
  t.strictSame(
    times,
    times.toSorted((one, next) => one - next),
    'R17: by id, as they were queued by one commit',
  );
  const roots = await rig.storage.tasks.list({ status: 'completed', limit: 2 });
  t.strictSame(roots.map(({ task }) => task.dependentsAfter), [null], 'no dependents are left'); // prettier-ignore
  await rig.stop();
});

t.test('R1: a hub that dies between two slices loses no dependent', async (t) => {
  const clock = virtualClock();
  const storage = memoryStorage({ clock });
  const rig = await hubRig({ clock, storage });
  await (
    await aRoot(rig)
  )();
  const [blocked, queued] = await waiting(rig);
  t.ok(blocked > 0 && queued > 0, `${queued} are queued, and ${blocked} are not`);
  await rig.kill();
  const next = await hubRig({ clock, storage, hubId: 'hub-2' });
  await next.pass(2_000);
  t.strictSame(await waiting(next), [0, DEPENDENTS]);
  await next.stop();
});

t.test('a task cancelled or retried between two slices keeps its status', async (t) => {
  const rig = await hubRig();
  await (
    await aRoot(rig)
  )();
  const last = aTaskId(DEPENDENTS - 1);
  const late: TaskId = aTaskId(DEPENDENTS - 2);
  await rig.queue.do({ kind: 'cancel', taskId: last, by: 'tok-1' });
  t.equal((await rig.record(late)).task.status, 'blocked');
  await rig.pass(1_000);
  t.equal((await rig.record(last)).task.status, 'cancelled');
  t.equal((await rig.record(late)).task.status, 'queued');
  t.strictSame(await waiting(rig), [0, DEPENDENTS - 1]);
  await rig.stop();
});
