/** Tasks that another hub has locked, and then does not assign, are assigned here soon, not at the next poll. */
import t from 'tap';
import { memoryDatabase } from '../../../../adapters/storage-memory/memory-database.ts';
import { memoryStorage } from '../../../../adapters/storage-memory/memory-storage.ts';
import { DispatchRetry, LATER_MAX_MS, LATER_MS } from '../../../../core/application/hub/queue/dispatch-retry.ts';
import { gate } from '../../../rig/gate.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { hubRig, settle } from '../hub-rig.ts';

async function hubBesideAnother() {
  const clock = virtualClock();
  const database = memoryDatabase('store-1');
  const rig = await hubRig({ clock, storage: memoryStorage({ clock, database, shared: true }) });
  const other = memoryStorage({ clock, database, shared: true });
  await other.open();
  let claims = 0;
  const claim = (limitPerLane: number, until: Promise<void>): Promise<number> =>
    other.tasks.transact(`claim ${(claims += 1)}`, async (unit) => {
      const found = await unit.claimable({ requirementKeys: ['[null]'], nowMs: unit.nowMs, limitPerLane });
      await until;
      return found.length;
    });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle(clock);
  };
  return { rig, claim, pass };
}

t.test('R16: a waiting task that another hub had only locked is assigned soon after', async (t) => {
  const { rig, claim, pass } = await hubBesideAnother();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const second = await rig.submit();
  peer.newFrames();
  const lock = gate();
  const claimed = claim(2, lock.opened);
  await settle(rig.clock);
  await peer.send({ type: 'task_accepted', task_id: first, generation: 1 });
  await peer.send({ type: 'task_complete', task_id: first, generation: 1, result: 'done' });
  await settle(rig.clock);
  const assigned = (): unknown[] => peer.newFrames().flatMap(({ type, task_id: id }) => (type === 'task_assign' ? [id] : []));
  t.strictSame(assigned(), [], 'it is locked');
  lock.open();
  t.equal(await claimed, 1);
  await pass(LATER_MS);
  t.strictSame(assigned(), [second]);
  await rig.stop();
});

t.test('R16: waiting tasks of which another hub had locked some are assigned soon after', async (t) => {
  const { rig, claim, pass } = await hubBesideAnother();
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  const running = [await rig.submit(), await rig.submit()];
  const waiting = [await rig.submit(), await rig.submit(), await rig.submit()];
  for (const id of running) await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  peer.newFrames();
  const lock = gate();
  const claimed = claim(2, lock.opened);
  await settle(rig.clock);
  await Promise.all(running.map((id) => peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'done' })));
  await settle(rig.clock);
  const assigned = (): unknown[] => peer.newFrames().flatMap(({ type, task_id: id }) => (type === 'task_assign' ? [id] : []));
  t.strictSame(assigned(), [waiting[2]], 'the only one that is not locked');
  lock.open();
  t.equal(await claimed, 2);
  await pass(LATER_MS);
  t.strictSame(assigned(), [waiting[0]]);
  await rig.stop();
});

t.test('while rows stay locked, dispatches become rarer', (t) => {
  const clock = virtualClock();
  let dispatches = 0;
  let hasMoreLater: boolean | null = true;
  const retry = new DispatchRetry(clock, () => {
    dispatches += 1;
    retry.committed({ hasMoreLater: null });
    retry.committed({ hasMoreLater });
  });
  retry.committed({ hasMoreLater: true });
  const during = (ms: number): number => {
    const before = dispatches;
    for (let n = 0; n < ms; n += 1) clock.advance(1);
    return dispatches - before;
  };
  t.equal(during(LATER_MS), 1);
  t.equal(during(10 * LATER_MAX_MS), 12, 'after 100, 200, 400 and 800 ms, then each second');
  hasMoreLater = false;
  t.equal(during(10 * LATER_MAX_MS), 1, 'the one that was planned');
  retry.committed({ hasMoreLater: true });
  t.equal(during(LATER_MS), 1, 'then soon again');
  retry.committed({ hasMoreLater: true });
  retry.stop();
  t.equal(during(LATER_MAX_MS), 0);
  t.end();
});
