/** What every `Clock` must do. */
import type { Clock } from '../../../core/ports/clock.ts';
import { inSuite, type TestRunner } from './contract-case.ts';

/** A clock under test. */
export interface ClockSubject {
  readonly clock: Clock;
  /** Lets at least `ms` pass and every timer due by then fire: by moving the clock or by waiting. */
  pass(ms: number): Promise<void>;
}

/** Adds the suite; `name` appears in the titles. No single wait is over 100 ms. */
export const clockContract = (name: string, { clock, pass }: ClockSubject, runner: TestRunner): void => {
  inSuite(`Clock contract, ${name}`, runner, (test) => {
    test('returns wall time in whole milliseconds since 1970', async (t) => {
      t.ok(Number.isSafeInteger(clock.nowMs()));
      t.ok(clock.nowMs() > Date.UTC(2020, 0, 1));
      await pass(0.4);
      t.ok(Number.isSafeInteger(clock.nowMs()));
    });

    test('its monotonic clock never goes backwards, and advances as time passes', async (t) => {
      let last = clock.monotonicMs();
      for (let reading = 0; reading < 10_000; reading += 1) {
        const now = clock.monotonicMs();
        if (now < last) t.fail(`${now} after ${last}`);
        last = now;
      }
      await pass(5);
      t.ok(clock.monotonicMs() - last >= 5);
    });

    test('fires once, never early, and never synchronously', async (t) => {
      const delaysMs = [0, 0.5, 1, 1.9, 2, 3, 5, 8, 13, 21];
      const fired: string[] = [];
      for (const delayMs of [...delaysMs, ...delaysMs, ...delaysMs]) {
        const fromMs = clock.monotonicMs();
        let calls = 0;
        clock.after(delayMs, () => {
          calls += 1;
          const tookMs = clock.monotonicMs() - fromMs;
          if (calls > 1) t.fail(`${delayMs} ms fired ${calls} times`);
          fired.push(tookMs >= delayMs ? 'in time' : `${delayMs} ms fired after ${tookMs} ms`);
        });
        if (calls > 0) t.fail(`${delayMs} ms fired synchronously`);
      }
      await pass(60);
      t.strictSame(fired, Array(30).fill('in time'));
    });

    test('does not fire after cancel, even if cancel is called repeatedly', async (t) => {
      let fired = 0;
      const timer = clock.after(5, () => (fired += 1));
      timer.cancel();
      timer.cancel();
      const soon = clock.after(0, () => (fired += 10));
      soon.cancel();
      await pass(20);
      t.equal(fired, 0);

      const done = clock.after(1, () => (fired += 100));
      await pass(20);
      done.cancel();
      t.equal(fired, 100, 'cancelling after it has fired is fine');
    });

    test('a timer can cancel another one due at the same moment, and start new ones', async (t) => {
      const fired: string[] = [];
      const timers = ['a', 'b'].map((name, at) =>
        clock.after(5, () => {
          fired.push(name);
          timers[1 - at]?.cancel();
          clock.after(0, () => fired.push(`after ${name}`));
          if (fired.length > 1) t.fail('the other one was cancelled');
        }),
      );
      await pass(30);
      t.equal(fired.length, 2);
      t.equal(fired[1], `after ${fired[0]}`);
    });

    test('accepts delays of any length: long ones do not fire at once', async (t) => {
      const fired: number[] = [];
      const longMs = [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 1e15, Infinity];
      const timers = longMs.map((delayMs) => clock.after(delayMs, () => fired.push(delayMs)));
      await pass(20);
      for (const timer of timers) timer.cancel();
      t.strictSame(fired, []);
    });

    test('treats a negative delay as 0, and refuses anything that is not a number', async (t) => {
      const fired: string[] = [];
      clock.after(-1_000, () => fired.push('negative'));
      clock.after(-Infinity, () => fired.push('most negative'));
      t.strictSame(fired, []);
      await pass(20);
      t.strictSame(fired.sort(), ['most negative', 'negative']);
      t.throws(() => clock.after(NaN, () => undefined), { code: 'AC_INTERNAL' });
    });
  });
};
