/** A batch decided while the one before it is committing: what it sees, and what becomes of it when that one fails. */
import t from 'tap';
import type { TransactionStep } from '../../../adapters/storage-memory/memory-task-store.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import { EARLY_COMMANDS } from '../../../core/application/hub/queue/task-queue.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import type { HubLimits } from '../../../core/config/limits.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { aBody } from '../../product/contracts/fixtures.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { hubRig, settle, type AnyFrame, type HubRig, type Peer } from './hub-rig.ts';
import { gate } from '../../rig/gate.ts';

/** A hub whose commits can be held, and failed, one by one. */
async function heldCommits(limits: Partial<HubLimits> = {}) {
  const clock = virtualClock();
  const steps: string[] = [];
  const names = new Map<string, string>();
  let hold = false;
  let held: ((error?: Error) => void) | null = null;
  const onStep = async (step: TransactionStep, batchId: string): Promise<void> => {
    if (!hold && !names.has(batchId)) return;
    if (!names.has(batchId)) names.set(batchId, `batch ${names.size + 1}`);
    steps.push(`${names.get(batchId)}: ${step}`);
    if (step !== 'commit' || !hold) return;
    await new Promise<void>((resolve, reject) => (held = (error) => (error === undefined ? resolve() : reject(error))));
  };
  const rig = await hubRig({ clock, limits, storage: memoryStorage({ clock, onStep }) });
  return {
    rig,
    steps,
    hold: () => void (hold = true),
    /** Lets the held commit continue, or fail. */
    async release(error?: Error): Promise<void> {
      const go = held;
      held = null;
      go?.(error);
      await settle(clock);
    },
    releaseAll(): void {
      hold = false;
      held?.();
    },
  };
}

const assignments = (frames: readonly AnyFrame[]): readonly unknown[] =>
  frames.filter(({ type }) => type === 'task_assign').map((frame) => frame['task_id']);

const agentWithSlots = async (rig: HubRig, slots: number): Promise<Peer> => {
  const peer = await rig.peer('a1');
  await peer.identify({ slots });
  peer.newFrames();
  return peer;
};

t.test('enough commands form a batch while the previous one is committing, and commit right after it', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const peer = await agentWithSlots(rig, 100);
  hold();
  const first = rig.submit();
  await settle(rig.clock);
  t.strictSame(steps, ['batch 1: begin', 'batch 1: commit']);
  const others = Array.from({ length: EARLY_COMMANDS - 1 }, () => rig.submit());
  await settle(rig.clock);
  t.equal(steps.length, 2, 'too few for a commit of their own');
  others.push(rig.submit());
  await settle(rig.clock);
  t.strictSame(steps.slice(2), ['batch 2: begin'], 'decided, and waiting for the first');
  t.strictSame(peer.newFrames(), [], 'nothing is sent before its commit');
  await release();
  t.strictSame(steps.slice(3), ['batch 1: committed', 'batch 2: commit']);
  t.strictSame(assignments(peer.newFrames()), [await first], 'each batch is sent after its own commit');
  releaseAll();
  await settle(rig.clock);
  t.strictSame(assignments(peer.newFrames()), await Promise.all(others));
  await rig.stop();
});

t.test('such a batch sends no large tasks to an agent to which the one before may send some', async (t) => {
  const { rig, hold, releaseAll } = await heldCommits({ frameBytes: 200_000, socketQueueBytes: 200_000 });
  const peer = await agentWithSlots(rig, 100);
  hold();
  const submit = (): Promise<TaskId> => rig.submit({ body: aBody({ description: 'x'.repeat(2_000) }) });
  const first = submit();
  await settle(rig.clock);
  const ids = [first, ...Array.from({ length: EARLY_COMMANDS }, submit)];
  await settle(rig.clock);
  releaseAll();
  await settle(rig.clock);
  for (const id of await Promise.all(ids)) {
    t.strictSame(assignments(peer.newFrames()), [id], 'one at a time: a frame may fill the queue of the socket');
    await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
    await settle(rig.clock);
  }
  await rig.stop();
});

t.test('R2: when a commit fails, the batch decided on top of it is void, and both are retried in order', async (t) => {
  for (const code of ['AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN'] as const) {
    const { rig, steps, hold, release, releaseAll } = await heldCommits();
    const peer = await agentWithSlots(rig, 100);
    const [task] = await Promise.all([rig.submit(), settle(rig.clock)]);
    peer.newFrames();
    hold();
    const accepted = { type: 'task_accepted', task_id: task, generation: 1 };
    await peer.send(accepted);
    await settle(rig.clock);
    // Decided on top of the uncommitted acceptance: without it, this would end a task that was not accepted.
    const submitted = Array.from({ length: EARLY_COMMANDS - 1 }, () => rig.submit());
    await peer.send({ type: 'task_complete', task_id: task, generation: 1, result: { status: 'success', output: 'done' } });
    await settle(rig.clock);
    t.strictSame(steps, ['batch 1: begin', 'batch 1: commit', 'batch 2: begin'], code);
    await release(new AgentcomError(code, 'planted'));
    t.strictSame(steps.slice(3), ['batch 3: begin', 'batch 3: commit'], `${code}: the first again, alone`);
    t.strictSame(peer.newFrames(), [], 'nothing of either was sent');
    await release();
    releaseAll();
    await settle(rig.clock);
    t.strictSame(
      (await rig.record(task)).events.map(({ seq, event }) => `${seq} ${event}`),
      ['1 submitted', '2 eligible', '3 assigned', '4 accepted', '5 completed'],
    );
    t.equal(assignments(peer.frames).length, 1 + submitted.length, 'each is assigned once');
    t.equal(new Set(await Promise.all(submitted)).size, submitted.length);
    await rig.stop();
  }
});

t.test('R2: a batch decided on a commit of unknown outcome is not retried before that outcome is known', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const peer = await agentWithSlots(rig, 100);
  const { tasks } = rig.storage;
  const { committed } = tasks;
  const { opened: foundOut, open: find } = gate();
  Object.assign(tasks, { committed: (batchId: string) => foundOut.then(() => committed(batchId)) });
  hold();
  const first = rig.submit();
  await settle(rig.clock);
  const others = Array.from({ length: EARLY_COMMANDS }, () => rig.submit());
  await settle(rig.clock);
  await release(new AgentcomError('AC_COMMIT_UNKNOWN', 'planted'));
  t.strictSame(steps, ['batch 1: begin', 'batch 1: commit', 'batch 2: begin'], 'the second would overtake the first');
  find();
  await settle(rig.clock);
  t.strictSame(steps.slice(3), ['batch 3: begin', 'batch 3: commit'], 'the first again, alone');
  releaseAll();
  await settle(rig.clock);
  t.strictSame(assignments(peer.newFrames()), await Promise.all([first, ...others]));
  await rig.stop();
});

t.test('R2: when a commit fails for good, the batch decided on top of it is decided again without it', async (t) => {
  const { rig, hold, release, releaseAll } = await heldCommits();
  const peer = await agentWithSlots(rig, 100);
  hold();
  const first = rig.submit();
  await settle(rig.clock);
  const others = Array.from({ length: EARLY_COMMANDS }, () => rig.submit());
  await settle(rig.clock);
  const refused = t.rejects(first, { code: 'AC_STORE_UNAVAILABLE' });
  await release(new AgentcomError('AC_STORE_UNAVAILABLE', 'planted'));
  await refused;
  releaseAll();
  await settle(rig.clock);
  const made = await Promise.all(others);
  t.strictSame(assignments(peer.newFrames()), made, 'the other tasks exist, and nothing of the first one');
  const { events } = await rig.storage.events.after(0, {}, 1_000);
  const ids = events.map(({ id }) => id);
  t.strictSame(ids, ids.map((_, nth) => nth + 1), 'its event numbers were reused'); // prettier-ignore
  await rig.stop();
});

t.test('a slot freed by the previous batch is assigned by the batch decided early', async (t) => {
  const { rig, hold, release, releaseAll } = await heldCommits();
  const peer = await agentWithSlots(rig, 1);
  const task = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: task, generation: 1 });
  await settle(rig.clock);
  peer.newFrames();
  hold();
  await peer.send({ type: 'task_complete', task_id: task, generation: 1, result: { status: 'success', output: 'done' } });
  await settle(rig.clock);
  const others = Array.from({ length: EARLY_COMMANDS }, () => rig.submit());
  await settle(rig.clock);
  await release();
  releaseAll();
  await settle(rig.clock);
  t.strictSame(assignments(peer.newFrames()), (await Promise.all(others)).slice(0, 1), 'without another change that would request it');
  await rig.stop();
});

t.test('commands that read more than tasks and agents wait until the previous batch is committed', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const peer = await agentWithSlots(rig, 100);
  const task = await rig.submit();
  hold();
  const first = rig.submit();
  await settle(rig.clock);
  const cancelled = rig.queue.do({ kind: 'cancel', taskId: task, reason: 'no longer needed', by: 'tok-1' } as never);
  const others = Array.from({ length: EARLY_COMMANDS }, () => rig.submit());
  await settle(rig.clock);
  t.strictSame(steps, ['batch 1: begin', 'batch 1: commit']);
  await release();
  releaseAll();
  await Promise.all([first, cancelled, ...others, settle(rig.clock)]);
  t.equal(peer.closed(), null);
  await rig.stop();
});

/** An agent that has accepted all of its tasks, and the frames that complete them. */
async function workingAgent(rig: HubRig, slots: number) {
  const peer = await agentWithSlots(rig, slots);
  const tasks = await Promise.all(Array.from({ length: slots }, () => rig.submit()));
  await settle(rig.clock);
  for (const id of tasks) await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await settle(rig.clock);
  peer.newFrames();
  const completions = tasks.map((id) => ({
    type: 'task_complete',
    task_id: id,
    generation: 1,
    result: { status: 'success', output: 'done' },
  }));
  return { peer, completions };
}

const acknowledged = (frames: readonly AnyFrame[]): number => frames.filter(({ type }) => type === 'task_ack').length;

t.test('reports of agents that all wait for the hub commit in two batches, the second decided while the first saves', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const slots = 2 * EARLY_COMMANDS + 1;
  const { peer, completions } = await workingAgent(rig, slots);
  hold();
  await Promise.all(completions.map((frame) => peer.send(frame)));
  await settle(rig.clock);
  t.strictSame(steps, ['batch 1: begin', 'batch 2: begin', 'batch 1: commit']);
  await release();
  t.equal(acknowledged(peer.newFrames()), EARLY_COMMANDS, 'the first half is acknowledged');
  releaseAll();
  await settle(rig.clock);
  t.equal(acknowledged(peer.newFrames()), EARLY_COMMANDS + 1);
  await rig.stop();
});

t.test('R2: when the first half fails, both halves are retried', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const { peer, completions } = await workingAgent(rig, 2 * EARLY_COMMANDS);
  hold();
  await Promise.all(completions.map((frame) => peer.send(frame)));
  await settle(rig.clock);
  await release(new AgentcomError('AC_STORE_RETRY', 'planted'));
  t.strictSame(
    steps,
    ['batch 1: begin', 'batch 2: begin', 'batch 1: commit', 'batch 3: begin', 'batch 3: commit'],
    'the first again, alone',
  );
  t.strictSame(peer.newFrames(), [], 'nothing of either was sent');
  await release();
  releaseAll();
  await settle(rig.clock);
  t.equal(acknowledged(peer.newFrames()), completions.length);
  await rig.stop();
});

t.test('reports that arrive while a batch is saving stay together', async (t) => {
  const { rig, steps, hold, release, releaseAll } = await heldCommits();
  const { peer, completions } = await workingAgent(rig, 2 * EARLY_COMMANDS);
  hold();
  const submitted = rig.submit();
  await settle(rig.clock);
  await Promise.all(completions.slice(1).map((frame) => peer.send(frame)));
  await settle(rig.clock);
  await release();
  t.strictSame(steps.slice(2), ['batch 2: begin', 'batch 1: committed', 'batch 2: commit']);
  releaseAll();
  await Promise.all([submitted, settle(rig.clock)]);
  t.equal(acknowledged(peer.newFrames()), completions.length - 1);
  await rig.stop();
});
