/** Commands waiting for a commit take turns: a batch is bounded by its work, and a client with many commands does not delay others. */
import t from 'tap';
import type { Command, TaskDraft } from '../../../../core/application/hub/batch/commands.ts';
import { Inbox } from '../../../../core/application/hub/queue/inbox.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import { HUB_LIMITS } from '../../../../core/config/limits.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { aDraft, hubRig, settle, type HubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';
import { gate } from '../../../rig/gate.ts';

const cancel = (by: string, n = 0): Command => ({ kind: 'cancel', taskId: aTaskId(n), by });
const report = (agentId: string, n = 0): Command => ({
  kind: 'report',
  from: { agentId: agentId as AgentId, session: 1 },
  taskId: aTaskId(n),
  generation: null,
  body: { report: 'accepted' },
});
const inboxOf = (...commands: readonly (readonly [Command, number])[]) => {
  const inbox = new Inbox({ commandsMax: 1_000, workMax: 2_000 });
  for (const [command, work] of commands) inbox.push({ command, work, bytes: 10 });
  return inbox;
};
const times = <T>(count: number, make: (n: number) => T): readonly T[] => Array.from({ length: count }, (_, n) => make(n));

/** How many tasks each commit of the rig inserted. */
const insertedBy = (rig: HubRig): readonly number[] => {
  const inserted: number[] = [];
  watchUnits(rig.storage, (unit) => ({
    save: (changes) => {
      if (changes.inserted.length > 0) inserted.push(changes.inserted.length);
      return unit.save(changes);
    },
  }));
  return inserted;
};
let made = 0;
const drafts = (count: number): readonly TaskDraft[] => times(count, () => aDraft(aTaskId(10_000 + (made += 1)) as TaskId));

t.test('R20: a bulk submit does not delay its neighbours: anything larger than a batch commits alone', async (t) => {
  const rig = await hubRig();
  const inserted = insertedBy(rig);
  const submit = (count: number, by: string) => rig.queue.do({ kind: 'submit', drafts: drafts(count), submittedBy: by, idempotency: null });
  await Promise.all([submit(1, 'tok-1'), submit(2_500, 'tok-2'), ...times(20, (n) => submit(1, `tok-${n + 3}`))]);
  t.strictSame(
    [...inserted].sort((a, b) => a - b),
    [21, 2_500],
  );
  t.equal(inserted[0], 21, 'the others first: the bulk waits for more turns');
  await rig.stop();
});

t.test('R20: work spread over many commands is bounded per batch too', async (t) => {
  const rig = await hubRig();
  const inserted = insertedBy(rig);
  await Promise.all(times(40, () => rig.queue.do({ kind: 'submit', drafts: drafts(100), submittedBy: 'tok-1', idempotency: null })));
  t.equal(inserted.reduce((sum, count) => sum + count, 0), 4_000); // prettier-ignore
  t.equal(Math.max(...inserted), HUB_LIMITS.batchWork);
  await rig.stop();
});

t.test('R20: one submitter with thousands of commands delays others by at most one batch', async (t) => {
  const rig = await hubRig();
  let batches = 0;
  const { transact } = rig.storage.tasks;
  Object.assign(rig.storage.tasks, {
    transact: (...of: Parameters<typeof transact>) => ((batches += 1), transact(...of)),
  });
  const flood = times(3_000, () => rig.submit());
  const other = rig.queue.do({ kind: 'submit', drafts: drafts(1), submittedBy: 'tok-2', idempotency: null }).then(() => batches);
  t.ok((await other) <= 2, `answered after ${await other} batches`);
  await Promise.all(flood);
  await rig.stop();
});

t.test('R20: an inbox that one submitter fills still takes a few commands of every other sender', async (t) => {
  const rig = await hubRig({ limits: { inboxCommands: 1_024 } });
  const { opened: disk, open: toDisk } = gate();
  const { transact } = rig.storage.tasks;
  Object.assign(rig.storage.tasks, { transact: async (...of: Parameters<typeof transact>) => (await disk, transact(...of)) });
  const submits = (count: number, by: string) =>
    Promise.allSettled(
      times(count, () => rig.queue.do({ kind: 'submit', drafts: drafts(1), submittedBy: by, idempotency: null }).then(({ kind }) => kind)),
    );
  const accepted = async (of: ReturnType<typeof submits>): Promise<number> => {
    const outcomes = await of;
    const refused = outcomes.filter((one) => one.status === 'rejected' && AgentcomError.is(one.reason, 'AC_HUB_BUSY'));
    t.ok(outcomes.every((one) => one.status === 'rejected' || one.value === 'submitted'));
    return outcomes.length - refused.length;
  };
  const first = submits(1, 'tok-1');
  // The batch with the first of them is under way.
  await settle(rig.clock);
  const flood = submits(2_000, 'tok-1');
  const [neighbor, other] = [submits(6, 'tok-2'), submits(1, 'tok-3')];
  // Up to a quarter more, however many senders there are.
  const crowd = times(100, (n) => submits(4, `tok-${n + 4}`));
  toDisk();
  t.equal(await accepted(first), 1);
  t.equal(await accepted(flood), 1_024);
  t.equal(await accepted(neighbor), 4);
  t.equal(await accepted(other), 1);
  t.equal(
    (await Promise.all(crowd.map(accepted))).reduce((sum, count) => sum + count, 0),
    256 - 5,
  );
  t.equal(await accepted(submits(10, 'tok-1')), 10, 'there is room again');
  await rig.stop();
});

t.test('commands of one owner run in order, each exactly once', (t) => {
  const inbox = inboxOf(
    ...times(3_000, (n) => [cancel('a', n), 1] as const),
    ...times(10, (n) => [cancel('b', n), n === 5 ? 9_000 : 1] as const),
    ...times(1_500, (n) => [report(`agent-${n % 40}`, n), 1] as const),
  );
  const taken: Command[] = [];
  let batches = 0;
  for (let batch = inbox.take(); batch.length > 0; batch = inbox.take()) {
    batches += 1;
    const work = batch.reduce((sum, entry) => sum + entry.work, 0);
    t.ok(batch.length <= 1_000 && (work <= 2_000 || batch.length === 1), `${batch.length} commands, ${work} work`);
    taken.push(...batch.map(({ command }) => command));
    if (batches === 2) inbox.push({ command: cancel('a', 3_000), work: 1, bytes: 10 });
  }
  t.equal(taken.length, 4_511);
  t.equal(inbox.length, 0);
  t.equal(inbox.bytes, 0);
  const idsOf = (owner: string): readonly TaskId[] =>
    taken.flatMap((command) =>
      (command.kind === 'cancel' && command.by === owner) || (command.kind === 'report' && command.from.agentId === owner)
        ? [command.taskId]
        : [],
    );
  for (const owner of ['a', 'b', 'agent-0', 'agent-39']) t.strictSame(idsOf(owner), idsOf(owner).toSorted(), owner);
  t.end();
});

t.test('M10: a sweep runs with or after the frames received before it, whatever else is waiting', (t) => {
  const inbox = inboxOf(
    ...times(3_000, (n) => [report('slow', n), 1] as const),
    [{ kind: 'sweep' }, 1],
    ...times(10, (n) => [report('quick', n), 1] as const),
    ...times(3_000, (n) => [cancel('a', n), 1] as const),
  );
  const places = new Map<string, number>();
  for (let [batch, nth] = [inbox.take(), 0]; batch.length > 0; batch = inbox.take(), nth += 1) {
    for (const { command } of batch) places.set(command.kind === 'report' ? command.from.agentId : command.kind, nth);
  }
  t.ok((places.get('sweep') ?? -1) >= (places.get('slow') ?? Infinity), JSON.stringify([...places]));
  t.equal(places.get('quick'), 0, 'others continue while it waits');
  t.end();
});

t.test('R20: an agent with thousands of reports gets only its share of turns', (t) => {
  const inbox = inboxOf(
    ...times(5_000, (n) => [report('flood', n), 1] as const),
    ...times(100, (n) => [report(`agent-${n}`, n), 1] as const),
  );
  const first = inbox.take();
  t.equal(first.filter(({ command }) => command.kind === 'report' && command.from.agentId !== 'flood').length, 100);
  t.equal(first.length, 1_000, 'the batch is full');
  t.end();
});
