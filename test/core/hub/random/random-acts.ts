/** The acts of a random history: plain data, so that fast-check can shrink a failure. Numbers choose among what exists. */
import fc from 'fast-check';

/** `old` speaks version 1, `gpu` has a capability that some tasks need; the numbers are their slots. */
export const AGENTS = [
  { id: 'one', slots: 1 },
  { id: 'two', slots: 2 },
  { id: 'old', slots: 1 },
  { id: 'gpu', slots: 3 },
] as const;

const REPORTS = ['accepted', 'progress', 'woken', 'complete', 'failed', 'wake_failed', 'not_retryable', 'rejected', 'released'] as const;
const GENERATIONS = ['its own', 'older', 'newer', "another's"] as const;
const HELD = ['all', 'some', 'nothing', 'unknown', 'reporting', 'ahead'] as const;
const OPERATIONS = ['cancel', 'cancel', 'retry', 'adopt'] as const;
const AVAILABILITY = ['drain', 'resume', 'takeover'] as const;
const WORDS = ['ping', 'idle', 'checks fail', 'checks pass'] as const;
const RECOVERIES = ['crashed before', 'crashed at work', 'reconnected'] as const;
const STEPS = ['begin', 'commit', 'committed'] as const;
const FAULTS = ['AC_STORE_RETRY', 'AC_STORE_UNAVAILABLE', 'AC_COMMIT_UNKNOWN'] as const;
const TIMES_MS = [0, 1, 900, 1_100, 5_000, 12_000, 26_000, 70_000] as const;
const JUMPS_MS = [-4_000, 6_000, 3_600_000] as const;

const pick = fc.nat({ max: 40 });
const agent = fc.nat({ max: AGENTS.length - 1 });
const one = <const T>(list: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...list);
/** Mostly null. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const named = <const A extends string, T>(act: A, rest: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<{ act: A } & T> =>
  fc.record(rest).map((fields) => ({ act, ...(fields as T) }));

const ACTS = {
  submit: named('submit', {
    lane: fc.nat({ max: 3 }),
    maxRetries: fc.nat({ max: 2 }),
    needsGpu: seldom(fc.constant(true)),
    assignTo: seldom(agent),
    runAfterMs: seldom(one(TIMES_MS)),
    ttlMs: seldom(one(TIMES_MS)),
    withinMs: seldom(one(TIMES_MS)),
    runMaxMs: seldom(one(TIMES_MS)),
    dependsOn: fc.array(pick, { maxLength: 2, size: '-1' }),
    key: seldom(fc.nat({ max: 2 })),
  }),
  identify: named('identify', { agent, held: one(HELD), cutFirst: fc.boolean() }),
  cut: named('cut', { agent }),
  report: named('report', {
    agent,
    task: pick,
    report: one(REPORTS),
    generation: fc.oneof({ weight: 6, arbitrary: fc.constant('its own' as const) }, { weight: 2, arbitrary: one(GENERATIONS) }),
    /** On the connection before the last, if that is still open. */
    onOlder: seldom(fc.constant(true)),
  }),
  confirm: named('confirm', { agent, task: pick }),
  operate: named('operate', { task: fc.nat({ max: 5 }), how: one(OPERATIONS) }),
  availability: named('availability', { agent, change: one(AVAILABILITY) }),
  say: named('say', { agent, word: one(WORDS) }),
  recover: named('recover', { agent, task: pick, how: one(RECOVERIES) }),
  pass: named('pass', { ms: one(TIMES_MS) }),
  jump: named('jump', { ms: one(JUMPS_MS) }),
  fail: named('fail', { times: fc.integer({ min: 1, max: 7 }), step: one(STEPS), code: one(FAULTS) }),
  /** The store waits until it is released, and what is done meanwhile shares a batch. */
  hold: named('hold', {}),
  release: named('release', {}),
  restart: named('restart', { how: one(['stop', 'kill']) }),
};
type Acts = typeof ACTS;
export type ActOf<N extends keyof Acts> = Acts[N] extends fc.Arbitrary<infer A> ? A : never;
export type Act = { [N in keyof Acts]: ActOf<N> }[keyof Acts];

const WEIGHTS: { readonly [N in keyof Acts]: number } = {
  submit: 20,
  identify: 8,
  cut: 3,
  report: 36,
  confirm: 4,
  operate: 10,
  availability: 2,
  say: 3,
  recover: 2,
  pass: 16,
  jump: 1,
  fail: 3,
  hold: 7,
  release: 6,
  restart: 1,
};

const anAct: fc.Arbitrary<Act> = fc.oneof(
  ...(Object.keys(ACTS) as (keyof Acts)[]).map((name) => ({ weight: WEIGHTS[name], arbitrary: ACTS[name] as fc.Arbitrary<Act> })),
);

/** A history of up to `length` acts. */
export const aHistory = (length: number): fc.Arbitrary<readonly Act[]> => fc.array(anAct, { minLength: 1, maxLength: length, size: 'max' });
