/** The store's time: monotonic, although the clock it follows may do anything. */
import t from 'tap';
import { StoreClock, type ClockEvent, type StoredClock } from '../../../core/domain/store-clock.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 0, 1);

/** Two clocks to move, and the reports of the store's clock. */
function rig(saved: StoredClock | null = null, newestMs: number | null = null) {
  const state = { wallMs: NOW_MS, monotonicMs: 0 };
  const events: ClockEvent[] = [];
  const source = { wallMs: () => state.wallMs, monotonicMs: () => state.monotonicMs };
  const clock = new StoreClock({ source, saved, newestMs, notify: (one) => events.push(one) });
  const pass = (ms: number, everyMs = 1_000): void => {
    for (let left = ms; left > 0; left -= everyMs) {
      state.wallMs += Math.min(left, everyMs);
      state.monotonicMs += Math.min(left, everyMs);
      clock.nowMs();
    }
  };
  return { state, clock, events, pass, offMs: () => clock.nowMs() - state.wallMs };
}
const kept = (markMs: number, over: Partial<StoredClock> = {}): StoredClock => ({ markMs, offsetMs: 0, removalsFromMs: 0, ...over });

t.test('follows a clock that drifts or is set slightly, never running more than 1/500 faster', async (t) => {
  const { state, clock, pass, offMs, events } = rig();
  state.wallMs += 800;
  pass(100_000);
  t.equal(Math.round(offMs()), -600, '1/500 faster');
  pass(400_000);
  t.ok(Math.abs(offMs()) <= 2, `${offMs()} ms`);
  state.wallMs -= 900;
  const before = clock.nowMs();
  pass(10_000);
  t.equal(clock.nowMs() - before, 9_500, '1/20 slower');
  pass(10_000);
  t.ok(Math.abs(offMs()) <= 2, `${offMs()} ms`);
  t.strictSame(events, [], 'nothing to report');
});

t.test('a clock ahead is trusted by its smallest lead once it lasted a hundredth of that lead', async (t) => {
  const { state, clock, pass, events, offMs } = rig();
  state.wallMs += 8 * HOUR_MS;
  pass(2 * MINUTE_MS);
  state.wallMs += 300 * DAY_MS;
  pass(2 * MINUTE_MS);
  state.wallMs -= 300 * DAY_MS;
  pass(MINUTE_MS - 2_000);
  t.equal(clock.confirmedStepMs, 0);
  t.equal(clock.removableMs(), null, 'in doubt');
  pass(3_000);
  t.equal(clock.confirmedStepMs, 8 * HOUR_MS, 'not by the 300 days it was ahead for two minutes');
  clock.step();
  t.equal(offMs(), 0);
  t.match(events, [
    { type: 'wall_clock_differs', byMs: 8 * HOUR_MS },
    { type: 'stepped', byMs: 8 * HOUR_MS },
  ]);
  t.equal(clock.removableMs(), null, 'for as long as it was ahead');
  pass(8 * HOUR_MS + 1_000, MINUTE_MS);
  t.equal(clock.removableMs(), clock.nowMs());
});

t.test('a clock that stays behind is reported and decides removals, while the store’s time waits for it', async (t) => {
  const { state, clock, pass } = rig();
  state.wallMs -= 10 * HOUR_MS;
  t.equal(clock.wallMs(), clock.nowMs(), 'not yet trusted');
  pass(10 * MINUTE_MS);
  t.ok(Math.abs(clock.wallMs() - state.wallMs) <= 1);
  t.ok(Math.abs((clock.removableMs() ?? 0) - state.wallMs) <= 1, 'tasks younger by the right clock stay');
  t.ok(clock.nowMs() - state.wallMs > 9 * HOUR_MS);
  pass(199 * HOUR_MS, MINUTE_MS);
  t.ok(clock.nowMs() - state.wallMs < 5 * MINUTE_MS, '1/20 slower until they agree');
});

t.test('a start continues from the mark: at the clock up to 30 days ahead, slowly beyond that', async (t) => {
  const from = (saved: StoredClock | null, newestMs: number | null = null) => rig(saved, newestMs).clock;
  t.equal(from(null).nowMs(), NOW_MS);
  t.equal(from(null, NOW_MS - 300 * DAY_MS).nowMs(), NOW_MS, 'an older store has no clock');
  t.equal(from(null, NOW_MS + DAY_MS).nowMs(), NOW_MS + DAY_MS);
  t.equal(from(kept(NOW_MS + DAY_MS)).nowMs(), NOW_MS + DAY_MS);
  t.equal(from(kept(NOW_MS - HOUR_MS), NOW_MS + 5).nowMs(), NOW_MS + 5, 'killed after its newest event');
  t.equal(from(kept(NOW_MS - 30 * DAY_MS)).nowMs(), NOW_MS);
  t.equal(from(kept(NOW_MS - 31 * DAY_MS)).nowMs(), NOW_MS - 31 * DAY_MS);
  const doubted = kept(NOW_MS - 9 * HOUR_MS, { offsetMs: -8 * HOUR_MS });
  t.equal(from(doubted).nowMs(), NOW_MS - 8 * HOUR_MS, 'a restart does not make an untrusted clock trusted');
  t.equal(from(kept(NOW_MS - 2 * DAY_MS)).removableMs(), null, 'down for two days: nothing is removed for as long');
  t.equal(from(kept(NOW_MS - MINUTE_MS)).removableMs(), NOW_MS);
  t.equal(from(kept(NOW_MS - MINUTE_MS, { removalsFromMs: NOW_MS + 1 })).removableMs(), null, 'held before, held now');
  t.strictSame(from(kept(NOW_MS - MINUTE_MS)).lastUsedMs, NOW_MS - MINUTE_MS);
});

t.test('never goes back, and never falls behind another hub', async (t) => {
  const { state, clock, pass } = rig();
  clock.atLeast(NOW_MS + 40);
  t.equal(clock.nowMs(), NOW_MS + 40);
  clock.atLeast(NOW_MS + 10);
  t.equal(clock.nowMs(), NOW_MS + 40);
  state.monotonicMs -= 5_000;
  t.equal(clock.nowMs(), NOW_MS + 40, 'not even when the monotonic clock goes back');
  state.monotonicMs += 5_000;
  let last = clock.nowMs();
  let chance = 1;
  for (let round = 0; round < 2_000; round += 1) {
    chance = (chance * 48_271) % 2_147_483_647;
    state.wallMs += (chance % 2_000_001) - 1_000_000;
    pass(chance % 5_000, 997);
    clock.step();
    const now = clock.nowMs();
    if (now < last) t.fail(`${last} and then ${now}`);
    last = now;
  }
  t.strictSame(clock.state.markMs, last);
});
