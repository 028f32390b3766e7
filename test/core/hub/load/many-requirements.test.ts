/** Tasks that no agent can run, each with its own capability: their number does not slow the other tasks down. */
import t from 'tap';
import type { SubmitAnswer } from '../../../../core/application/hub/batch/commands.ts';
import type { TaskId } from '../../../../core/domain/ids.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { aDraft, hubRig, type HubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const ODD = 3_000;
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
