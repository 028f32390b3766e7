import t from 'tap';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { clockContract } from '../product/contracts/clock.contract.ts';

const contractClock = virtualClock();
clockContract('virtual', { clock: contractClock, pass: async (ms) => contractClock.advance(ms) }, t);

t.test('does not advance by itself', async (t) => {
  const clock = virtualClock({ wallMs: 1_000 });
  await new Promise(setImmediate);
  t.same([clock.monotonicMs(), clock.nowMs()], [0, 1_000]);
});

t.test('timers fire by due time, then by age, each at its due time, including new ones', async (t) => {
  const clock = virtualClock();
  const fired: [string, number][] = [];
  const note = (name: string) => () => fired.push([name, clock.monotonicMs()]);
  clock.after(30, note('late'));
  clock.after(10, note('first of two'));
  clock.after(10, note('second of two'));
  clock.after(10, () => {
    note('parent')();
    clock.after(5, note('child'));
    clock.after(0, note('child at once'));
  });
  clock.after(20, note('at the end')).cancel();
  t.same([clock.pending, clock.nextDueMs], [4, 10]);
  clock.advance(20);
  t.same(fired, [
    ['first of two', 10],
    ['second of two', 10],
    ['parent', 10],
    ['child at once', 10],
    ['child', 15],
  ]);
  t.same([clock.monotonicMs(), clock.pending, clock.nextDueMs], [20, 1, 30]);
});

t.test('runNext jumps to the next timer, however far away', async (t) => {
  const clock = virtualClock({ wallMs: 0 });
  const fired: string[] = [];
  clock.after(86_400_000, () => fired.push('tomorrow'));
  clock.after(1, () => fired.push('soon'));
  t.equal(clock.runNext(), true);
  t.equal(clock.monotonicMs(), 1);
  t.equal(clock.runNext(), true);
  t.equal(clock.nowMs(), 86_400_000);
  t.equal(clock.runNext(), false);
  t.same(fired, ['soon', 'tomorrow']);
});

t.test('a wall clock jump does not move any timer', async (t) => {
  const clock = virtualClock({ wallMs: 1_000_000 });
  let fired = 0;
  clock.after(100, () => (fired += 1));
  clock.jumpWall(-3_600_000);
  t.equal(clock.nowMs(), 1_000_000 - 3_600_000);
  clock.advance(99);
  t.equal(fired, 0);
  clock.jumpWall(7_200_000);
  t.equal(fired, 0);
  clock.advance(1);
  t.equal(fired, 1);
  t.equal(clock.nowMs(), 1_000_000 + 3_600_000 + 100);
});

t.test('walk lets other work run between timers', async (t) => {
  const clock = virtualClock();
  const steps: string[] = [];
  const worker = async (): Promise<void> => {
    for (let step = 0; step < 3; step += 1) {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      steps.push(`${step} at ${clock.monotonicMs()}`);
    }
  };
  const working = worker();
  await clock.walk(100, () => Promise.resolve());
  await working;
  t.same(steps, ['0 at 10', '1 at 20', '2 at 30']);
  t.equal(clock.monotonicMs(), 100);
});

t.test('a timer may advance the clock itself, and time never goes backwards', async (t) => {
  const clock = virtualClock();
  const seen: number[] = [];
  clock.after(10, () => clock.advance(50));
  clock.after(20, () => seen.push(clock.monotonicMs()));
  clock.advance(15);
  t.same(seen, [20]);
  t.equal(clock.monotonicMs(), 60);
});

t.test('refuses to go backwards or to loop forever at one moment', async (t) => {
  const clock = virtualClock();
  t.throws(() => clock.advance(-1), { code: 'AC_INTERNAL' });
  t.throws(() => clock.advance(NaN), { code: 'AC_INTERNAL' });
  const again = (): void => void clock.after(0, again);
  again();
  t.throws(() => clock.advance(1), { code: 'AC_INTERNAL', message: /without delay/ });
});

t.test('many timers, cancelled and fired in any order, keep their order', async (t) => {
  const clock = virtualClock();
  const wanted: number[] = [];
  const fired: number[] = [];
  for (let n = 0; n < 2_000; n += 1) {
    const delayMs = (n * 7_919) % 500;
    const timer = clock.after(delayMs, () => fired.push(delayMs));
    if (n % 3 === 0) timer.cancel();
    else wanted.push(delayMs);
  }
  clock.advance(1_000);
  t.same(
    fired,
    wanted.sort((a, b) => a - b),
  );
  t.equal(clock.pending, 0);
});
