/** Tasks that no agent can run, each with its own capability: their number does not slow the other tasks down. */
import path from 'node:path';
import t from 'tap';
import type { SubmitAnswer } from '../../../../core/application/hub/batch/commands.ts';
import { HUB_TIMING } from '../../../../core/config/times.ts';
import type { TaskId } from '../../../../core/domain/ids.ts';
import { OLDEST_EVERY } from '../../../../core/domain/task/rules.ts';
import { PRIORITIES } from '../../../../core/domain/task/task.ts';
import { memoryStorage } from '../../../../adapters/storage-memory/memory-storage.ts';
import { emptyFolder, sqliteStorage } from '../../../adapters/storage-places/sqlite-storage-place.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { virtualClock, type VirtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { aDraft, hubRig, settle, type HubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const ODD = 3_000;
const NO_HEARTBEATS = { heartbeatMs: 1e9, pongWaitMs: 1e9 };
/** SQLite's thread has answered, too. */
const settledOnDisk = async (clock: VirtualClock): Promise<void> => {
  for (let n = 0; n < 4; n += 1) {
    await settle(clock);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
/** The most requirements that one batch read, as seen by the rig's store. */
const watched = (rig: HubRig): { most: number } => {
  const seen = { most: 0 };
  watchUnits(rig.storage, (unit) => ({
    async waitingRequirements(filter) {
      const answer = await unit.waitingRequirements(filter);
      seen.most = Math.max(seen.most, (Array.isArray(answer) ? answer : answer.requirements).length);
      return answer;
    },
  }));
  return seen;
};
const bulk = (rig: HubRig, first: number, count: number): Promise<SubmitAnswer> =>
  rig.queue.do({
    kind: 'submit',
    submittedBy: 'tok-odd',
    idempotency: null,
    drafts: Array.from({ length: count }, (_, n) => aDraft(aTaskId(10_000 + first + n), { neededCapabilities: [`odd-${first + n}`] })),
  });

t.test('R12 R20: thousands of requirements that no agent meets are not scanned, and no task waits behind them', async (t) => {
  const rig = await hubRig();
  const worker = await rig.peer('worker');
  await worker.identify({ capabilities: ['zz'], slots: 2 });
  for (let first = 0; first < ODD; first += 1_000) await bulk(rig, first, 1_000);
  const seen = watched(rig);
  const assigned = (): readonly unknown[] =>
    worker.newFrames().flatMap((frame) => (frame.type === 'task_assign' ? [frame['task_id']] : []));
  const id = await rig.submit({ neededCapabilities: ['zz'] });
  t.strictSame(assigned(), [id]);
  const plain = await rig.submit();
  t.strictSame(assigned(), [plain]);
  t.ok(seen.most <= 1_100, `a batch read ${seen.most} requirements`);

  // An agent that joins with an odd capability gets such a task, whoever was there before.
  const odd = await rig.peer('odd');
  await odd.identify({ capabilities: ['odd-2500'], slots: 1 });
  await rig.pass(60_000);
  const got = odd.frames.flatMap((frame) => (frame.type === 'task_assign' ? [frame['task_id'] as TaskId] : []));
  t.strictSame([...new Set(got)], [aTaskId(12_500)]);
  t.ok(seen.most <= 1_100, `a batch read ${seen.most} requirements`);
  await rig.stop();
});

t.test('R12: one agent among hundreds gets the task only it can run, even with more requirements than a batch reads', async (t) => {
  const rig = await hubRig();
  const peers = await Promise.all(Array.from({ length: 300 }, (_, n) => rig.peer(`agent-${n}`)));
  for (const [n, peer] of peers.entries()) await peer.identify({ capabilities: [`special-${n}`], slots: 1 });
  for (let first = 0; first < ODD; first += 1_000) await bulk(rig, first, 1_000);
  const ids: TaskId[] = [];
  for (const n of [0, 150, 299]) ids.push(await rig.submit({ neededCapabilities: [`special-${n}`] }));
  for (let turn = 0; turn < 6; turn += 1) await rig.submit({ neededCapabilities: ['nobody'] });
  for (const [nth, n] of [0, 150, 299].entries())
    t.match(
      peers[n]?.frames.filter((frame) => frame.type === 'task_assign'),
      [{ task_id: ids[nth] }],
      `agent-${n}`,
    );
  await rig.stop();
});

t.test('R12 R16: a task is found behind more lists of capabilities than a batch reads, although all begin with the same one', async (t) => {
  for (const kind of ['memory', 'sqlite'] as const) {
    const clock = virtualClock();
    const storage =
      kind === 'memory' ? memoryStorage({ clock }) : sqliteStorage(path.join(await emptyFolder(t), 'agentcom.db'), { time: clock });
    const rig = await hubRig({ clock, storage, ...(kind === 'memory' ? {} : { untilIdle: () => settledOnDisk(clock) }) });
    const peer = await rig.peer('a1');
    await peer.identify({ capabilities: ['code', 'review'], slots: 1 });
    const ids = [await rig.submit({ neededCapabilities: ['code'] })];
    const odd = Array.from({ length: ODD }, (_, n) => aDraft(aTaskId(10_000 + n), { neededCapabilities: ['code', `odd-${n}`] }));
    await rig.queue.do({ kind: 'submit', submittedBy: 'tok-odd', idempotency: null, drafts: odd });
    ids.push(await rig.submit({ neededCapabilities: ['code'] }), await rig.submit({ neededCapabilities: ['code', 'review'] }));
    const got = (id: TaskId | undefined): boolean => peer.frames.some(({ type, task_id }) => type === 'task_assign' && task_id === id);
    for (const [nth, id] of ids.entries()) {
      let waitedMs = 0;
      for (; !got(id) && waitedMs < 2_000; waitedMs += 50) await rig.pass(50);
      t.ok(waitedMs <= 1_000, `${kind}: task ${nth} after ${waitedMs} ms`);
      await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
      await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'done' });
    }
    await rig.stop();
  }
});

t.test('R16: an agent that becomes free gets its next task at once, however many others are idle', async (t) => {
  const rig = await hubRig({ timing: NO_HEARTBEATS });
  const peers = await Promise.all(Array.from({ length: 600 }, (_, n) => rig.peer(`agent-${n}`)));
  for (const [n, peer] of peers.entries()) await peer.identify({ capabilities: [`special-${n}`], slots: 1 });
  await bulk(rig, 0, 1_000);
  await bulk(rig, 1_000, 1_000);
  for (const n of [3, 150, 299, 450, 599]) {
    const [first, second] = [
      await rig.submit({ neededCapabilities: [`special-${n}`] }),
      await rig.submit({ neededCapabilities: [`special-${n}`] }),
    ];
    await peers[n]?.send({ type: 'task_accepted', task_id: first, generation: 1 });
    await peers[n]?.send({ type: 'task_complete', task_id: first, generation: 1, result: 'done' });
    t.ok(peers[n]?.frames.some(({ type, task_id: id }) => type === 'task_assign' && id === second), `agent-${n}`); // prettier-ignore
  }
  await rig.stop();
});

t.test('R16: 300 tasks that become due when a full sweep ends, and old tasks are removed, are all assigned at once', async (t) => {
  const rig = await hubRig({ timing: NO_HEARTBEATS });
  const peers = await Promise.all(Array.from({ length: 300 }, (_, n) => rig.peer(`agent-${n}`)));
  for (const peer of peers) await peer.identify({ slots: 1 });
  const runAtMs = rig.clock.nowMs() + 2 * HUB_TIMING.sweepMs;
  for (let n = 0; n < 300; n += 1) await rig.submit({ runAtMs });
  await rig.pass(2 * HUB_TIMING.sweepMs);
  await rig.pass(1_000);
  t.equal(peers.filter(({ frames }) => frames.some(({ type }) => type === 'task_assign')).length, 300);
  await rig.stop();
});

t.test('R20: while none of the waiting tasks can be read, hundreds of idle agents do not keep the hub busy', async (t) => {
  const rig = await hubRig({ timing: NO_HEARTBEATS });
  await rig.submit();
  let claims = 0;
  watchUnits(rig.storage, (unit) => ({
    claimable: (query) => ((claims += 1) < 1_000 ? Promise.resolve([]) : unit.claimable(query)),
  }));
  const peers = await Promise.all(Array.from({ length: 300 }, (_, n) => rig.peer(`agent-${n}`)));
  for (const peer of peers) await peer.identify({ slots: 1 });
  await rig.pass(2_000);
  claims = 0;
  for (let n = 0; n < 100; n += 1) await rig.pass(100);
  t.ok(claims > 0 && claims <= 15, `${claims} dispatches in 10 s`);
  await rig.stop();
});

t.test('R20: of hundreds of requirements a dispatch reads no more tasks than it may, and the order stays', async (t) => {
  const rig = await hubRig({ timing: NO_HEARTBEATS });
  const words = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const lists = Array.from({ length: 255 }, (_, n) => words.filter((_word, bit) => ((n + 1) >> bit) % 2 === 1));
  const drafts = lists.flatMap((neededCapabilities, n) =>
    Array.from({ length: 20 }, (_, m) =>
      aDraft(aTaskId(10_000 + 20 * n + m), { neededCapabilities, priority: m === 7 ? ('urgent' as const) : ('normal' as const) }),
    ),
  );
  for (let first = 0; first < drafts.length; first += 1_000)
    await rig.queue.do({ kind: 'submit', submittedBy: 'tok-odd', idempotency: null, drafts: drafts.slice(first, first + 1_000) });
  let most = 0;
  watchUnits(rig.storage, (unit) => ({
    claimable: (query) => {
      most = Math.max(most, query.requirementKeys.length * PRIORITIES.length * query.limitPerLane);
      return unit.claimable(query);
    },
  }));
  const peer = await rig.peer('all');
  await peer.identify({ capabilities: words, slots: 128 });
  await rig.pass(1_000);
  const got = peer.frames.flatMap(({ type, task_id: id }) => (type === 'task_assign' ? [id] : []));
  const urgent = drafts.filter(({ priority }) => priority === 'urgent').map(({ id }) => id);
  t.equal(got.length, 128);
  t.equal(
    got.filter((id) => !urgent.includes(id as TaskId)).length,
    128 / OLDEST_EVERY,
    'urgent tasks first, but for the oldest now and then',
  );
  t.ok(most > 0 && most <= 8_192, `${most} tasks`);
  await rig.stop();
});
