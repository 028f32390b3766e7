/** A frozen simulated process receives nothing until it thaws; an ended one receives nothing any more. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { Life, machineClock, mortal, processClock } from './world-life.ts';

t.test('a frozen process takes its timers first and then what arrived, in order', (t) => {
  const world = virtualClock();
  const life = new Life(world);
  const clock = processClock(machineClock(world), life);
  const took: string[] = [];
  clock.after(50, () => took.push('timer'));
  life.freeze(100);
  world.advance(10);
  life.arrive(() => took.push('frame'));
  world.advance(80);
  t.strictSame(took, []);
  world.advance(10);
  t.strictSame(took, ['timer', 'frame']);
  t.end();
});

t.test('an ended process receives nothing, not even the answers it waits for', async (t) => {
  const world = virtualClock();
  const life = new Life(world);
  const took: string[] = [];
  processClock(machineClock(world), life).after(1, () => took.push('timer'));
  const port = mortal({ ask: () => Promise.resolve('answer') }, life);
  const asking = port.ask().then((answer) => took.push(answer));
  const waiting = life.wait(10);
  life.end();
  await t.rejects(waiting, { message: 'the process is gone' });
  world.advance(20);
  life.arrive(() => took.push('frame'));
  await new Promise<void>((resolve) => setImmediate(resolve));
  t.strictSame(took, []);
  t.ok(asking instanceof Promise);
});

t.test('a wait that is due while the process is frozen can still be lost by it', async (t) => {
  const world = virtualClock();
  const life = new Life(world);
  const waiting = life.wait(10);
  life.freeze(100);
  world.advance(50);
  life.end();
  await t.rejects(waiting, { message: 'the process is gone' });
});

t.test('a machine has a wall clock of its own', (t) => {
  const world = virtualClock();
  const clock = machineClock(world, 5_000);
  t.equal(clock.nowMs() - world.nowMs(), 5_000);
  clock.jump(-7_000);
  t.equal(clock.offMs, -2_000);
  t.equal(clock.monotonicMs(), world.monotonicMs());
  t.end();
});
