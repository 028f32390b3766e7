/** Turns of reads: two of one token at once, and no more than a token's share of the hub's time. */
import t from 'tap';
import { readTurns } from '../../../adapters/http/turns/read-turns.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';

const RULES = { perOwner: 64, msPerSecond: 250, burstMs: 1_000 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('R20: constant reads by one token get a quarter of the time, and none is lost', async (t) => {
  const clock = virtualClock();
  const turns = readTurns(RULES, clock);
  let [done, running] = [0, [] as (() => void)[]];
  const ask = (): void => void turns.enter('viewer')?.then((leave) => running.push(leave));
  for (let n = 0; n < 24; n += 1) ask();
  // Each read takes 9 ms of the virtual clock, and each that ends is followed by another.
  const readFor = async (ms: number): Promise<number> => {
    const before = done;
    for (let passed = 0; passed < ms; passed += 9) {
      await turn();
      const now = running;
      running = [];
      t.ok(now.length <= 2, 'two at once');
      clock.advance(9);
      for (const leave of now) {
        done += 1;
        ask();
        leave();
      }
    }
    return done - before;
  };
  const first = await readFor(1_000);
  t.ok(first >= 100 && first <= 140, `the burst and a share: ${first} reads of 10 ms`);
  const then = await readFor(10_000);
  // A read that begins between two steps lasts to the end of the next: up to 18 ms.
  t.ok(then >= 130 && then <= 260, `at most a quarter of ten seconds: ${then} reads of 10 to 19 ms`);
  const other = turns.enter('another');
  t.type(await other, 'function', 'another token does not wait for them');
});

t.test('a long read delays its token no longer than the burst; 0 means no limit', async (t) => {
  const clock = virtualClock();
  const turns = readTurns(RULES, clock);
  const begun: string[] = [];
  const long = await turns.enter('viewer');
  clock.advance(60_000);
  long?.();
  for (const name of ['a', 'b']) void turns.enter('viewer')?.then(() => begun.push(name));
  await turn();
  t.strictSame(begun, [], 'the budget is spent');
  clock.advance(5);
  await turn();
  t.strictSame(begun, ['a', 'b']);

  const unbounded = readTurns({ ...RULES, msPerSecond: 0 }, clock);
  for (let n = 0; n < 50; n += 1) {
    const leave = await unbounded.enter('viewer');
    clock.advance(1_000);
    leave?.();
  }
  t.pass('never waits');
});

t.test('R20: a read keeps its turn until its response is sent, but only its reading counts as its time', async (t) => {
  const clock = virtualClock();
  const turns = readTurns({ ...RULES, burstMs: 10 }, clock);
  const sends: (() => void)[] = [];
  for (let n = 0; n < 2; n += 1) (await turns.enter('viewer'))?.((listener) => sends.push(listener));
  let isBegun = false;
  const third = turns.enter('viewer')?.then((leave) => {
    isBegun = true;
    leave();
  });
  clock.advance(60_000);
  await turn();
  t.equal(isBegun, false, 'two responses are not sent');
  t.type(await turns.enter('another'), 'function', 'another token does not wait for them');
  sends[0]?.();
  await third;
  t.pass('one is sent, or its client is gone');
  sends[1]?.();
  let read = 0;
  for (let n = 0; n < 9; n += 1) {
    const leave = await turns.enter('viewer');
    leave?.((listener) => listener());
    read += 1;
  }
  t.equal(read, 9, 'a minute of sending took no time of the burst');
});
