/** Idempotency keys in the form of a task ID, which name their task: how a repeat finds it, and when the key is kept instead. */
import t from 'tap';
import type { SubmitAnswer, SubmitCommand } from '../../../../core/application/hub/batch/commands.ts';
import { NAME_AGE_MAX_MS, NAME_AHEAD_MAX_MS, taskNamedBy } from '../../../../core/domain/task/idempotency-key.ts';
import type { TaskId } from '../../../../core/domain/ids.ts';
import { aBody } from '../../../product/contracts/fixtures.ts';
import { seededIds } from '../../../product/twins/ids-seeded/seeded-ids.ts';
import { aDraft, hubRig, type HubRig, type RigOptions } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const ids = seededIds({ seed: 'named-tasks' });

/** A key that a client makes at that time. */
const keyAt = (atMs: number, n = 1): string => `task-${atMs.toString(16).padStart(12, '0')}${n.toString(16).padStart(20, '0')}`;

interface Named {
  readonly rig: HubRig;
  readonly submit: (key: string, over?: Parameters<typeof aDraft>[1], by?: string) => Promise<SubmitAnswer>;
}

async function named(options: RigOptions = {}): Promise<Named> {
  const rig = await hubRig(options);
  const command = (key: string, over: Parameters<typeof aDraft>[1], submittedBy: string): SubmitCommand => ({
    kind: 'submit',
    drafts: [aDraft(ids.task(), over)],
    submittedBy,
    idempotency: { key, name: taskNamedBy(key), digest: null },
  });
  return { rig, submit: (key, over = {}, by = 'tok-1') => rig.queue.do(command(key, over, by)) };
}

const taskOf = (answer: SubmitAnswer): TaskId | null => ('tasks' in answer ? (answer.tasks[0]?.id ?? null) : null);
const stored = async ({ rig }: Named): Promise<number> => (await rig.storage.tasks.stats()).statuses.queued;
const brief = (answer: SubmitAnswer) => [answer.kind, taskOf(answer)];

t.test('R1 J1: a key in the form of a task ID names the task, which a repeat finds, even within one batch', async (t) => {
  const world = await named();
  const key = keyAt(world.rig.clock.nowMs());
  const both = await Promise.all([world.submit(key), world.submit(key)]);
  t.strictSame(both.map(brief), [['submitted', key], ['repeated', key]]); // prettier-ignore
  t.strictSame(brief(await world.submit(key)), ['repeated', key]);
  t.equal(await stored(world), 1);
  const loaded = await world.rig.storage.tasks.transact('look', (unit) => unit.load({ keys: [{ owner: 'tok-1', key }] }));
  t.strictSame(loaded.keys, [], 'no key is stored');
});

t.test('a named task costs no lookup, and a repeat one', async (t) => {
  const { rig, submit } = await named();
  let lookups = 0;
  watchUnits(rig.storage, (unit) => ({
    load(names) {
      lookups += (names.keys?.length ?? 0) > 0 ? 1 : 0;
      return unit.load(names);
    },
  }));
  for (let n = 1; n <= 3; n += 1) t.equal((await submit(keyAt(rig.clock.nowMs(), n))).kind, 'submitted');
  t.equal(lookups, 0);
  t.equal((await submit(keyAt(rig.clock.nowMs(), 2))).kind, 'repeated');
  t.equal(lookups, 1);
});

t.test('a repeat is compared with what is stored; the trace and the signature may differ', async (t) => {
  const { rig, submit } = await named();
  const key = keyAt(rig.clock.nowMs());
  const first = { neededCapabilities: ['b', 'a'], body: aBody({ metadata: '{"x":1,"y":[2]}', fileHints: ['a.ts'], traceparent: '00-1' }) };
  t.equal((await submit(key, first)).kind, 'submitted');
  const same = { ...first, neededCapabilities: ['a', 'b', 'a'], body: { ...first.body, metadata: '{"y":[2],"x":1}', traceparent: '00-2', signature: 's' } }; // prettier-ignore
  t.equal((await submit(key, same)).kind, 'repeated');
  const others = [
    { ...first, priority: 'low' as const },
    { ...first, maxRetries: 4 },
    { ...first, neededCapabilities: ['a'] },
    { ...first, runMaxMs: 5_000 },
    { ...first, completeByMs: rig.clock.nowMs() + 60_000 },
    { ...first, body: aBody() },
    { ...first, body: { ...first.body, description: 'count the folders' } },
    { ...first, body: { ...first.body, metadata: '{"x":1,"y":[3]}' } },
  ];
  for (const other of others) t.equal((await submit(key, other)).kind, 'idempotency_mismatch', JSON.stringify(other));
  t.equal((await submit(key, first)).kind, 'repeated');
  const plain = keyAt(rig.clock.nowMs(), 2);
  t.equal((await submit(plain, { body: aBody({ metadata: null }) })).kind, 'submitted');
  t.equal((await submit(plain, { body: aBody({ metadata: '{}' }) })).kind, 'repeated', 'its default');
});

t.test("a repeat's deadline may be one that an operator's retry has dropped", async (t) => {
  const { rig, submit } = await named();
  const key = keyAt(rig.clock.nowMs());
  const completeByMs = rig.clock.nowMs() + 20_000;
  const id = taskOf(await submit(key, { completeByMs })) as TaskId;
  await rig.pass(21_000);
  t.match((await rig.record(id)).task, { status: 'dead_letter', deadReason: 'deadline' });
  t.match(await rig.queue.do({ kind: 'retry', taskId: id, by: 'op' }), { kind: 'done' });
  t.match((await rig.record(id)).task, { completeByMs: null, round: 2 });
  t.strictSame(brief(await submit(key, { completeByMs })), ['repeated', key]);
});

t.test('repeats of many long tasks make the hub read no more than a bounded part of them', async (t) => {
  const { rig, submit } = await named();
  const body = aBody({ description: 'x'.repeat(200_000) });
  const keys = Array.from({ length: 64 }, (_, n) => keyAt(rig.clock.nowMs(), n + 1));
  for (const key of keys) t.equal((await submit(key, { body })).kind, 'submitted');
  let read = 0;
  watchUnits(rig.storage, (unit) => ({
    async bodies(wanted) {
      read += wanted.length;
      return unit.bodies(wanted);
    },
  }));
  const answers = await Promise.all(keys.map((key) => submit(key, { maxRetries: 9 })));
  t.strictSame([...new Set(answers.map(({ kind }) => kind))], ['idempotency_mismatch']);
  t.ok(read > 0 && read <= 32, `${read} bodies`);
});

t.test("another token's task is not revealed by a key that is its ID", async (t) => {
  const { rig, submit } = await named();
  const key = keyAt(rig.clock.nowMs());
  t.equal((await submit(key)).kind, 'submitted');
  t.strictSame(await submit(key, {}, 'tok-2'), { kind: 'idempotency_mismatch' });
  const unnamed = await rig.submit();
  t.strictSame(await submit(unnamed, {}, 'tok-2'), { kind: 'idempotency_mismatch' });
  t.strictSame(await submit(`${unnamed}00`, {}, 'tok-2').then(({ kind }) => kind), 'submitted', 'a key of another length is any key');
});

t.test('a key whose time is far from that of the hub is kept like any other, and finds its task later', async (t) => {
  const world = await named();
  const { rig, submit } = world;
  const nowMs = rig.clock.nowMs();
  for (const [n, atMs] of [nowMs - NAME_AGE_MAX_MS, nowMs + NAME_AHEAD_MAX_MS + 1].entries()) {
    const key = keyAt(atMs, n + 1);
    const [kind, id] = brief(await submit(key));
    t.equal(kind, 'submitted');
    t.not(id, key);
    t.strictSame(brief(await submit(key)), ['repeated', id]);
    t.equal((await submit(key, { maxRetries: 9 })).kind, 'idempotency_mismatch');
    t.equal((await submit(key, {}, 'tok-2')).kind, 'submitted', 'of another token it is another key');
  }
  const ahead = keyAt(nowMs + NAME_AHEAD_MAX_MS + 1, 2);
  const early = await submit(ahead);
  rig.clock.advance(1_000);
  t.strictSame(brief(await submit(ahead)), ['repeated', taskOf(early)], 'although by now it could name a task');
  for (let n = 0; n < 70; n += 1) await submit(keyAt(rig.clock.nowMs(), 100 + n));
  t.strictSame(brief(await submit(ahead)), ['repeated', taskOf(early)], 'even if keys are not looked up at first');

  const onTime = keyAt(rig.clock.nowMs(), 3);
  t.strictSame(brief(await submit(onTime)), ['submitted', onTime]);
  rig.clock.advance(2 * NAME_AGE_MAX_MS);
  await rig.submit();
  t.strictSame(brief(await submit(onTime)), ['repeated', onTime], 'a repeat may come much later');
});

t.test('the key of a bulk submit is kept like any other', async (t) => {
  const { rig, submit } = await named();
  const [one, two] = [keyAt(rig.clock.nowMs(), 1), keyAt(rig.clock.nowMs(), 2)];
  const bulk = (key: string, digest = 'd', count = 2): Promise<SubmitAnswer> => {
    const drafts = Array.from({ length: count }, () => aDraft(ids.task()));
    return rig.queue.do({ kind: 'submit', drafts, submittedBy: 'tok-1', idempotency: { key, name: taskNamedBy(key), digest } });
  };
  t.equal((await bulk(one)).kind, 'submitted');
  t.equal((await bulk(one)).kind, 'repeated');
  t.equal((await bulk(one, 'e')).kind, 'idempotency_mismatch');
  t.equal((await submit(one)).kind, 'idempotency_mismatch');
  t.equal((await submit(two)).kind, 'submitted');
  const three = keyAt(rig.clock.nowMs(), 3);
  t.equal((await bulk(three, 'd', 1)).kind, 'submitted');
  t.equal((await submit(three, { maxRetries: 9 })).kind, 'idempotency_mismatch');
  t.equal((await submit(three)).kind, 'repeated', 'a hub that kept every key with its digest may have saved it');
  for (const count of [1, 2]) t.equal((await bulk(two, 'd', count)).kind, 'idempotency_mismatch', 'a single task is not a bulk of one');
});

t.test('R5: the ID of a removed task names no other one, so its old reports change nothing', async (t) => {
  const timing = { endedKeptMs: 60_000, tombstoneMs: 600_000, sweepMs: 1_000 };
  const { rig, submit } = await named({ timing });
  const key = keyAt(rig.clock.nowMs());
  const id = taskOf(await submit(key)) as TaskId;
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' });
  await rig.submit();
  const isStored = async (): Promise<boolean> => (await rig.storage.tasks.read(id)) !== undefined;
  while (await isStored()) await rig.pass(10_000);
  t.strictSame(brief(await submit(key)), ['repeated', key], 'it has a tombstone');
  t.equal((await submit(key, {}, 'tok-2')).kind, 'idempotency_mismatch');
  await rig.pass(2 * timing.tombstoneMs);
  const [kind, other] = brief(await submit(key));
  t.equal(kind, 'submitted', 'a key is remembered as long as a tombstone is');
  t.not(other, key, 'and then it is too old to name a task');
});
