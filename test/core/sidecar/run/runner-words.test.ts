/** The sidecar's entry point for runner events: no value passes that a later step could not walk, write or journal. */
import t from 'tap';
import { messageOf } from '../../../../core/errors/agentcom-error.ts';
import { readChecks, readWakeEvent } from '../../../../core/application/sidecar/state/runner-events.ts';

const deep = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const cyclic: Record<string, unknown> = {};
cyclic['self'] = cyclic;
/** Wide and cyclic: a walk that only bounds the depth would take 2^30 steps. */
const wide: Record<string, unknown> = {};
wide['a'] = wide['b'] = wide;
const throwing = {
  type: 'spawned',
  get process(): unknown {
    throw new Error('a getter');
  },
};

t.test('R16: valid runner events are accepted unchanged', async (t) => {
  const events = [
    { type: 'spawned', process: { pid: 7, startTime: '12', bootId: null } },
    { type: 'woken' },
    { type: 'started', sessionId: 's-1' },
    { type: 'progress', percent: 5, message: 'm' },
    { type: 'output', text: 'o' },
    { type: 'usage', tokensUsed: 5, byModel: { m: { inputTokens: 1 } } },
    { type: 'completed', output: { a: [1, null] }, costUsd: 1 },
    { type: 'failed', phase: 'agent', kind: 'auth', message: 'no', retryable: false, details: { code: 1 } },
    { type: 'exited', exitCode: null, signal: 'SIGKILL', stderrTail: '', survivors: [5] },
    { type: 'stopped', survivors: [] },
  ];
  for (const event of events) t.same(readWakeEvent(event), { kind: 'event', event }, event.type);
  t.same(readWakeEvent({ type: 'started', sessionId: undefined }), { kind: 'event', event: { type: 'started' } });
  t.same(readWakeEvent({ type: 'completed' }), { kind: 'event', event: { type: 'completed', output: null } });
});

t.test('R16: an invalid runner event is refused, with what was expected', async (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [null, /expected an event, found null/],
    [undefined, /expected an event, found undefined/],
    ['woken', /expected an event, found a string/],
    [{}, /of type spawned, woken.*found undefined/],
    [{ type: 'toString' }, /found toString/],
    [{ type: 'spawned' }, /"spawned" is invalid: process is required/],
    [{ type: 'spawned', process: { pid: 5 } }, /process.startTime is required/],
    [{ type: 'spawned', process: { pid: 0, startTime: null, bootId: null } }, /process.pid/],
    [{ type: 'spawned', process: { pid: 5, startTime: 'x'.repeat(300), bootId: null } }, /process.startTime/],
    [throwing, /cannot be read: .*a getter/],
    [{ type: 'exited', exitCode: 0, signal: null }, /stderrTail is required/],
    [{ type: 'failed', phase: 'agent', retryable: true }, /message is required/],
    [{ type: 'stopped', survivors: ['x'] }, /survivors/],
  ];
  for (const [value, message] of cases) t.match(readWakeEvent(value), { kind: 'invalid', reason: 'invalid_event', message });
});

t.test('R16: a failure with invalid fields is reported without them', async (t) => {
  const failed = { type: 'failed', phase: 'agent', message: 'rn', retryable: false, kind: 'auth', retryAfterMs: 5, beforeWork: true };
  const cases: readonly (readonly [string, readonly unknown[]])[] = [
    ['retryAfterMs', [Number.NaN, Infinity, '5', null]],
    ['kind', ['', 5, 'k'.repeat(65), null]],
    ['beforeWork', ['yes', null]],
  ];
  for (const [name, values] of cases) {
    for (const value of values) {
      const { [name as 'kind']: _, ...event } = failed;
      t.same(readWakeEvent({ ...failed, [name]: value }), { kind: 'event', event, ignored: [name] }, `${name}: ${String(value)}`);
    }
  }
  for (const retryable of ['no', 0, null])
    t.same(readWakeEvent({ ...failed, retryable }), { kind: 'event', event: { ...failed, retryable: true }, ignored: ['retryable'] });
  const { retryable: _, ...silent } = failed;
  t.same(readWakeEvent(silent), { kind: 'event', event: { ...failed, retryable: true } }, 'retryable unless it says otherwise');
});

t.test('R16: a result that cannot be sent is invalid, in whatever way it is constructed', async (t) => {
  const cases: readonly (readonly [unknown, string, RegExp])[] = [
    [deep(100_000), 'result_invalid', /nested more than 30 deep/],
    [cyclic, 'result_invalid', /must not refer to itself/],
    [wide, 'result_too_large', /100000 values|30 deep/],
    [5n, 'result_invalid', /cannot be written as JSON/],
    [() => 1, 'result_invalid', /found a function/],
    [{ toJSON: () => deep(200) }, 'result_invalid', /nested more than 30 deep/],
    [{ toJSON: () => deep(100_000) }, 'result_invalid', /JSON/],
    ['x'.repeat(9_000_000), 'result_too_large', /8388608 bytes/],
    [Object.fromEntries(Array.from({ length: 20_001 }, (_, n) => [n, 0])), 'result_too_large', /100000 values/],
    [Array.from({ length: 100_001 }, () => 0), 'result_too_large', /100000 values/],
  ];
  for (const [output, reason, message] of cases) {
    const readEvent = readWakeEvent({ type: 'completed', output });
    t.equal(readEvent.kind, 'invalid');
    if (output !== wide) t.match(readEvent, { reason, message });
    const failed = readWakeEvent({ type: 'failed', phase: 'agent', message: 'why', retryable: true, details: { output } });
    t.match(failed, { kind: 'event', event: { type: 'failed', message: 'why', details: {} } }, 'the failure itself is still reported');
    t.ok(JSON.stringify(failed).length < 1_000 || typeof output === 'function');
  }
});

t.test('R16: runner texts are bounded', async (t) => {
  const long = 'x'.repeat(1_000_000);
  for (const event of [
    { type: 'progress', message: long },
    { type: 'output', text: long },
    { type: 'exited', exitCode: 0, signal: null, stderrTail: long },
    { type: 'failed', phase: 'agent', message: long, retryable: true },
  ])
    t.ok(JSON.stringify(readWakeEvent(event)).length < 70_000, event.type);
});

t.test('R16: invalid checks count as a failed check', async (t) => {
  const good = [{ check: 'program', ok: true, message: '' }];
  t.same(readChecks(good), good);
  const holes: unknown[] = [];
  holes[3] = good[0];
  for (const value of [null, 'ok', {}, [null], holes, [{ check: 'program', ok: false }], [{ check: 'a', ok: 'yes', message: '' }], [5n]])
    t.match(readChecks(value), [{ check: 'runner', ok: false, message: /^checks threw: expected a list of/ }]);
  t.ok(JSON.stringify(readChecks(Array.from({ length: 10_000 }, () => ({ ...good[0], message: 'x'.repeat(10_000) })))).length < 50_000);
});

/** It reveals nothing when inspected. */
const mute = (message: string): object => ({
  get secret(): string {
    throw new Error(message);
  },
});

t.test('R16: an event or field that throws when read is refused or omitted, with a bounded message', async (t) => {
  const long = 'x'.repeat(500_000);
  for (const value of [
    new Proxy(
      {},
      {
        get: () => {
          throw new Error(long);
        },
      },
    ),
    new Proxy(
      {},
      {
        get: () => {
          throw Object.create(null);
        },
      },
    ),
  ]) {
    // prettier-ignore
    const readEvent = readWakeEvent(value);
    t.match(readEvent, { kind: 'invalid', reason: 'invalid_event', message: /^an event cannot be read: / });
    t.ok(JSON.stringify(readEvent).length < 5_000);
    t.ok(JSON.stringify(readChecks(value)).length < 5_000);
  }
  const failed = readWakeEvent({ type: 'failed', phase: 'agent', message: 'why', retryable: true, details: mute(long) });
  t.match(failed, { kind: 'event', event: { message: 'why', details: { omitted: /cannot be written as JSON/ } } });
  t.match(readWakeEvent({ type: 'completed', output: mute(long) }), { kind: 'invalid', reason: 'result_invalid' });
  const used = readWakeEvent({ type: 'usage', tokensUsed: 7, byModel: { one: mute(long) } });
  t.same(used, { kind: 'event', event: { type: 'usage', tokensUsed: 7, byModel: undefined } }, 'it is not read again after validation');
});

t.test('R16: a value thrown by a runner may have no text', async (t) => {
  for (const thrown of [Object.create(null) as object, Object.assign(new Error(), { message: Object.create(null) as unknown })])
    t.equal(messageOf(thrown), 'the error cannot be displayed');
});
