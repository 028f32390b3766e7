/** The order, the time limits and the ends of `Lifecycle`; every time is virtual except in the child processes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { Lifecycle, type Service } from '../../../apps/lifecycle.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { builtTree } from '../../rig/built-tree.ts';

/** Three services that record what is done to them, and a lifecycle on a clock that stands still. */
function bench(overrides: Readonly<Record<string, Partial<Service>>> = {}) {
  const calls: string[] = [];
  const service = (name: string): Service => ({
    name,
    start: async () => void calls.push(`+${name}`),
    stop: async () => void calls.push(`-${name}`),
    ...overrides[name],
  });
  const clock = virtualClock();
  const log = memoryLog();
  const lifecycle = new Lifecycle({ clock, log, stopEachMs: 1_000, stopAllMs: 1_500 });
  return { calls, clock, log, lifecycle, services: ['store', 'scheduler', 'transport'].map(service) };
}

/** Lets everything that does not wait for a timer take its steps. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const failureOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it did not fail',
    (thrown: unknown) => thrown,
  );

t.test('starts in order and stops in reverse', async (t) => {
  const { lifecycle, services, calls, clock } = bench();
  t.equal(await lifecycle.start(services), 'running');
  await lifecycle.stop();
  t.strictSame(calls, ['+store', '+scheduler', '+transport', '-transport', '-scheduler', '-store']);
  t.equal(clock.pending, 0, 'no timer is left');
});

t.test('stop before start: nothing starts any more', async (t) => {
  const { lifecycle, services, calls } = bench();
  await lifecycle.stop();
  t.equal(await lifecycle.start(services), 'stopped');
  t.strictSame(calls, []);
});

t.test('stop twice and ten times at once stops each once', async (t) => {
  const { lifecycle, services, calls } = bench();
  await lifecycle.start(services);
  await Promise.all(Array.from({ length: 10 }, () => lifecycle.stop()));
  await lifecycle.stop();
  t.strictSame(calls.slice(3), ['-transport', '-scheduler', '-store']);
});

t.test('a failed start stops the running services, and reports the service, the reason and the code', async (t) => {
  const cause = new AgentcomError('AC_PORT_BUSY', 'Port 4000 is taken.');
  const { lifecycle, services, calls } = bench({ transport: { start: () => Promise.reject(cause) } });
  const failure = await failureOf(lifecycle.start(services));
  if (!AgentcomError.is(failure)) throw failure;
  t.equal(failure.code, 'AC_PORT_BUSY');
  t.equal(failure.message, 'Port 4000 is taken.', 'our own error needs no other before it');
  t.equal(failure.cause, cause);
  t.strictSame(failure.details, { service: 'transport' });
  t.strictSame(calls, ['+store', '+scheduler', '-scheduler', '-store'], 'the one that failed is not stopped');
  await lifecycle.stop();
  t.equal(calls.length, 4, 'a stop after it finds nothing to do');
});

t.test('a start that throws synchronously is a failed start; foreign errors become AC_INTERNAL', async (t) => {
  const { lifecycle, services } = bench({
    scheduler: {
      start: () => {
        throw new TypeError('x is not a function');
      },
    },
  });
  t.ok(AgentcomError.is(await failureOf(lifecycle.start(services)), 'AC_INTERNAL'));
});

t.test('failures while a failed start is undone are reported too, and the rest is still undone', async (t) => {
  const { lifecycle, services, calls } = bench({
    transport: { start: () => Promise.reject(new Error('no port')) },
    scheduler: { stop: () => Promise.reject(new Error('stuck')) },
  });
  const failure = await failureOf(lifecycle.start(services));
  t.ok(AgentcomError.is(failure));
  t.match(failure, {
    message: 'Cannot start "transport": no port',
    details: { stopFailures: ['Cannot stop "scheduler": stuck'] },
  });
  t.strictSame(calls, ['+store', '+scheduler', '-store']);
});

t.test('all failures of a stop are reported together, and to every caller', async (t) => {
  const { lifecycle, services, calls } = bench({
    transport: { stop: () => Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', 'disk full')) },
    scheduler: {
      stop: () => {
        throw new Error('stuck');
      },
    },
  });
  await lifecycle.start(services);
  const [one, two] = await Promise.all([failureOf(lifecycle.stop()), failureOf(lifecycle.stop())]);
  t.equal(one, two);
  if (!(one instanceof AggregateError)) throw one;
  t.match(one.errors, [
    { code: 'AC_JOURNAL_WRITE', message: 'Cannot stop "transport": disk full' },
    { code: 'AC_INTERNAL', message: 'Cannot stop "scheduler": stuck' },
  ]);
  t.equal(calls.at(-1), '-store', 'the others are stopped');
});

t.test('a service that hangs while stopping is abandoned after its timeout; all together have one too', async (t) => {
  const hanging = { stop: () => new Promise<void>(() => undefined) };
  const { lifecycle, services, calls, clock } = bench({ transport: hanging, scheduler: hanging });
  await lifecycle.start(services);
  const stopped = failureOf(lifecycle.stop());
  await settle();
  t.equal(clock.nextDueMs, 1_000, 'the first has stopEachMs');
  clock.advance(1_000);
  await settle();
  t.equal(clock.nextDueMs, 1_500, 'the second has what is left of stopAllMs');
  clock.advance(500);
  const failure = await stopped;
  if (!(failure instanceof AggregateError)) throw failure;
  t.match(failure.errors, [
    { code: 'AC_STOP_TIMEOUT', details: { service: 'transport', withinMs: 1_000 } },
    { code: 'AC_STOP_TIMEOUT', details: { service: 'scheduler', withinMs: 500 } },
  ]);
  t.equal(calls.at(-1), '-store', 'the last is still asked to stop');
  t.equal(clock.pending, 0);
});

t.test('stop during start waits for the service under way, stops it and starts no other', async (t) => {
  let started = (): void => undefined;
  const { lifecycle, services, calls } = bench({ scheduler: { start: () => new Promise<void>((resolve) => (started = resolve)) } });
  const starting = lifecycle.start(services);
  await settle();
  const stopping = lifecycle.stop();
  await settle();
  t.strictSame(calls, ['+store'], 'nothing is stopped while the scheduler still starts');
  started();
  t.equal(await starting, 'stopped');
  await stopping;
  t.strictSame(calls, ['+store', '-scheduler', '-store']);
});

t.test('stop during a start that never ends stops that service too, after its time', async (t) => {
  const { lifecycle, services, calls, clock } = bench({ scheduler: { start: () => new Promise<void>(() => undefined) } });
  void lifecycle.start(services);
  await settle();
  const stopping = lifecycle.stop();
  clock.advance(1_000);
  await stopping;
  t.strictSame(calls, ['+store', '-scheduler', '-store']);
});

t.test('a start that fails because it is being stopped is not a separate failure', async (t) => {
  let fail = (_: Error): void => undefined;
  const { lifecycle, services, calls, log } = bench({ scheduler: { start: () => new Promise<void>((_, reject) => (fail = reject)) } });
  const starting = lifecycle.start(services);
  await settle();
  const stopping = lifecycle.stop();
  fail(new Error('closed'));
  t.equal(await starting, 'stopped');
  await stopping;
  t.strictSame(calls, ['+store', '-store']);
  t.match(
    log.lines.filter((line) => line.level === 'warn'),
    [{ fields: { service: 'scheduler', error: 'closed' } }],
  );
});

t.test('a second start is refused and changes nothing', async (t) => {
  const { lifecycle, services, calls } = bench();
  await lifecycle.start(services);
  t.ok(AgentcomError.is(await failureOf(lifecycle.start(services)), 'AC_INTERNAL'));
  t.equal(calls.length, 3);
});

t.test('no timer or handle keeps the process alive', async (t) => {
  const child = builtTree().compiled('test/apps/process/lifecycle-child.ts');
  const ends: Readonly<Record<string, unknown>> = {
    clean: ['running', null],
    hanging: ['running', 'AggregateError'],
    failed: 'AgentcomError: Cannot start "failing": no',
    never: undefined,
  };
  const runs = Object.entries(ends).map(async ([way, end]) => {
    // The time is for a machine under load; a child that is kept alive would wait forever.
    const { stdout } = await promisify(execFile)(process.execPath, [child, way], { timeout: 30_000 });
    t.equal(stdout.trim(), JSON.stringify(end) ?? 'undefined', way);
  });
  await Promise.all(runs);
});
