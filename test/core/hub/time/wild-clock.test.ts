/** A machine whose clock is wrong, jumps or is corrected; and one disturbance after the other. A whole hub, a virtual clock. */
import t from 'tap';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryDatabase } from '../../../../adapters/storage-memory/memory-database.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { hubRig, type HubRig, type RigOptions } from '../hub-rig.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;
/** The defaults of a hub, which the rig leaves out; and peers that need not answer. */
const TIMING = { reconnectGraceMs: 3 * MINUTE_MS, quietAfterStartMs: 5 * MINUTE_MS, heartbeatMs: YEAR_MS };

/** A rig whose quiet period after the start is over, with a task that a1 completed. */
async function withCompleted(options: RigOptions = {}) {
  const rig = await hubRig({ ...options, timing: { ...TIMING, ...options.timing } });
  await rig.pass(6 * MINUTE_MS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: { ok: true } });
  return { rig, peer, id };
}

/** Long times in steps of an hour: the clock does not wait between timers for work that an earlier one started. */
async function passLong(rig: HubRig, ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= HOUR_MS) {
    rig.clock.advance(HOUR_MS);
    await rig.pass(0);
  }
}

const isStored = async (rig: HubRig, id: Parameters<HubRig['record']>[0]): Promise<boolean> =>
  (await rig.storage.tasks.read(id)) !== undefined;

t.test('R4 R15: a clock that is a year ahead for a minute removes no result, and ends no task', async (t) => {
  const { rig, id } = await withCompleted();
  const waiting = await rig.submit({ neededCapabilities: ['no agent has it'], ttlMs: HOUR_MS });
  const before = rig.storage.tasks.nowMs();
  rig.clock.jumpWall(YEAR_MS);
  await rig.pass(MINUTE_MS);
  rig.clock.jumpWall(-YEAR_MS);
  await rig.pass(10 * MINUTE_MS);
  t.equal(rig.storage.tasks.nowMs() - before, 11 * MINUTE_MS, 'the store counted eleven minutes');
  t.ok(await isStored(rig, id), 'its result is still stored');
  t.equal((await rig.record(waiting)).task.status, 'queued', 'its ttl has not expired');
});

t.test('R4: a clock that stays a year ahead removes nothing before there was time to correct it', async (t) => {
  const { rig, peer, id } = await withCompleted({ timing: { sweepMs: HOUR_MS } });
  await peer.cut();
  await rig.submit(); // The newest event is not this one's.
  rig.clock.jumpWall(YEAR_MS);
  await passLong(rig, 3 * DAY_MS);
  t.ok(await isStored(rig, id), 'not accepted for a hundredth of the year');
  await passLong(rig, DAY_MS);
  t.ok(rig.storage.tasks.nowMs() > rig.clock.nowMs() - HOUR_MS, 'then it is accepted');
  await passLong(rig, 6 * DAY_MS);
  t.ok(await isStored(rig, id), 'and nothing is removed for a week');
  await passLong(rig, 2 * DAY_MS);
  await rig.pass(2 * HOUR_MS); // After each long step the hub considers itself late.
  t.notOk(await isStored(rig, id));
});

t.test('R16 R17: a clock that goes back an hour keeps the order of tasks, and delays none', async (t) => {
  const { rig, peer } = await withCompleted();
  const busy = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: busy, generation: 1 });
  const older = await rig.submit();
  rig.clock.jumpWall(-HOUR_MS);
  await rig.pass(1_000);
  const newer = await rig.submit();
  await peer.send({ type: 'task_complete', task_id: busy, generation: 1, result: 1 });
  t.equal((await rig.record(older)).task.status, 'assigned', 'first in, first out');
  t.equal((await rig.record(newer)).task.status, 'queued');
});

t.test('R15: a dead agent’s task is reclaimed after its grace period, whatever the clock does meanwhile', async (t) => {
  for (const jumpMs of [-DAY_MS, -HOUR_MS, HOUR_MS, DAY_MS, YEAR_MS]) {
    const { rig, peer } = await withCompleted();
    const id = await rig.submit();
    await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
    await peer.cut();
    rig.clock.jumpWall(jumpMs);
    await rig.pass(2 * MINUTE_MS);
    t.equal((await rig.record(id)).task.status, 'assigned', `${jumpMs}: not within the grace period`);
    await rig.pass(2 * MINUTE_MS);
    t.match(
      (await rig.record(id)).events.find(({ event }) => event === 'lost')?.details,
      { reason: 'disconnected' },
      `${jumpMs}: after it`,
    );
  }
});

t.test('an identity used while the clock was a day ahead is free again after the grace period', async (t) => {
  const rig = await hubRig({ timing: TIMING });
  rig.clock.jumpWall(DAY_MS);
  await rig.pass(10 * MINUTE_MS);
  const one = await rig.peer('a1');
  await one.identify({ instance_id: 'machine-1' });
  await one.cut();
  rig.clock.jumpWall(-DAY_MS);
  await rig.pass(TIMING.reconnectGraceMs + 30_000);
  const other = await one.reconnect();
  t.match((await other.identify({ instance_id: 'machine-2' }))[0], { type: 'identified' });
});

t.test('a laptop that wakes from sleep continues at once, and has the right time after a while', async (t) => {
  const { rig, peer, id } = await withCompleted();
  const live = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: live, generation: 1 });
  const later = await rig.submit({ runAtMs: rig.clock.nowMs() + HOUR_MS, neededCapabilities: ['no agent has it'] });
  // Its monotonic clock stood still meanwhile.
  rig.clock.jumpWall(8 * HOUR_MS);
  await rig.pass(4 * MINUTE_MS);
  t.equal((await rig.record(live)).task.status, 'assigned');
  await peer.send({ type: 'task_progress', task_id: live, generation: 1 });
  await rig.pass(2 * MINUTE_MS);
  t.equal(rig.storage.tasks.nowMs(), rig.clock.nowMs(), 'after staying ahead for five minutes it is accepted');
  t.equal((await rig.record(later)).task.status, 'queued', 'a task due meanwhile becomes eligible');
  t.equal((await rig.record(live)).task.status, 'assigned', 'eight hours of sleep do not count as silence');
  await peer.send({ type: 'task_progress', task_id: live, generation: 1 });
  await rig.pass(4 * MINUTE_MS);
  t.match((await rig.record(live)).task, { status: 'assigned', generation: 1 });
  t.ok(await isStored(rig, id));
});

t.test('nothing is removed while silence does not count, and all of it afterwards', async (t) => {
  const rig = await hubRig({ timing: { ...TIMING, endedKeptMs: MINUTE_MS, sweepMs: 10_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 1 });
  await rig.submit({ neededCapabilities: ['no agent has it'] }); // The newest event is not this one's.
  await rig.pass(4 * MINUTE_MS);
  t.ok(await isStored(rig, id), 'in the quiet period after the start');
  await rig.pass(2 * MINUTE_MS);
  t.notOk(await isStored(rig, id));
});

/** Minutes until a dead agent's task is reclaimed, while `disturb` is called every four minutes; null: not within `limitMinutes`. */
async function minutesHeld(rig: HubRig, disturb: () => Promise<void>, limitMinutes: number): Promise<number | null> {
  await rig.pass(6 * MINUTE_MS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.cut();
  for (let minute = 0; minute < limitMinutes; minute += 4) {
    await disturb();
    await rig.pass(4 * MINUTE_MS);
    if ((await rig.record(id)).events.some(({ event }) => event === 'lost')) return minute + 4;
  }
  return null;
}

t.test('R15 R16: a clock that steps every four minutes does not hold up a dead agent’s task', async (t) => {
  const rig = await hubRig({ timing: TIMING });
  let ms = 6_000;
  const step = async (): Promise<void> => rig.clock.jumpWall((ms = -ms));
  t.equal(await minutesHeld(rig, step, 180), 4, 'the grace period without a quiet period');
});

t.test('R15 R16 J12: with storage slow every four minutes, a dead agent’s task is held for grace plus one quiet period', async (t) => {
  const gate = { opened: Promise.resolve(), open: () => undefined as void };
  const rig = await hubRig({ timing: TIMING, store: { onStep: (step) => (step === 'commit' ? gate.opened : undefined) } });
  const slowCommit = async (): Promise<void> => {
    gate.opened = new Promise((resolve) => (gate.open = resolve));
    const other = rig.submit({ neededCapabilities: ['no agent has it'] });
    await rig.pass(0);
    await rig.pass(6_000);
    gate.open();
    gate.opened = Promise.resolve();
    await other;
  };
  const minutes = await minutesHeld(rig, slowCommit, 180);
  t.ok(minutes !== null && minutes <= 12, `${minutes} min: at most 5 + 5 min, the disturbed time, and the sweep after it`);
});

t.test('R15: an outage in the middle of a quiet period does not shorten it', async (t) => {
  const state = { away: false };
  const onStep = (step: string): void => {
    if (state.away && step === 'begin') throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted: no space left on device');
  };
  const outage = async (rig: HubRig, ms: number): Promise<void> => {
    state.away = true;
    await rig.pass(ms);
    state.away = false;
  };
  for (const [backAfterMs, wanted] of [
    [5_000, 'continue'],
    [MINUTE_MS, 'abort'],
  ] as const) {
    const rig = await hubRig({ timing: TIMING, store: { onStep } });
    const peer = await rig.peer('a1');
    await peer.identify();
    const id = await rig.submit();
    const name = { task_id: id, generation: 1 };
    await peer.send({ type: 'task_accepted', ...name });
    await peer.cut();
    await rig.pass(4 * MINUTE_MS);
    await outage(rig, 6 * MINUTE_MS); // Its grace period and the quiet period of the start end here: a new quiet period starts now.
    await rig.pass(5 * MINUTE_MS - 10_000);
    t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
    await outage(rig, 15 * MINUTE_MS);
    await rig.pass(backAfterMs);
    const back = await peer.reconnect();
    const [answer] = await back.identify({ held: [{ ...name, status: 'working' }] });
    t.match(answer, { held: [{ action: wanted }] }, `back ${backAfterMs} ms after the second, with ten seconds left`);
  }
});

t.test('R15: a hub that is repeatedly down for an hour and up for a moment costs nothing', async (t) => {
  const clock = virtualClock();
  const database = memoryDatabase('store-1');
  const start = (time: number) => hubRig({ clock, timing: TIMING, store: { database }, hubId: `hub-${time}` });
  let rig = await start(0);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const name = { task_id: id, generation: 1 };
  await peer.send({ type: 'task_accepted', ...name });
  for (let time = 1; time <= 6; time += 1) {
    await rig.kill();
    clock.advance(HOUR_MS);
    rig = await start(time);
    await rig.pass(1_000);
    t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, `after ${time} h`);
  }
  await rig.pass(5 * MINUTE_MS + 1_000);
  t.match((await rig.record(id)).events.find(({ event }) => event === 'lost')?.details, { reason: 'disconnected' }, 'one quiet period');
  await rig.stop();
});

t.test('a hub that starts with a wrong clock continues from the time of its store', async (t) => {
  const clock = virtualClock();
  const database = memoryDatabase('store-1');
  const start = () => hubRig({ clock, timing: TIMING, store: { database } });
  let rig = await start();
  await rig.pass(HOUR_MS);
  const agent = await rig.peer('a1');
  await agent.identify({ instance_id: 'machine-1' });
  await rig.pass(MINUTE_MS);
  for (const [jumpMs, wanted] of [
    [-DAY_MS, 'back a day'],
    [YEAR_MS, 'ahead a year'],
  ] as const) {
    const before = rig.storage.tasks.nowMs();
    await rig.stop();
    clock.jumpWall(jumpMs);
    rig = await start();
    const gainedMs = rig.storage.tasks.nowMs() - before;
    t.ok(gainedMs >= 0 && gainedMs < MINUTE_MS, `${wanted}: it went on ${gainedMs} ms later`);
    clock.jumpWall(-jumpMs);
  }
  const row = await rig.storage.agents.getAgent('a1' as AgentId);
  t.ok((row?.agent.disconnectedAtMs ?? 0) <= rig.storage.tasks.nowMs(), 'no stored time is in the future');
  await rig.stop();
});
