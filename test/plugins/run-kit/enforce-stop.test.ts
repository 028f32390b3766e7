/** A plugin that ignores the abort of its signal cannot keep its agent alive or its slot occupied. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent, WakeRequest } from '../../../core/ports/wake-runner.ts';
import { defineWakeRunner, Type } from '../../../plugins/plugin.ts';
import { STOP_MARGIN_MS } from '../../../plugins/run-kit/process/enforce-stop.ts';
import { aGeneration, anAgentId, aTaskId } from '../../product/contracts/fixtures.ts';

/** A timing with a short margin. */
const clock = { ...systemClock(), after: (ms: number, fire: () => void) => systemClock().after(ms >= STOP_MARGIN_MS ? 200 : ms, fire) };
const deps = { agentId: 'a1', baseDir: '/', dataDir: '/', clock, log: silentLog };

const deaf = (wake: () => AsyncIterable<WakeEvent>) =>
  defineWakeRunner({ name: 'deaf', options: Type.Object({}), create: () => ({ adoptable: false, wake }) });

const requestOf = (runId: string): WakeRequest => ({
  ...{ taskId: aTaskId(1), generation: aGeneration(1), agentId: anAgentId(), runId },
  ...{ task: { description: 'x' }, taskFile: '/t', resultsDir: '/r', runDir: '/nowhere' },
});

async function* generated(): AsyncGenerator<WakeEvent> {
  yield { type: 'woken' };
  await new Promise(() => undefined);
}

/** Its `return` is written by hand, in plain JavaScript. */
const byHand = (end: () => unknown) => (): AsyncIterable<WakeEvent> => {
  const events = generated();
  return { [Symbol.asyncIterator]: () => ({ next: () => events.next(), return: end as () => Promise<never> }) };
};

const wakes: Readonly<Record<string, () => AsyncIterable<WakeEvent>>> = {
  generated,
  'with a return that is not async': byHand(() => undefined),
  'with a return that throws': byHand(() => {
    throw new Error('no return');
  }),
};

void t.test('R11: a stop that a runner ignores is enforced by run id, and reported', async (t) => {
  for (const [what, wake] of Object.entries(wakes)) {
    const runId = 'run-of-a-deaf-runner';
    const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore', env: { ...process.env, AGENTCOM_RUN_ID: runId } });
    const ended = once(child, 'exit');
    t.teardown(() => child.kill('SIGKILL'));
    const runner = await deaf(wake)({}).create(deps);
    const stop = new AbortController();
    const events = runner.wake(requestOf(runId), stop.signal)[Symbol.asyncIterator]();
    t.match(await events.next(), { value: { type: 'woken' } });
    stop.abort({ graceMs: 0 });
    t.same(await events.next(), { done: false, value: { type: 'stopped', survivors: [] } });
    t.match(await events.next(), { done: true });
    t.match(await ended, [null, /^SIG/], `and its agent is gone: ${what}`);
  }
});

// Before, its events were passed on without a turn for timers, so that the whole sidecar stood still: no stop, no
// heartbeat, no SIGTERM.
void t.test('R11: a runner that yields events without ever waiting is stopped, too', async (t) => {
  const endless = async function* (): AsyncGenerator<WakeEvent> {
    for (;;) yield { type: 'progress', percent: 1 };
  };
  const runner = await deaf(endless)({}).create(deps);
  const stop = new AbortController();
  setTimeout(() => stop.abort({ graceMs: 0 }), 10);
  const seen = new Set<string>();
  for await (const { type } of runner.wake(requestOf('run-of-an-endless-runner'), stop.signal)) seen.add(type);
  t.strictSame([...seen], ['progress', 'stopped']);
});

void t.test('a wake that returns something other than events is explained', async (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [
      Promise.resolve(generated()),
      /must return an async iterable of events, found a promise \(make it an async generator, or use wakeEvents\)$/,
    ],
    [undefined, /found undefined$/],
    [[{ type: 'woken' }], /found a list of 1 items$/],
    [{ [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve() }) }, /expected \{ done, value \} from next\(\), found undefined$/],
  ];
  for (const [returned, message] of cases) {
    const runner = await deaf(() => returned as AsyncIterable<WakeEvent>)({}).create(deps);
    const events = runner.wake(requestOf('run-of-no-events'), new AbortController().signal)[Symbol.asyncIterator]();
    await t.rejects(events.next(), { message });
  }
});
