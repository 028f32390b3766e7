import t from 'tap';
import { silentLog } from '../../../core/ports/log.ts';
import { createDriver, type DriverParts } from '../../../core/application/sidecar/engine/driver.ts';
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import type { SidecarInput } from '../../../core/application/sidecar/state/inputs.ts';
import { EMPTY_JOURNAL } from '../../../core/application/sidecar/state/journal-state.ts';
import { loadedState, type SidecarState } from '../../../core/application/sidecar/state/state.ts';
import { named } from './rig/stage.ts';

const loaded = loadedState(EMPTY_JOURNAL, 'instance-1');
const PERSIST: Effect = { type: 'persist', journal: EMPTY_JOURNAL };
const CONNECT: Effect = { type: 'disconnect' };
const READY: Effect = { type: 'ready' };

/** A driver that records what it does; each input changes the state and requests these effects. */
function driven(effects: readonly Effect[], over: Partial<DriverParts> = {}) {
  const done: string[] = [];
  const states: SidecarState[] = [];
  const driver = createDriver(
    {
      step: (state, input) => {
        done.push(input.type);
        states.push(state);
        return { state: { ...state, instanceId: `${state.instanceId}+` }, effects: input.type === 'persist_failed' ? [] : effects };
      },
      runDurable: (effect) => Promise.resolve(void done.push(effect.type)),
      runAfterPersist: (effect) => Promise.resolve(void done.push(effect.type)),
      environment: () => ({ nowMs: 1, random: 0 }),
      log: silentLog,
      ...over,
    },
    loaded,
  );
  return { driver, done, states };
}

t.test('inputs are processed one at a time, with their effects in order', async (t) => {
  const { driver, done } = driven([PERSIST, CONNECT, READY]);
  await Promise.all([driver.deliver({ type: 'start' }), driver.deliver({ type: 'stop' })]);
  t.same(done, ['start', 'persist', 'disconnect', 'ready', 'stop', 'persist', 'disconnect', 'ready']);
});

t.test('R20: a flood of frames does not keep a sidecar from ending: pending frames are dropped at once', async (t) => {
  let release: () => void = () => undefined;
  const { driver, done } = driven([READY], { runAfterPersist: () => new Promise((resolve) => (release = resolve)) });
  const taken = driver.deliver({ type: 'start' });
  while (done.length === 0) await Promise.resolve();
  let dropped = 0;
  for (let n = 0; n < 300_000; n += 1) driver.take({ type: 'drain' }, () => (dropped += 1));
  driver.halt();
  const fromMs = performance.now();
  release();
  await taken;
  await driver.deliver({ type: 'stop' });
  while (dropped < 300_000) await Promise.resolve();
  t.same(done, ['start']);
  t.ok(performance.now() - fromMs < 10_000, `after ${Math.round(performance.now() - fromMs)} ms`);
});

t.test('delivering an input does not run the step synchronously', async (t) => {
  const { driver, done } = driven([]);
  const taken = driver.deliver({ type: 'start' });
  t.same(done, []);
  await taken;
  t.same(done, ['start']);
});

t.test('R3: a failed durable effect ends its list, restores the state, and is the next input', async (t) => {
  const { driver, done, states } = driven([PERSIST, CONNECT], { runDurable: () => Promise.reject(new Error('disk full')) });
  void driver.deliver({ type: 'start' });
  await driver.deliver({ type: 'scanned', assignment: named(), scan: 1 });
  t.same(done, ['start', 'persist_failed', 'scanned', 'persist_failed'], 'before the waiting input');
  t.equal(states[1], loaded, 'as if the input had not been processed');
  t.equal(states[2]?.instanceId, 'instance-1+');
});

t.test('R16: a rule that throws loses only its own input, and its run gets the error', async (t) => {
  const looked = { type: 'scanned', assignment: named(), scan: 1 } as const;
  const inputs: SidecarInput[] = [];
  const { driver, done } = driven([PERSIST], {
    step: (state, input) => {
      inputs.push(input);
      if (input.type === 'scanned' || input.type === 'step_failed') throw new Error('a bug');
      return { state, effects: [PERSIST] };
    },
  });
  void driver.deliver(looked);
  await driver.deliver({ type: 'stop' });
  t.match(inputs, [{ type: 'scanned' }, { type: 'step_failed', input: looked, message: /a bug/ }, { type: 'stop' }], 'and never twice');
  t.same(done, ['persist']);
});

t.test('R16: an outward effect that throws does not block the ones behind it', async (t) => {
  const { driver, done } = driven([CONNECT, PERSIST], { runAfterPersist: () => Promise.reject(new Error('a bug')) });
  await driver.deliver({ type: 'stop' });
  await driver.deliver({ type: 'scanned', assignment: named(), scan: 1 });
  t.same(done.slice(0, 4), ['stop', 'persist', 'step_failed', 'persist']);
});

t.test('if the first input fails, the sidecar is reported as broken', async (t) => {
  const { driver, done } = driven([CONNECT], { runAfterPersist: () => Promise.reject(new Error('a bug')) });
  void driver.deliver({ type: 'start' });
  await t.rejects(driver.broken, { code: 'AC_INTERNAL', message: /a bug/ });
  await driver.deliver({ type: 'stop' });
  t.same(done, ['start']);
});

t.test('once halted, no input is processed', async (t) => {
  const { driver, done } = driven([CONNECT]);
  const waiting = driver.deliver({ type: 'start' });
  driver.halt();
  await waiting;
  await driver.deliver({ type: 'stop' });
  t.same(done, []);
});

t.test('halted in the middle of an input, no effect of it runs after the one in progress', async (t) => {
  // A journal that was slow until the sidecar had stopped let it connect to the hub again.
  let release: () => void = () => undefined;
  const { driver, done } = driven([PERSIST, CONNECT], { runDurable: () => new Promise((resolve) => (release = resolve)) });
  const taken = driver.deliver({ type: 'start' });
  while (done.length === 0) await Promise.resolve();
  driver.halt();
  release();
  await taken;
  t.same(done, ['start']);
});
