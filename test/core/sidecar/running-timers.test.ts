/** The sidecar's running timers: one of each name, cancelled together, with delays that can be restarted. */
import t from 'tap';
import { runningTimers } from '../../../core/application/sidecar/engine/running-timers.ts';
import type { TimerName } from '../../../core/application/sidecar/state/timer-names.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { named } from './rig/stage.ts';

function timed() {
  const clock = virtualClock();
  const fired: string[] = [];
  const timers = runningTimers(clock, (timer) =>
    fired.push('assignment' in timer ? `${timer.purpose} ${timer.assignment.generation}` : timer.purpose),
  );
  return { clock, fired, timers };
}
const repeat = (generation: number): TimerName => ({ purpose: 'repeat', assignment: named(generation) });

t.test('a second start of a timer replaces the first, for this generation only', (t) => {
  const { clock, fired, timers } = timed();
  timers.start(repeat(1), 100);
  timers.start(repeat(2), 100);
  timers.start({ purpose: 'ping' }, 100);
  timers.start(repeat(1), 200);
  clock.advance(150);
  t.same(fired, ['repeat 2', 'ping']);
  clock.advance(100);
  t.same(fired, ['repeat 2', 'ping', 'repeat 1']);
  clock.advance(1_000);
  t.equal(fired.length, 3, 'once');
  t.end();
});

t.test('a restart counts the whole delay again, also the second time, and starts no timer', (t) => {
  const { clock, fired, timers } = timed();
  timers.restart(repeat(1));
  timers.start(repeat(1), 100);
  clock.advance(60);
  timers.restart(repeat(1));
  clock.advance(90);
  timers.restart(repeat(1));
  clock.advance(99);
  t.same(fired, []);
  clock.advance(1);
  t.same(fired, ['repeat 1']);
  clock.advance(1_000);
  t.equal(fired.length, 1);
  t.end();
});

t.test('R16: after the process was stopped, an agent counts as silent only once it had time to be heard', (t) => {
  const { clock: running, fired } = timed();
  let stoppedMs = 0;
  const clock = { ...running, monotonicMs: () => running.monotonicMs() + stoppedMs };
  const timers = runningTimers(clock, ({ purpose }) => fired.push(purpose));
  const purposes = ['confirm', 'pickup', 'silence', 'run_max', 'lease'] as const;
  for (const purpose of purposes) timers.start({ purpose, assignment: named(1) }, 60_000);
  running.advance(59_000);
  stoppedMs = 600_000;
  running.advance(1_000);
  t.same(fired, ['run_max', 'lease'], 'what does not depend on the agent is due');
  timers.start({ purpose: 'silence', assignment: named(1) }, 60_000);
  running.advance(9_999);
  t.equal(fired.length, 2);
  running.advance(1);
  t.same(fired.slice(2), ['confirm', 'pickup'], 'but not the one that was heard meanwhile');
  running.advance(50_000);
  t.same(fired.slice(4), ['silence']);
  t.end();
});

t.test('timers are cancelled by name, by assignment and purposes, and all at once', (t) => {
  const { clock, fired, timers } = timed();
  for (const purpose of ['lease', 'repeat', 'linger'] as const) timers.start({ purpose, assignment: named(1) }, 100);
  timers.start(repeat(2), 100);
  timers.start({ purpose: 'ping' }, 100);
  timers.cancelOf(named(1), ['lease', 'repeat', 'silence']);
  timers.cancel({ purpose: 'ping' });
  timers.cancel({ purpose: 'pong' });
  timers.restart({ purpose: 'ping' });
  clock.advance(100);
  t.same(fired, ['linger 1', 'repeat 2']);
  timers.start({ purpose: 'ping' }, 100);
  timers.close();
  clock.advance(100);
  t.equal(fired.length, 2);
  t.end();
});
