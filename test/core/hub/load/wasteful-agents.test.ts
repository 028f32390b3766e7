/** Frames and commands of peers that make the hub work for nothing wait behind all others, in their own order. */
import t from 'tap';
import { memoryLog } from '../../../product/twins/log-memory/memory-log.ts';
import type { Command } from '../../../../core/application/hub/batch/commands.ts';
import { PriorityInbox } from '../../../../core/application/hub/queue/inbox.ts';
import { LOW_PRIORITY_PACING, Pacer } from '../../../../core/application/hub/queue/pacing.ts';
import { FrameRates } from '../../../../core/application/hub/sessions/limits/frame-rates.ts';
import { FrameTurns, type FrameSource } from '../../../../core/application/hub/sessions/limits/frame-turns.ts';
import { LowPriorityInbox } from '../../../../core/application/hub/sessions/limits/low-priority-inbox.ts';
import { HUB_LIMITS } from '../../../../core/config/limits.ts';
import type { HubConnection } from '../../../../core/ports/hub-transport.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { aDraft, hubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

/** Each frame takes a millisecond of this clock's time. */
function turnsRig({
  held = () => false,
  awaited = () => false,
  wasteful = () => false,
}: {
  readonly held?: (name: string) => boolean;
  readonly awaited?: () => boolean;
  readonly wasteful?: (name: string) => boolean;
} = {}) {
  const clock = virtualClock();
  let workedMs = 0;
  const timed = { monotonicMs: () => clock.monotonicMs() + workedMs, after: clock.after.bind(clock) };
  const taken: string[] = [];
  const words: string[] = [];
  const source = (name: string): FrameSource & { readonly name: string } => ({
    name,
    connection: {
      id: words.length,
      pause: () => words.push(`${name} paused`),
      resume: () => words.push(`${name} resumed`),
    } as unknown as HubConnection,
    onFrame(text) {
      workedMs += 1;
      if (text === 'throw') throw new Error('planned');
      taken.push(`${name}${text}`);
    },
    noteReceived: () => undefined,
    close: (code) => words.push(`${name} closed ${code}`),
  });
  const turns = new FrameTurns<ReturnType<typeof source>>({
    clock: timed,
    log: memoryLog(),
    bytesMax: 100_000,
    hasWaiters: awaited,
    isBlocked: ({ name }) => held(name),
    isWasteful: ({ name }) => wasteful(name),
  });
  return { clock, turns, taken, words, source };
}

t.test('R20: deferrable frames get a few milliseconds per turn of the loop, each connection one frame in turn', (t) => {
  const { clock, turns, taken, words, source } = turnsRig();
  const [a, b, c] = [source('a'), source('b'), source('c')];
  for (let n = 0; n < 40; n += 1) turns.offer(a, String(n));
  turns.offer(b, '0');
  turns.offer(c, '0');
  t.strictSame(taken, ['a0', 'a1'], 'two milliseconds of this turn');
  t.strictSame(words, ['a paused'], 'a flooding connection is paused');
  t.ok(turns.has(b));
  let gone = 0;
  turns.end(a, () => (gone = taken.length));
  clock.advance(100);
  t.strictSame(taken.slice(2, 5), ['a2', 'b0', 'c0'], 'a quiet connection waits for one frame of each other');
  t.equal(taken.length, 42, 'every frame, exactly once');
  t.strictSame([gone, words], [42, ['a paused', 'a resumed']], 'its end comes after its frames');
  turns.end(b, () => (gone = -1));
  t.equal(gone, -1);
  t.end();
});

t.test('R20: while a commit is awaited, deferred frames get an eighth of the time', (t) => {
  let hasWaiters = true;
  const { clock, turns, taken, source } = turnsRig({ awaited: () => hasWaiters });
  const [a, b] = [source('a'), source('b')];
  turns.offer(a, '0');
  turns.offer(b, '0');
  t.strictSame(taken, ['a0'], 'the first after an idle time');
  clock.advance(6);
  t.strictSame(taken, ['a0']);
  clock.advance(2);
  t.strictSame(taken, ['a0', 'b0'], 'but never starved');
  turns.offer(a, '1');
  hasWaiters = false;
  clock.advance(1);
  t.strictSame(taken, ['a0', 'b0', 'a1']);
  t.end();
});

t.test('R20: while no commit is awaited, wasteful agents get a fifth of the time, and others all the rest', (t) => {
  const { clock, turns, taken, source } = turnsRig({ wasteful: (name) => name === 'a' });
  const [a, b] = [source('a'), source('b')];
  turns.offer(a, '0');
  turns.offer(a, '1');
  turns.offer(b, '0');
  t.strictSame(taken, ['a0', 'b0'], 'one wasteful frame, and the other at once');
  clock.advance(20);
  t.strictSame(taken, ['a0', 'b0', 'a1']);
  t.end();
});

t.test('R20: large frames get a fifth of the time, regardless of sender, and others all the rest', (t) => {
  const { clock, turns, taken, source } = turnsRig();
  const [a, b, c] = [source('a'), source('b'), source('c')];
  const large = (name: string): string => name.padEnd(65_537);
  turns.offer(a, large('0'));
  turns.offer(b, large('0'));
  turns.offer(c, '0');
  const seen = (): readonly string[] => taken.map((text) => text.trimEnd());
  t.strictSame(seen(), ['a0', 'c0'], 'the second large one waits');
  clock.advance(1);
  turns.offer(c, '1');
  t.strictSame(seen(), ['a0', 'c0', 'c1']);
  clock.advance(20);
  t.strictSame(seen(), ['a0', 'c0', 'c1', 'b0']);
  t.end();
});

t.test('R20: a connection that cannot be paused is closed before its backlog grows', async (t) => {
  const { turns, words, source } = turnsRig();
  const [a, b] = [source('a'), source('b')];
  for (let n = 0; n < 3; n += 1) turns.offer(a, 'x');
  turns.offer(b, 'y'.repeat(100_001));
  t.strictSame(words, ['b closed 1013']);
  t.end();
});

t.test('a frame that cannot be handled closes only its own connection', (t) => {
  const { clock, turns, taken, words, source } = turnsRig();
  const [a, b] = [source('a'), source('b')];
  for (const text of ['0', '1', '2', 'throw', '4']) turns.offer(a, text);
  turns.offer(b, '0');
  clock.advance(10);
  t.strictSame([words, taken], [['a closed 1011'], ['a0', 'a1', 'a2', 'b0', 'a4']]);
  t.end();
});

t.test('frames of a blocked connection wait without delaying others, and all are processed on stop', (t) => {
  let isHeld = true;
  const { clock, turns, taken, source } = turnsRig({ held: (name) => name === 'a' && isHeld });
  const [a, b] = [source('a'), source('b')];
  turns.offer(a, '0');
  for (let n = 0; n < 5; n += 1) turns.offer(b, String(n));
  clock.advance(20);
  t.strictSame(taken, ['b0', 'b1', 'b2', 'b3', 'b4']);
  isHeld = false;
  clock.advance(5);
  t.strictSame(taken.slice(5), ['a0']);
  isHeld = true;
  turns.offer(a, '1');
  turns.stop();
  turns.offer(a, '2');
  t.strictSame(taken.slice(6), ['a1', 'a2']);
  t.end();
});

/** A report of a task that never existed. */
const lie = (n: number) => ({ type: 'task_complete', task_id: `task-${String(n).padStart(32, '0')}`, generation: 1, result: {} });

t.test('R20: low-priority commands run when nothing else waits, and otherwise with one batch in seventeen', async (t) => {
  const rig = await hubRig();
  let units = 0;
  watchUnits(rig.storage, () => ((units += 1), {}));
  const inOrder: number[] = [];
  const from = { agentId: 'liar' as AgentId, session: 1 };
  for (let n = 0; n < 200; n += 1) {
    const command = { kind: 'report', from, taskId: aTaskId(n), generation: null, body: { report: 'accepted' } } as const;
    rig.queue.post(command, () => inOrder.push(n), true);
  }
  let tasks = 9_000;
  const submit = (): Promise<unknown> =>
    rig.queue.do({ kind: 'submit', drafts: [aDraft(aTaskId((tasks += 1)))], submittedBy: 'tok-1', idempotency: null });
  const behind: number[] = [];
  // Each arrives before the batch of the one before it has ended, so that one is always waiting.
  let next = submit();
  for (let n = 0; n < 40; n += 1) {
    const one = next;
    next = one.then(() => submit());
    await one;
    behind.push(inOrder.length);
  }
  await next;
  t.equal(behind[15], 0, 'sixteen batches of others run without it');
  t.equal(behind[16], 8);
  t.equal(behind[33], 16, 'and so on');
  t.equal(units, 41, 'no batch with it alone delayed the others');
  await rig.queue.flush();
  t.strictSame(inOrder, [...Array(200).keys()], 'every command, in order');
  await rig.stop();
});

t.test('R16: a sweep runs after the reports received before it, and waits for few other batches', (t) => {
  const inbox = new PriorityInbox({ commandsMax: 100, workMax: 100 });
  const from = { agentId: 'liar' as AgentId, session: 1 };
  const report = { kind: 'report', from, taskId: aTaskId(1), generation: null, body: { report: 'accepted' } } as const;
  const sweep = { kind: 'sweep' } as const;
  const entry = (command: Command) => ({ command, bytes: 1, work: 1 });
  for (let n = 0; n < 20; n += 1) inbox.push(entry(report), true);
  inbox.push(entry(sweep), false);
  const sizes: number[] = [];
  const sweptIn: number[] = [];
  for (let n = 0; n < 12; n += 1) {
    inbox.push(entry({ kind: 'hub_started' }), false);
    const taken = inbox.take();
    sizes.push(taken.length);
    if (taken.some(({ command }) => command.kind === 'sweep')) sweptIn.push(n);
  }
  t.strictSame(sizes, [1, 1, 9, 1, 1, 9, 1, 1, 6, 1, 1, 1]);
  t.strictSame(sweptIn, [8], 'after all reports received before it');
  t.end();
});

t.test('R16: a sweep waits for at most 24 batches, however many reports flooding agents have sent', (t) => {
  const inbox = new PriorityInbox({ commandsMax: 100, workMax: 100 });
  const from = { agentId: 'liar' as AgentId, session: 1 };
  const report = { kind: 'report', from, taskId: aTaskId(1), generation: null, body: { report: 'accepted' } } as const;
  const entry = (command: Command) => ({ command, bytes: 1, work: 1 });
  for (let n = 0; n < 2_000; n += 1) inbox.push(entry(report), true);
  const swept = (): number => {
    inbox.push(entry({ kind: 'sweep' } as const), false);
    for (let n = 1; ; n += 1) if (inbox.take().some(({ command }) => command.kind === 'sweep')) return n;
  };
  t.equal(swept(), 25);
  t.equal(swept(), 25, 'the next one too');
  t.equal(inbox.length, 1_600, 'the rest keeps waiting');
  t.end();
});

t.test('R20: commands of wasteful agents awaiting commit are bounded in number and bytes; beyond that frames wait', async (t) => {
  const clock = virtualClock();
  const rates = new FrameRates(HUB_LIMITS, clock);
  const settle: (() => void)[] = [];
  const inbox = new LowPriorityInbox(
    {
      do: () => Promise.reject(new Error('an unrequested command')),
      doAll: () => Promise.reject(new Error('an unrequested command')),
      post: (_command, settled, isLowPriority) => {
        t.ok(isLowPriority);
        settle.push(() => settled({ ok: true, answer: { kind: 'noted' } as never }));
      },
      expect: () => () => undefined,
      hasWaiters: () => false,
    },
    rates,
  );
  for (let n = 0; n < 40; n += 1) rates.of('liar' as AgentId).countWasted();
  const post = (characters: number): void => {
    const from = { agentId: 'liar' as AgentId, session: 1 };
    const body = { report: 'accepted' } as const;
    inbox.post({ kind: 'report', from, taskId: aTaskId(1), generation: null, body, characters }, () => undefined);
  };
  post(1_000_000);
  t.notOk(inbox.isFull);
  post(100_000);
  t.ok(inbox.isFull, 'two mebibytes of UTF-16');
  settle.shift()?.();
  t.notOk(inbox.isFull);
  for (let n = 0; n < 255; n += 1) post(0);
  t.ok(inbox.isFull, '256 commands of any size');
  for (const each of settle) each();
  t.notOk(inbox.isFull);
});

t.test('R20: an expected command is waited for, but only briefly', async (t) => {
  const rig = await hubRig();
  const [first, second] = [rig.queue.expect(), rig.queue.expect()];
  t.ok(rig.queue.hasWaiters());
  first();
  first();
  t.ok(rig.queue.hasWaiters(), 'each counts once');
  await rig.pass(19);
  t.ok(rig.queue.hasWaiters());
  await rig.pass(1);
  t.notOk(rig.queue.hasWaiters(), 'a slow sender is not waited for any longer');
  second();
  t.notOk(rig.queue.hasWaiters());
  await rig.stop();
});

t.test('R20: an agent whose reports are refused is still answered, and back to normal after a quiet period', async (t) => {
  const rig = await hubRig();
  const behind: boolean[] = [];
  const post = rig.queue.post.bind(rig.queue);
  Object.assign(rig.queue, {
    post: (...[command, settled, isLowPriority]: Parameters<typeof post>) => {
      if (command.kind === 'report') behind.push(isLowPriority === true);
      post(command, settled, isLowPriority);
    },
  });
  const liar = await rig.peer('liar');
  await liar.identify();
  for (let n = 0; n < 60; n += 1) await liar.send(lie(n));
  t.equal(liar.newFrames().filter(({ type }) => type === 'task_nack').length, 60, 'each is answered');
  t.strictSame([behind.indexOf(true), behind.lastIndexOf(false)], [31, 30]);
  await rig.pass(40_000);
  await liar.send({ type: 'ping' });
  await liar.send(lie(900));
  t.match(liar.newFrames().at(-1), { type: 'task_nack' });
  t.equal(behind.at(-1), false);
  await rig.stop();
});

t.test('R20: low-priority batches pause three times as long as the last one took, unless other work arrives', async (t) => {
  const clock = virtualClock();
  const pacer = new Pacer(clock, LOW_PRIORITY_PACING);
  let ended = 0;
  const wait = (): Promise<void> => pacer.wait().then(() => void (ended += 1));
  await wait();
  t.equal(ended, 1, 'no pause without a previous batch');
  pacer.lastMs = 8;
  const waiting = wait();
  clock.advance(23);
  await Promise.resolve();
  t.equal(ended, 1);
  clock.advance(1);
  await waiting;
  pacer.lastMs = 10_000;
  const bounded = wait();
  clock.advance(50);
  await bounded;
  const interrupted = wait();
  pacer.skip();
  await interrupted;
  t.equal(ended, 4);
  pacer.skip();
});
