/** The inbox and its commits: how a failing store, a full inbox or a bad neighbour affects a command. */
import t from 'tap';
import type { SubmitAnswer, SubmitCommand } from '../../../core/application/hub/batch/commands.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { END_WITHIN_MS, TaskQueue } from '../../../core/application/hub/queue/task-queue.ts';
import { Roster } from '../../../core/application/hub/batch/roster.ts';
import type { TaskStore } from '../../../core/ports/task-store.ts';
import { aDraft, hubRig, type HubRig, type RigOptions } from './hub-rig.ts';
import { watchUnits } from './watched-units.ts';

const ids = seededIds({ seed: 'task-queue' });
const submit = (over: Partial<SubmitCommand> = {}): SubmitCommand => ({
  kind: 'submit',
  drafts: [aDraft(ids.task())],
  submittedBy: 'tok-1',
  idempotency: null,
  ...over,
});

/** Commands whose answer is not awaited here. */
const QUIET = {
  deliver: () => undefined,
  committed: () => undefined,
  storageFailed: () => undefined,
  beforeBatch: () => undefined,
  broken(cause: unknown): void {
    throw cause;
  },
};

/**
 * A queue over the rig's store, whose `transact` fails as `failing` says, call by call: before its work, after it
 * without a commit, or after its commit.
 */
async function queueOver(
  failing: readonly ('before' | 'undone' | 'after' | null)[],
  code: ConstructorParameters<typeof AgentcomError>[0],
  options: RigOptions = {},
): Promise<{ queue: TaskQueue; rig: HubRig; calls: () => number }> {
  const rig = await hubRig(options);
  let calls = 0;
  const inner = rig.storage.tasks;
  const store: TaskStore = {
    ...inner,
    capabilities: inner.capabilities,
    committed: (batchId) => inner.committed(batchId),
    read: (id) => inner.read(id),
    async transact(batchId, work) {
      const fails = failing[calls] ?? null;
      calls += 1;
      if (fails === 'before') throw new AgentcomError(code, 'planted');
      const answer = await inner.transact(batchId, async (unit) => {
        const done = await work(unit);
        if (fails === 'undone') throw new AgentcomError(code, 'planted');
        return done;
      });
      if (fails === 'after') throw new AgentcomError(code, 'planted');
      return answer;
    },
  };
  const deps = {
    store,
    clock: rig.clock,
    ids,
    roster: new Roster('hub-1'),
    context: rig.context,
    ...QUIET,
  };
  return { queue: new TaskQueue(deps), rig, calls: () => calls };
}

t.test('a batch is retried at the request of the store, at most five times', async (t) => {
  const { queue, calls } = await queueOver(['before', 'before', null], 'AC_STORE_RETRY');
  t.match(await queue.do(submit()), { kind: 'submitted' });
  t.equal(calls(), 3);
  const never = await queueOver(
    Array.from({ length: 9 }, () => 'before' as const),
    'AC_STORE_RETRY',
  );
  await t.rejects(never.queue.do(submit()), { code: 'AC_STORE_RETRY' });
  t.equal(never.calls(), 5);
});

t.test('R2: a batch that keeps conflicting with another transaction is split, and only the conflicting command fails', async (t) => {
  const five = Array.from({ length: 5 }, () => 'before' as const);
  const { queue, calls } = await queueOver([...five, null, 'before', 'before', null, 'before', 'before'], 'AC_STORE_RETRY');
  const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => queue.do(submit())));
  t.strictSame(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected'],
  );
  t.match(outcomes[3], { reason: { code: 'AC_STORE_RETRY' } });
  t.equal(calls(), 11, 'five tries for all, then two for each part');
  const never = await queueOver(
    Array.from({ length: 99 }, () => 'before' as const),
    'AC_STORE_RETRY',
  );
  const failed = await Promise.allSettled(Array.from({ length: 4 }, () => never.queue.do(submit())));
  t.ok(failed.every(({ status }) => status === 'rejected'));
  t.equal(never.calls(), 17, 'five, then two for each of two halves and four quarters');
});

t.test('R2 J3: a COMMIT of unknown outcome is looked up before it is answered or repeated', async (t) => {
  const happened = await queueOver(['after'], 'AC_COMMIT_UNKNOWN');
  const answer = await happened.queue.do(submit());
  t.equal(answer.kind, 'submitted');
  t.equal(happened.calls(), 1, 'its agent does not');
  for (const fails of ['before', 'undone'] as const) {
    const not = await queueOver([fails, null], 'AC_COMMIT_UNKNOWN');
    const command = submit();
    t.equal((await not.queue.do(command)).kind, 'submitted', fails);
    t.equal(not.calls(), 2, 'not committed: repeated');
    t.equal((await not.rig.storage.tasks.peek(command.drafts.map(({ id }) => id))).length, 1, 'an answered task is stored');
  }
});

t.test('a store that cannot commit fails each command, answers none, and the next batch is tried again', async (t) => {
  const { queue, rig } = await queueOver(['before'], 'AC_STORE_UNAVAILABLE');
  const outcomes = await Promise.allSettled([queue.do(submit()), queue.do(submit())]);
  t.same(
    outcomes.map((one) => one.status),
    ['rejected', 'rejected'],
  );
  t.equal((await queue.do(submit())).kind, 'submitted');
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 1);
});

t.test('R2: one bad command never fails its neighbours', async (t) => {
  const rig = await hubRig();
  const bad = submit({ drafts: [{ ...aDraft(ids.task()), dependsOn: null as never }] });
  const outcomes = await Promise.allSettled([submit(), submit(), bad, submit()].map((command) => rig.queue.do(command)));
  t.same(
    outcomes.map((one) => one.status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  );
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 3);
});

t.test('commands that arrive together are committed together', async (t) => {
  const { queue, calls } = await queueOver([], 'AC_INTERNAL');
  await Promise.all(Array.from({ length: 100 }, () => queue.do(submit())));
  t.ok(calls() <= 2, `${calls()} commits for 100 commands`);
});

t.test('R20: a full inbox refuses further commands, and loses none it accepted', async (t) => {
  const { queue, rig } = await queueOver([], 'AC_INTERNAL', { limits: { inboxCommands: 10 } });
  const outcomes = await Promise.allSettled(Array.from({ length: 15 }, () => queue.do(submit())));
  t.equal(outcomes.filter((one) => one.status === 'rejected' && AgentcomError.is(one.reason, 'AC_HUB_BUSY')).length, 5);
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 10);
});

t.test('a stopping queue commits what it accepted and accepts nothing more', async (t) => {
  const { queue, rig } = await queueOver([], 'AC_INTERNAL');
  const before = queue.do(submit());
  const stopped = queue.stop();
  await t.rejects(queue.do(submit()), { code: 'AC_HUB_STOPPING' });
  await stopped;
  t.equal((await before).kind, 'submitted');
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 1);
});

/** A queue with batches of one command over a store that hangs until its connection fails after this many milliseconds. */
async function queueOverAway(connectMs: number): Promise<{ queue: TaskQueue; rig: HubRig; calls: () => number }> {
  const rig = await hubRig({ limits: { batchCommands: 1 } });
  let calls = 0;
  const store: TaskStore = {
    ...rig.storage.tasks,
    transact: () => {
      calls += 1;
      return new Promise((_, reject) => {
        rig.clock.after(connectMs, () => reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'Cannot connect: planted.')));
      });
    },
  };
  const { clock, context } = rig;
  return { queue: new TaskQueue({ store, clock, ids, roster: new Roster('hub-1'), context, ...QUIET }), rig, calls: () => calls };
}

/** The outcome of each, in order: the kind of its answer, or the code of its error; `open` while there is neither. */
function outcomesOf(all: readonly Promise<{ readonly kind: string }>[]): string[] {
  const outcomes = all.map(() => 'open');
  for (const [index, one] of all.entries())
    one.then(
      ({ kind }) => (outcomes[index] = kind),
      (error: AgentcomError) => (outcomes[index] = error.code),
    );
  return outcomes;
}

t.test('R2: a hub stopped while its store is unavailable tries it at most once more and refuses all waiting commands', async (t) => {
  const { queue, rig, calls } = await queueOverAway(2_000);
  const outcomes = outcomesOf(Array.from({ length: 6 }, () => queue.do(submit())));
  await rig.pass(0);
  await rig.pass(1_000);
  const flushed = outcomesOf([queue.flush().then(() => ({ kind: 'flushed' }))]);
  await rig.pass(900);
  t.strictSame([...new Set(outcomes), ...flushed], ['open', 'open'], 'the batch in progress may still be committed');
  await rig.pass(100);
  t.strictSame(outcomes, ['AC_STORE_UNAVAILABLE', ...Array.from({ length: 5 }, () => 'AC_HUB_STOPPING')]);
  t.strictSame(flushed, ['flushed']);
  await t.rejects(queue.do(submit()), { code: 'AC_HUB_STOPPING' }, 'nor is it tried again for later commands');
  await queue.stop();
  t.equal(calls(), 1);
});

t.test('R2: an unresponsive store delays a stop by at most 3 s per step, and commands not yet started are refused', async (t) => {
  const { queue, rig, calls } = await queueOverAway(60_000);
  const outcomes = outcomesOf(Array.from({ length: 3 }, () => queue.do(submit())));
  await rig.pass(0);
  const ends = outcomesOf([
    queue
      .flush()
      .then(() => queue.stop())
      .then(() => ({ kind: 'stopped' })),
  ]);
  await rig.pass(END_WITHIN_MS);
  t.strictSame(outcomes, ['open', 'AC_HUB_STOPPING', 'AC_HUB_STOPPING'], 'a batch of unknown outcome is not answered');
  await rig.pass(END_WITHIN_MS);
  t.strictSame(ends, ['stopped']);
  await rig.pass(60_000);
  t.strictSame(outcomes[0], 'AC_STORE_UNAVAILABLE');
  t.equal(calls(), 1);
});

t.test('R2: a stopping hub answers what it accepted before, whatever arrives meanwhile', async (t) => {
  const { queue, rig } = await queueOver([], 'AC_INTERNAL', { limits: { batchCommands: 2 } });
  const most = 1_000;
  let isFlushed = false;
  let requestCount = 0;
  const again = (): void => {
    if (isFlushed || requestCount === most) return;
    requestCount += 1;
    queue.post(submit(), again);
  };
  again();
  const before = Array.from({ length: 5 }, () => queue.do(submit()));
  const outcomes = outcomesOf(before);
  await queue.flush();
  isFlushed = true;
  t.ok(requestCount < most, `flushed after ${requestCount} commands that came one after the other`);
  t.strictSame([...new Set(outcomes)], ['submitted']);
  await queue.stop();
  t.equal((await rig.storage.tasks.stats()).statuses.queued, before.length + requestCount, 'every accepted command is stored');
});

t.test('R1 J1: the same idempotency key gives the same task, even within one batch; another body is a mismatch', async (t) => {
  const rig = await hubRig();
  const keyed = (digest: string) => submit({ idempotency: { key: 'k', name: null, digest } });
  const answers: SubmitAnswer[] = await Promise.all([rig.queue.do(keyed('d1')), rig.queue.do(keyed('d1'))]);
  t.same(
    answers.map((one) => one.kind),
    ['submitted', 'repeated'],
  );
  t.same(answers.map((one) => ('tasks' in one ? one.tasks[0]?.id : null)).filter((id, n, all) => all.indexOf(id) === n).length, 1);
  t.equal((await rig.queue.do(keyed('d1'))).kind, 'repeated');
  t.equal((await rig.queue.do(keyed('d2'))).kind, 'idempotency_mismatch');
  t.equal((await rig.queue.do({ ...keyed('d2'), submittedBy: 'tok-2' })).kind, 'submitted', "another token's key is another key");

  const inOneBatch = ['tok-3', 'tok-4', 'tok-3', 'tok-4'].map((submittedBy) => rig.queue.do({ ...keyed('d3'), submittedBy }));
  const [three, four, threeAgain, fourAgain] = (await Promise.all(inOneBatch)).map((one) => ('tasks' in one ? one.tasks[0]?.id : null));
  t.equal(threeAgain, three);
  t.equal(fourAgain, four);
  t.not(three, four, 'within one batch too');
});

t.test('R1 J1: a key is looked up when it may be known: at once for a refused submit, and for a while after a hit', async (t) => {
  const rig = await hubRig();
  let lookups = 0;
  let batches = 0;
  watchUnits(rig.storage, (unit) => {
    batches += 1;
    return {
      load(names) {
        lookups += (names.keys?.length ?? 0) > 0 ? 1 : 0;
        return unit.load(names);
      },
    };
  });
  const keyed = (key: string, over: Partial<SubmitCommand> = {}) => submit({ idempotency: { key, name: null, digest: key }, ...over });
  for (const key of ['k1', 'k2', 'k3']) t.equal((await rig.queue.do(keyed(key))).kind, 'submitted');
  t.strictSame({ batches, lookups }, { batches: 3, lookups: 0 }, 'new keys cost no lookup');

  const neighbour = submit();
  const [again, other] = await Promise.all([rig.queue.do(keyed('k1')), rig.queue.do(neighbour)]);
  t.equal(again.kind, 'repeated');
  t.equal(other.kind, 'submitted', 'its batch ran again as well');
  t.strictSame({ batches, lookups }, { batches: 5, lookups: 1 });
  t.equal((await rig.storage.tasks.peek(neighbour.drafts.map(({ id }) => id))).length, 1);

  for (let n = 0; n < 64; n += 1) t.equal((await rig.queue.do(keyed('k2'))).kind, 'repeated');
  t.strictSame({ batches, lookups }, { batches: 69, lookups: 65 }, 'known keys in a row cost one lookup each, and no second attempt');
  t.equal((await rig.queue.do(keyed('k4'))).kind, 'submitted');
  t.strictSame({ batches, lookups }, { batches: 70, lookups: 65 });

  const ghost = [aDraft(ids.task(), { assignTo: 'ghost' as AgentId })];
  t.equal((await rig.queue.do(keyed('k3', { drafts: ghost }))).kind, 'repeated', 'although its agent does not exist');
  t.equal((await rig.queue.do(keyed('k5', { drafts: ghost }))).kind, 'unknown_agent');
  const missing = 'task-00000000000000aa' as TaskId;
  t.equal((await rig.queue.do(keyed('k1', { drafts: [aDraft(ids.task(), { dependsOn: [missing] })] }))).kind, 'repeated');
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 5);
});

t.test('a storage that is away is logged once in 10 s, with how many batches failed, and other errors each time', async (t) => {
  const away = await queueOver(
    Array.from({ length: 1_001 }, () => 'before' as const),
    'AC_STORE_UNAVAILABLE',
  );
  const failed = ({ rig }: { readonly rig: HubRig }) => rig.log.lines.filter(({ message }) => message === 'a batch could not be committed');
  for (let n = 0; n < 1_000; n += 1) await t.rejects(away.queue.do(submit()));
  await away.rig.pass(10_000);
  await t.rejects(away.queue.do(submit()));
  t.match(failed(away), [
    { level: 'error', fields: { commands: 1 } },
    { level: 'error', fields: { also_since_last_line: 999 } },
  ]);
  t.equal(failed(away).length, 2);
  const bug = await queueOver(['before', 'before'], 'AC_INTERNAL');
  for (let n = 0; n < 2; n += 1) await t.rejects(bug.queue.do(submit()));
  t.equal(failed(bug).length, 2);
});

t.test('R1: a bulk submit is all or nothing, and names what was wrong', async (t) => {
  const rig = await hubRig();
  const drafts = [aDraft(ids.task()), aDraft(ids.task(), { assignTo: 'ghost' as AgentId })];
  t.match(await rig.queue.do(submit({ drafts })), { kind: 'unknown_agent', index: 1, agentId: 'ghost' });
  const missing = 'task-00000000000000aa' as TaskId;
  t.match(await rig.queue.do(submit({ drafts: [aDraft(ids.task(), { dependsOn: [missing] })] })), {
    kind: 'unknown_task',
    index: 0,
    taskId: missing,
  });
  const passed = aDraft(ids.task(), { completeByMs: rig.storage.tasks.nowMs() });
  t.match(await rig.queue.do(submit({ drafts: [aDraft(ids.task()), passed] })), { kind: 'complete_by_passed', index: 1 });
  t.equal((await rig.storage.tasks.stats()).statuses.queued, 0);
});

t.test('push: an urgent task goes to exactly that agent', async (t) => {
  const rig = await hubRig();
  const push = (agentId: string) =>
    rig.queue.do({ kind: 'push', draft: { ...aDraft(ids.task()), priority: 'urgent', assignTo: agentId as AgentId }, submittedBy: 'op' });
  t.match(await push('a1'), { kind: 'agent_not_connected', agentId: 'a1' });
  const peer = await rig.peer('a1');
  await peer.identify();
  t.equal((await push('a1')).kind, 'pushed');
  t.equal((await push('a1')).kind, 'queued', 'its slot is taken');
});
