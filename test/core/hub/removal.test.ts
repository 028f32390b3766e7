/** Expired tasks are removed by the sweep; repeats of what was answered before are answered from the tombstone. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { Removals } from '../../../core/application/hub/queue/removals.ts';
import { AuditUpkeep } from '../../../core/application/hub/upkeep/audit-upkeep.ts';
import type { SubmitAnswer } from '../../../core/application/hub/batch/commands.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { TaskArchive } from '../../../core/ports/storage.ts';
import { aTaskId, aToken } from '../../product/contracts/fixtures.ts';
import { aDraft, hubRig, settle } from './hub-rig.ts';

const timing = { endedKeptMs: 600_000, tombstoneMs: 1_200_000 };

t.test('R9: a report for a removed task gets its original answer, and later that of an unknown task', async (t) => {
  const rig = await hubRig({ timing });
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  await peer.identify();
  const result = { type: 'task_complete', agent_id: 'a1', task_id: id, generation: 1, result: { output: 'done' } };
  await peer.send({ type: 'task_accepted', agent_id: 'a1', task_id: id, generation: 1 });
  await peer.send(result);
  t.match(await rig.summary(id), /^completed/);
  await rig.submit({ neededCapabilities: ['gpu'] }); // The task of the newest event would stay.
  await rig.pass(timing.endedKeptMs + 60_000);
  t.equal(await rig.storage.tasks.read(id), undefined, 'it is removed');

  const again = await rig.peer('a1');
  await again.identify({ held: [{ task_id: id, generation: 1, status: 'reporting' }] });
  await again.send(result);
  t.match(again.newFrames(), [{ type: 'task_ack', task_id: id, generation: 1, status: 'complete', duplicate: true }]);
  await again.send({ ...result, generation: 2 });
  t.match(again.newFrames(), [{ type: 'task_nack', task_id: id, reason: 'stale_generation' }], 'the fence still holds');
  await rig.pass(timing.tombstoneMs + 60_000);
  const late = await rig.peer('a1');
  await late.identify();
  await late.send(result);
  t.match(late.newFrames(), [{ type: 'task_nack', task_id: id, reason: 'unknown_task' }], 'the tombstone is gone too');
  await rig.stop();
});

t.test('R1: a submit repeated after its task was removed creates no second one', async (t) => {
  const rig = await hubRig({ timing });
  const submit = (n: number, key: string | null, dependsOn: readonly TaskId[] = []): Promise<SubmitAnswer> =>
    rig.queue.do({
      kind: 'submit',
      submittedBy: 'tok-1',
      drafts: [aDraft(aTaskId(n), { dependsOn })],
      idempotency: key === null ? null : { key, name: null, digest: 'd' },
    });
  t.match(await submit(1, 'once'), { kind: 'submitted' });
  await rig.queue.do({ kind: 'cancel', taskId: aTaskId(1), by: 'tok-1' });
  await submit(5, null);
  await rig.pass(timing.endedKeptMs + 60_000);
  t.match(await submit(2, 'once'), { kind: 'repeated', tasks: [{ id: aTaskId(1), status: 'cancelled' }] });
  t.match(await submit(3, null, [aTaskId(1)]), { kind: 'unknown_task' }, 'a cancelled task will never complete');
  await rig.pass(timing.tombstoneMs);
  t.match(await submit(4, 'once'), { kind: 'submitted' }, 'the key is forgotten');
  await rig.stop();
});

t.test('R20: expired tasks are removed as fast as they arrived, a portion at a time, with commands in between', async (t) => {
  // Before, a sweep removed 1,000 tasks, and the next one came after half a minute: 33 a second.
  const rig = await hubRig({ timing });
  const count = 2_500;
  const drafts = Array.from({ length: count }, (_, n) => aDraft(aTaskId(n)));
  await rig.queue.do({ kind: 'submit', submittedBy: 'tok-1', drafts, idempotency: null });
  await Promise.all(drafts.map(({ id }) => rig.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' })));
  await rig.pass(timing.endedKeptMs - 1);
  await rig.submit(); // The task of the newest event would stay.
  t.equal((await rig.storage.tasks.stats()).statuses.cancelled, count, 'none is old enough');
  rig.clock.advance(1);
  const kept = async (): Promise<number> => (await rig.storage.tasks.stats()).statuses.cancelled;
  await rig.queue.do({ kind: 'sweep' });
  const between: number[] = [];
  while ((await kept()) > 0 && between.length < 100) {
    await rig.queue.do({ kind: 'cancel', taskId: aTaskId(0), by: 'tok-1' });
    between.push(await kept());
  }
  t.equal(await kept(), 0);
  t.ok(between.length >= 4, `commands ran in between, at ${between.join(', ')} left`);
  await rig.stop();
});

t.test('R20: a removal that the store asks to repeat skips nothing, and is logged once', async (t) => {
  let commitsLeft = Infinity;
  const onStep = (step: string): void => {
    if (step === 'commit' && (commitsLeft -= 1) === 0) throw new AgentcomError('AC_STORE_RETRY', 'another transaction was faster');
  };
  const rig = await hubRig({ timing, store: { onStep } });
  const drafts = Array.from({ length: 60 }, (_, n) => aDraft(aTaskId(n)));
  await rig.queue.do({ kind: 'submit', submittedBy: 'tok-1', drafts, idempotency: null });
  await Promise.all(drafts.map(({ id }) => rig.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' })));
  await rig.submit(); // The task of the newest event would stay.
  rig.clock.advance(timing.endedKeptMs);
  commitsLeft = 2; // The sweep, and the removal of the first 50.
  await rig.queue.do({ kind: 'sweep' });
  await rig.pass(0);
  t.ok(commitsLeft < 0, 'the store asked for a repeat, and the removal continued');
  t.equal((await rig.storage.tasks.stats()).statuses.cancelled, 0);
  const logged = rig.log.lines.filter(({ message }) => message === 'removed data that was past its retention');
  t.match(logged, [{ fields: { tasks: 60 } }]);
  await rig.stop();
});

t.test('R4: a task is archived before it is removed, and stays while it cannot be archived', async (t) => {
  const archived: string[] = [];
  let isFull = true;
  const archive: TaskArchive = {
    append(tasks) {
      if (isFull) return Promise.reject(new AgentcomError('AC_ARCHIVE', 'no space left'));
      archived.push(...tasks.map(({ task, events }) => `${task.id} ${events.map(({ event }) => event).join(' ')}`));
      return Promise.resolve();
    },
  };
  const rig = await hubRig({ timing, archive });
  const id = await rig.submit();
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' });
  const waiting = await rig.submit({ neededCapabilities: ['gpu'] }); // The task of the newest event would stay.
  await rig.pass(timing.endedKeptMs + 60_000);
  t.equal((await rig.record(id)).task.status, 'cancelled', 'the task stays');
  t.match(
    rig.log.lines.filter(({ level }) => level === 'error').at(-1),
    { fields: { error: { code: 'AC_ARCHIVE' } } },
    'the log gives the reason',
  );
  t.match(await rig.summary(await rig.submit()), /^queued/, 'work continues');
  isFull = false;
  await rig.pass(60_000);
  t.equal(await rig.storage.tasks.read(id), undefined);
  t.strictSame(archived, [`${id} submitted eligible cancelled`]);
  t.match(await rig.summary(waiting), /^queued/);
  await rig.stop();
});

t.test('R20: beyond the limit of ended tasks the oldest are removed early, but not within five minutes', async (t) => {
  const rig = await hubRig({ timing, limits: { endedTasks: 2 } });
  const ids: TaskId[] = [];
  for (let n = 0; n < 4; n += 1) {
    ids.push(await rig.submit());
    await rig.queue.do({ kind: 'cancel', taskId: ids[n] as TaskId, by: 'tok-1' });
    await rig.pass(1_000);
  }
  await rig.submit({ neededCapabilities: ['gpu'] });
  const there = async (): Promise<readonly boolean[]> =>
    Promise.all(ids.map(async (id) => (await rig.storage.tasks.read(id)) !== undefined));
  await rig.pass(240_000);
  t.strictSame(await there(), [true, true, true, true]);
  await rig.pass(120_000);
  t.strictSame(await there(), [false, false, true, true]);
  await rig.stop();
});

t.test('R20: an agent is removed when its tokens have long been invalid, a bounded number per sweep', async (t) => {
  const rig = await hubRig({ timing: { ...timing, agentKeptMs: 600_000 } });
  const { agents } = rig.storage;
  const nowMs = rig.clock.nowMs();
  const idOf = (n: number): AgentId => `a${String(n).padStart(4, '0')}` as AgentId;
  // More than one batch reads, and the one to be removed behind them.
  for (let n = 0; n <= 250; n += 1) await agents.addToken(aToken({ agentId: idOf(n), id: `tok-${n}`, hash: `${n}`, createdAtMs: nowMs }));
  await agents.revokeTokens({ agentId: idOf(250) }, nowMs);
  const isThere = async (n: number): Promise<boolean> => (await agents.getAgent(idOf(n))) !== undefined;
  await rig.pass(540_000);
  t.ok(await isThere(250));
  await rig.pass(240_000);
  t.notOk(await isThere(250));
  t.ok(await isThere(249));
  await rig.stop();
});

t.test('R20: after a removed portion removal pauses four times as long, at most 200 ms, and ends when the hub stops', async (t) => {
  const clock = virtualClock();
  const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const portions: ((more: boolean) => void)[] = [];
  const removals = new Removals(clock, (command, settled) => {
    t.equal(command.kind, 'remove_old');
    portions.push((more) => settled({ ok: true, answer: { kind: 'removed', more } as never }));
  });
  removals.begin();
  removals.begin();
  t.equal(portions.length, 1, 'one at a time');
  clock.advance(10);
  portions[0]?.(true);
  await turns();
  removals.begin();
  clock.advance(39);
  t.equal(portions.length, 1, 'a sweep does not end the pause');
  clock.advance(1);
  await turns();
  t.equal(portions.length, 2);
  clock.advance(1_000);
  portions[1]?.(true);
  await turns();
  clock.advance(200);
  await turns();
  t.equal(portions.length, 3);
  portions[2]?.(false);
  await turns();
  clock.advance(1_000);
  t.equal(portions.length, 3, 'nothing is left');
  removals.begin();
  clock.advance(10);
  portions[3]?.(true);
  await turns();
  removals.stop();
  clock.advance(1_000);
  removals.begin();
  t.equal(portions.length, 4);
});

t.test('the audit log retains the newest entries, and its chain continues', async (t) => {
  const rig = await hubRig({ limits: { auditEntries: 3 } });
  const draft = { actor: { id: null, name: null, role: 'hub' }, address: null, act: 'hub.start', object: null, outcome: 'done', details: {} } as const; // prettier-ignore
  const drafts = Array.from({ length: 1_200 }, () => ({ ...draft, atMs: rig.clock.nowMs() }));
  await rig.storage.audit.append(drafts);
  await rig.pass(3_700_000);
  const { entries, anchor, head } = await rig.storage.audit.read({ after: 0, limit: 10 });
  t.strictSame([entries.map(({ seq }) => seq), anchor.seq, head.seq], [[1_198, 1_199, 1_200], 1_197, 1_200]);
  t.equal(entries[0]?.previous, anchor.hash);
  await rig.stop();
});

t.test('an unresponsive store delays a stop by at most 1 s for a removal from the audit log', async (t) => {
  const clock = virtualClock();
  const log = memoryLog();
  const rig = await hubRig();
  t.teardown(() => rig.stop());
  const audit = { ...rig.storage.audit, remove: () => new Promise<never>(() => undefined) };
  const upkeep = new AuditUpkeep({ audit, clock, log, keptMs: 1, entriesMax: 1 });
  upkeep.start();
  await clock.walk(3_600_000, () => settle(clock));
  let isStopped = false;
  void upkeep.stop().then(() => (isStopped = true));
  await clock.walk(1_000, () => settle(clock));
  t.ok(isStopped);
  t.match(log.lines, [{ level: 'warn', message: /removing old entries of the audit log may fail/, fields: { within_ms: 1_000 } }]);
});
